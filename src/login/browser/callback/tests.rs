#![allow(clippy::unwrap_used)]
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;

const LIMIT: Duration = Duration::from_secs(20);

/// Sends a request as a browser does, and returns the whole response.
async fn request(uri: &str, method: &str, query: &str) -> String {
    let authority = uri.strip_prefix("http://").unwrap();
    let (address, path) = authority.split_once('/').unwrap();
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = format!("{method} /{path}{query} HTTP/1.1\r\nHost: {address}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).await.unwrap();
    response
}

/// Waits for the redirect of one login, whose code can be redeemed.
fn login(callback: Callback) -> tokio::task::JoinHandle<Result<String, Error>> {
    tokio::spawn(callback.complete(LIMIT, async |code| Ok(code.expose().to_owned())))
}

#[tokio::test]
async fn a_code_with_the_right_state_is_redeemed() {
    let callback = Callback::listen().await.unwrap();
    let uri = callback.redirect_uri().to_owned();
    assert!(uri.starts_with("http://127.0.0.1:") && uri.ends_with("/callback"));
    let query = format!("?code=sha256~sesame%2D7&state={}", callback.state());
    // Browsers open connections ahead and request an icon.
    let address = uri[7..].split('/').next().unwrap().to_owned();
    let _idle = TcpStream::connect(address).await.unwrap();
    let login = login(callback);
    for (method, query, status) in [
        ("GET", "/favicon.ico", "404"),
        ("HEAD", &query, "405"),
        ("GET", "", "400"),
    ] {
        let response = request(&uri, method, query).await;
        assert!(
            response.starts_with(&format!("HTTP/1.1 {status}")),
            "{response}"
        );
    }
    let response = request(&uri, "GET", &query).await;
    assert!(response.starts_with("HTTP/1.1 200"), "{response}");
    assert!(response.ends_with(RECEIVED), "{response}");
    assert_eq!(login.await.unwrap().unwrap(), "sha256~sesame-7");
}

#[tokio::test]
async fn a_stray_visit_does_not_end_the_login() {
    let callback = Callback::listen().await.unwrap();
    let uri = callback.redirect_uri().to_owned();
    let right = format!("?code=sesame&state={}", callback.state());
    let login = login(callback);
    for query in [
        "?code=hunter2&state=other",
        "?code=hunter2",
        "?code=hunter2&state=",
        "?error=access_denied&error_description=hunter2",
        "?error=access_denied&state=other",
        "?state=other",
        "",
    ] {
        let response = request(&uri, "GET", query).await;
        assert!(response.starts_with("HTTP/1.1 400"), "{query}: {response}");
        assert!(!response.contains("hunter2"), "{query}: {response}");
    }
    assert!(request(&uri, "GET", &right).await.ends_with(RECEIVED));
    assert_eq!(login.await.unwrap().unwrap(), "sesame");
}

#[tokio::test]
async fn an_error_ends_the_login_and_is_shown_in_browser_and_terminal() {
    let long = "d".repeat(3000);
    for (query, expected) in [
        (
            "error=access_denied&error_description=not+in+the+group",
            "access_denied (not in the group)",
        ),
        ("error=invalid_scope", "invalid_scope"),
        ("error=a%1b%5b2J%0d%0ab", "a\u{fffd}[2J  b"),
        (&format!("error=x&error_description={long}"), "ddd…"),
        ("code=hunter2&error=x", "says x"),
    ] {
        let callback = Callback::listen().await.unwrap();
        let uri = callback.redirect_uri().to_owned();
        let query = format!("?{query}&state={}", callback.state());
        let login = login(callback);
        let response = request(&uri, "GET", &query).await;
        let error = login.await.unwrap().unwrap_err().to_string();
        for shown in [&response, &error] {
            assert!(shown.contains(expected), "{shown}");
            assert!(!shown.contains("hunter2") && shown.len() < 1200, "{shown}");
        }
        assert!(response.contains("the login failed"), "{response}");
    }
}

#[tokio::test]
async fn the_browser_shows_that_a_code_cannot_be_redeemed() {
    let callback = Callback::listen().await.unwrap();
    let uri = callback.redirect_uri().to_owned();
    let query = format!("?state={}&code=x", callback.state());
    let login = tokio::spawn(callback.complete(LIMIT, async |_| Err::<(), _>(Error::Interrupted)));
    let response = request(&uri, "GET", &query).await;
    assert!(
        response.ends_with(&Error::Interrupted.to_string()),
        "{response}"
    );
    assert!(matches!(login.await.unwrap(), Err(Error::Interrupted)));
}

#[tokio::test]
async fn the_browser_is_waited_for_until_the_limit() {
    let callback = Callback::listen().await.unwrap();
    let limit = Duration::from_millis(50);
    let outcome = callback.complete(limit, async |_| Ok(())).await;
    let error: Error = outcome.unwrap_err();
    assert!(matches!(error, Error::BrowserTimedOut { .. }), "{error}");
}

#[tokio::test]
async fn an_issuer_may_know_another_redirect_uri() {
    let address = (Ipv4Addr::LOCALHOST, 0).into();
    let callback = Callback::listen_on(address, "localhost", "/")
        .await
        .unwrap();
    let uri = callback.redirect_uri();
    assert!(uri.starts_with("http://localhost:") && uri.ends_with('/'));
}
