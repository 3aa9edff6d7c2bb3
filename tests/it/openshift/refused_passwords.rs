//! Passwords in files that the OAuth server refuses: they are not sent again and again, and many processes
//! make one login.

use std::process::{Child, Command, Stdio};

use http::StatusCode;
use kubegate::{
    credential::store::{SavedLogin, Store},
    demo::https::{FaultyResponse, ReceivedRequest},
};

use super::{login::cluster_name, *};
use crate::support::{Refused, on_terminal};

/// Directories lock an account after about as many.
const LOCK_AFTER: u32 = 3;

impl Cluster {
    /// A cluster with a context that logs in with alice's password from a file.
    async fn with_password_files() -> Self {
        let cluster = Self::with(Options {
            lock_after: LOCK_AFTER,
            ..Options::default()
        })
        .await;
        let ended = cluster.log_in_with_files("sesame-os-1");
        assert_eq!(ended.code, Some(0), "{ended:?}");
        cluster
    }

    /// `kubegate login openshift` with alice's name and this password in files.
    fn log_in_with_files(&self, password: &str) -> Refused {
        let (user, password) = (self.file("u", "alice"), self.file("p", password));
        let args = [
            "--openshift-username-file",
            user.to_str().unwrap(),
            "--openshift-password-file",
            password.to_str().unwrap(),
        ];
        self.login_with_cas(&args, "")
    }

    fn token_command(&self) -> Command {
        let mut command = Kubegate::command(["token", "--kubeconfig", &self.config()]);
        command.env("XDG_STATE_HOME", self.state());
        command
    }

    fn token(&self) -> Refused {
        Kubegate::refused(self.token_command())
    }

    /// The outputs of `kubegate token` run as often as that at once.
    fn tokens_at_once(&self, number: usize) -> Vec<String> {
        let start = |_| {
            let mut command = self.token_command();
            command.stdout(Stdio::piped()).stderr(Stdio::null());
            command.spawn().unwrap()
        };
        let children: Vec<Child> = (0..number).map(start).collect();
        let output = |child: Child| child.wait_with_output().unwrap().stdout;
        let outputs = children.into_iter().map(output);
        outputs.map(|out| String::from_utf8(out).unwrap()).collect()
    }

    /// Ends the saved sessions as if their time were over.
    fn end_sessions(&self) {
        let state = self.state().into_os_string();
        let store = Store::of_user(&|_| Some(state.clone())).unwrap();
        for login in store.names().unwrap() {
            let saved = store.read(&login).unwrap().unwrap();
            let ended = SavedLogin {
                expires_at: Some(std::time::SystemTime::now() - Duration::from_secs(1)),
                ..saved
            };
            store.write(&login, &ended).unwrap();
        }
    }

    /// Lets two minutes pass since the sessions began and were asked about.
    fn age_sessions(&self) {
        let state = self.state().into_os_string();
        let store = Store::of_user(&|_| Some(state.clone())).unwrap();
        for login in store.names().unwrap() {
            let saved = store.read(&login).unwrap().unwrap();
            let before = saved.issued_at.map(|at| at - Duration::from_secs(120));
            let aged = SavedLogin {
                issued_at: before,
                ..saved
            };
            store.write(&login, &aged).unwrap();
            let _ = fs::remove_file(store.path(&login).with_extension("checked"));
        }
    }

    /// How many connections the API server accepted.
    fn api_connections(&self) -> usize {
        self.openshift.api().connections()
    }

    /// How many passwords the OAuth server received.
    fn passwords(&self) -> usize {
        let requests = self.openshift.oauth_requests().into_iter();
        let of_password =
            |one: &ReceivedRequest| one.path == "/oauth/authorize" && one.is_authorized;
        requests.filter(of_password).count()
    }

    /// A redirect of the OAuth server with an error.
    fn redirect_with_error(&self, error: &str) -> FaultyResponse {
        let url = self.openshift.oauth_url();
        Self::redirect(&format!("{url}/oauth/token/implicit?error={error}"))
    }

    fn redirect(location: &str) -> FaultyResponse {
        FaultyResponse::Custom {
            status: StatusCode::FOUND,
            headers: vec![("location", location.to_owned())],
            body: String::new(),
        }
    }

    /// Lets time pass since the last refusal of a password.
    fn age_refusals(&self, seconds: u64) {
        let folder = self.state().join("kubegate/refused-passwords");
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path
                .extension()
                .is_some_and(|extension| extension == "json")
            {
                let text = fs::read_to_string(&path).unwrap();
                let mut refused: Value = serde_json::from_str(&text).unwrap();
                let at = refused[0]["refused-at"].as_u64().unwrap();
                refused[0]["refused-at"] = json!(at - seconds);
                fs::write(&path, refused.to_string()).unwrap();
            }
        }
    }
}

