//! Issuers that respond wrongly.

use http::StatusCode;
use kubegate::demo::https::FaultyResponse;

use super::*;

#[tokio::test]
async fn an_issuer_that_responds_wrongly_is_named_and_not_quoted() {
    let elsewhere = ("Location", "https://elsewhere.example/hunter2".to_owned());
    let retry_after = ("Retry-After", "7".to_owned());
    let other = json!({"issuer": "https://other.example", "token_endpoint": "https://x"});
    for (code_sent, headers, body, code, says) in [
        (200, None, "<html>hunter2".to_owned(), 503, "login page"),
        (200, None, "hunter2".repeat(1_500_000), 401, "more than"),
        (302, Some(elsewhere), String::new(), 401, "redirects"),
        (503, None, "hunter2".to_owned(), 503, "503"),
        (429, Some(retry_after), String::new(), 503, "429"),
        (200, None, other.to_string(), 401, "another issuer"),
    ] {
        let home = Home::new(60).await;
        let faulty = FaultyResponse::Custom {
            status: StatusCode::from_u16(code_sent).unwrap(),
            headers: headers.into_iter().collect(),
            body,
        };
        home.issuer.faults().respond_with(Some(faulty));
        home.write(&jwt("old", -60.0), &home.refresh_token());
        let kubegate = home.start();
        let response = get(&kubegate.address, "/x").await;
        assert_eq!(status(&response), code, "{response}");
        assert!(
            response.contains(says) && response.contains(&home.issuer.url()),
            "{response}"
        );
        assert!(
            !response.contains("hunter2") && !kubegate.log().contains("hunter2"),
            "{response}"
        );
    }
}

#[tokio::test]
async fn an_issuer_over_http_is_refused_at_start() {
    let home = Home::new(60).await;
    let url = "http://127.0.0.1:1";
    home.write_for(url, &home.issuer_ca(), &jwt("old", 60.0), "refresh-0");
    let path = home.path();
    let command = Kubegate::command(["--kubeconfig", path.to_str().unwrap(), "--port", "0"]);
    let refused = Kubegate::refused(command);
    assert_ne!(refused.code, Some(0));
    for part in ["idp-issuer-url", "jane", "https://"] {
        assert!(refused.stderr.contains(part), "{}", refused.stderr);
    }
}

#[tokio::test]
async fn token_responses_that_make_no_sense_are_reported_or_tolerated() {
    let token = |claims: &str| {
        let claims = BASE64_URL_SAFE_NO_PAD.encode(claims);
        format!(r#"{{"id_token": "e30.{claims}.hunter2"}}"#)
    };
    let good = jwt("new", 60.0);
    for (body, code, says) in [
        (r#"{"id_token": "hunter2"}"#.to_owned(), 401, "not a JWT"),
        (
            r#"{"id_token": 7, "x": "hunter2"}"#.to_owned(),
            401,
            "not the JSON",
        ),
        (
            r#"{"access_token": "hunter2"}"#.to_owned(),
            401,
            "no id_token",
        ),
        (r#"{"id_token": "hunter2"#.to_owned(), 503, "no JSON at all"),
        ("<html>hunter2</html>".to_owned(), 503, "login page"),
        (String::new(), 503, "no JSON at all"),
        (token(r#"{"exp": -5}"#), 401, "not a JWT"),
        (token(r#"{"exp": 1e300}"#), 401, "not a JWT"),
        // It has expired already, which only the API server can judge.
        (token(r#"{"exp": 0}"#), 401, ""),
        (token(r#"{"exp": 1e15}"#), 200, ""),
        (
            format!(r#"{{"id_token": "{good}", "expires_in": 0}}"#),
            200,
            "",
        ),
        (
            format!(r#"{{"id_token": "{good}", "expires_in": -7}}"#),
            200,
            "",
        ),
        (
            format!(r#"{{"id_token": "{good}", "expires_in": 1e99}}"#),
            200,
            "",
        ),
    ] {
        let home = Home::new(60).await;
        let faulty = FaultyResponse::Custom {
            status: StatusCode::OK,
            headers: Vec::new(),
            body: body.clone(),
        };
        home.issuer.faults().only_on("/token");
        home.issuer.faults().respond_with(Some(faulty));
        home.write(&jwt("old", -60.0), &home.refresh_token());
        let kubegate = home.start();
        for _ in 0..20 {
            let response = get(&kubegate.address, "/x").await;
            assert_eq!(status(&response), code, "{body}: {response}");
            assert!(response.contains(says), "{body}: {response}");
            let log = kubegate.log();
            assert!(
                !response.contains("hunter2") && !log.contains("hunter2"),
                "{response} {log}"
            );
        }
        // It does not refresh again and again.
        let requests = home.issuer.server().count("/token");
        assert!((1..=3).contains(&requests), "{body}: {requests}");
    }
}

#[tokio::test]
async fn a_failure_that_lasts_an_hour_ends_when_the_file_changes() {
    let home = Home::new(60).await;
    home.issuer
        .faults()
        .respond_with(Some(FaultyResponse::Custom {
            status: StatusCode::UNAUTHORIZED,
            headers: vec![("Retry-After", "3600".to_owned())],
            body: json!({"error": "invalid_client"}).to_string(),
        }));
    home.write(&jwt("old", -60.0), &home.refresh_token());
    let kubegate = home.start();
    let response = get(&kubegate.address, "/x").await;
    assert_eq!(status(&response), 401, "{response}");
    home.issuer.faults().clear();
    tokio::time::sleep(Duration::from_millis(2500)).await;
    let response = get(&kubegate.address, "/x").await;
    assert_eq!(status(&response), 401, "{response}");
    assert_eq!(home.issuer.refreshes(), 0);
    // Any change counts: the fault may have been corrected only at the issuer.
    fs::write(home.path(), home.text() + "# try again\n").unwrap();
    home.is_served_with_saved_token(&kubegate).await;
}

#[tokio::test]
async fn the_ca_of_the_issuer_is_read_again() {
    let home = Home::new(60).await;
    let ca = home.issuer_ca();
    fs::copy(cert("other-ca.pem"), &ca).unwrap();
    let relative = Path::new("issuer-ca.pem");
    let refresh_token = home.refresh_token();
    home.write_for(
        &home.issuer.url(),
        relative,
        &jwt("old", -60.0),
        &refresh_token,
    );
    let kubegate = home.start();
    let response = get(&kubegate.address, "/x").await;
    assert_ne!(status(&response), 200, "{response}");
    fs::write(&ca, "half a cert").unwrap();
    tokio::time::sleep(Duration::from_millis(1500)).await;
    fs::write(&ca, home.issuer.ca_pem()).unwrap();
    home.is_served_with_saved_token(&kubegate).await;
}
