//! How users are asked to log in: by a challenge, or on the login page.

use super::*;

#[tokio::test]
async fn without_credentials_a_csrf_header_gets_the_challenge() {
    let cluster = start().await;
    let path = authorize(&cluster, "");
    let response = oauth(&cluster, &path, &[]).await;
    assert_eq!(response.status, StatusCode::UNAUTHORIZED);
    let line = "A non-empty X-CSRF-Token header is required to receive basic-auth challenges";
    assert_eq!(
        value(&response, "warning"),
        format!("199 Origin \"{line}\"")
    );
    assert_eq!(
        value(&response, "content-type"),
        "text/plain; charset=utf-8"
    );
    assert_eq!(text(&response), format!("{line}\n"));
    assert_eq!(value(&response, "www-authenticate"), "");

    let wrong = basic("alice", "nope");
    let empty = basic("alice", "");
    for authorization in [None, Some(&wrong), Some(&empty)] {
        let mut headers = vec![CSRF];
        headers.extend(authorization.map(|value| ("Authorization", value.as_str())));
        let response = oauth(&cluster, &path, &headers).await;
        assert_eq!(response.status, StatusCode::UNAUTHORIZED);
        assert_eq!(
            value(&response, "www-authenticate"),
            "Basic realm=\"openshift\""
        );
        assert_eq!(
            value(&response, "cache-control"),
            "no-cache, no-store, max-age=0, must-revalidate"
        );
        assert_eq!(text(&response), "");
    }
    let malformed = oauth(&cluster, &path, &[CSRF, ("Authorization", "Basic !")]).await;
    assert_eq!(malformed.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(cluster.logins(), 0);
}

#[tokio::test]
async fn without_challenges_users_log_in_on_the_page() {
    let cluster = start().await;
    cluster.change(|options| options.challenge = Challenge::None);
    let page = format!("{}/oauth/token/request", cluster.oauth_url());
    let by = [CSRF, ("Authorization", &alice())];
    let response = oauth(&cluster, &authorize(&cluster, ""), &by).await;
    assert_eq!(response.status, StatusCode::UNAUTHORIZED);
    let line = format!("You must obtain an API token by visiting {page}");
    assert_eq!(
        value(&response, "warning"),
        format!("199 Origin \"{line}\"")
    );
    assert_eq!(
        value(&response, "link"),
        format!("<{page}>; rel=\"related\"")
    );
    assert_eq!(text(&response), format!("{line}\n"));

    // With a browser: log in, and press the button of the page.
    let to_page = oauth(&cluster, "/oauth/token/request", &[]).await;
    assert!(value(&to_page, "location").contains("client_id=openshift-browser-client"));
    let code = cluster.server.codes.issue(codes::Code {
        client: clients::BROWSER,
        redirect_uri: format!("{}{}", cluster.oauth_url(), clients::DISPLAY),
        user: "alice".to_owned(),
        scopes: vec!["user:full".to_owned()],
        challenge: None,
        issued_at: SystemTime::now(),
    });
    let display = format!("/oauth/token/display?code={code}");
    let form = oauth(&cluster, &display, &[]).await;
    assert!(text(&form).contains("Display Token"));
    assert_eq!(cluster.logins(), 0);
    let csrf = value(&form, "set-cookie");
    let csrf = csrf.split(';').next().unwrap();
    let url = format!("{}{display}&{csrf}", cluster.oauth_url());
    for (cookie, status) in [("csrf=other", 400), (csrf, 200), (csrf, 500)] {
        let headers = [("Cookie", cookie)];
        let ca = cluster.oauth_ca_pem();
        let shown = send(ca, Method::POST, &url, &headers, "").await;
        assert_eq!(shown.status, status, "{}", text(&shown));
        assert_eq!(text(&shown).contains("<code>sha256~"), status == 200);
    }
}

#[tokio::test]
async fn a_web_login_redirects_to_the_callback_with_code_and_state() {
    let cluster = start().await;
    let callback = "http://127.0.0.1:40001/callback";
    let url = format!(
        "{}/oauth/authorize?client_id=openshift-cli-client&code_challenge={CHALLENGE}\
         &code_challenge_method=S256&redirect_uri={}&response_type=code&state=st%26te",
        cluster.oauth_url(),
        *form_encoded(callback)
    );
    assert_eq!(cluster.browse(&url, "alice", "nope"), None);
    let end = cluster.browse(&url, "alice", "sesame-os-demo").unwrap();
    let code = end.strip_prefix(&format!("{callback}?code=")).unwrap();
    let code = code.strip_suffix("&state=st%26te").unwrap();
    let form = format!(
        "code={code}&code_verifier={VERIFIER}&grant_type=authorization_code&redirect_uri={callback}"
    );
    let by = "Basic b3BlbnNoaWZ0LWNsaS1jbGllbnQ6";
    let (status, body) = exchange(&cluster, &form, Some(by)).await;
    assert_eq!(status, 200, "{body}");
    assert_eq!(cluster.authorizations().len(), 3);
}