const NOT_SENT: &str = "this password is not sent again before";

#[tokio::test(flavor = "multi_thread")]
async fn forty_tokens_at_a_sessions_end_are_one_login() {
    let cluster = Cluster::with_password_files().await;
    let before = cluster.openshift.logins();
    cluster.end_sessions();
    let mut tokens = cluster.tokens_at_once(40);
    assert_eq!(cluster.openshift.logins(), before + 1);
    tokens.dedup();
    assert_eq!(tokens.len(), 1, "they differ");
    assert!(tokens[0].starts_with("sha256~"), "no token");
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_with_an_outdated_password_are_one_wrong_login() {
    let cluster = Cluster::with_password_files().await;
    cluster.openshift.add_user("alice", "sesame-os-2");
    cluster.end_sessions();
    let mut said = Vec::new();
    for _ in 0..5 {
        let ended = cluster.token();
        assert_eq!(ended.code, Some(1), "{ended:?}");
        said.push(ended.stderr);
    }
    assert!(!said[0].contains(NOT_SENT), "{}", said[0]);
    let file = cluster.folder.path().join("p").display().to_string();
    assert!(said[0].contains("Login failed (401 Unauthorized)") && said[0].contains(&file));
    for text in &said[1..] {
        assert!(
            text.contains(NOT_SENT) && text.contains("refused the password at"),
            "{text}"
        );
        assert!(text.contains(&file), "{text}");
    }
    assert!(cluster.tokens_at_once(10).iter().all(String::is_empty));
    assert_eq!(cluster.openshift.wrong_passwords(), 1);
    // The account is not locked, so the new password works at once.
    cluster.file("p", "sesame-os-2");
    let ended = cluster.token();
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn forty_tokens_with_a_refused_password_are_one_wrong_login() {
    for response in [None, Some(FaultyResponse::Html)] {
        let cluster = Cluster::with_password_files().await;
        cluster.openshift.add_user("alice", "sesame-os-2");
        cluster.end_sessions();
        let before = cluster.passwords();
        let faults = cluster.openshift.faults();
        faults.only_on("/oauth/authorize");
        faults.only_authorized();
        faults.respond_with(response.clone());
        assert!(cluster.tokens_at_once(40).iter().all(String::is_empty));
        assert_eq!(cluster.passwords(), before + 1, "{response:?}");
        // The control: the right password.
        faults.clear();
        cluster.file("p", "sesame-os-2");
        let ended = cluster.token();
        assert_eq!(ended.code, Some(0), "{response:?}: {ended:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_that_is_refused_without_a_401_is_sent_once() {
    let json = |status| FaultyResponse::Custom {
        status,
        headers: vec![("content-type", "application/json".to_owned())],
        body: r#"{"error":"access_denied"}"#.to_owned(),
    };
    let cluster = Cluster::with_password_files().await;
    for (response, says) in [
        (FaultyResponse::Html, "a page (200 OK)"),
        (FaultyResponse::Oversized, "Login failed"),
        (json(StatusCode::BAD_REQUEST), "access_denied"),
        (json(StatusCode::FORBIDDEN), "403 Forbidden"),
        (
            cluster.redirect_with_error("access_denied"),
            "access_denied",
        ),
        (Cluster::redirect("/login?reason=bad"), "a page (200 OK)"),
        (Cluster::redirect("http://127.0.0.1:1/login"), "https://"),
    ] {
        cluster.openshift.add_user("alice", "sesame-os-1");
        cluster.age_refusals(48 * 3600);
        cluster.end_sessions();
        let before = cluster.passwords();
        let faults = cluster.openshift.faults();
        faults.only_on("/oauth/authorize");
        faults.only_authorized();
        faults.respond_with(Some(response.clone()));
        let first = cluster.token();
        assert_eq!(first.code, Some(1), "{response:?}: {first:?}");
        assert!(first.stderr.contains(says), "{response:?}: {first:?}");
        assert!(first.stderr.contains("correct the user name"), "{first:?}");
        for _ in 0..4 {
            let next = cluster.token();
            assert_eq!(next.code, Some(1), "{response:?}: {next:?}");
            assert!(next.stderr.contains(NOT_SENT), "{response:?}: {next:?}");
        }
        assert_eq!(cluster.passwords(), before + 1, "{response:?}");
        // A person's login sends it once as well.
        let url = cluster.openshift.api().url();
        let ca = cluster.file("ca.pem", cluster.openshift.api().ca_pem());
        let mut command = cluster.login(&[&url, "-u", "alice", "--password-stdin"], "sesame-os-1");
        command.args(["--certificate-authority", ca.to_str().unwrap()]);
        command.args(["--oauth-certificate-authority", &cluster.oauth_ca()]);
        assert_eq!(Kubegate::refused(command).code, Some(1), "{response:?}");
        assert_eq!(cluster.passwords(), before + 2, "{response:?}");
        faults.clear();
    }
    // The control.
    cluster.age_refusals(48 * 3600);
    let ended = cluster.token();
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_without_an_answer_is_not_sent_without_end() {
    let cluster = Cluster::with_password_files().await;
    cluster.end_sessions();
    let before = cluster.passwords();
    let faults = cluster.openshift.faults();
    faults.only_authorized();
    faults.delay(Duration::from_secs(600));
    for sent in [1, 2] {
        let mut command = cluster.token_command();
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let child = child.as_mut().unwrap();
        let started = Instant::now();
        while cluster.passwords() < before + sent {
            assert!(started.elapsed() < PATIENCE, "{sent}: it is not sent");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
    for _ in 0..3 {
        let ended = cluster.token();
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert!(
            ended.stderr.contains(NOT_SENT) && ended.stderr.contains("no answer"),
            "{ended:?}"
        );
    }
    assert_eq!(cluster.passwords(), before + 2);
    // A server that is too slow is asked again after a pause, and the control: an answer ends that.
    cluster.age_refusals(300);
    let mut command = cluster.token_command();
    command.args(["--request-timeout", "1s"]);
    let ended = Kubegate::refused(command);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert_eq!(cluster.passwords(), before + 3);
    assert!(cluster.token().stderr.contains(NOT_SENT));
    faults.clear();
    cluster.age_refusals(600);
    let ended = cluster.token();
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn proxies_do_not_repeat_a_refused_password_either() {
    let cluster = Cluster::with(Options::default()).await;
    for is_sent in [true, false] {
        let kubegate = cluster.with_password("sesame-os-wrong");
        let response = get(&kubegate.address, OWN_USER).await;
        assert_eq!(status(&response), 401, "{response}");
        assert_eq!(response.contains(NOT_SENT), !is_sent, "{response}");
        assert_eq!(cluster.openshift.wrong_passwords(), 1);
        // A pause of the proxy is over after a second.
        let response =
            wait_until(&kubegate, OWN_USER, |response| response.contains(NOT_SENT)).await;
        assert_eq!(status(&response), 401, "{response}");
        assert_eq!(cluster.openshift.wrong_passwords(), 1);
        assert!(!kubegate.log().contains("sesame"), "{}", kubegate.log());
    }
    let kubegate = cluster.with_password("sesame-os-1");
    wait_until(&kubegate, OWN_USER, is_ok).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_password_is_sent_again_after_an_hour_and_then_after_two() {
    let cluster = Cluster::with_password_files().await;
    cluster.openshift.add_user("alice", "sesame-os-2");
    cluster.end_sessions();
    for (passed, wrong) in [(0, 1), (3590, 1), (10, 2), (3600, 2), (3600, 3)] {
        if passed > 0 {
            cluster.age_refusals(passed);
        }
        assert_eq!(cluster.token().code, Some(1));
        assert_eq!(cluster.openshift.wrong_passwords(), wrong, "{passed}");
    }
    // Unlocked by an administrator, with the password of the file.
    cluster.openshift.add_user("alice", "sesame-os-1");
    cluster.age_refusals(4 * 3600);
    let ended = cluster.token();
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_of_its_user_lets_the_password_be_sent_again() {
    for with_files in [false, true] {
        let cluster = Cluster::with_password_files().await;
        cluster.openshift.add_user("alice", "sesame-os-2");
        cluster.end_sessions();
        assert_eq!(cluster.token().code, Some(1));
        cluster.openshift.add_user("alice", "sesame-os-1");
        assert!(cluster.token().stderr.contains(NOT_SENT));
        // A script may not try again; a person may, with the files or by typing.
        let ended = cluster.log_in_with_files("sesame-os-1");
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert!(ended.stderr.contains(NOT_SENT), "{ended:?}");
        let url = cluster.openshift.api().url();
        let ca = cluster.file("ca.pem", cluster.openshift.api().ca_pem());
        let other = cluster.folder.path().join("other");
        let context = format!("default/{}/alice", cluster_name(&cluster));
        let mut command = Kubegate::command(["login", "openshift"]);
        command.env("XDG_STATE_HOME", cluster.state());
        let answers = if with_files {
            command.args(["--context", &context, "--kubeconfig", &cluster.config()]);
            &[][..]
        } else {
            command.args([&url, "--kubeconfig", other.to_str().unwrap()]);
            command.args(["--certificate-authority", ca.to_str().unwrap()]);
            command.args(["--oauth-certificate-authority", &cluster.oauth_ca()]);
            &[("Username: ", "alice"), ("Password: ", "sesame-os-1")]
        };
        let ended = Kubegate::refused(on_terminal(&command, answers));
        assert_eq!(ended.code, Some(0), "{ended:?}");
        cluster.end_sessions();
        let before = cluster.openshift.logins();
        let ended = cluster.token();
        assert_eq!(ended.code, Some(0), "{with_files} {ended:?}");
        assert_eq!(cluster.openshift.logins(), before + 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_of_the_server_is_no_refusal() {
    let cluster = Cluster::with_password_files().await;
    cluster.end_sessions();
    for status in [
        StatusCode::INTERNAL_SERVER_ERROR,
        StatusCode::SERVICE_UNAVAILABLE,
        StatusCode::TOO_MANY_REQUESTS,
    ] {
        let faults = cluster.openshift.faults();
        for response in [
            FaultyResponse::Status(status),
            cluster.redirect_with_error("temporarily_unavailable"),
            cluster.redirect_with_error("server_error"),
        ] {
            faults.only_on("/oauth/authorize");
            faults.only_authorized();
            faults.respond_with(Some(response));
            assert_eq!(cluster.token().code, Some(1), "{status}");
            faults.clear();
        }
    }
    // Nor is a connection that breaks.
    cluster.openshift.faults().reset_connections(true);
    assert_eq!(cluster.token().code, Some(1));
    cluster.openshift.faults().clear();
    let ended = cluster.token();
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_state_folder_a_process_remembers_by_itself() {
    let cluster = Cluster::with(Options::default()).await;
    // A file where the folder should be.
    cluster.file("state", "");
    let kubegate = cluster.with_password("sesame-os-wrong");
    wait_until(&kubegate, OWN_USER, |response| response.contains(NOT_SENT)).await;
    assert_eq!(cluster.openshift.wrong_passwords(), 1);
    cluster.file("password", "sesame-os-1");
    wait_until(&kubegate, OWN_USER, is_ok).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_session_is_replaced_when_a_token_is_requested() {
    let cluster = Cluster::with_password_files().await;
    let first = cluster.token().stdout;
    // A session that holds is kept, and asked about once a minute.
    cluster.age_sessions();
    let before = cluster.api_connections();
    for _ in 0..3 {
        assert_eq!(cluster.token().stdout, first);
    }
    assert_eq!(cluster.api_connections(), before + 1);

    cluster.age_sessions();
    let before = cluster.openshift.logins();
    assert!(cluster.openshift.revoke(first.trim()));
    let tokens = cluster.tokens_at_once(10);
    assert!(!tokens[0].is_empty() && tokens[0] != first, "{tokens:?}");
    assert!(tokens.iter().all(|token| *token == tokens[0]), "{tokens:?}");
    assert_eq!(cluster.openshift.logins(), before + 1);

    // A proxy begins another session after a 401, and saves it.
    assert!(cluster.openshift.revoke(tokens[0].trim()));
    let mut command = Kubegate::command(["--port", "0", "--kubeconfig", &cluster.config()]);
    command.env("XDG_STATE_HOME", cluster.state());
    let kubegate = Kubegate::spawn(command);
    let response = get(&kubegate.address, OWN_USER).await;
    assert!(is_ok(&response), "{response}");
    assert_eq!(cluster.openshift.logins(), before + 2);
    let last = cluster.token().stdout;
    assert!(last != tokens[0] && !last.is_empty(), "{last}");

    // A session that is refused although it is new leads to no login for each command.
    assert!(cluster.openshift.revoke(last.trim()));
    assert_eq!(cluster.token().stdout, last);
    assert_eq!(cluster.openshift.logins(), before + 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_a_person_began_is_handed_out_without_a_connection() {
    let cluster = Cluster::with(Options::default()).await;
    let ended = cluster.login_with_cas(&["-u", "alice", "--password-stdin"], "sesame-os-1");
    assert_eq!(ended.code, Some(0), "{ended:?}");
    cluster.age_sessions();
    let before = cluster.api_connections() + cluster.openshift.oauth_requests().len();
    let token = cluster.token().stdout;
    assert!(token.starts_with("sha256~"), "no token");
    let after = cluster.api_connections() + cluster.openshift.oauth_requests().len();
    assert_eq!(after, before);
}
