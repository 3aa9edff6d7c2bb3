//! Passwords in files that an issuer refuses. Directories lock an account after a few wrong ones.

use http::StatusCode;
use kubegate::demo::https::FaultyResponse;

use super::*;

const PASSWORD: &str = "hunter2-of-jane";

impl Home {
    /// With a login that has its user name and password in files, and whose token is lost.
    async fn with_password_files() -> Self {
        let home = Self::with(Options {
            password: Some(PASSWORD.to_owned()),
            ..options()
        })
        .await;
        let (user, password) = (home.file("user", "jane"), home.file("password", PASSWORD));
        home.log_in(&[
            "--oidc-username-file",
            &user,
            "--oidc-password-file",
            &password,
        ]);
        home.lose_tokens();
        home
    }

    fn lose_tokens(&self) {
        fs::remove_dir_all(self.path(".local/state/kubegate/logins")).unwrap();
    }

    fn answer_tokens(&self, status: u16, body: &str) {
        self.issuer.faults().only_on("/token");
        self.issuer
            .faults()
            .respond_with(Some(FaultyResponse::Custom {
                status: StatusCode::from_u16(status).unwrap(),
                headers: Vec::new(),
                body: body.to_owned(),
            }));
    }

    fn token_requests(&self) -> usize {
        self.issuer.server().count("/token")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_password_is_remembered_in_every_issuers_words() {
    for (status, body, is_refusal) in [
        (400, r#"{"error": "invalid_grant"}"#, true),
        // Dex.
        (401, r#"{"error": "access_denied"}"#, true),
        // UAA.
        (
            401,
            r#"{"error": "unauthorized", "error_description": "Bad credentials"}"#,
            true,
        ),
        (403, r#"{"message": "wrong"}"#, true),
        // Firewalls and proxies.
        (403, "<html>", false),
        (400, "<html>", false),
        (401, r#"{"error": "invalid_client"}"#, false),
        (400, r#"{"error": "temporarily_unavailable"}"#, false),
        (404, "<html>", false),
    ] {
        let home = Home::with_password_files().await;
        home.answer_tokens(status, body);
        let before = home.token_requests();
        for _ in 0..3 {
            let ended = home.run(&["token"]);
            assert_eq!(ended.code, Some(1), "{body}: {ended:?}");
            let says = ended.stderr.contains("refused the password");
            assert_eq!(says, is_refusal, "{body}: {ended:?}");
        }
        let sent = home.token_requests() - before;
        assert_eq!(sent == 1, is_refusal, "{body}: {sent}");
        home.issuer.faults().clear();
        // Another password is sent at once.
        home.file("password", "another");
        let ended = home.run(&["token"]);
        assert!(ended.stderr.contains("invalid_grant"), "{ended:?}");
        assert_eq!(home.issuer.wrong_passwords(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_password_is_remembered_without_a_state_folder() {
    let home = Home::with_password_files().await;
    home.file("password", "outdated");
    fs::create_dir(home.path("run")).unwrap();
    let variables = [("XDG_RUNTIME_DIR", "run"), ("TMPDIR", ".")];
    for (number, (variable, folder)) in variables.into_iter().enumerate() {
        for _ in 0..3 {
            let mut command = home.command(&["token"]);
            // Nothing can be created there, not even by root.
            command.env("XDG_STATE_HOME", "/proc/nonexistent");
            command.env(variable, home.path(folder));
            let ended = Kubegate::refused(command);
            assert_eq!(ended.code, Some(1), "{ended:?}");
            assert!(ended.stderr.contains("the password"), "{ended:?}");
        }
        assert_eq!(home.issuer.wrong_passwords(), number + 1, "{variable}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_user_name_is_noticed_while_the_token_is_valid() {
    let home = Home::with_password_files().await;
    let first = home.out(&["token"]);
    assert_eq!(home.out(&["token"]), first);
    let (config, name) = (home.path(".kube/config"), "user");
    let mut command = home.command(&["--kubeconfig", config.to_str().unwrap(), "--port", "0"]);
    command.stdin(std::process::Stdio::null());
    let kubegate = Kubegate::spawn(command);
    let response = crate::support::get(&kubegate.address, "/api").await;
    assert_eq!(crate::support::status(&response), 200, "{response}");

    home.file(name, "joe");
    let ended = home.run(&["token"]);
    assert!(ended.stderr.contains("refused the password"), "{ended:?}");
    // The proxy asks for a token of the other user as well, which finds the refusal.
    let started = std::time::Instant::now();
    while !kubegate.log().contains("refused the password") {
        let _ = crate::support::get(&kubegate.address, "/api").await;
        assert!(
            started.elapsed() < Duration::from_secs(30),
            "{}",
            kubegate.log()
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(home.issuer.wrong_passwords(), 1);
    // The token of the former user is not used for the other one.
    let response = crate::support::get(&kubegate.address, "/api").await;
    assert_eq!(crate::support::status(&response), 401, "{response}");
    home.file(name, "jane");
    assert_eq!(home.out(&["token"]), first);
    let started = std::time::Instant::now();
    loop {
        let response = crate::support::get(&kubegate.address, "/api").await;
        if crate::support::status(&response) == 200 {
            break;
        }
        assert!(started.elapsed() < Duration::from_secs(30), "{response}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(home.out(&["token"]), first);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_that_is_refused_to_one_client_is_sent_for_another() {
    let home = Home::with_password_files().await;
    let own = home.kubeconfig();
    let other = own.replace("--oidc-client-id=kubegate-demo", "--oidc-client-id=other");
    assert_ne!(other, own);
    let other = home.file("other", &other);
    home.answer_tokens(401, r#"{"error": "access_denied"}"#);
    for says in ["refused the password", "is not sent again before"] {
        let ended = home.run(&["token", "--kubeconfig", &other]);
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert!(ended.stderr.contains(says), "{ended:?}");
    }
    home.issuer.faults().clear();
    assert!(home.out(&["token"]).len() > 20);
    assert_eq!(home.issuer.wrong_passwords(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_who_logs_in_lets_a_refused_password_be_sent_again() {
    let home = Home::with_password_files().await;
    home.answer_tokens(400, r#"{"error": "invalid_grant"}"#);
    for says in ["refused the password", "is not sent again before"] {
        let ended = home.run(&["token"]);
        assert!(ended.stderr.contains(says), "{ended:?}");
    }
    home.issuer.faults().clear();
    let mut login = home.login(&["--grant-type=password"]);
    login.env("KUBECONFIG", home.path("typed"));
    let typed = [("Username: ", "jane"), ("Password: ", PASSWORD)];
    let ended = Kubegate::refused(crate::support::on_terminal(&login, &typed));
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(home.out(&["token"]).len() > 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_logout_says_that_a_login_from_files_begins_again() {
    let home = Home::with_password_files().await;
    home.out(&["token"]);
    let out = home.out(&["logout"]);
    let says = format!(
        "logs in again by the password in {}",
        home.path("password").display()
    );
    assert!(
        out.contains(&says) && out.contains("logout --forget --context"),
        "{out}"
    );
    assert!(!out.contains("To log in again"), "{out}");
    assert!(home.out(&["token"]).len() > 20);
}
