//! Kubeconfig files are read as by kubectl, and errors in them are reported fast, with their location.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use tempfile::{TempDir, tempdir};

use crate::support::{Connection, Kubegate, Refused, Upstream, cert, get, status};

/// A config whose cluster is recognized by the path `/NAME`, and whose user by the token NAME.
fn config(name: &str, upstream: &Upstream) -> String {
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: {name}\n\
         contexts: [{{name: {name}, context: {{cluster: {name}, user: {name}}}}}]\n\
         clusters: [{{name: {name}, cluster: {}}}]\n\
         users: [{{name: {name}, user: {{token: {name}}}}}]\n",
        cluster(name, upstream)
    )
}

fn cluster(name: &str, upstream: &Upstream) -> String {
    let ca = cert("ca.pem");
    let server = upstream.url();
    format!(
        "{{server: '{server}/{name}', certificate-authority: '{}'}}",
        ca.display()
    )
}

fn write(folder: &TempDir, name: &str, text: &str) -> PathBuf {
    let path = folder.path().join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, text).unwrap();
    path
}

/// Starts a proxy by `command` and returns its cluster and its user.
async fn chosen(mut command: Command) -> (String, String) {
    command.args(["--port", "0"]);
    let kubegate = Kubegate::spawn(command);
    let response = get(&kubegate.address, "/x").await;
    assert_eq!(status(&response), 200, "{response}");
    let between = |start: &str, end: &str| {
        let rest = response.split(start).nth(1);
        let rest = rest.unwrap_or_else(|| panic!("no {start:?} in {response}"));
        rest.split(end).next().unwrap().to_owned()
    };
    (
        between("GET /", "/x "),
        between("authorization: Bearer ", "\r\n"),
    )
}

fn both(name: &str) -> (String, String) {
    (name.to_owned(), name.to_owned())
}

#[tokio::test]
async fn flag_variable_and_home_folder_take_precedence_in_this_order() {
    let upstream = Upstream::tls("localhost", Connection::echo).await;
    let folder = tempdir().unwrap();
    write(&folder, "home/.kube/config", &config("home", &upstream));
    let variable = write(&folder, "variable", &config("variable", &upstream));
    let flag = write(&folder, "flag", &config("flag", &upstream));
    let home = folder.path().join("home");

    let mut command = Kubegate::command(["--kubeconfig", flag.to_str().unwrap()]);
    command.env("HOME", &home).env("KUBECONFIG", &variable);
    assert_eq!(chosen(command).await, both("flag"));

    let mut command = Kubegate::command(["proxy"]);
    command.env("HOME", &home).env("KUBECONFIG", &variable);
    assert_eq!(chosen(command).await, both("variable"));

    let mut command = Kubegate::command(["proxy"]);
    command.env("HOME", &home).env("KUBECONFIG", "");
    assert_eq!(chosen(command).await, both("home"));
}

#[tokio::test]
async fn files_of_a_list_are_merged_and_the_first_entry_wins() {
    let upstream = Upstream::tls("localhost", Connection::echo).await;
    let folder = tempdir().unwrap();
    let first = write(
        &folder,
        "first",
        "contexts: [{name: mixed, context: {cluster: second, user: shared}}]\n\
         users: [{name: shared, user: {token: of-first}}]\n",
    );
    let second = config("second", &upstream).replace(
        "users: [",
        "users: [{name: shared, user: {token: of-second}}, ",
    );
    let second = write(&folder, "second", &second);
    let missing = folder.path().join("missing");
    let list = |paths: &[&Path]| std::env::join_paths(paths).unwrap();

    let mut command = Kubegate::command(["--context", "mixed"]);
    command.env("KUBECONFIG", list(&[&missing, &first, &second]));
    assert_eq!(
        chosen(command).await,
        ("second".to_owned(), "of-first".to_owned())
    );

    let mut command = Kubegate::command(["--user", "shared"]);
    command.env("KUBECONFIG", list(&[&second, &first]));
    assert_eq!(
        chosen(command).await,
        ("second".to_owned(), "of-second".to_owned())
    );

    // Only the second file has a current-context.
    let mut command = Kubegate::command(["proxy"]);
    command.env("KUBECONFIG", list(&[&first, &second]));
    assert_eq!(chosen(command).await, both("second"));
}

