//! `kubegate login openshift`.

use std::{
    fs::File,
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
};

use bytes::Bytes;
use http::Response;
use kubegate::{
    demo::https::{Faults, HttpsServer},
    kubeconfig::{self, Login, Overrides},
};

use super::*;
use crate::support::{Refused, exchange, on_terminal};

impl Cluster {
    /// `kubegate login openshift` with `args`, and `input` on standard input.
    fn login(&self, args: &[&str], input: &str) -> Command {
        let mut command = Kubegate::command(["login", "openshift"]);
        command.args(args).args(["--kubeconfig", &self.config()]);
        command.env("XDG_STATE_HOME", self.state());
        let input = self.file("input", input);
        command.stdin(File::open(input).unwrap());
        command
    }

    /// As alice with her password, by what the API server's CA is and the OAuth server's.
    fn trusting(&self, args: &[&str], input: &str) -> Refused {
        let ca = self.file("ca.pem", self.shift.api().ca_pem());
        let mut command = self.login(args, input);
        command.args(["--server", &self.shift.api().url()]);
        command.args(["--certificate-authority", ca.to_str().unwrap()]);
        command.args(["--oauth-certificate-authority", &self.oauth_ca()]);
        Kubegate::refused(command)
    }

    /// Where the kubeconfig is written.
    fn config(&self) -> String {
        let path = self.folder.path().join("written");
        path.to_str().unwrap().to_owned()
    }

    /// Nothing was written: no kubeconfig, no login.
    fn is_untouched(&self) -> bool {
        !Path::new(&self.config()).exists() && !self.state().join("kubegate").exists()
    }

    /// The proxy, on what was written.
    async fn works(&self) {
        let gate = self.start(Path::new(&self.config()), &[]);
        let answer = get(&gate.address, OWN_USER).await;
        assert!(is_ok(&answer) && answer.contains("alice"), "{answer}");
    }
}

