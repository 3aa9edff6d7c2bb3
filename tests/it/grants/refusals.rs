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
        (403, "<html>", true),
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