#[tokio::test]
async fn relative_paths_are_resolved_against_the_files_folder() {
    let upstream = Upstream::tls("localhost", Connection::echo).await;
    let folder = tempdir().unwrap();
    write(
        &folder,
        "kube/pki/ca.pem",
        &fs::read_to_string(cert("ca.pem")).unwrap(),
    );
    write(&folder, "kube/token", "by-file\n");
    let ca = cert("ca.pem").display().to_string();
    let text = config("c", &upstream)
        .replace(&ca, "pki/ca.pem")
        .replace("token: c", "tokenFile: token");
    write(&folder, "kube/config", &text);
    let elsewhere = folder.path().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    let expected = ("c".to_owned(), "by-file".to_owned());

    let mut command = Kubegate::command(["--kubeconfig", "../kube/config"]);
    command.current_dir(&elsewhere);
    assert_eq!(chosen(command).await, expected);
    let mut command = Kubegate::command(["proxy"]);
    command
        .current_dir(&elsewhere)
        .env("KUBECONFIG", "../kube/config");
    assert_eq!(chosen(command).await, expected);
}

#[tokio::test]
async fn inline_data_takes_precedence_over_a_file() {
    let upstream = Upstream::tls("localhost", Connection::echo).await;
    let folder = tempdir().unwrap();
    let ca = cert("ca.pem").display().to_string();
    let bogus = config("c", &upstream).replace(&ca, "/nonexistent/ca.pem");
    let path = write(&folder, "config", &bogus);
    let command = || Kubegate::command(["--port", "0", "--kubeconfig", path.to_str().unwrap()]);
    let refused = Kubegate::refused(command());
    assert_eq!(refused.code, Some(1));
    assert!(
        refused.stderr.contains("/nonexistent/ca.pem"),
        "{refused:?}"
    );

    let data = BASE64_STANDARD.encode(fs::read(cert("ca.pem")).unwrap());
    let data = format!("certificate-authority-data: {data}, certificate-authority:");
    write(
        &folder,
        "config",
        &bogus.replace("certificate-authority:", &data),
    );
    assert_eq!(chosen(command()).await, both("c"));
}

#[tokio::test]
async fn a_json_file_is_read() {
    let upstream = Upstream::tls("localhost", Connection::echo).await;
    let folder = tempdir().unwrap();
    let text = serde_json::json!({
        "apiVersion": "v1",
        "kind": "Config",
        "preferences": {"unknown": [1, null]},
        "current-context": "j",
        "contexts": [{"name": "j", "context": {"cluster": "j", "user": "j"}}],
        "clusters": [{"name": "j", "cluster": {
            "server": format!("{}/j", upstream.url()),
            "certificate-authority": cert("ca.pem"),
        }}],
        "users": [{"name": "j", "user": {"token": "j"}}],
    });
    let path = write(&folder, "config", &text.to_string());
    let command = Kubegate::command(["--kubeconfig", path.to_str().unwrap()]);
    assert_eq!(chosen(command).await, both("j"));
}

/// The text in UTF-16 with a byte order mark.
fn utf16(text: &str, bytes_of: fn(u16) -> [u8; 2]) -> Vec<u8> {
    let marked = format!("\u{feff}{text}");
    marked.encode_utf16().flat_map(bytes_of).collect()
}

/// Writes the text and checks that a proxy uses the user `expected`, and logs only the warning `warning`.
async fn is_read(folder: &TempDir, text: &[u8], expected: &str, warning: Option<&str>) {
    let shown = String::from_utf8_lossy(text).into_owned();
    let path = folder.path().join("config");
    fs::write(&path, text).unwrap();
    let kubegate = Kubegate::start(["--kubeconfig", path.to_str().unwrap()]);
    let response = get(&kubegate.address, "/x").await;
    let bearer = format!("authorization: Bearer {expected}\r\n");
    assert!(response.contains(&bearer), "{shown}: {response}");
    let log = kubegate.log();
    let warnings: Vec<_> = log.lines().filter(|line| line.contains("WARN")).collect();
    match warning {
        None => assert!(warnings.is_empty(), "{shown}: {log}"),
        Some(warning) => {
            assert_eq!(warnings.len(), 1, "{shown}: {log}");
            let named = warnings[0].contains(path.to_str().unwrap());
            assert!(named && warnings[0].contains(warning), "{shown}: {log}");
        }
    }
}

