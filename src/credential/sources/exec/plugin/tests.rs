#![allow(clippy::unwrap_used)]

use std::{fs, path::PathBuf, time::Instant};

use serde_json::Value;

use super::*;
use crate::{credential::Cache, kubeconfig::InteractiveMode, secret::Secret};

const V1: &str = "client.authentication.k8s.io/v1";
const V1BETA1: &str = "client.authentication.k8s.io/v1beta1";

/// Prints a credential with the token `hunter2-token`.
const GIVE: &str = r#"echo '{"kind": "ExecCredential",
    "apiVersion": "client.authentication.k8s.io/v1", "status": {"token": "hunter2-token"}}'"#;

/// Long enough for a busy machine. Only a test of a hanging plugin waits that long.
const AMPLE: Duration = Duration::from_secs(20);

/// A plugin and the folder that it writes to.
struct Stage {
    folder: tempfile::TempDir,
    config: ExecConfig,
    cluster: Cluster,
    timeouts: Timeouts,
    terminal: fn() -> Result<(), &'static str>,
}

impl Stage {
    /// The plugin is `/bin/sh` with `script` as a file. A script that is started itself could be
    /// "busy": open for writing in a process that another test forks just then.
    fn new(script: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("script");
        fs::write(&path, script).unwrap();
        let home = folder.path().to_str().unwrap().to_owned();
        let config = ExecConfig {
            api_version: V1.to_owned(),
            command: "/bin/sh".into(),
            args: vec![path.to_str().unwrap().to_owned()],
            env: vec![("STAGE".to_owned(), Secret::new(home))],
            provide_cluster_info: false,
            interactive_mode: InteractiveMode::Never,
            install_hint: None,
        };
        let cluster = Cluster {
            name: None,
            server: "https://10.0.0.1:6443".parse().unwrap(),
            certificate_authority: None,
            insecure_skip_tls_verify: false,
            tls_server_name: None,
            proxy_url: None,
            disable_compression: false,
            exec_config: Some(serde_json::json!({"audience": "x"})),
        };
        Self {
            folder,
            config,
            cluster,
            timeouts: Timeouts {
                run: AMPLE,
                interactive: AMPLE,
                grace: Duration::from_millis(100),
                drain: Duration::from_millis(300),
            },
            terminal: || Err("this is a test"),
        }
    }

    fn source(&self) -> Exec {
        Exec(Arc::new(Plugin {
            config: self.config.clone(),
            cluster: self.cluster.clone(),
            last_identity: LastIdentity::default(),
            timeouts: self.timeouts,
            last_output: Mutex::default(),
            terminal: self.terminal,
        }))
    }

