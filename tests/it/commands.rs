//! The commands other than the proxy: what they print, save and refuse.

use std::{
    fs,
    io::Write as _,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use kubegate::demo::ControlPlane;
use serde_json::{Value, json};
use tempfile::{TempDir, tempdir};

use crate::support::{Kubegate, Refused};

/// A home folder with a kubeconfig for a control plane.
struct Home {
    folder: TempDir,
    plane: ControlPlane,
}

impl Home {
    /// The context `demo` has a token of the control plane, `dead` one that it refuses.
    async fn new() -> Self {
        let folder = tempdir().unwrap();
        let plane = ControlPlane::start(Duration::from_secs(3600))
            .await
            .unwrap();
        fs::write(folder.path().join("ca.pem"), plane.ca_pem()).unwrap();
        let home = Self { folder, plane };
        let (token, _) = home.plane.token();
        let cluster = json!({"server": home.plane.url(), "certificate-authority": "../ca.pem"});
        let config = json!({
            "current-context": "demo",
            "clusters": [{"name": "c", "cluster": cluster},
                         {"name": "bare", "cluster": {"server": "http://api.example",
                                                      "insecure-skip-tls-verify": true}}],
            "users": [{"name": "jane", "user": {"token": token.expose()}},
                      {"name": "dead", "user": {"token": "sesame-cmd-2"}},
                      {"name": "basic", "user": {"username": "u", "password": "sesame-cmd-3"}},
                      {"name": "aws", "user": {"exec": {"apiVersion": "client.authentication.k8s.io/v1",
                          "command": "aws", "interactiveMode": "Never"}}}],
            "contexts": [{"name": "demo", "context": {"cluster": "c", "user": "jane"}},
                         {"name": "dead", "context": {"cluster": "c", "user": "dead"}},
                         {"name": "basic", "context": {"cluster": "bare", "user": "basic"}},
                         {"name": "aws", "context": {"cluster": "c", "user": "aws"}},
                         {"name": "lost", "context": {"cluster": "nowhere", "user": "jane"}}],
        });
        fs::create_dir(home.path(".kube")).unwrap();
        fs::write(home.path(".kube/config"), config.to_string()).unwrap();
        home
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Kubegate::command(args);
        command.env("HOME", self.folder.path());
        command
    }

    fn run(&self, args: &[&str]) -> Refused {
        Kubegate::refused(self.command(args))
    }

    /// Runs a command that has to succeed, and returns its output.
    fn out(&self, args: &[&str]) -> String {
        let ended = self.run(args);
        assert_eq!(ended.code, Some(0), "{args:?}: {ended:?}");
        ended.stdout
    }

    fn token(&self) -> String {
        self.out(&["token"]).trim_end().to_owned()
    }

    /// Runs a helper as docker does: with a verb, and with text on standard input.
    fn docker(&self, helper: &Path, verb: &str, input: &str) -> Refused {
        let mut command = Command::new(helper);
        command
            .arg(verb)
            .env_clear()
            .env("HOME", self.folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(input.as_bytes())
            .unwrap();
        let output = child.wait_with_output().unwrap();
        Refused {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
            took: Duration::ZERO,
        }
    }

    /// kubegate by docker's name for its helper.
    fn helper(&self) -> PathBuf {
        let link = self.path("docker-credential-kubegate");
        if !link.is_symlink() {
            symlink(env!("CARGO_BIN_EXE_kubegate"), &link).unwrap();
        }
        link
    }
}

fn run(args: &[&str], env: &[(&str, &str)]) -> Refused {
    let mut command = Kubegate::command(args);
    command.envs(env.iter().copied());
    Kubegate::refused(command)
}

#[test]
fn credential_reports_what_kubectl_did_not_pass() {
    let args = ["credential", "openshift", "--login", "x"];
    let v1 = "client.authentication.k8s.io/v1";
    let bare = format!(r#"{{"kind":"ExecCredential","apiVersion":"{v1}","spec":{{}}}}"#);
    for (env, says) in [
        (None, "KUBERNETES_EXEC_INFO is not set, and no context"),
        (Some("sesame-cmd-1"), "is not a JSON object"),
        (Some(bare.as_str()), "provideClusterInfo: true"),
    ] {
        let env: Vec<_> = env
            .map(|env| ("KUBERNETES_EXEC_INFO", env))
            .into_iter()
            .collect();
        let ended = run(&args, &env);
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert!(ended.stderr.contains(says), "{ended:?}");
        assert_eq!(ended.stdout, "");
        assert!(!ended.stderr.contains("sesame"), "{ended:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_without_a_token_reports_it_once() {
    let home = Home::new().await;
    for args in [&["token"][..], &["whoami", "-t"]] {
        let mut command = home.command(args);
        command
            .args(["--context", "aws"])
            .env("PATH", "/nonexistent");
        let ended = Kubegate::refused(command);
        assert_eq!(ended.code, Some(1), "{ended:?}");
        let told = ended.stderr.matches("exec plugin aws was not found");
        assert_eq!(told.count(), 1, "{ended:?}");
        assert!(!ended.stderr.contains("next try"), "{ended:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoami_prints_the_answer_of_the_api_server() {
    let home = Home::new().await;
    let said = home.out(&["whoami"]);
    for part in [
        "User:",
        "demo-admin",
        "system:masters",
        &home.plane.url(),
        "demo",
        "token",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert_eq!(home.out(&["whoami", "-o", "name"]), "demo-admin\n");
    let said: Value = serde_json::from_str(&home.out(&["whoami", "-o", "json"])).unwrap();
    assert_eq!(said["user"], "demo-admin");
    assert_eq!(said["context"], "demo");
    let yaml = home.out(&["whoami", "-o", "yaml"]);
    assert!(yaml.contains("user: demo-admin\n"), "{yaml}");
    let token = home.token();
    assert!(token.len() > 20 && !said.to_string().contains(&token));
    assert_eq!(home.out(&["whoami", "-t"]), format!("{token}\n"));

    let plain = home.run(&["whoami", "-s", "http://api.example:8080"]);
    assert!(
        plain.stderr.contains("must begin with https://"),
        "{plain:?}"
    );
    assert!(!plain.stderr.contains("service account"), "{plain:?}");
    let refused = home.run(&["whoami", "--context", "dead"]);
    assert_eq!(refused.code, Some(1));
    assert!(
        refused.stderr.contains("401") && !refused.stderr.contains("sesame"),
        "{refused:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_printed_alone_or_as_exec_credential() {
    let home = Home::new().await;
    let answer = home.out(&["token", "-o", "exec-credential"]);
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(answer["kind"], "ExecCredential");
    assert_eq!(answer["apiVersion"], "client.authentication.k8s.io/v1");
    assert_eq!(answer["status"]["token"], home.token());
    let beta = "client.authentication.k8s.io/v1beta1";
    let info = json!({"kind": "ExecCredential", "apiVersion": beta, "spec": {}});
    let mut command = home.command(&["token", "-o", "exec-credential"]);
    command.env("KUBERNETES_EXEC_INFO", info.to_string());
    let answer: Value = serde_json::from_str(&Kubegate::refused(command).stdout).unwrap();
    assert_eq!(answer["apiVersion"], beta);

    let none = home.run(&["token", "--context", "basic"]);
    assert_eq!((none.code, none.stdout.as_str()), (Some(1), ""));
    assert!(
        none.stderr.contains("no bearer token") && !none.stderr.contains("sesame"),
        "{none:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn contexts_are_listed_without_a_request() {
    let home = Home::new().await;
    let table = home.out(&["contexts"]);
    let line = |name: &str| {
        let mut lines = table.lines().filter(|line| line.contains(name));
        lines
            .next()
            .unwrap_or_else(|| panic!("{name}: {table}"))
            .to_owned()
    };
    assert!(line("demo").starts_with('*'), "{table}");
    let url = home.plane.url();
    for part in [url.as_str(), " token ", "ca.pem"] {
        assert!(line("demo").contains(part), "{part}: {table}");
    }
    assert!(
        line("basic").contains("password") && line("basic").contains("plain http"),
        "{table}"
    );
    assert!(
        line("aws").contains("exec aws") && line("aws").contains("renewed"),
        "{table}"
    );
    assert!(line("lost").contains("nowhere"), "{table}");
    assert!(!table.contains("sesame"), "{table}");
    let names = home.out(&["contexts", "-o", "name"]);
    assert_eq!(names, "aws\nbasic\ndead\ndemo\nlost\n");
    let all: Value = serde_json::from_str(&home.out(&["contexts", "-o", "json"])).unwrap();
    assert_eq!(all.as_array().unwrap().len(), 5);
    assert_eq!(all[3]["current"], true);
    assert!(
        home.out(&["contexts", "-o", "yaml"])
            .starts_with("- context: aws\n")
    );
    assert_eq!(
        home.run(&["contexts", "--kubeconfig", "/nonexistent"]).code,
        Some(1)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn docker_gets_a_fresh_token_for_a_registry_with_a_context() {
    let home = Home::new().await;
    let added = home.run(&[
        "registry",
        "add",
        "Registry.example:5000",
        "--context",
        "demo",
    ]);
    assert_eq!(added.code, Some(0), "{added:?}");
    assert!(added.stderr.contains("credHelpers"), "{added:?}");
    let state = home.path(".local/state/kubegate/registries.json");
    assert_eq!(fs::metadata(state).unwrap().mode() & 0o777, 0o600);
    assert_eq!(
        home.out(&["registry", "list", "-o", "name"]),
        "registry.example:5000\n"
    );

    let helper = home.helper();
    for server in [
        "registry.example:5000",
        "https://registry.example:5000/v2/\n",
        "REGISTRY.example:5000/demo/image",
    ] {
        let got = home.docker(&helper, "get", server);
        assert_eq!((got.code, got.stderr.as_str()), (Some(0), ""), "{got:?}");
        let got: Value = serde_json::from_str(&got.stdout).unwrap();
        assert_eq!(got["ServerURL"], "registry.example:5000");
        assert!(!got["Username"].as_str().unwrap().is_empty());
        assert_eq!(got["Secret"], home.token());
    }
    let listed = home.docker(&helper, "list", "").stdout;
    let listed: Value = serde_json::from_str(&listed).unwrap();
    assert!(listed["registry.example:5000"].is_string(), "{listed}");
    let version = home.docker(&helper, "version", "").stdout;
    assert!(version.contains(env!("CARGO_PKG_VERSION")), "{version}");

    let login =
        json!({"ServerURL": "registry.example:5000", "Username": "u", "Secret": "sesame-cmd-4"});
    let stored = home.docker(&helper, "store", &login.to_string());
    assert_eq!((stored.code, stored.stdout.as_str()), (Some(0), ""));
    // A CI job logs out at its end, and the next one needs the registry again.
    for server in ["https://registry.example:5000", "other.example", "http://x"] {
        let erased = home.docker(&helper, "erase", server);
        assert_eq!((erased.code, erased.stdout.as_str()), (Some(0), ""));
    }
    let again = home.docker(&helper, "get", "registry.example:5000");
    assert_eq!(again.code, Some(0), "{again:?}");
    home.out(&["registry", "remove", "registry.example:5000"]);
    assert_eq!(home.docker(&helper, "list", "").stdout, "{}");
    let gone = home.docker(&helper, "get", "registry.example:5000");
    assert_eq!(gone.code, Some(1));
    assert_eq!(gone.stdout, "credentials not found in native keychain\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_port_443_is_no_part_of_a_registry() {
    let home = Home::new().await;
    home.out(&[
        "registry",
        "add",
        "https://R.example:443/",
        "--context",
        "demo",
    ]);
    let listed = home.out(&["registry", "list", "-o", "name"]);
    assert_eq!(listed, "r.example\n");
    let helper = home.helper();
    for server in [
        "r.example",
        "R.Example:443",
        "https://r.example/v2/",
        "https://r.example:443",
    ] {
        let got = home.docker(&helper, "get", server);
        assert_eq!(got.code, Some(0), "{server}: {got:?}");
    }
    assert_eq!(home.docker(&helper, "get", "r.example:444").code, Some(1));
    home.out(&["registry", "remove", "r.example:443"]);
    // docker looks for the name that an image has. The file begins with a mark, as editors on
    // Windows write it.
    let config = home.path(".docker/config.json");
    fs::create_dir(home.path(".docker")).unwrap();
    fs::write(&config, "\u{feff}{\"auths\": {\"a.example\": {}}}").unwrap();
    home.out(&[
        "registry",
        "add",
        "s.example",
        "--context",
        "demo",
        "--configure",
    ]);
    let written: Value = serde_json::from_slice(&fs::read(&config).unwrap()).unwrap();
    let helpers = json!({"s.example": "kubegate", "s.example:443": "kubegate"});
    assert_eq!(
        written,
        json!({"auths": {"a.example": {}}, "credHelpers": helpers})
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn registry_add_configure_makes_the_link_and_the_line() {
    let home = Home::new().await;
    let (bin, config) = (home.path(".local/bin"), home.path(".docker/config.json"));
    fs::create_dir_all(&bin).unwrap();
    fs::create_dir(home.path(".docker")).unwrap();
    let auth =
        json!({"auths": {"a.example": {"auth": "eDp5"}}, "credHelpers": {"b.example": "pass"}});
    fs::write(&config, auth.to_string()).unwrap();
    // A mode other than that of a new file, which has to be kept.
    fs::set_permissions(&config, fs::Permissions::from_mode(0o640)).unwrap();
    let add = |host: &str, env: &[(&str, &Path)]| {
        let mut command =
            home.command(&["registry", "add", host, "--context", "demo", "--configure"]);
        command.env("PATH", &bin).envs(env.iter().copied());
        Kubegate::refused(command)
    };
    let added = add("r.example:5000", &[]);
    assert_eq!(added.code, Some(0), "{added:?}");
    let helper = bin.join("docker-credential-kubegate");
    for done in [&helper, &config] {
        assert!(added.stdout.contains(done.to_str().unwrap()), "{added:?}");
    }
    let read = |file: &Path| -> Value { serde_json::from_slice(&fs::read(file).unwrap()).unwrap() };
    let written = read(&config);
    assert_eq!(written["auths"], auth["auths"]);
    assert_eq!(fs::metadata(&config).unwrap().mode() & 0o777, 0o640);
    let beside = fs::read_dir(home.path(".docker")).unwrap().count();
    assert_eq!(beside, 1, "only config.json is left");
    assert_eq!(
        written["credHelpers"],
        json!({"b.example": "pass", "r.example:5000": "kubegate"})
    );
    let got = home.docker(&helper, "get", "r.example:5000");
    assert_eq!(got.code, Some(0), "{got:?}");

    // Again, with nothing to do. DOCKER_CONFIG names another folder; podman's own file is edited too.
    let again = add("r.example:5000", &[]);
    assert!(
        again.code == Some(0) && again.stdout.contains("already"),
        "{again:?}"
    );
    assert_eq!(read(&config), written);
    let (other, podman) = (home.path("docker"), home.path("auth.json"));
    fs::write(&podman, "{}").unwrap();
    let added = add(
        "s.example",
        &[("DOCKER_CONFIG", &other), ("REGISTRY_AUTH_FILE", &podman)],
    );
    assert_eq!(added.code, Some(0), "{added:?}");
    let names = json!({"credHelpers": {"s.example": "kubegate", "s.example:443": "kubegate"}});
    assert_eq!(
        (read(&other.join("config.json")), read(&podman)),
        (names.clone(), names)
    );
    let mode = fs::metadata(other.join("config.json")).unwrap().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(read(&config), written);

    // Nothing is changed if another file or line is in the way.
    for (host, broken) in [
        ("b.example", None),
        ("t.example", Some("{")),
        ("t.example", Some("[]")),
    ] {
        let before = broken.map_or_else(|| written.to_string(), str::to_owned);
        fs::write(&config, &before).unwrap();
        let refused = add(host, &[]);
        assert_eq!(refused.code, Some(1), "{refused:?}");
        assert!(
            refused.stderr.contains(config.to_str().unwrap()),
            "{refused:?}"
        );
        assert_eq!(fs::read_to_string(&config).unwrap(), before);
    }
    fs::remove_file(&helper).unwrap();
    fs::write(&helper, "another").unwrap();
    fs::write(&config, "{}").unwrap();
    let refused = add("t.example", &[]);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(
        refused.stderr.contains("is not this kubegate"),
        "{refused:?}"
    );
    assert_eq!(fs::read_to_string(&config).unwrap(), "{}");
    let listed = home.out(&["registry", "list", "-o", "name"]);
    assert_eq!(listed, "r.example:5000\ns.example\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_for_docker_go_to_standard_output() {
    let home = Home::new().await;
    home.out(&["registry", "add", "dead.example", "--context", "lost"]);
    let helper = home.helper();
    let login = |server: &str, user: &str| {
        json!({"ServerURL": server, "Username": user, "Secret": "sesame-cmd-5"}).to_string()
    };
    for (verb, input, says) in [
        (
            "get",
            "other.example".to_owned(),
            "credentials not found in native keychain",
        ),
        (
            "get",
            "https://index.docker.io/v1/".to_owned(),
            "credentials not found in native keychain",
        ),
        ("get", String::new(), "no credentials server URL"),
        ("get", "dead.example".to_owned(), "nowhere"),
        ("store", login("", "u"), "no credentials server URL"),
        (
            "store",
            login("dead.example", ""),
            "no credentials username",
        ),
        (
            "store",
            login("other.example", "u"),
            "kubegate registry add other.example",
        ),
        ("store", "sesame-cmd-6".to_owned(), "not the JSON"),
        ("erase", " ".to_owned(), "no credentials server URL"),
    ] {
        let ended = home.docker(&helper, verb, &input);
        assert_eq!(ended.code, Some(1), "{verb} {input}: {ended:?}");
        assert!(ended.stdout.contains(says), "{verb} {input}: {ended:?}");
        assert_eq!(ended.stderr, "", "{verb} {input}");
        assert!(!ended.stdout.contains("sesame"), "{ended:?}");
    }
    // The same without the link.
    let ended = home.run(&["docker-credential", "get"]);
    assert_eq!(
        (ended.code, ended.stdout.as_str()),
        (Some(1), "no credentials server URL\n")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_requires_an_existing_context() {
    let home = Home::new().await;
    for (code, args, says) in [
        (2, &["registry", "add", "r.example"][..], "--context"),
        (
            1,
            &["registry", "add", "r.example", "--context", "nope"],
            "\"nope\"",
        ),
        (
            2,
            &["registry", "add", "u@r.example", "--context", "demo"],
            "host:port",
        ),
        (
            1,
            &["registry", "remove", "r.example"],
            "no registry r.example",
        ),
    ] {
        let refused = home.run(args);
        assert_eq!(refused.code, Some(code), "{args:?}");
        assert!(refused.stderr.contains(says), "{args:?}: {refused:?}");
    }
    assert_eq!(home.out(&["registry", "list", "-o", "json"]), "[]\n");
    home.out(&["registry", "add", "r.example", "--context", "demo"]);
    assert!(home.out(&["registry", "list"]).contains("r.example   demo"));
    home.out(&["registry", "remove", "https://r.example"]);
}

#[test]
fn every_command_shows_examples_and_exit_codes() {
    for command in [
        "credential",
        "whoami",
        "token",
        "contexts",
        "registry",
        "docker-credential",
        "login oidc",
        "logout",
    ] {
        let words: Vec<&str> = command.split(' ').chain(["--help"]).collect();
        let help = run(&words, &[]);
        assert_eq!(help.code, Some(0), "{command}");
        assert!(
            help.stdout.contains("Exit codes:"),
            "{command}: {}",
            help.stdout
        );
        let has_examples = help.stdout.contains("Examples:") || command == "credential";
        assert!(has_examples, "{command}: {}", help.stdout);
    }
}