/// The only name of a cluster of the tests: its address.
fn nickname(cluster: &Cluster) -> String {
    cluster.shift.api().url()[8..].replace('.', "-")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_from_standard_input_becomes_a_context_that_works() {
    let cluster = Cluster::with(Options::default()).await;
    let ended = cluster.trusting(&["-u", "alice", "--password-stdin"], "sesame-os-1\n");
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let name = nickname(&cluster);
    let context = format!("/{name}/alice is now current");
    assert!(ended.stdout.contains("Logged in as alice"), "{ended:?}");
    assert!(ended.stdout.contains("The session ends at 20"), "{ended:?}");
    assert!(ended.stdout.contains(&context), "{ended:?}");
    let path = PathBuf::from(cluster.config());
    let target = kubeconfig::resolve(Some(&path), &Overrides::default(), &|_| None).unwrap();
    assert_eq!(target.cluster.name.as_deref(), Some(name.as_str()));
    assert_eq!(target.user.name, Some(format!("alice/{name}")));
    let Login::Exec(entry) = target.user.login else {
        panic!("no exec entry");
    };
    assert_eq!(entry.args[..3], ["credential", "openshift", "--login"]);
    let text = fs::read_to_string(&path).unwrap();
    assert!(
        !text.contains("sha256~") && !text.contains("sesame"),
        "{text}"
    );
    assert_eq!(
        fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o600
    );
    let shown = format!("{ended:?}");
    assert!(
        !shown.contains("sha256~") && !shown.contains("sesame"),
        "{shown}"
    );
    cluster.works().await;

    let mut whoami = Kubegate::command(["whoami", "-o", "json", "--kubeconfig", &cluster.config()]);
    whoami.env("XDG_STATE_HOME", cluster.state());
    let ended = Kubegate::refused(whoami);
    let said: Value = serde_json::from_str(&ended.stdout).unwrap_or_else(|_| panic!("{ended:?}"));
    assert_eq!(said["user"], "alice");
    assert!(
        said["renewedBy"]
            .as_str()
            .unwrap()
            .starts_with("kubegate login openshift --server")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_fails_says_why_and_changes_nothing() {
    let cluster = Cluster::with(Options::default()).await;
    for (args, input, says) in [
        (
            &["-u", "alice", "--password-stdin"][..],
            "sesame-os-wrong",
            "Login failed (401",
        ),
        (&["-u", "a:b", "--password-stdin"], "sesame-os-1", "colon"),
        (&["-u", "alice", "--password-stdin"], "\n", "is empty"),
        (&["--token-stdin"], "sha256~sesame-os-dead", "give another"),
        (&["-u", "alice"], "", "no terminal"),
        (
            &["--insecure-skip-tls-verify", "--web"],
            "",
            "not for a login",
        ),
    ] {
        let ended = cluster.trusting(args, input);
        assert_ne!(ended.code, Some(0), "{args:?} {ended:?}");
        assert!(ended.stderr.contains(says), "{args:?} {ended:?}");
        assert!(!ended.stderr.contains("sesame"), "{ended:?}");
        assert!(cluster.is_untouched(), "{args:?}");
    }
    cluster.shift.change(|options| options.challenge = false);
    let ended = cluster.trusting(&["-u", "alice", "--password-stdin"], "sesame-os-1");
    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.contains("--web"), "{ended:?}");
    assert!(ended.stderr.contains("/oauth/token/request"), "{ended:?}");
    assert!(cluster.is_untouched());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_on_the_command_line_works_as_in_oc_and_is_warned_of() {
    let cluster = Cluster::with(Options::default()).await;
    let ended = cluster.trusting(&["-u", "alice", "-p", "sesame-os-1"], "");
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stderr.contains("--password-stdin"), "{ended:?}");
    assert!(!ended.stderr.contains("sesame"), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_there_already_is_checked_and_kept() {
    let cluster = Cluster::with(Options::default()).await;
    let token = cluster.shift.issue_session("alice").unwrap();
    let ended = cluster.trusting(&["--token-stdin"], token.expose());
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stdout.contains("The session ends at 20"), "{ended:?}");
    cluster.works().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn user_name_and_password_in_files_make_a_context_that_renews_itself() {
    let cluster = Cluster::with(Options {
        token_max_age: 3,
        ..Options::default()
    })
    .await;
    // In place of a login of another kind: its entry has other words.
    let ended = cluster.trusting(&["-u", "alice", "--password-stdin"], "sesame-os-1");
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let (user, password) = (cluster.file("u", "alice"), cluster.file("p", "sesame-os-1"));
    let ended = cluster.trusting(
        &[
            "--openshift-username-file",
            user.to_str().unwrap(),
            "--openshift-password-file",
            password.to_str().unwrap(),
        ],
        "",
    );
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let gate = cluster.start(Path::new(&cluster.config()), &[]);
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(8) {
        let answer = get(&gate.address, OWN_USER).await;
        assert!(is_ok(&answer), "{answer}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(cluster.shift.logins() >= 3, "{}", cluster.shift.logins());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_is_shown_and_trusted_by_fingerprint_alone() {
    let cluster = Cluster::with(Options::default()).await;
    let oauth_ca = cluster.oauth_ca();
    let token = cluster.shift.issue_session("alice").unwrap();
    let url = cluster.shift.api().url();
    let with = |args: &[&str]| {
        let mut command = cluster.login(&[&url, "--token-stdin"], token.expose());
        command
            .args(["--oauth-certificate-authority", &oauth_ca])
            .args(args);
        Kubegate::refused(command)
    };
    let ended = with(&[]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    for part in [
        "subject ",
        "issuer ",
        "valid ",
        "--certificate-authority",
        "--trust-fingerprint",
    ] {
        assert!(ended.stderr.contains(part), "{part} {}", ended.stderr);
    }
    let line = ended
        .stderr
        .lines()
        .find_map(|line| line.trim().strip_prefix("SHA-256"));
    let fingerprint = line.unwrap().trim().to_owned();
    let other = fingerprint.replace(|c: char| c.is_ascii_digit(), "A");
    for (given, says) in [
        (other.as_str(), "the connection may be intercepted"),
        ("1A:2B", "64 hexadecimal"),
    ] {
        let ended = with(&["--trust-fingerprint", given]);
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert!(ended.stderr.contains(says), "{ended:?}");
    }
    assert!(cluster.is_untouched());
    let bare = format!("sha256:{}", fingerprint.replace(':', "").to_lowercase());
    let ended = with(&["--trust-fingerprint", &bare]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    cluster.works().await;
    // The next time it is no stranger.
    let ended = with(&[]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_oauth_server_with_another_authority_is_told_apart() {
    let cluster = Cluster::with(Options::default()).await;
    let ca = cluster.file("ca.pem", cluster.shift.api().ca_pem());
    let mut command = cluster.login(
        &[
            &cluster.shift.api().url(),
            "-u",
            "alice",
            "--password-stdin",
        ],
        "sesame-os-1",
    );
    command.args(["--certificate-authority", ca.to_str().unwrap()]);
    let ended = Kubegate::refused(command);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(
        ended.stderr.contains("--oauth-certificate-authority"),
        "{ended:?}"
    );
    assert!(cluster.is_untouched());
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_logs_in_again_need_not_tell_again_where_and_whom_to_trust() {
    let cluster = Cluster::with(Options::default()).await;
    let first = Kubegate::refused(cluster.login(&["-u", "alice", "--password-stdin"], "x\n"));
    assert_eq!(first.code, Some(1), "{first:?}");
    assert!(first.stderr.contains("which cluster?"), "{first:?}");
    let first = cluster.trusting(&["-u", "alice", "--password-stdin"], "sesame-os-1\n");
    assert_eq!(first.code, Some(0), "{first:?}");
    let server = cluster.shift.api().url();
    let context = format!("default/{}/alice", nickname(&cluster));
    for again in [&["--context", context.as_str()][..], &["--server", &server]] {
        let mut command = cluster.login(&["-u", "alice", "--password-stdin"], "sesame-os-1\n");
        command.args(again);
        let ended = Kubegate::refused(command);
        assert_eq!(ended.code, Some(0), "{again:?} {ended:?}");
    }
    assert!(
        fs::read_to_string(cluster.config())
            .unwrap()
            .contains("--oauth-certificate-authority")
    );
    cluster.works().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_console_is_told_from_the_api_server() {
    let console = HttpsServer::start(&[], Faults::default(), |_, _| {
        let page = Response::builder().header("Content-Type", "text/html; charset=utf-8");
        page.body(Bytes::from_static(b"<html>hunter2</html>"))
            .unwrap()
    })
    .await
    .unwrap();
    let cluster = Cluster::with(Options::default()).await;
    let ca = cluster.file("ca.pem", console.ca_pem());
    let mut command = cluster.login(&[&console.url(), "--web"], "");
    command.args(["--certificate-authority", ca.to_str().unwrap()]);
    let ended = Kubegate::refused(command);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("console's URL"), "{ended:?}");
    assert!(!ended.stderr.contains("hunter2"), "{ended:?}");
}

/// Logs in with a browser that comes back to what `change` makes of the callback; the exit code
/// and what was printed.
async fn in_browser(cluster: &Cluster, change: impl Fn(String) -> String) -> (Option<i32>, String) {
    let ca = cluster.file("ca.pem", cluster.shift.api().ca_pem());
    let mut command = cluster.login(&[&cluster.shift.api().url(), "--web"], "");
    command.args(["--certificate-authority", ca.to_str().unwrap()]);
    command.args(["--oauth-certificate-authority", &cluster.oauth_ca()]);
    command.env("BROWSER", "true").env("PATH", "/usr/bin:/bin");
    let mut child = command
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut printed = String::new();
    let url = loop {
        let line = lines.next().expect("no URL").unwrap();
        printed.push_str(&line);
        if line.trim().starts_with("https://") {
            break line.trim().to_owned();
        }
    };
    assert!(
        url.contains("code_challenge_method=S256") && url.contains("&state="),
        "{url}"
    );
    let back = cluster.shift.browse(&url, "alice", "sesame-os-1").unwrap();
    let back = change(back);
    let (address, path) = back["http://".len()..].split_once('/').unwrap();
    let visit = format!("GET /{path} HTTP/1.1\r\nHost: {address}\r\n\r\n");
    let page = exchange(address, visit).await;
    printed.push_str(&page);
    let rest = tokio::task::spawn_blocking(move || {
        lines.map_while(Result::ok).collect::<Vec<_>>().join("\n")
    });
    printed.push_str(&rest.await.unwrap());
    (child.wait().unwrap().code(), printed)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_logs_in_where_the_url_leads() {
    let cluster = Cluster::with(Options::default()).await;
    let (code, printed) = in_browser(&cluster, |back| back).await;
    assert_eq!(code, Some(0), "{printed}");
    let page = "access token received successfully; please return to your terminal";
    assert!(printed.contains(page), "{printed}");
    assert!(!printed.contains("sha256~"), "{printed}");
    cluster.works().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_that_brings_another_state_ends_the_login() {
    let cluster = Cluster::with(Options::default()).await;
    let other = |back: String| back.replace("state=", "state=x");
    let (code, printed) = in_browser(&cluster, other).await;
    assert_eq!(code, Some(1), "{printed}");
    assert!(
        printed.contains("its state is not the one sent"),
        "{printed}"
    );
    assert!(cluster.is_untouched());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_logout_ends_the_session_at_the_server_even_where_it_was_over() {
    let cluster = Cluster::with(Options::default()).await;
    for is_over in [false, true] {
        let token = cluster.shift.issue_session("alice").unwrap();
        let ended = cluster.trusting(&["--token-stdin"], token.expose());
        assert_eq!(ended.code, Some(0), "{ended:?}");
        if is_over {
            assert!(cluster.shift.revoke(token.expose()));
        }
        let mut logout = Kubegate::command(["logout", "--kubeconfig", &cluster.config()]);
        logout.env("XDG_STATE_HOME", cluster.state());
        let ended = Kubegate::refused(logout);
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert!(!cluster.shift.revoke(token.expose()), "it is still there");
        let text = fs::read_to_string(cluster.config()).unwrap();
        assert!(text.contains("alice"), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_logout_the_password_is_all_that_a_login_of_the_context_needs() {
    let cluster = Cluster::with(Options::default()).await;
    let ended = cluster.trusting(&["-u", "alice", "--password-stdin"], "sesame-os-1");
    assert_eq!(ended.code, Some(0), "{ended:?}");
    // Under a name of the user's own, with a namespace chosen since.
    let path = PathBuf::from(cluster.config());
    let text = fs::read_to_string(&path).unwrap();
    let name = nickname(&cluster);
    let text = text
        .replace(&format!("default/{name}/alice"), "mine")
        .replace("namespace: default", "namespace: chosen");
    fs::write(&path, &text).unwrap();
    let mut logout = Kubegate::command(["logout", "--kubeconfig", &cluster.config()]);
    logout.env("XDG_STATE_HOME", cluster.state());
    let out = Kubegate::refused(logout);
    assert!(
        out.stdout
            .contains("kubegate login openshift --context 'mine'"),
        "{out:?}"
    );
    assert_eq!(fs::read_to_string(&path).unwrap(), text);

    let command = cluster.login(&["--context", "mine", "--password-stdin"], "sesame-os-1");
    let ended = Kubegate::refused(command);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(
        ended.stdout.contains("Context mine is now current"),
        "{ended:?}"
    );
    assert_eq!(fs::read_to_string(&path).unwrap(), text);
    cluster.works().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_password_goes_to_a_server_that_nobody_named() {
    let cluster = Cluster::with(Options::default()).await;
    let ended = cluster.trusting(&["-u", "alice", "--password-stdin"], "sesame-os-1");
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let (before, server) = (cluster.shift.logins(), cluster.shift.api().url());
    let command = cluster.login(&["-u", "alice", "--password-stdin"], "sesame-os-1");
    let ended = Kubegate::refused(command);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(
        ended.stderr.contains(&server) && ended.stderr.contains("give --context"),
        "{ended:?}"
    );
    assert_eq!(cluster.shift.logins(), before);
    for (answers, code) in [
        (&[("[y/N] ", "n")][..], 1),
        (&[("[y/N] ", "yes"), ("Password: ", "sesame-os-1")], 0),
    ] {
        let command = on_terminal(&cluster.login(&[], ""), answers);
        let ended = Kubegate::refused(command);
        assert_eq!(ended.code, Some(code), "{ended:?}");
        assert!(
            ended.stdout.contains(&format!("Log in to {server}")),
            "{ended:?}"
        );
    }
    assert_eq!(cluster.shift.logins(), before + 1);
}

/// What kubectl gets that runs the plugin of a context, time after time.
fn as_plugin(cluster: &Cluster) -> Value {
    let path = PathBuf::from(cluster.config());
    let target = kubeconfig::resolve(Some(&path), &Overrides::default(), &|_| None).unwrap();
    let Login::Exec(entry) = target.user.login else {
        panic!("no exec entry");
    };
    let api = cluster.shift.api();
    let info = json!({
        "kind": "ExecCredential",
        "apiVersion": "client.authentication.k8s.io/v1",
        "spec": {"interactive": false, "cluster": {
            "server": api.url(),
            "certificate-authority-data": BASE64_STANDARD.encode(api.ca_pem()),
        }},
    });
    let mut command = Kubegate::command(&entry.args);
    command.env("KUBERNETES_EXEC_INFO", info.to_string());
    command.env("XDG_STATE_HOME", cluster.state());
    let ended = Kubegate::refused(command);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    serde_json::from_str(&ended.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_gets_the_saved_session_and_no_login_of_its_own() {
    for has_files in [false, true] {
        let cluster = Cluster::with(Options::default()).await;
        let (user, password) = (cluster.file("u", "alice"), cluster.file("p", "sesame-os-1"));
        let files = [
            "--openshift-username-file",
            user.to_str().unwrap(),
            "--openshift-password-file",
            password.to_str().unwrap(),
        ];
        let ended = if has_files {
            cluster.trusting(&files, "")
        } else {
            cluster.trusting(&["-u", "alice", "--password-stdin"], "sesame-os-1")
        };
        assert_eq!(ended.code, Some(0), "{ended:?}");
        let first = as_plugin(&cluster);
        let end = &first["status"]["expirationTimestamp"];
        assert!(end.is_string(), "{end}");
        // kubectl runs it once a command.
        assert!(first == as_plugin(&cluster), "another session");
        assert_eq!(cluster.shift.logins(), 1);
    }
}