#[tokio::test]
async fn every_form_kubectl_reads_is_read_with_warnings_of_ignored_parts() {
    let upstream = Upstream::tls("localhost", Connection::echo).await;
    let folder = tempdir().unwrap();
    let (a, b) = (config("a", &upstream), config("b", &upstream));
    let twice = a.replace("{token: a}", "{token: b, token: a}");
    for (text, warning) in [
        (a.clone(), None),
        (format!("\u{feff}{a}"), None),
        (a.replace('\n', "\r\n"), None),
        (format!("{a}---\n"), None),
        (
            format!("{a}---\n{b}"),
            Some("only the first YAML document counts"),
        ),
        (
            format!("---\n{a}---\n{{[[["),
            Some("only the first YAML document counts"),
        ),
        (
            format!("{a}...\nmore: [\n"),
            Some("only the first YAML document counts"),
        ),
        (twice, Some("the key \"token\" is given twice")),
        (
            format!("current-context: b\n{a}"),
            Some("the key \"current-context\" is given twice"),
        ),
        (
            a.replace(
                "{server:",
                "{extensions: [{name: x, extension: {y: 1, y: 2}}], server:",
            ),
            Some("the key \"y\" is given twice"),
        ),
    ] {
        is_read(&folder, text.as_bytes(), "a", warning).await;
    }
    is_read(&folder, &utf16(&a, u16::to_le_bytes), "a", None).await;
    is_read(
        &folder,
        &utf16(&a.replace('\n', "\r\n"), u16::to_be_bytes),
        "a",
        None,
    )
    .await;
    let shared = a.replace("current-context", "server: &s https://x\ncurrent-context");
    let shared = format!("{shared}x: [{}]\n", vec!["*s"; 2_000].join(", "));
    is_read(&folder, shared.as_bytes(), "a", None).await;
}

#[tokio::test]
async fn named_files_may_begin_with_a_byte_order_mark() {
    let upstream = Upstream::tls("localhost", Connection::echo).await;
    let folder = tempdir().unwrap();
    let ca = fs::read_to_string(cert("ca.pem")).unwrap();
    for encode in [
        (|text: &str| format!("\u{feff}{text}").into_bytes()) as fn(&str) -> Vec<u8>,
        |text| utf16(&text.replace('\n', "\r\n"), u16::to_le_bytes),
    ] {
        fs::write(folder.path().join("ca.pem"), encode(&ca)).unwrap();
        fs::write(folder.path().join("token"), encode("a\n")).unwrap();
        let text = config("a", &upstream)
            .replace("{token: a}", "{tokenFile: token}")
            .replace(cert("ca.pem").to_str().unwrap(), "ca.pem");
        is_read(&folder, text.as_bytes(), "a", None).await;
    }
}

#[tokio::test]
async fn an_empty_device_is_an_empty_file() {
    let upstream = Upstream::tls("localhost", Connection::echo).await;
    let folder = tempdir().unwrap();
    let real = write(&folder, "real", &config("a", &upstream));
    let mut command = Kubegate::command([""; 0]);
    command.env("KUBECONFIG", format!("/dev/null:{}", real.display()));
    assert_eq!(chosen(command).await, both("a"));
    let mut alone = Kubegate::command(["--port", "0"]);
    alone.env("KUBECONFIG", "/dev/null");
    let ended = Kubegate::refused(alone);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(
        ended
            .stderr
            .contains("the kubeconfig /dev/null is absent or empty"),
        "{ended:?}"
    );
}

#[tokio::test]
async fn a_named_pipe_is_read_once() {
    let upstream = Upstream::tls("localhost", Connection::echo).await;
    let folder = tempdir().unwrap();
    let fifo = folder.path().join("fifo");
    assert!(
        Command::new("mkfifo")
            .arg(&fifo)
            .status()
            .unwrap()
            .success()
    );
    let (text, path) = (config("a", &upstream), fifo.clone());
    let writer = std::thread::spawn(move || fs::write(path, text));
    let kubegate = Kubegate::start(["--kubeconfig", fifo.to_str().unwrap()]);
    writer.join().unwrap().unwrap();
    kubegate.signal("HUP");
    for _ in 0..3 {
        let response = get(&kubegate.address, "/x").await;
        assert!(
            response.contains("authorization: Bearer a\r\n"),
            "{response}"
        );
    }
}

