//! Saved logins: begun with a browser, used by the proxy without a process and by kubectl as a plugin,
//! and ended.

use std::{
    ffi::OsStr,
    fs,
    os::unix::{
        ffi::OsStrExt as _,
        fs::{MetadataExt as _, PermissionsExt as _},
    },
    path::PathBuf,
    process::Command,
    time::{Duration, Instant},
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use kubegate::{
    credential::store::{LoginBinding, SavedLogin, Store},
    demo::{
        ControlPlane,
        oidc::{OidcIssuer, Options},
        openshift::{OpenShift, Options as OpenshiftOptions},
    },
    kubeconfig::{
        Login, Overrides,
        edit::{NewContext, add_context},
    },
    secret::Secret,
};
use serde_json::{Value, json};
use tempfile::{TempDir, tempdir};

use crate::support::{Kubegate, Refused, get, on_terminal, status};

struct Home {
    folder: TempDir,
    issuer: OidcIssuer,
    plane: ControlPlane,
}

impl Home {
    async fn new(id_token: u64) -> Self {
        let issuer = OidcIssuer::start(Options {
            id_token: Duration::from_secs(id_token),
            ..Options::default()
        });
        let issuer = issuer.await.unwrap();
        let plane = issuer.control_plane().await.unwrap();
        let folder = tempdir().unwrap();
        fs::write(folder.path().join("issuer.pem"), issuer.ca_pem()).unwrap();
        fs::write(folder.path().join("api.pem"), plane.ca_pem()).unwrap();
        Self {
            folder,
            issuer,
            plane,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn kubeconfig(&self) -> String {
        fs::read_to_string(self.path(".kube/config")).unwrap()
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Kubegate::command(args);
        command.env("HOME", self.folder.path());
        command
    }

    fn out(&self, args: &[&str]) -> String {
        let ended = Kubegate::refused(self.command(args));
        assert_eq!(ended.code, Some(0), "{args:?}: {ended:?}");
        ended.stdout
    }

    /// The command to log in, with curl as the browser.
    fn log_in_with(&self, args: &[&str]) -> Command {
        let mut command = self.command(&["login", "oidc"]);
        command.args(["--oidc-redirect-url", "http://127.0.0.1:0/callback"]);
        command.args(args);
        let browser = format!(
            "curl --silent --location --cacert {} --output /dev/null %s",
            self.path("issuer.pem").display()
        );
        command.env("BROWSER", browser);
        command
    }

    fn first_login(&self) -> Command {
        let (server, issuer) = (self.plane.url(), self.issuer.url());
        let (api, ca) = (self.path("api.pem"), self.path("issuer.pem"));
        self.log_in_with(&[
            "--server",
            &server,
            "--certificate-authority",
            api.to_str().unwrap(),
            "--oidc-issuer-url",
            &issuer,
            "--oidc-client-id",
            "kubegate-demo",
            "--oidc-certificate-authority",
            ca.to_str().unwrap(),
        ])
    }

    fn log_in(&self) -> Refused {
        let ended = Kubegate::refused(self.first_login());
        assert_eq!(ended.code, Some(0), "{ended:?}");
        ended
    }

    fn saved(&self) -> PathBuf {
        let mut files = fs::read_dir(self.path(".local/state/kubegate/logins")).unwrap();
        let saved = files.find_map(|file| {
            let path = file.unwrap().path();
            (path.extension()? == "json").then_some(path)
        });
        saved.unwrap()
    }
}

/// A program on PATH; `tests/run` installs missing ones.
fn find(program: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap();
    let mut found = std::env::split_paths(&path).map(|folder| folder.join(program));
    let found = found.find(|file| file.exists());
    found.unwrap_or_else(|| panic!("{program} is not on PATH; run tests/run, which installs it"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_writes_a_context_without_its_secrets() {
    let home = Home::new(3600).await;
    let ended = home.log_in();
    assert!(
        ended.stdout.contains("as oidc:jane@example.com"),
        "{ended:?}"
    );
    let config = home.kubeconfig();
    for part in [
        "default/127-0-0-1:",
        "- credential",
        "- oidc",
        "command: kubegate",
    ] {
        assert!(config.contains(part), "{part}: {config}");
    }
    let saved = fs::read_to_string(home.saved()).unwrap();
    let saved: Value = serde_json::from_str(&saved).unwrap();
    for secret in ["token", "refresh-token"] {
        let secret = saved[secret].as_str().unwrap();
        assert!(!config.contains(secret) && !ended.stdout.contains(secret));
        assert!(!ended.stderr.contains(secret), "{ended:?}");
    }
    assert_eq!(fs::metadata(home.saved()).unwrap().mode() & 0o777, 0o600);
    assert_eq!(
        home.out(&["whoami", "-o", "name"]),
        "oidc:jane@example.com\n"
    );
    let table = home.out(&["contexts"]);
    assert!(
        table.contains("kubegate oidc") && table.contains("renewed"),
        "{table}"
    );
    assert!(table.contains("its own CA"), "{table}");

    // The plugin, as client-go runs it.
    let info = json!({
        "kind": "ExecCredential",
        "apiVersion": "client.authentication.k8s.io/v1",
        "spec": {"interactive": false, "cluster": {"server": home.plane.url()}},
    });
    let exec = kubegate::kubeconfig::resolve(
        Some(&home.path(".kube/config")),
        &kubegate::kubeconfig::Overrides::default(),
        &|_| None,
    );
    let kubegate::kubeconfig::Login::Exec(exec) = exec.unwrap().user.login else {
        panic!("no exec entry");
    };
    let words: Vec<&str> = exec.args.iter().map(String::as_str).collect();
    let mut command = home.command(&words);
    command.env("KUBERNETES_EXEC_INFO", info.to_string());
    let answer = Kubegate::refused(command);
    let answer: Value = serde_json::from_str(&answer.stdout).unwrap();
    assert_eq!(answer["status"]["token"], saved["token"]);
    assert!(
        answer["status"]["expirationTimestamp"].is_string(),
        "{answer}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_proxy_renews_a_login_unnoticed_and_without_a_process() {
    let home = Home::new(2).await;
    home.log_in();
    let mut command = home.command(&["--port", "0"]);
    // With this PATH, no plugin could run.
    command.env("PATH", "/nonexistent");
    let kubegate = Kubegate::spawn(command);
    let (mut asked, mut refused) = (0, 0);
    let started = Instant::now();
    while home.issuer.refreshes() < 20 {
        assert!(
            started.elapsed() < Duration::from_secs(120),
            "{}",
            kubegate.log()
        );
        asked += 1;
        refused += usize::from(status(&get(&kubegate.address, "/api/v1/nodes").await) != 200);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(refused, 0, "of {asked}: {}", kubegate.log());
    assert_eq!(home.issuer.refused(), 0);
    eprintln!(
        "{asked} requests, {} renewals, none refused",
        home.issuer.refreshes()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_works_with_the_context_and_through_the_proxy() {
    let home = Home::new(2).await;
    home.log_in();
    let tools = home.path("tools");
    fs::create_dir(&tools).unwrap();
    let path = std::env::var("PATH").unwrap();
    let kubectl = |path: &str, args: &[&str]| {
        // kubectl is found on the test's PATH and runs with the given one.
        let mut command = Command::new(find("kubectl"));
        command.env_clear().env("HOME", home.folder.path());
        command.env("PATH", path).stdin(std::process::Stdio::null());
        command.args(["get", "nodes", "-o", "name"]).args(args);
        Kubegate::refused(command)
    };
    // The control: without the plugin, kubectl gets no access.
    let without = kubectl(&path, &[]);
    assert_ne!(without.code, Some(0), "{without:?}");
    let with_it = format!("{}:{path}", tools.display());
    let program = tools.join("kubegate");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_kubegate"), program).unwrap();
    let before = home.issuer.refreshes();
    for _ in 0..2 {
        let ended = kubectl(&with_it, &[]);
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert!(ended.stdout.starts_with("node/"), "{ended:?}");
        tokio::time::sleep(Duration::from_millis(2200)).await;
    }
    assert!(home.issuer.refreshes() > before);

    let mut command = home.command(&["--port", "0"]);
    command.env("PATH", "/nonexistent");
    let kubegate = Kubegate::spawn(command);
    let server = format!("--server=http://{}", kubegate.address);
    let through = kubectl("/nonexistent", &[&server, "--kubeconfig=/dev/null"]);
    assert!(through.stdout.starts_with("node/"), "{through:?}");
    assert_eq!(home.issuer.refused(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_kubegates_never_use_a_refresh_token_twice() {
    let home = Home::new(2).await;
    home.log_in();
    let started = Instant::now();
    while home.issuer.refreshes() < 3 {
        assert!(started.elapsed() < Duration::from_secs(60));
        let children: Vec<_> = (0..4)
            .map(|_| {
                let mut command = home.command(&["token"]);
                command.stdout(std::process::Stdio::piped());
                command.spawn().unwrap()
            })
            .collect();
        for child in children {
            let output = child.wait_with_output().unwrap();
            assert!(output.status.success() && output.stdout.len() > 20);
        }
        std::thread::sleep(Duration::from_millis(300));
    }
    assert_eq!(home.issuer.refused(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn after_an_expired_login_a_new_one_takes_effect_at_once() {
    let home = Home::new(2).await;
    home.log_in();
    home.issuer.revoke();
    tokio::time::sleep(Duration::from_millis(2500)).await;
    let kubegate = Kubegate::spawn(home.command(&["--port", "0"]));
    let answer = get(&kubegate.address, "/api/v1/nodes").await;
    assert_eq!(status(&answer), 401, "{answer}");
    assert!(answer.contains("kubegate login oidc --login"), "{answer}");
    let table = home.out(&["contexts", "-o", "name"]);
    let again = home.log_in_with(&["--context", table.trim_end()]);
    let ended = Kubegate::refused(again);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let answer = get(&kubegate.address, "/api/v1/nodes").await;
    assert_eq!(status(&answer), 200, "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_is_refused_changes_nothing() {
    let home = Home::new(3600).await;
    home.issuer.refuse_logins(true);
    let ended = Kubegate::refused(home.first_login());
    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.contains("access_denied"), "{ended:?}");
    assert!(!home.path(".kube").exists() && !home.path(".local").exists());
    home.issuer.refuse_logins(false);
    // Another cluster, which does not trust this issuer.
    let other = ControlPlane::start(Duration::from_secs(60)).await.unwrap();
    fs::write(home.path("api.pem"), other.ca_pem()).unwrap();
    let mut command = home.first_login();
    command.args(["--server", &other.url()]);
    let ended = Kubegate::refused(command);
    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.contains("the cluster did not"), "{ended:?}");
    assert!(!home.path(".kube").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_flag_of_an_oidc_login_is_named() {
    let home = Home::new(3600).await;
    for (args, says) in [
        (
            &["--oidc-issuer-url", "https://x", "--oidc-client-id", "y"][..],
            "--server URL",
        ),
        (&["--server", "https://x"], "--oidc-issuer-url"),
        (
            &[
                "--server",
                "https://x",
                "--oidc-issuer-url",
                "http://x",
                "--oidc-client-id",
                "y",
            ],
            "--oidc-issuer-url",
        ),
        (
            &[
                "--server",
                "https://x",
                "--oidc-issuer-url",
                "https://x",
                "--oidc-client-id",
                "y",
                "--oidc-redirect-url",
                "http://example.com:1",
            ],
            "--oidc-redirect-url",
        ),
    ] {
        let mut command = home.command(&["login", "oidc"]);
        command.args(args);
        let ended = Kubegate::refused(command);
        assert!(matches!(ended.code, Some(1 | 2)), "{args:?}: {ended:?}");
        assert!(ended.stderr.contains(says), "{args:?}: {ended:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_logout_the_context_is_enough_to_log_in() {
    let home = Home::new(3600).await;
    home.log_in();
    let config = home.kubeconfig();
    let saved = home.saved();
    let out = home.out(&["logout"]);
    assert!(out.starts_with("Logged out oidc:jane"), "{out}");
    assert!(!saved.exists());
    assert_eq!(home.kubeconfig(), config);
    let context = home.out(&["contexts", "-o", "name"]);
    let says = format!("kubegate login oidc --context '{}'", context.trim_end());
    assert!(out.contains(&says), "{out}");
    let logged_out = Kubegate::refused(home.command(&["whoami"]));
    assert_eq!(logged_out.code, Some(1), "{logged_out:?}");
    // A second logout finds no session.
    assert!(home.out(&["logout"]).contains("was logged out already"));

    let again = Kubegate::refused(home.log_in_with(&["--context", context.trim_end()]));
    assert_eq!(again.code, Some(0), "{again:?}");
    assert_eq!(home.kubeconfig(), config);
    assert!(saved.exists());
    assert!(home.out(&["whoami", "-o", "name"]).starts_with("oidc:jane"));
}

#[tokio::test(flavor = "multi_thread")]
async fn logout_forget_restores_the_kubeconfig() {
    let home = Home::new(3600).await;
    fs::create_dir(home.path(".kube")).unwrap();
    let before = "current-context: mine\ncontexts:\n- context:\n    cluster: mine\n  name: mine\n\
                  clusters:\n- cluster:\n    server: https://mine.example\n  name: mine\nusers: []\n";
    fs::write(home.path(".kube/config"), before).unwrap();
    home.log_in();
    assert!(home.kubeconfig().starts_with("current-context: default/"));
    home.out(&["logout"]);
    home.out(&["logout", "--forget"]);
    assert_eq!(home.kubeconfig(), before);
    let left = fs::read_dir(home.path(".local/state/kubegate/logins")).unwrap();
    let left: Vec<_> = left.map(|file| file.unwrap().path()).collect();
    let is_lock = |path: &PathBuf| path.extension().is_some_and(|end| end == "lock");
    assert!(left.iter().all(is_lock), "{left:?}");
    let again = Kubegate::refused(home.command(&["logout"]));
    assert_eq!(again.code, Some(1), "{again:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn login_and_logout_refuse_an_uneditable_kubeconfig_first() {
    let home = Home::new(3600).await;
    home.log_in();
    let text = home
        .kubeconfig()
        .replacen("users:\n-", "users: &all\n- &one", 1)
        + "mine: *all\n";
    fs::write(home.path(".kube/config"), &text).unwrap();
    let out = Kubegate::refused(home.command(&["logout", "--forget"]));
    assert_eq!(out.code, Some(1), "{out:?}");
    assert!(out.stderr.contains("by hand"), "{out:?}");
    let again = Kubegate::refused(home.first_login());
    assert_eq!(again.code, Some(1), "{again:?}");
    assert!(again.stderr.contains("cannot edit"), "{again:?}");
    assert!(
        !again.stderr.contains("/authorize"),
        "a browser was asked for: {again:?}"
    );
    assert_eq!(home.kubeconfig(), text);
    assert!(home.out(&["whoami", "-o", "name"]).starts_with("oidc:jane"));
    // The control: a logout that edits nothing.
    home.out(&["logout"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unnamed_server_is_confirmed_on_the_terminal_or_refused() {
    let home = Home::new(3600).await;
    home.log_in();
    let context = home.out(&["contexts", "-o", "name"]);
    let says = format!("give --context '{}'", context.trim_end());
    let ended = Kubegate::refused(home.log_in_with(&[]));
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(
        ended.stderr.contains(&says) && ended.stderr.contains(&home.plane.url()),
        "{ended:?}"
    );
    for (answer, code) in [("", 1), ("no", 1), ("y", 0)] {
        let command = on_terminal(&home.log_in_with(&[]), &[("[y/N] ", answer)]);
        let ended = Kubegate::refused(command);
        assert_eq!(ended.code, Some(code), "{answer:?}: {ended:?}");
        assert!(
            ended
                .stdout
                .contains(&format!("Log in to {}", home.plane.url())),
            "{ended:?}"
        );
        assert_eq!(
            ended.stdout.contains("nothing was done"),
            code == 1,
            "{ended:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kubeconfigs_share_a_login_only_by_a_copied_entry() {
    let home = Home::new(3600).await;
    let in_file = |mut command: Command, file: &str| {
        command.env("KUBECONFIG", home.path(file));
        Kubegate::refused(command)
    };
    let run = |args: &[&str], file: &str| {
        let ended = in_file(home.command(args), file);
        assert_eq!(ended.code, Some(0), "{args:?} {file}: {ended:?}");
        ended.stdout
    };
    let named = |file: &str| {
        let path = home.path(file);
        let target = kubegate::kubeconfig::resolve(Some(&path), &Overrides::default(), &|_| None);
        let Login::Exec(exec) = target.unwrap().user.login else {
            panic!("no exec entry");
        };
        kubegate::settings::Login::of_exec(&exec)
            .unwrap()
            .saved_as()
            .unwrap()
    };
    for file in ["one", "two"] {
        let ended = in_file(home.first_login(), file);
        assert_eq!(ended.code, Some(0), "{ended:?}");
    }
    assert_eq!(format!("{}/2", named("one")), named("two"));
    // A second login keeps the name.
    let ended = in_file(home.first_login(), "two");
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(format!("{}/2", named("one")), named("two"));
    fs::copy(home.path("one"), home.path("copy")).unwrap();
    let ended = in_file(home.first_login(), "copy");
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(named("copy"), named("one"));

    // A logout names the other users of the login; other logins are not affected.
    let out = run(&["logout"], "one");
    let copy = home.path("copy");
    let says = format!(" in {} used the same login", copy.display());
    assert_eq!(out.matches("used the same login").count(), 1, "{out}");
    assert!(out.contains(&says), "{out}");
    assert_eq!(in_file(home.command(&["whoami"]), "copy").code, Some(1));
    assert!(run(&["whoami", "-o", "name"], "two").starts_with("oidc:jane"));
    let out = run(&["logout"], "two");
    assert!(!out.contains("used the same login"), "{out}");
    // A login that is logged out keeps its name.
    let ended = in_file(home.first_login(), "three");
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(format!("{}/3", named("one")), named("three"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_logout_names_copies_that_only_used_the_login() {
    let home = Home::new(3600).await;
    home.log_in();
    let copies = ["whoami", "token", "proxy", "kubectl"].map(|name| home.path(name));
    let info = json!({
        "kind": "ExecCredential",
        "apiVersion": "client.authentication.k8s.io/v1",
        "spec": {"interactive": false, "cluster": {"server": home.plane.url()}},
    });
    let (user, login) = {
        let config = home.path(".kube/config");
        let target = kubegate::kubeconfig::resolve(Some(&config), &Overrides::default(), &|_| None);
        let user = target.unwrap().user;
        let Login::Exec(exec) = user.login else {
            panic!("no exec entry");
        };
        (user.name.unwrap(), exec.args)
    };
    for (copy, args) in copies.iter().zip([
        &["whoami"][..],
        &["token"],
        &["--port", "0"],
        &login.iter().map(String::as_str).collect::<Vec<_>>(),
    ]) {
        fs::copy(home.path(".kube/config"), copy).unwrap();
        let mut command = home.command(args);
        command.env("KUBECONFIG", copy);
        command.env("KUBERNETES_EXEC_INFO", info.to_string());
        if args[0] == "--port" {
            drop(Kubegate::spawn(command));
            continue;
        }
        let ended = Kubegate::refused(command);
        assert_eq!(ended.code, Some(0), "{args:?}: {ended:?}");
    }
    // The control: a copy that never used the login is not named.
    fs::copy(home.path(".kube/config"), home.path("unused")).unwrap();
    let notes = home.saved().with_extension("kubeconfigs");
    assert_eq!(fs::metadata(&notes).unwrap().mode() & 0o777, 0o600);
    let before = fs::metadata(&notes).unwrap().ino();
    let args = ["whoami", "--kubeconfig", copies[0].to_str().unwrap()];
    home.out(&args);
    assert_eq!(fs::metadata(&notes).unwrap().ino(), before, "written once");

    let out = home.out(&["logout"]);
    for copy in &copies {
        let says = format!("User {user} in {} used the same login", copy.display());
        assert!(out.contains(&says), "{says}: {out}");
    }
    assert_eq!(out.matches("used the same login").count(), 4, "{out}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_logout_names_copies_with_any_path() {
    let home = Home::new(3600).await;
    home.log_in();
    let names = [&b"not-utf8-\xff"[..], b"line\nbreak", b"plain"];
    for name in names {
        let copy = home.path("").join(OsStr::from_bytes(name));
        fs::copy(home.path(".kube/config"), &copy).unwrap();
        let mut command = home.command(&["whoami"]);
        command.env("KUBECONFIG", copy);
        let ended = Kubegate::refused(command);
        assert_eq!(ended.code, Some(0), "{ended:?}");
    }
    let out = home.out(&["logout"]);
    for shown in ["/not-utf8-\u{fffd}", "/line break", "/plain"] {
        let says = format!("{shown} used the same login");
        assert!(out.contains(&says), "{says}: {out}");
    }
    assert_eq!(out.matches("used the same login").count(), 3, "{out}");
}

/// A home with a session of `jane` at `server`, as after `login openshift`.
fn with_session(server: &str, ca: &str, token: Secret) -> TempDir {
    let folder = tempdir().unwrap();
    save_session(&folder, server, token);
    let words = ["credential", "openshift", "--login", "jane/c"];
    let new = NewContext {
        context: "default/c/jane".to_owned(),
        cluster: "c".to_owned(),
        user: "jane/c".to_owned(),
        namespace: None,
        server: server.to_owned(),
        certificate_authority: Some(ca.as_bytes().to_vec()),
        tls_server_name: None,
        proxy_url: None,
        credential_args: words.map(str::to_owned).to_vec(),
    };
    add_context(&folder.path().join(".kube/config"), &new, true).unwrap();
    folder
}

fn save_session(folder: &TempDir, server: &str, token: Secret) {
    let home = folder.path().as_os_str().to_owned();
    let store = Store::of_user(&|name| (name == "HOME").then(|| home.clone())).unwrap();
    let saved = SavedLogin {
        token: Some(token),
        ..SavedLogin::default()
    };
    let binding = LoginBinding::of_server(&server.parse().unwrap());
    store.bound_to(binding).write("jane/c", &saved).unwrap();
}

fn run_in(home: &TempDir, args: &[&str]) -> Refused {
    let mut command = Kubegate::command(args);
    command.env("HOME", home.path());
    Kubegate::refused(command)
}

#[tokio::test(flavor = "multi_thread")]
async fn logout_ends_a_session_at_its_server() {
    let shift = OpenShift::start(OpenshiftOptions::default()).await.unwrap();
    shift.add_user("jane", "sesame-out-1");
    let token = shift.issue_session("jane").unwrap();
    let home = with_session(&shift.api().url(), shift.api().ca_pem(), token.clone());
    let who = run_in(&home, &["whoami", "-o", "name"]);
    assert_eq!(who.stdout, "jane\n", "{who:?}");
    let out = run_in(&home, &["logout"]);
    assert_eq!(
        (out.code, out.stdout.as_str()),
        (
            Some(0),
            "Logged out jane/c\nTo log in again, run: kubegate login openshift --context \
             'default/c/jane'\n"
        ),
        "{out:?}"
    );
    assert!(!shift.revoke(token.expose()), "the session went on");
    let config = fs::read_to_string(home.path().join(".kube/config")).unwrap();
    assert!(
        config.contains("current-context: default/c/jane"),
        "{config}"
    );
    assert!(
        !home
            .path()
            .join(".local/state/kubegate/logins/jane%2Fc.json")
            .exists()
    );

    // A server that cannot be reached does not prevent --forget.
    let lost = Secret::new("sha256~sesame-out-2");
    let home = with_session("https://127.0.0.1:1", shift.api().ca_pem(), lost);
    let out = run_in(&home, &["logout"]);
    assert_eq!(out.code, Some(1), "{out:?}");
    assert!(
        out.stderr.contains("the tokens are removed") && !out.stderr.contains("sesame"),
        "{out:?}"
    );
    assert!(
        !home
            .path()
            .join(".local/state/kubegate/logins/jane%2Fc.json")
            .exists()
    );
    let config = fs::read_to_string(home.path().join(".kube/config")).unwrap();
    assert!(
        config.contains("current-context: default/c/jane"),
        "{config}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_session_takes_effect_at_the_next_request() {
    let shift = OpenShift::start(OpenshiftOptions::default()).await.unwrap();
    shift.add_user("jane", "sesame-next-1");
    let (server, ca) = (shift.api().url(), shift.api().ca_pem());
    let mut token = shift.issue_session("jane").unwrap();
    let home = with_session(&server, ca, token.clone());
    let mut command = Kubegate::command(["--port", "0"]);
    command.env("HOME", home.path());
    let kubegate = Kubegate::spawn(command);
    let path = "/apis/user.openshift.io/v1/users/~";
    // At any time between two polls of the files.
    for wait in [0, 300, 700] {
        let answer = get(&kubegate.address, path).await;
        assert_eq!(status(&answer), 200, "{answer}");
        assert!(shift.revoke(token.expose()));
        for _ in 0..2 {
            let answer = get(&kubegate.address, path).await;
            assert_eq!(status(&answer), 401, "{answer}");
        }
        tokio::time::sleep(Duration::from_millis(wait)).await;
        token = shift.issue_session("jane").unwrap();
        save_session(&home, &server, token.clone());
    }
    let answer = get(&kubegate.address, path).await;
    assert_eq!(status(&answer), 200, "{answer}");
}

/// A keyring tool that stores secrets in a file and records its arguments.
const SECRET_TOOL: &str = r#"#!/bin/sh
echo "$@" >> "$HOME/arguments"
for name; do :; done
case $1 in
    store) cat > "$HOME/keyring.$name" ;;
    lookup) cat "$HOME/keyring.$name" ;;
    clear) rm -f "$HOME/keyring.$name" ;;
esac
"#;

#[tokio::test(flavor = "multi_thread")]
async fn with_keyring_the_secrets_are_in_the_keyring() {
    let home = Home::new(2).await;
    let mut without = home.first_login();
    without.arg("--keyring");
    let path = std::env::var("PATH").unwrap();
    // All programs except for a keyring tool.
    let tools = home.path("tools");
    fs::create_dir(&tools).unwrap();
    std::os::unix::fs::symlink(find("curl"), tools.join("curl")).unwrap();
    without.env("PATH", &tools);
    let ended = Kubegate::refused(without);
    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.contains("libsecret-tools"), "{ended:?}");

    let tool = tools.join("secret-tool");
    fs::write(&tool, SECRET_TOOL).unwrap();
    fs::set_permissions(&tool, fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{path}", tools.display());
    let run = |mut command: Command| {
        command.env("PATH", &path);
        let ended = Kubegate::refused(command);
        assert_eq!(ended.code, Some(0), "{ended:?}");
        ended.stdout
    };
    let mut with = home.first_login();
    with.arg("--keyring");
    run(with);
    let marker = fs::read_to_string(home.saved()).unwrap();
    assert!(
        marker.contains("\"keyring\": true") && !marker.contains("token"),
        "{marker}"
    );
    let token = run(home.command(&["token"]));
    // Renewed tokens are saved there too.
    std::thread::sleep(Duration::from_millis(2200));
    let newer = run(home.command(&["token"]));
    assert_ne!(token, newer);
    assert!(
        !fs::read_to_string(home.saved())
            .unwrap()
            .contains("refresh")
    );
    let kept = |folder: &std::path::Path| {
        let files = fs::read_dir(folder)
            .unwrap()
            .map(|file| file.unwrap().file_name());
        files
            .filter(|name| name.to_str().unwrap().starts_with("keyring."))
            .count()
    };
    assert_eq!(kept(home.folder.path()), 1);
    run(home.command(&["logout"]));
    assert_eq!(kept(home.folder.path()), 0);
    let arguments = fs::read_to_string(home.path("arguments")).unwrap();
    assert!(
        arguments.contains("store --label=") && arguments.contains("clear"),
        "{arguments}"
    );
    for token in [&token, &newer] {
        assert!(!arguments.contains(token.trim_end()), "{arguments}");
    }
}

/// Applies `change` to the kubeconfig, and returns the response of the proxy to a request and the output
/// of the plugin.
async fn after(home: &Home, server: &str, change: impl Fn(String) -> String) -> [String; 2] {
    let path = home.path(".kube/config");
    let before = home.kubeconfig();
    let changed = change(before.clone());
    assert_ne!(before, changed);
    fs::write(&path, &changed).unwrap();
    let gate = Kubegate::spawn(home.command(&["--port", "0"]));
    let answer = get(&gate.address, "/api/v1/nodes").await;
    assert_eq!(status(&answer), 401, "{answer}");
    let config = kubegate::kubeconfig::resolve(Some(&path), &Overrides::default(), &|_| None);
    let Login::Exec(entry) = config.unwrap().user.login else {
        panic!("no exec entry");
    };
    let info = json!({"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential",
        "spec": {"interactive": false, "cluster": {"server": server}}});
    let mut plugin = Kubegate::command(&entry.args);
    plugin.env("HOME", home.folder.path());
    plugin.env("KUBERNETES_EXEC_INFO", info.to_string());
    let plugin = Kubegate::refused(plugin);
    assert_eq!(plugin.code, Some(1), "{plugin:?}");
    assert_eq!(plugin.stdout, "");
    fs::write(&path, before).unwrap();
    [answer, plugin.stderr]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_kubeconfig_gets_nothing_of_a_saved_login() {
    let home = Home::new(2).await;
    home.log_in();
    // The ID token has expired, so that each use would renew it.
    tokio::time::sleep(Duration::from_millis(2200)).await;
    let (mine, issuer) = (home.plane.url(), home.issuer.url());
    let other = Home::new(60).await;
    let other_ca = BASE64_STANDARD.encode(other.issuer.ca_pem());
    let own_ca = BASE64_STANDARD.encode(home.issuer.ca_pem());
    let before = home.issuer.refreshes();

    let server = other.plane.url();
    let said = after(&home, &server, |config| config.replace(&mine, &server)).await;
    for said in said {
        assert!(
            said.contains("is for https://") && said.contains(&server),
            "{said}"
        );
    }
    let said = after(&home, &mine, |config| {
        let config = config.replace(&issuer, &other.issuer.url());
        config.replace(&own_ca, &other_ca)
    });
    for said in said.await {
        assert!(said.contains("is for the issuer"), "{said}");
    }
    let by_proxy = format!("{mine}\n    proxy-url: http://127.0.0.1:9");
    let path = home.path(".kube/config");
    let config = home.kubeconfig();
    fs::write(&path, config.replace(&mine, &by_proxy)).unwrap();
    let gate = Kubegate::spawn(home.command(&["--port", "0"]));
    let answer = get(&gate.address, "/api/v1/nodes").await;
    assert!(answer.contains("by the proxy"), "{answer}");
    assert_eq!(home.issuer.refreshes(), before);
    assert_eq!(other.issuer.refreshes() + other.issuer.refused(), 0);
    // The controls: the unchanged kubeconfig works, and another cluster after a login there.
    fs::write(&path, &config).unwrap();
    home.out(&["whoami"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_not_sent_to_or_ended_at_another_server() {
    let shift = OpenShift::start(OpenshiftOptions::default()).await.unwrap();
    shift.add_user("jane", "sesame-out-3");
    let token = shift.issue_session("jane").unwrap();
    let home = with_session(&shift.api().url(), shift.api().ca_pem(), token.clone());
    let path = home.path().join(".kube/config");
    let config = fs::read_to_string(&path).unwrap();
    let other = OpenShift::start(OpenshiftOptions::default()).await.unwrap();
    let ca = |ca: &str| BASE64_STANDARD.encode(ca);
    let hostile = config
        .replace(&shift.api().url(), &other.api().url())
        .replace(&ca(shift.api().ca_pem()), &ca(other.api().ca_pem()));
    fs::write(&path, &hostile).unwrap();
    for command in ["whoami", "token", "logout"] {
        let ended = run_in(&home, &[command]);
        assert_eq!(ended.code, Some(1), "{command}: {ended:?}");
        assert!(
            ended.stderr.contains("is for https://"),
            "{command}: {ended:?}"
        );
        assert!(!ended.stdout.contains(token.expose()), "{command}");
    }
    fs::write(&path, &config).unwrap();
    let who = run_in(&home, &["whoami", "-o", "name"]);
    assert_eq!(who.stdout, "jane\n", "{who:?}");
}