    async fn fetch(&self) -> Result<Credential, Error> {
        self.source().fetch().await
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The content of a file that the plugin wrote.
    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    fn pid(&self, name: &str) -> i32 {
        self.read(name).trim().parse().unwrap()
    }

    /// Waits for the plugin to write a whole line to a file.
    async fn written(&self, name: &str) {
        let path = self.path(name);
        let has_line = || fs::read_to_string(&path).is_ok_and(|text| text.ends_with('\n'));
        until(has_line, name).await;
    }
}

async fn until(reached: impl Fn() -> bool, what: &str) {
    let began = Instant::now();
    while !reached() {
        assert!(began.elapsed() < AMPLE, "never: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Whether a process is running; a zombie is not.
fn is_alive(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat
        .rsplit(") ")
        .next()
        .and_then(|rest| rest.chars().next());
    state.is_some_and(|state| !matches!(state, 'Z' | 'X'))
}

#[tokio::test]
async fn a_token_becomes_a_sensitive_header() {
    let credential = Stage::new(GIVE).fetch().await.unwrap();
    let authorization = credential.authorization.unwrap();
    assert_eq!(authorization, "Bearer hunter2-token");
    assert!(authorization.is_sensitive());
    assert!(credential.certificate.is_none() && credential.expires_at.is_none());
}

#[tokio::test]
async fn arguments_are_not_read_by_a_shell() {
    let mut stage = Stage::new(&format!("printf '%s\\n' \"$@\" > \"$STAGE/args\"; {GIVE}"));
    let mark = stage.path("mark").to_str().unwrap().to_owned();
    let args = [
        format!("$(touch {mark})"),
        "two words".to_owned(),
        format!("; touch {mark}"),
        "*".to_owned(),
        "'\"\\".to_owned(),
    ];
    stage.config.args.extend(args.clone());
    stage.fetch().await.unwrap();
    assert_eq!(stage.read("args").lines().collect::<Vec<_>>(), args);
    assert!(!stage.path("mark").exists());
}

#[tokio::test]
async fn variables_are_added_to_the_own_environment() {
    let mut stage = Stage::new(&format!("env > \"$STAGE/env\"; {GIVE}"));
    let added = ("ADDED".to_owned(), Secret::new("a value"));
    stage.config.env.push(added);
    stage.fetch().await.unwrap();
    let env = stage.read("env");
    let has = |line: &str| env.lines().any(|found| found == line);
    assert!(has("ADDED=a value"));
    assert!(has(&format!("PATH={}", std::env::var("PATH").unwrap())));
}

#[tokio::test]
async fn the_plugin_gets_the_request_and_on_demand_the_cluster() {
    let mut stage = Stage::new(&format!(
        "printf %s \"$KUBERNETES_EXEC_INFO\" > \"$STAGE/info\"; {GIVE}"
    ));
    for (provide, server) in [(false, None), (true, Some("https://10.0.0.1:6443"))] {
        stage.config.provide_cluster_info = provide;
        stage.fetch().await.unwrap();
        let info: Value = serde_json::from_str(&stage.read("info")).unwrap();
        assert_eq!(info["kind"], "ExecCredential");
        assert_eq!(info["apiVersion"], V1);
        assert_eq!(info["spec"]["interactive"], false);
        let cluster = &info["spec"]["cluster"];
        assert_eq!(cluster["server"].as_str(), server);
        assert_eq!(cluster["config"]["audience"] == "x", provide);
    }
}

#[tokio::test]
async fn the_output_must_have_the_requested_version() {
    let mut stage = Stage::new(GIVE);
    stage.config.api_version = V1BETA1.to_owned();
    let error = stage.fetch().await.unwrap_err().to_string();
    assert!(error.contains(V1) && error.contains(V1BETA1), "{error}");

    let mut stage = Stage::new(&GIVE.replace("k8s.io/v1", "k8s.io/v1beta1"));
    stage.config.api_version = V1BETA1.to_owned();
    stage.fetch().await.unwrap();
}

#[tokio::test]
async fn a_certificate_stays_the_same_object_and_its_expiry_counts() {
    let mut stage = Stage::new("cat \"$STAGE/answer\"");
    stage.config.api_version = V1BETA1.to_owned();
    let read = |name: &str| fs::read_to_string(format!("certs/{name}")).unwrap();
    let response = |certificate: &str, key: &str| {
        let response = serde_json::json!({
            "kind": "ExecCredential", "apiVersion": V1BETA1,
            "status": {
                "clientCertificateData": read(certificate), "clientKeyData": read(key),
                "expirationTimestamp": "9999-01-01T00:00:00Z",
            },
        });
        fs::write(stage.path("answer"), response.to_string()).unwrap();
    };
    let source = stage.source();

    response("client.pem", "client.key");
    let first = source.fetch().await.unwrap();
    let again = source.fetch().await.unwrap();
    assert!(first.authorization.is_none());
    let certificate = first.certificate.unwrap();
    assert!(Arc::ptr_eq(&certificate, &again.certificate.unwrap()));
    assert_eq!(first.expires_at, identity::not_after(&certificate));

    response("client.pem", "other-ca.key");
    let error = source.fetch().await.unwrap_err();
    assert!(matches!(error, Error::Certificate(_)), "{error:?}");
    assert!(format!("{error:?}").contains("exec plugin /bin/sh"));

    response("localhost.pem", "localhost.key");
    let other = source.fetch().await.unwrap().certificate.unwrap();
    assert!(!Arc::ptr_eq(&certificate, &other));
}

#[tokio::test]
async fn the_error_of_a_failed_plugin_has_its_messages_without_secrets() {
    let stage = Stage::new(&format!(
        "{GIVE}; printf 'log in again\\n\\033[31mwith hunter2-token\\n' >&2; exit 3"
    ));
    let error = stage.fetch().await.unwrap_err();
    let text = error.to_string();
    assert!(text.contains("exit status: 3"), "{text}");
    assert!(
        text.contains("/bin/sh") && text.contains("log in again | with"),
        "{text}"
    );
    assert!(!format!("{text} {error:?}").contains("hunter2"), "{text}");
    assert!(!error.is_transient());
}

#[tokio::test]
async fn a_plugin_killed_by_a_signal_is_a_transient_failure() {
    let error = Stage::new("kill -9 $$").fetch().await.unwrap_err();
    assert!(error.is_transient(), "{error}");
}

#[tokio::test]
async fn a_hung_plugin_is_killed_with_children_that_ignore_sigterm() {
    let mut stage = Stage::new(
        "trap '' TERM; echo 'waiting for a browser' >&2
         sh -c 'trap \"\" TERM; echo $$ > \"$STAGE/child\"; sleep 1000; sleep 1000' &
         echo $$ > \"$STAGE/plugin\"
         while :; do sleep 1000; done",
    );
    stage.timeouts.run = Duration::from_secs(1);
    let began = Instant::now();
    let error = stage.fetch().await.unwrap_err();
    assert!(
        matches!(error, Error::Plugin(PluginError::TimedOut { .. })),
        "{error}"
    );
    assert!(error.is_transient());
    assert!(error.to_string().contains("within 1 s"), "{error}");
    assert!(
        error.to_string().contains("waiting for a browser"),
        "{error}"
    );
    assert!(began.elapsed() < AMPLE);
    for name in ["plugin", "child"] {
        let pid = stage.pid(name);
        until(|| !is_alive(pid), name).await;
    }
}

#[tokio::test]
async fn a_plugin_is_killed_when_its_fetch_is_dropped() {
    let stage = Stage::new("echo $$ > \"$STAGE/plugin\"; sleep 1000; sleep 1000");
    let source = stage.source();
    let fetch = tokio::spawn(async move { source.fetch().await });
    stage.written("plugin").await;
    let pid = stage.pid("plugin");
    assert!(is_alive(pid));
    fetch.abort();
    until(|| !is_alive(pid), "the plugin's end").await;
}

#[tokio::test]
async fn too_much_output_stops_the_plugin() {
    let stage = Stage::new("echo $$ > \"$STAGE/plugin\"; exec head -c 1073741824 /dev/zero");
    let error = stage.fetch().await.unwrap_err();
    assert!(error.to_string().contains("more than 1 MiB"), "{error}");
    let pid = stage.pid("plugin");
    until(|| !is_alive(pid), "the plugin's end").await;

    // Output of the greatest length is accepted.
    let pad = (1 << 20) - 200;
    let stage = Stage::new(&format!("head -c {pad} /dev/zero | tr '\\0' ' '; {GIVE}"));
    stage.fetch().await.unwrap();
}

#[tokio::test]
async fn a_flood_of_messages_does_not_stop_a_plugin() {
    let stage = Stage::new(&format!("head -c 20000000 /dev/zero >&2; {GIVE}"));
    stage.fetch().await.unwrap();
}

#[tokio::test]
async fn a_child_that_keeps_the_pipe_open_is_not_waited_for() {
    let stage = Stage::new(&format!("sleep 1000 & echo $! > \"$STAGE/child\"; {GIVE}"));
    let began = Instant::now();
    stage.fetch().await.unwrap();
    assert!(began.elapsed() < AMPLE);
    let child = stage.pid("child");
    assert!(is_alive(child));
    let child = rustix::process::Pid::from_raw(child).unwrap();
    rustix::process::kill_process(child, rustix::process::Signal::KILL).unwrap();
}

#[tokio::test]
async fn only_a_plugin_with_the_terminal_shares_the_process_group() {
    let mut stage = Stage::new(&format!(
        "read -r _ _ _ _ group _ < /proc/$$/stat; echo $group > \"$STAGE/group\"
         printf %s \"$KUBERNETES_EXEC_INFO\" > \"$STAGE/info\"; {GIVE}"
    ));
    let ours = rustix::process::getpgrp().as_raw_nonzero().get();
    for (terminal, interactive) in [
        ((|| Err("")) as fn() -> Result<(), &'static str>, false),
        (|| Ok(()), true),
    ] {
        stage.config.interactive_mode = InteractiveMode::IfAvailable;
        stage.terminal = terminal;
        stage.fetch().await.unwrap();
        assert_eq!(stage.pid("group") == ours, interactive);
        let info: Value = serde_json::from_str(&stage.read("info")).unwrap();
        assert_eq!(info["spec"]["interactive"], interactive);
    }
}

#[tokio::test]
async fn a_plugin_with_the_terminal_has_more_time_and_is_stopped_alone() {
    let mut stage = Stage::new("echo $$ > \"$STAGE/plugin\"; exec sleep 1000");
    stage.config.interactive_mode = InteractiveMode::Always;
    stage.terminal = || Ok(());
    stage.timeouts.run = Duration::ZERO;
    stage.timeouts.interactive = Duration::from_secs(1);
    let error = stage.fetch().await.unwrap_err();
    assert!(error.to_string().contains("within 1 s"), "{error}");
    let pid = stage.pid("plugin");
    until(|| !is_alive(pid), "the plugin's end").await;
}

#[tokio::test]
async fn a_plugin_that_needs_a_terminal_is_not_started_without() {
    let mut stage = Stage::new("touch \"$STAGE/ran\"");
    stage.config.interactive_mode = InteractiveMode::Always;
    let error = stage.fetch().await.unwrap_err();
    assert!(error.to_string().contains("this is a test"), "{error}");
    assert!(!stage.path("ran").exists());
}

#[tokio::test]
async fn the_error_says_why_a_program_cannot_be_started() {
    let mut stage = Stage::new("");
    stage.config.install_hint = Some("install it with krew".to_owned());
    // Another process writes the files, since this one must not have them open.
    let home = stage.folder.path().to_owned();
    let script = "printf 'just text' > text; printf '#!/no/such/sh\\n' > script; printf '' > plain
                chmod 755 text script; chmod 644 plain";
    let made = std::process::Command::new("/bin/sh")
        .args(["-c", script])
        .current_dir(&home)
        .status();
    assert!(made.unwrap().success());
    for (command, reason) in [
        (home.join("missing"), "was not found; install it with krew"),
        (
            "no-such-plugin-anywhere".into(),
            "was not found in PATH; install",
        ),
        (home.join("plain"), "chmod +x"),
        (home.clone(), "it is a folder"),
        (home.join("text"), "#!/bin/sh"),
        (home.join("script"), "interpreter"),
    ] {
        stage.config.command.clone_from(&command);
        let error = stage.fetch().await.unwrap_err();
        let text = error.to_string();
        assert!(text.contains(reason), "{text}");
        assert!(text.contains(command.to_str().unwrap()), "{text}");
        assert!(!error.is_transient(), "{text}");
    }
}

#[tokio::test]
async fn a_bare_name_is_found_in_path() {
    let mut stage = Stage::new(GIVE);
    stage.config.command = "sh".into();
    stage.fetch().await.unwrap();
}

#[tokio::test]
async fn waiting_requests_share_one_plugin() {
    let stage = Stage::new(&format!("echo x >> \"$STAGE/runs\"; sleep 0.2; {GIVE}"));
    let cache = Cache::new(Arc::new(stage.source()));
    let herd: Vec<_> = (0..1000)
        .map(|_| {
            let cache = Arc::clone(&cache);
            tokio::spawn(async move { cache.get().await.is_ok() })
        })
        .collect();
    for one in herd {
        assert!(one.await.unwrap());
    }
    assert_eq!(stage.read("runs"), "x\n");
}
