//! `kubegate login openshift --token-stdin` with tokens of sessions and of service accounts.

use super::*;
use crate::support::exchange;

impl Cluster {
    /// A token of the service account `robot`, as `kubectl create token` gets it.
    async fn account_token(&self) -> String {
        let (admin, _) = self.openshift.api().token();
        let config = self.kubeconfig(&json!({"token": admin.expose()}));
        let kubegate = self.start(&config, &[]);
        let accounts = "/api/v1/namespaces/default/serviceaccounts";
        let account = json!({"metadata": {"name": "robot"}});
        post(&kubegate, accounts, &account).await;
        let request = json!({"spec": {"expirationSeconds": 1200}});
        let granted = post(&kubegate, &format!("{accounts}/robot/token"), &request).await;
        granted["status"]["token"].as_str().unwrap().to_owned()
    }

    fn run_with_context(&self, args: &[&str]) -> crate::support::Refused {
        let mut command = Kubegate::command(args);
        command.args(["--kubeconfig", &self.config()]);
        command.env("XDG_STATE_HOME", self.state());
        Kubegate::refused(command)
    }
}

async fn post(kubegate: &Kubegate, path: &str, body: &Value) -> Value {
    let body = body.to_string();
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        kubegate.address,
        body.len()
    );
    let answer = exchange(&kubegate.address, head).await;
    assert!(status(&answer) < 300, "{path}: {answer}");
    serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_accounts_token_is_judged_by_the_api_server() {
    let cluster = Cluster::with(Options::default()).await;
    let token = cluster.account_token().await;
    let ended = cluster.login_with_cas(&["--token-stdin"], &token);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(
        ended
            .stdout
            .contains("Logged in as system:serviceaccount:default:robot"),
        "{ended:?}"
    );
    // Its end is that of the claim.
    assert!(ended.stdout.contains("ends at 20"), "{ended:?}");
    let printed = cluster.run_with_context(&["token"]);
    assert_eq!(printed.stdout.trim(), token);
    let kubegate = cluster.start(Path::new(&cluster.config()), &[]);
    let response = get(&kubegate.address, "/api/v1/namespaces/default/pods").await;
    assert!(is_ok(&response), "{response}");
    let ended = cluster.run_with_context(&["logout"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stderr.contains("until it expires"), "{ended:?}");
    assert!(cluster.openshift.oauth_requests().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_no_server_takes_is_refused_with_the_reason() {
    let cluster = Cluster::with(Options::default()).await;
    let jwt = |claims: &str| {
        let payload = base64::prelude::BASE64_URL_SAFE_NO_PAD.encode(claims);
        format!("eyJhbGciOiJSUzI1NiJ9.{payload}.c2ln")
    };
    for (token, says) in [
        (jwt(r#"{"exp": 1700000000}"#), "the token has expired"),
        (jwt(r#"{"exp": 32000000000}"#), "(401)"),
        ("opaque".to_owned(), "(401)"),
    ] {
        let ended = cluster.login_with_cas(&["--token-stdin"], &token);
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert!(ended.stderr.contains(says), "{ended:?}");
        assert!(cluster.is_untouched());
    }
    assert!(cluster.openshift.oauth_requests().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_may_be_pasted_with_its_header() {
    let cluster = Cluster::with(Options::default()).await;
    let token = cluster.openshift.issue_session("alice").unwrap();
    let token = token.expose();
    for pasted in [
        format!("Bearer {token}"),
        format!("Authorization: Bearer {token}\n"),
    ] {
        let ended = cluster.login_with_cas(&["--token-stdin"], &pasted);
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert_eq!(cluster.run_with_context(&["token"]).stdout.trim(), token);
    }
    let ended = cluster.login_with_cas(&["--token-stdin"], "Bearer \n");
    assert_eq!(ended.code, Some(2), "{ended:?}");
}
