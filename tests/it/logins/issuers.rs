//! Issuers that differ from each other.

use std::fs;

use http::StatusCode;
use kubegate::demo::{https::FaultyResponse, oidc::Quirks};
use serde_json::Value;

use super::Home;
use crate::support::{Kubegate, Refused};

/// A JWT that expired in 1970.
const EXPIRED: &str = "e30.eyJleHAiOjF9.c2ln";

impl Home {
    fn saved_login(&self) -> Value {
        serde_json::from_str(&fs::read_to_string(self.saved()).unwrap()).unwrap()
    }

    pub(super) fn saved_refresh_token(&self) -> String {
        let saved = self.saved_login();
        saved["refresh-token"].as_str().unwrap().to_owned()
    }

    /// Replaces the saved ID token by one that has expired.
    pub(super) fn expire_id_token(&self) {
        let mut saved = self.saved_login();
        saved["token"] = EXPIRED.into();
        saved["expires-at"] = 1.into();
        fs::write(self.saved(), saved.to_string()).unwrap();
    }

    /// As if the time were over in which the last refresh token is not sent again.
    fn forget_refusal(&self) {
        let mut saved = self.saved_login();
        saved["refused-at"] = 1.into();
        fs::write(self.saved(), saved.to_string()).unwrap();
    }

    fn token(&self) -> Refused {
        Kubegate::refused(self.command(&["token"]))
    }

    fn token_requests(&self) -> usize {
        self.issuer.server().count("/token")
    }

