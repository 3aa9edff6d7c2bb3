//! `kubegate login openshift`.

use std::{fs::File, process::Command};

use bytes::Bytes;
use http::Response;
use kubegate::{
    demo::{
        https::{Faults, HttpsServer},
        openshift::Challenge,
    },
    kubeconfig::{self, Login, Overrides},
};

use super::*;
use crate::support::Refused;

impl Cluster {
    /// `kubegate login openshift` with `args`, and `input` on standard input.
    pub(super) fn login(&self, args: &[&str], input: &str) -> Command {
        let mut command = Kubegate::command(["login", "openshift"]);
        command.args(args).args(["--kubeconfig", &self.config()]);
        command.env("XDG_STATE_HOME", self.state());
        let input = self.file("input", input);
        command.stdin(File::open(input).unwrap());
        command
    }

    /// Runs the login with the URL and the CAs of the cluster.
    pub(super) fn login_with_cas(&self, args: &[&str], input: &str) -> Refused {
        let ca = self.file("ca.pem", self.openshift.api().ca_pem());
        let mut command = self.login(args, input);
        command.args(["--server", &self.openshift.api().url()]);
        command.args(["--certificate-authority", ca.to_str().unwrap()]);
        command.args(["--oauth-certificate-authority", &self.oauth_ca()]);
        Kubegate::refused(command)
    }

    /// The path of the kubeconfig that is written.
    pub(super) fn config(&self) -> String {
        let path = self.folder.path().join("written");
        path.to_str().unwrap().to_owned()
    }

    /// Whether neither a kubeconfig nor a login was written.
    pub(super) fn is_untouched(&self) -> bool {
        !Path::new(&self.config()).exists() && !self.state().join("kubegate").exists()
    }

    /// Asserts that the proxy works with the kubeconfig that was written.
    pub(super) async fn works(&self) {
        let kubegate = self.start(Path::new(&self.config()), &[]);
        let response = get(&kubegate.address, OWN_USER).await;
        assert!(is_ok(&response) && response.contains("alice"), "{response}");
    }
}

/// The name of the cluster in the kubeconfig, which is its address.
pub(super) fn cluster_name(cluster: &Cluster) -> String {
    cluster.openshift.api().url()[8..].replace('.', "-")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_from_standard_input_becomes_a_context_that_works() {
    let cluster = Cluster::with(Options::default()).await;
    let ended = cluster.login_with_cas(&["-u", "alice", "--password-stdin"], "sesame-os-1\n");
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let name = cluster_name(&cluster);
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
    let context = format!("kubegate login openshift --context 'default/{name}/alice'");
    let renewed_by = said["renewedBy"].as_str().unwrap();
    assert!(renewed_by.starts_with(&context), "{renewed_by}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_login_says_why_and_writes_nothing() {
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
        let ended = cluster.login_with_cas(args, input);
        assert_ne!(ended.code, Some(0), "{args:?} {ended:?}");
        assert!(ended.stderr.contains(says), "{args:?} {ended:?}");
        assert!(!ended.stderr.contains("sesame"), "{ended:?}");
        assert!(cluster.is_untouched(), "{args:?}");
    }
    cluster
        .openshift
        .change(|options| options.challenge = Challenge::None);
    let ended = cluster.login_with_cas(&["-u", "alice", "--password-stdin"], "sesame-os-1");
    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.contains("--web"), "{ended:?}");
    assert!(ended.stderr.contains("/oauth/token/request"), "{ended:?}");
    assert!(cluster.is_untouched());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_on_the_command_line_works_with_a_warning() {
    let cluster = Cluster::with(Options::default()).await;
    let ended = cluster.login_with_cas(&["-u", "alice", "-p", "sesame-os-1"], "");
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stderr.contains("--password-stdin"), "{ended:?}");
    assert!(!ended.stderr.contains("sesame"), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_existing_token_is_checked_and_saved() {
    let cluster = Cluster::with(Options::default()).await;
    let token = cluster.openshift.issue_session("alice").unwrap();
    let ended = cluster.login_with_cas(&["--token-stdin"], token.expose());
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stdout.contains("The session ends at 20"), "{ended:?}");
    cluster.works().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_in_files_make_a_context_that_renews_itself() {
    let cluster = Cluster::with(Options {
        token_max_age: 3,
        ..Options::default()
    })
    .await;
    // It replaces a login of another kind, whose arguments differ.
    let ended = cluster.login_with_cas(&["-u", "alice", "--password-stdin"], "sesame-os-1");
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let (user, password) = (cluster.file("u", "alice"), cluster.file("p", "sesame-os-1"));
    let ended = cluster.login_with_cas(
        &[
            "--openshift-username-file",
            user.to_str().unwrap(),
            "--openshift-password-file",
            password.to_str().unwrap(),
        ],
        "",
    );
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let kubegate = cluster.start(Path::new(&cluster.config()), &[]);
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(8) {
        let response = get(&kubegate.address, OWN_USER).await;
        assert!(is_ok(&response), "{response}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(
        cluster.openshift.logins() >= 3,
        "{}",
        cluster.openshift.logins()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_certificate_is_shown_and_trusted_only_by_fingerprint() {
    let cluster = Cluster::with(Options::default()).await;
    let oauth_ca = cluster.oauth_ca();
    let token = cluster.openshift.issue_session("alice").unwrap();
    let url = cluster.openshift.api().url();
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
    // The certificate is known from now on.
    let ended = with(&[]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_oauth_server_with_another_ca_is_reported() {
    let cluster = Cluster::with(Options::default()).await;
    let ca = cluster.file("ca.pem", cluster.openshift.api().ca_pem());
    let mut command = cluster.login(
        &[
            &cluster.openshift.api().url(),
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
async fn a_second_login_needs_no_server_and_no_ca() {
    let cluster = Cluster::with(Options::default()).await;
    let first = Kubegate::refused(cluster.login(&["-u", "alice", "--password-stdin"], "x\n"));
    assert_eq!(first.code, Some(1), "{first:?}");
    assert!(first.stderr.contains("which cluster?"), "{first:?}");
    let first = cluster.login_with_cas(&["-u", "alice", "--password-stdin"], "sesame-os-1\n");
    assert_eq!(first.code, Some(0), "{first:?}");
    let server = cluster.openshift.api().url();
    let context = format!("default/{}/alice", cluster_name(&cluster));
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
async fn the_url_of_the_console_is_recognized() {
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