#[tokio::test]
async fn flags_override_the_context() {
    let upstream = Upstream::tls("localhost", Connection::echo).await;
    let folder = tempdir().unwrap();
    let other = config("other", &upstream).replace("current-context: other\n", "");
    let list = [
        write(&folder, "main", &config("main", &upstream)),
        write(&folder, "other", &other),
    ];
    let list = std::env::join_paths(list).unwrap();
    let server = format!("{}/flag", upstream.url());
    for (args, cluster, user) in [
        (&[][..], "main", "main"),
        (&["--context", "other"], "other", "other"),
        (&["--cluster", "other"], "other", "main"),
        (&["--user", "other"], "main", "other"),
        (&["--token", "flag"], "main", "flag"),
        (&["--server", &server], "flag", "main"),
        (&["--context", "other", "--user", "main"], "other", "main"),
    ] {
        let mut command = Kubegate::command(args);
        command.env("KUBECONFIG", &list);
        let expected = (cluster.to_owned(), user.to_owned());
        assert_eq!(chosen(command).await, expected, "{args:?}");
    }
}

#[tokio::test]
async fn the_path_of_the_server_url_is_prepended_by_default() {
    let upstream = Upstream::tls("localhost", Connection::echo).await;
    let folder = tempdir().unwrap();
    let path = write(&folder, "config", &config("c", &upstream));
    for (flag, expected) in [
        ("--append-server-path", "GET /c/x?y "),
        ("--append-server-path=false", "GET /x?y "),
    ] {
        let kubegate = Kubegate::start(["--kubeconfig", path.to_str().unwrap(), flag]);
        let response = get(&kubegate.address, "/x?y").await;
        assert!(response.contains(expected), "{response}");
    }
}

// In a pod.

/// Wraps `command` so that `folder` is mounted as a pod's service account. Returns `None`, with a
/// message, if this machine does not permit that.
fn in_pod(command: &Command, folder: &Path) -> Option<Command> {
    const SCRIPT: &str = "mount -t tmpfs none /run \
        && mkdir -p /run/secrets/kubernetes.io/serviceaccount \
        && mount --bind \"$0\" /run/secrets/kubernetes.io/serviceaccount && exec \"$@\"";
    for how in ["-m", "-rm"] {
        let mut mounted = Command::new("unshare");
        mounted.args([how, "sh", "-c", SCRIPT]).arg(folder);
        let mut probe = Command::new("unshare");
        probe
            .args([how, "sh", "-c", SCRIPT])
            .arg(folder)
            .arg("true");
        if probe.output().is_ok_and(|output| output.status.success()) {
            mounted.arg(command.get_program()).args(command.get_args());
            mounted.env_clear();
            for (name, value) in command.get_envs() {
                mounted.env(name, value.unwrap_or_default());
            }
            return Some(mounted);
        }
    }
    eprintln!("NOT TESTED: this machine permits no mount namespace (unshare -m)");
    None
}

#[tokio::test]
async fn without_a_kubeconfig_a_pod_uses_its_service_account() {
    let upstream = Upstream::tls("localhost", Connection::echo).await;
    let folder = tempdir().unwrap();
    fs::copy(cert("ca.pem"), folder.path().join("ca.crt")).unwrap();
    write(&folder, "token", "of-pod\n");
    write(&folder, "namespace", "team");
    let pod = || {
        let mut command = Kubegate::command(["--port", "0"]);
        command.env("KUBERNETES_SERVICE_HOST", "127.0.0.1");
        command.env("KUBERNETES_SERVICE_PORT", upstream.port().to_string());
        command
    };
    let Some(command) = in_pod(&pod(), folder.path()) else {
        return;
    };
    let kubegate = Kubegate::spawn(command);
    let response = get(&kubegate.address, "/x").await;
    assert!(response.contains("GET /x HTTP/1.1"), "{response}");
    assert!(
        response.contains("authorization: Bearer of-pod\r\n"),
        "{response}"
    );
    let host = format!("127.0.0.1:{}", upstream.port());
    assert!(response.contains(&host), "{response}");

    // A flag that names an entry of a kubeconfig is refused.
    for flag in ["--context=prod", "--cluster=prod", "--user=prod"] {
        let mut command = pod();
        command.arg(flag);
        let refused = Kubegate::refused(in_pod(&command, folder.path()).unwrap());
        assert_eq!((refused.code, refused.stdout.as_str()), (Some(1), ""));
        assert!(refused.stderr.contains("\"prod\""), "{refused:?}");
        assert!(refused.stderr.contains("no kubeconfig"), "{refused:?}");
    }

    // A kubeconfig takes precedence.
    let path = write(&folder, "config", &config("c", &upstream));
    let mut command = pod();
    command.env("KUBECONFIG", path);
    let command = in_pod(&command, folder.path()).unwrap();
    assert_eq!(chosen(command).await, both("c"));

    // Without the pod's mounts there is no service account.
    let refused = Kubegate::refused(pod());
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.contains("service account"), "{refused:?}");
}