    /// Answers requests to the token endpoint with an error, or no longer.
    fn refuse_tokens(&self, refusal: Option<(u16, &str)>) {
        let faults = self.issuer.faults();
        faults.clear();
        if let Some((status, body)) = refusal {
            faults.only_on("/token");
            faults.respond_with(Some(FaultyResponse::Custom {
                status: StatusCode::from_u16(status).unwrap(),
                headers: Vec::new(),
                body: body.to_owned(),
            }));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_refresh_token_asks_for_a_login_in_every_issuers_words() {
    let home = Home::new(3600).await;
    for (status, body, words) in [
        (400, r#"{"error": "invalid_grant"}"#, "invalid_grant"),
        (
            400,
            r#"{"error": "invalid_request", "error_description": "claimed by\u001b[2J another"}"#,
            "invalid_request (claimed by\u{fffd}[2J another)",
        ),
        (
            400,
            r#"{"error": "interaction_required"}"#,
            "interaction_required",
        ),
        (400, r#"{"error": "login_required"}"#, "login_required"),
        (401, r#"{"error": "consent_required"}"#, "consent_required"),
        (
            403,
            r#"{"error": "bad_refresh_token"}"#,
            "bad_refresh_token",
        ),
        (
            400,
            r#"{"message": "expired hunter2"}"#,
            "refused by the issuer;",
        ),
    ] {
        home.log_in();
        home.expire_id_token();
        home.refuse_tokens(Some((status, body)));
        let before = home.token_requests();
        for _ in 0..3 {
            let ended = home.token();
            assert_eq!(ended.code, Some(1), "{ended:?}");
            for part in [
                words,
                "the refresh token was refused",
                "kubegate login oidc --context",
            ] {
                assert!(ended.stderr.contains(part), "{part}: {ended:?}");
            }
            assert!(!ended.stderr.contains("hunter2"), "{ended:?}");
        }
        assert_eq!(
            home.token_requests(),
            before + 1,
            "{body}: it was sent again"
        );
        home.refuse_tokens(None);
    }
    // A new login ends that.
    home.log_in();
    home.expire_id_token();
    assert_eq!(home.token().code, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn other_errors_of_the_token_endpoint_do_not_end_a_login() {
    let home = Home::new(3600).await;
    home.log_in();
    home.expire_id_token();
    for (status, body, words) in [
        (500, r#"{"error": "server_error"}"#, "server_error"),
        (503, "{}", "503"),
        (
            400,
            r#"{"error": "temporarily_unavailable"}"#,
            "temporarily_unavailable",
        ),
        (
            401,
            r#"{"error": "invalid_client"}"#,
            "correct the client's ID or secret",
        ),
        (
            400,
            r#"{"error": "unauthorized_client"}"#,
            "correct the client's ID or secret",
        ),
        (404, r#"{"status": 404, "error": "Not Found"}"#, "404"),
        (403, "<html>hunter2</html>", "403"),
    ] {
        home.refuse_tokens(Some((status, body)));
        let ended = home.token();
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert!(ended.stderr.contains(words), "{body}: {ended:?}");
        for part in ["refresh token was refused", "hunter2"] {
            assert!(!ended.stderr.contains(part), "{body}: {ended:?}");
        }
    }
    home.refuse_tokens(None);
    assert_eq!(home.token().code, Some(0));
    assert_eq!(home.issuer.refreshes(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotated_refresh_token_is_kept_whatever_else_the_answer_lacks() {
    let home = Home::new(3600).await;
    home.log_in();
    home.expire_id_token();
    home.issuer.set_quirks(Quirks {
        no_id_token_on_refresh: true,
        ..Quirks::default()
    });
    let before = home.saved_refresh_token();
    let ended = home.token();
    assert_eq!(ended.code, Some(1), "{ended:?}");
    for part in ["no id_token", "kubegate login oidc --context", "the issuer"] {
        assert!(ended.stderr.contains(part), "{part}: {ended:?}");
    }
    let after = home.saved_refresh_token();
    assert_ne!(before, after);
    assert!(home.issuer.accepts_refresh_token(&after));
    // No other process uses up one token after another.
    let requests = home.token_requests();
    let ended = home.token();
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("no id_token"), "{ended:?}");
    assert_eq!(home.token_requests(), requests);
    assert_eq!(home.saved_refresh_token(), after);
    // An answer that is wrong altogether has a new refresh token too.
    let (_, rotated) = home.issuer.issue_login().unwrap();
    let body = format!(r#"{{"id_token": 7, "expires_in": "soon", "refresh_token": "{rotated}"}}"#);
    home.refuse_tokens(Some((200, &body)));
    home.forget_refusal();
    assert_eq!(home.token().code, Some(1));
    assert_eq!(home.saved_refresh_token(), rotated);

    home.refuse_tokens(None);
    home.forget_refusal();
    home.issuer.set_quirks(Quirks::default());
    let ended = home.token();
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_requests_the_granted_scopes() {
    let home = Home::new(3600).await;
    let mut login = home.first_login();
    login.args(["--oidc-extra-scope", "groups"]);
    assert_eq!(Kubegate::refused(login).code, Some(0));
    home.expire_id_token();
    home.issuer.set_quirks(Quirks {
        id_token_needs_scope: true,
        ..Quirks::default()
    });
    let ended = home.token();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let scopes = Some("openid offline_access groups".to_owned());
    assert_eq!(home.issuer.refresh_scopes(), std::slice::from_ref(&scopes));
    // An issuer that accepts no scopes gets none.
    home.expire_id_token();
    home.issuer.set_quirks(Quirks {
        refuses_scopes_on_refresh: true,
        ..Quirks::default()
    });
    let ended = home.token();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(home.issuer.refresh_scopes()[1..], [scopes, None]);
    assert_eq!(home.issuer.refused(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn google_gives_a_refresh_token_for_its_own_parameters() {
    let home = Home::new(3600).await;
    home.issuer.set_quirks(Quirks {
        scopes_supported: Some(vec!["openid", "email", "profile"]),
        offline_by_access_type: true,
        ..Quirks::default()
    });
    let mut login = home.first_login();
    login.args([
        "--oidc-auth-request-extra-params",
        "hd=example.com,login_hint=a b",
    ]);
    let ended = Kubegate::refused(login);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let query = home.issuer.authorization_queries().pop().unwrap();
    for part in [
        "&access_type=offline&prompt=consent",
        "&hd=example.com&login_hint=a%20b",
        "&scope=openid&",
        "&nonce=",
    ] {
        assert!(query.contains(part), "{part}: {query}");
    }
    home.saved_refresh_token();
    // The context keeps the parameters.
    let context = home.out(&["contexts", "-o", "name"]);
    let again = Kubegate::refused(home.log_in_with(&["--context", context.trim_end()]));
    assert_eq!(again.code, Some(0), "{again:?}");
    let query = home.issuer.authorization_queries().pop().unwrap();
    assert!(
        query.contains("&hd=example.com&login_hint=a%20b"),
        "{query}"
    );
    // The control: other issuers get the scope.
    home.issuer.set_quirks(Quirks {
        hides_scopes: true,
        ..Quirks::default()
    });
    assert_eq!(Kubegate::refused(home.first_login()).code, Some(0));
    let query = home.issuer.authorization_queries().pop().unwrap();
    assert!(query.contains("&scope=openid%20offline_access&"), "{query}");
    assert!(!query.contains("access_type"), "{query}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_refresh_token_is_hinted_at_as_the_issuer_supports_it() {
    let home = Home::new(3600).await;
    home.issuer.set_quirks(Quirks {
        scopes_supported: Some(vec!["openid", "email"]),
        ..Quirks::default()
    });
    let ended = home.log_in();
    for part in [
        "no refresh token",
        "does not support the scope offline_access",
    ] {
        assert!(ended.stderr.contains(part), "{part}: {ended:?}");
    }
    assert!(!ended.stderr.contains("--oidc-extra-scope"), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_token_of_another_login_is_refused() {
    let home = Home::new(3600).await;
    home.issuer.set_quirks(Quirks {
        nonce: Some("stolen"),
        ..Quirks::default()
    });
    let ended = Kubegate::refused(home.first_login());
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("nonce"), "{ended:?}");
    assert!(!home.path(".kube").exists() && !home.path(".local").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_query_of_an_endpoint_is_kept() {
    let home = Home::new(3600).await;
    home.issuer.set_quirks(Quirks {
        endpoint_query: Some("p=b2c_1_signin"),
        ..Quirks::default()
    });
    home.log_in();
    home.expire_id_token();
    let ended = home.token();
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_issuer_may_be_typed_as_the_url_of_its_metadata() {
    for typed in ["/.well-known/openid-configuration", "//"] {
        let home = Home::new(3600).await;
        let url = home.issuer.url();
        let mut login = home.first_login();
        login.arg(format!("--oidc-issuer-url={url}{typed}"));
        let ended = Kubegate::refused(login);
        assert_eq!(ended.code, Some(0), "{ended:?}");
        let config = home.kubeconfig();
        assert!(
            config.contains(&format!("--oidc-issuer-url={url}\"\n")),
            "{config}"
        );
        home.expire_id_token();
        assert_eq!(home.token().code, Some(0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_issuers_reason_is_shown_without_control_characters() {
    let home = Home::new(3600).await;
    home.issuer.refuse_logins(true);
    let ended = Kubegate::refused(home.first_login());
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let says = "the issuer says access_denied (the demo says no\u{fffd}[2J)";
    assert!(ended.stderr.contains(says), "{ended:?}");
    assert!(!ended.stderr.contains('\u{1b}'), "{ended:?}");
}