// Errors.

/// The limit is 1 s. A debug build on busy cores gets more.
const FAST: Duration = Duration::from_secs(5);

/// The limit of memory in bytes.
const LITTLE: u64 = 100 << 20;

/// Runs the program, which must refuse the file, and checks that this takes little time and memory.
/// With `user`, which needs root, it runs as that user.
fn refused(path: &Path, user: Option<u32>) -> Refused {
    const SCRIPT: &str = "import resource, subprocess, sys\n\
        user = int(sys.argv[1]) if sys.argv[1] else None\n\
        ended = subprocess.run(sys.argv[2:], timeout=15, user=user)\n\
        print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)\n\
        sys.exit(ended.returncode)";
    let program = Kubegate::command([""; 0]);
    let mut command = Command::new("python3");
    command.args(["-c", SCRIPT]);
    command.arg(user.map_or_else(String::new, |id| id.to_string()));
    match user {
        // That user may not be able to read this checkout, but can read the file's folder.
        Some(_) => {
            let copy = path.with_file_name("kubegate");
            fs::copy(program.get_program(), &copy).unwrap();
            command.arg(copy);
        }
        None => {
            command.arg(program.get_program());
        }
    }
    command.args(["--port", "0", "--kubeconfig"]).arg(path);
    // The other user cannot read this one's settings.
    command.env("XDG_CONFIG_HOME", path.with_file_name("settings"));
    let mut refused = Kubegate::refused(command);
    let peak: u64 = refused
        .stdout
        .trim()
        .parse()
        .unwrap_or_else(|_| panic!("{refused:?}"));
    refused.stdout.clear();
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.took < FAST, "{refused:?}");
    assert!(peak * 1024 < LITTLE, "{peak} KiB: {refused:?}");
    let shown = refused.stderr.contains(path.to_str().unwrap());
    assert!(shown, "the file is not named: {refused:?}");
    assert!(!refused.stderr.contains("hunter2"), "{refused:?}");
    assert_eq!(refused.stderr.lines().count(), 1, "{refused:?}");
    refused
}

/// A valid kubeconfig with a token.
const VALID: &str = "\
current-context: ctx
contexts:
- name: ctx
  context: {cluster: clu, user: usr}
clusters:
- name: clu
  cluster:
    server: https://127.0.0.1:1
users:
- name: usr
  user:
    token: hunter2-token
";

/// [`VALID`] with more fields of the user, or of the cluster.
fn with_user(fields: &str) -> String {
    VALID.replace("    token: h", &format!("{fields}    token: h"))
}

fn with_cluster(field: &str) -> String {
    VALID.replace("users:\n", &format!("    {field}\nusers:\n"))
}

/// Checks that each text is refused with a message that contains all of `parts`.
fn all_refused(cases: &[(&str, String, &[&str])]) {
    let folder = tempdir().unwrap();
    let valid = write(&folder, "valid", VALID);
    let _control = Kubegate::start(["--kubeconfig", valid.to_str().unwrap()]);
    for (what, text, parts) in cases {
        let path = write(&folder, "config", text);
        let refused = refused(&path, None);
        for part in *parts {
            let is_named = refused.stderr.contains(part);
            assert!(is_named, "{what}: no {part:?} in {refused:?}");
        }
    }
}

#[test]
fn missing_and_malformed_fields_are_named() {
    all_refused(&[
        (
            "missing context",
            VALID.replace("current-context: ctx", "current-context: gone"),
            &["\"gone\"", "current-context", "\"ctx\""],
        ),
        (
            "no context",
            VALID.replace("current-context: ctx", ""),
            &["--context", "\"ctx\""],
        ),
        (
            "dangling user",
            VALID.replace("user: usr", "user: gone"),
            &["user \"gone\"", "context \"ctx\"", "\"usr\""],
        ),
        (
            "dangling cluster",
            VALID.replace("cluster: clu", "cluster: gone"),
            &["cluster \"gone\"", "context \"ctx\""],
        ),
        (
            "two users of one name",
            format!("{VALID}- name: usr\n  user: {{token: hunter2-other}}\n"),
            &["two users", "\"usr\""],
        ),
        (
            "no server",
            VALID.replace("server: https://127.0.0.1:1", "x: y"),
            &["\"clu\"", "server"],
        ),
        (
            "a list for text",
            VALID.replace("token: hunter2-token", "token: [hunter2-token]"),
            &["user \"usr\"", "token"],
        ),
        (
            "broken YAML beside the token",
            VALID.replace("    token:", "    bad: [\n    token:"),
            &["line 1"],
        ),
        ("not UTF-8", VALID.replace("usr", "\u{0}"), &["line"]),
        (
            "auth-provider",
            VALID.replace("token: hunter2-token", "auth-provider: {name: gcp}"),
            &["user \"usr\"", "auth-provider", "\"gcp\""],
        ),
    ]);
}

#[test]
fn unusable_keys_and_certificates_are_named() {
    let base64 = |text: &[u8]| BASE64_STANDARD.encode(text);
    let pem = |name: &str| base64(&fs::read(cert(name)).unwrap());
    let client = |certificate: &str, key: &str| {
        with_user(&format!(
            "    client-certificate-data: {certificate}\n    client-key-data: {key}\n"
        ))
    };
    all_refused(&[
        (
            "bad base64",
            with_cluster("certificate-authority-data: hunter2!"),
            &["cluster \"clu\"", "certificate-authority-data", "base64"],
        ),
        (
            "bad PEM",
            with_cluster(&format!(
                "certificate-authority-data: {}",
                base64(b"hunter2")
            )),
            &["cluster \"clu\"", "certificate-authority-data"],
        ),
        (
            "bad PEM of a key",
            client(&pem("client.pem"), &base64(b"hunter2")),
            &["user \"usr\"", "client-key-data"],
        ),
        (
            "key without certificate",
            with_user(&format!("    client-key-data: {}\n", pem("client.key"))),
            &["user \"usr\"", "client-key-data", "client-certificate"],
        ),
        (
            "certificate without key",
            with_user(&format!(
                "    client-certificate-data: {}\n",
                pem("client.pem")
            )),
            &["user \"usr\"", "client-certificate-data", "client-key"],
        ),
        (
            "key of another certificate",
            client(&pem("client.pem"), &pem("localhost.key")),
            &["user \"usr\"", "client-key-data", "client-certificate-data"],
        ),
    ]);
}

#[test]
fn a_file_that_would_exhaust_memory_is_refused() {
    let folder = tempdir().unwrap();
    let mut bomb = "a0: &a0 [hunter2, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..=9 {
        let below = format!("*a{}", level - 1);
        let level = format!("a{level}: &a{level} [{}]\n", [below.as_str(); 9].join(", "));
        bomb.push_str(&level);
    }
    bomb += VALID;
    for (what, text, part) in [
        ("aliases", bomb, "alias"),
        (
            "aliases of long text",
            format!(
                "a: &a {}\nb: [{}]\n{VALID}",
                "hunter2".repeat(300_000),
                vec!["*a"; 5_000].join(", ")
            ),
            "alias",
        ),
        (
            "lists",
            format!("a: {}{}", "[".repeat(10_000), "]".repeat(10_000)),
            "deep",
        ),
        (
            "mappings",
            format!("a: {}1{}", "{a: ".repeat(10_000), "}".repeat(10_000)),
            "deep",
        ),
        ("items", format!("a:\n{}1", "- ".repeat(10_000)), "deep"),
        (
            "open lists",
            format!("a: {}", "[".repeat(10_000)),
            "kubeconfig",
        ),
    ] {
        let path = write(&folder, "config", &text);
        let refused = refused(&path, None);
        assert!(refused.stderr.contains(part), "{what}: {refused:?}");
    }
    let path = folder.path().join("huge");
    fs::File::create(&path).unwrap().set_len(100 << 20).unwrap();
    assert!(refused(&path, None).stderr.contains("bytes"));
}

#[test]
fn an_unreadable_file_is_named_with_the_reason() {
    let folder = tempdir().unwrap();
    let refusal = refused(folder.path(), None);
    assert!(refusal.stderr.contains("directory"), "{refusal:?}");
    let missing = folder.path().join("missing");
    assert!(refused(&missing, None).stderr.contains("No such file"));
    let device = refused(Path::new("/dev/zero"), None);
    assert!(device.stderr.contains("not a regular file"), "{device:?}");

    let path = write(&folder, "config", VALID);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let started = Instant::now();
    let is_root = fs::read(&path).is_ok();
    let denied = refused(&path, is_root.then_some(65534));
    assert!(denied.stderr.contains("ermission denied"), "{denied:?}");
    assert!(started.elapsed() < FAST * 2);
}
