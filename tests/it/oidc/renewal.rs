//! Refreshing tokens.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use http::StatusCode;
use kubegate::demo::{
    https::FaultyResponse,
    oidc::{ClientAuthentication, Options, Quirks},
};
use tokio::net::TcpStream;

use super::*;
use crate::support::in_time;

#[tokio::test]
async fn twenty_renewals_under_steady_load_refuse_no_request() {
    let home = Home::new(3).await;
    home.write(&jwt("old", 1.0), &home.refresh_token());
    let kubegate = home.start();
    let (mut requests, mut refused) = (0, 0);
    let started = Instant::now();
    while home.issuer.refreshes() < 20 {
        assert!(
            started.elapsed() < Duration::from_secs(120),
            "too few renewals"
        );
        requests += 1;
        refused += usize::from(status(&get(&kubegate.address, "/x").await) != 200);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(refused, 0, "of {requests}: {}", kubegate.log());
    assert_eq!(home.issuer.refused(), 0);
    // The newest tokens are written to the file, and nothing else in it has changed.
    in_time(async {
        while !home.has_valid_refresh_token() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    let text = home.text();
    assert!(
        text.starts_with("# by hand\n") && text.contains("client-secret: s&t\n"),
        "{text}"
    );
    let log = kubegate.log();
    for secret in ["refresh-", "e30.", "eyJ"] {
        assert!(!log.contains(secret), "{log}");
    }
}

#[tokio::test]
async fn two_kubegates_on_one_file_never_spend_a_token_twice() {
    let home = Home::new(3).await;
    home.write(&jwt("old", -60.0), &home.refresh_token());
    let (one, other) = (home.start(), home.start());
    while home.issuer.refreshes() < 6 {
        let responses = tokio::join!(get(&one.address, "/x"), get(&other.address, "/x"));
        assert_eq!(
            (status(&responses.0), status(&responses.1)),
            (200, 200),
            "{responses:?}"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(home.issuer.refused(), 0);
}

#[tokio::test]
async fn an_invalid_refresh_token_asks_for_a_login() {
    let home = Home::new(60).await;
    home.write("not-a-jwt", "stolen-hunter2");
    let kubegate = home.start();
    let response = get(&kubegate.address, "/x").await;
    assert_eq!(status(&response), 401, "{response}");
    for part in ["log in again", "jane", &home.issuer.url()] {
        assert!(response.contains(part), "{part}: {response}");
    }
    // kubectl prints this header, whatever it makes of the rest.
    assert!(
        response.contains("\r\nwarning: 299 - \"OIDC issuer "),
        "{response}"
    );
    assert!(!response.contains("hunter2") && !kubegate.log().contains("hunter2"));

    // It is not sent again while nothing changes.
    let until = Instant::now() + Duration::from_secs(4);
    while Instant::now() < until {
        assert_eq!(status(&get(&kubegate.address, "/x").await), 401);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(home.issuer.refused(), 1);

    let refresh_token = home.refresh_token();
    home.write("not-a-jwt", &refresh_token);
    in_time(async {
        while status(&get(&kubegate.address, "/x").await) != 200 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
    assert_ne!(home.saved_tokens().1, refresh_token);
    assert!(home.has_valid_refresh_token());
}

/// Dex has another word than the specification for a token that was used.
#[tokio::test]
async fn the_file_is_read_again_before_a_login_is_asked_for() {
    let home = Home::new(60).await;
    let faults = home.issuer.faults();
    faults.only_on("/token");
    faults.limit_to(1);
    faults.delay(Duration::from_secs(2));
    faults.respond_with(Some(FaultyResponse::Custom {
        status: StatusCode::BAD_REQUEST,
        headers: Vec::new(),
        body: json!({"error": "invalid_request"}).to_string(),
    }));
    home.write(&jwt("old", -60.0), "spent-by-kubectl");
    let kubegate = home.start();
    let address = kubegate.address.clone();
    let request = tokio::spawn(async move { get(&address, "/x").await });
    in_time(async {
        while home.issuer.server().count("/token") == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    // As kubectl does, which takes no turns.
    home.write(&jwt("old", -60.0), &home.refresh_token());
    let response = request.await.unwrap();
    assert_eq!(status(&response), 200, "{response}");
    assert!(home.has_valid_refresh_token());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_token_of_a_kubeconfig_is_not_sent_again_by_another_process() {
    let home = Home::new(60).await;
    home.write(&jwt("old", -60.0), "stolen-hunter2");
    let path = home.path();
    let token = || {
        let args = ["token", "--kubeconfig", path.to_str().unwrap()];
        let mut command = Kubegate::command(args);
        command.env("HOME", home.folder.path());
        Kubegate::refused(command)
    };
    for _ in 0..3 {
        let ended = token();
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert!(ended.stderr.contains("invalid_grant"), "{ended:?}");
        assert!(!ended.stderr.contains("hunter2"), "{ended:?}");
    }
    assert_eq!(home.issuer.refused(), 1);
    home.write(&jwt("old", -60.0), &home.refresh_token());
    assert_eq!(token().code, Some(0));
}

/// kubectl sends no scopes.
#[tokio::test]
async fn an_issuer_that_gives_id_tokens_by_scope_is_asked_for_openid() {
    let home = Home::new(60).await;
    let quirks = Quirks {
        id_token_needs_scope: true,
        ..Quirks::default()
    };
    home.issuer.set_quirks(quirks);
    home.write(&jwt("old", -60.0), &home.refresh_token());
    let response = get(&home.start().address, "/x").await;
    assert_eq!(status(&response), 200, "{response}");
    let openid = Some("openid".to_owned());
    assert_eq!(home.issuer.refresh_scopes(), [None, openid]);
    assert!(home.has_valid_refresh_token());

    home.write(&jwt("old", -60.0), &home.refresh_token());
    let text = home.text() + "        extra-scopes: groups,email\n";
    fs::write(home.path(), text).unwrap();
    let response = get(&home.start().address, "/x").await;
    assert_eq!(status(&response), 200, "{response}");
    let scopes = home.issuer.refresh_scopes();
    assert_eq!(scopes[2..], [Some("openid groups email".to_owned())]);
}

#[tokio::test]
async fn the_secret_is_sent_in_the_form_if_basic_is_refused() {
    let home = Home::new(60).await;
    let post = ClientAuthentication::Post;
    home.issuer.restrict_client_authentication(post);
    home.write(&jwt("old", -60.0), &home.refresh_token());
    let response = get(&home.start().address, "/x").await;
    assert_eq!(status(&response), 200, "{response}");
}

#[tokio::test]
async fn a_public_client_sends_its_name_and_no_secret() {
    let home = Home::with(Options {
        client_id: "kube".to_owned(),
        ..Options::default()
    })
    .await;
    let refresh_token = home.refresh_token();
    home.write(&jwt("old", -60.0), &refresh_token);
    let text = home.text().replace("        client-secret: s&t\n", "");
    fs::write(home.path(), text).unwrap();
    let response = get(&home.start().address, "/x").await;
    assert_eq!(status(&response), 200, "{response}");
    assert_ne!(home.saved_tokens().1, refresh_token);
    assert!(home.has_valid_refresh_token());
}

#[tokio::test]
async fn an_issuer_is_reached_through_the_proxy_of_the_environment() {
    let home = Home::with(Options {
        client_id: "kube".to_owned(),
        client_secret: Some("s&t".to_owned()),
        dns_names: vec!["other.example".to_owned()],
        ..Options::default()
    })
    .await;
    let port = home.issuer.server().address().port();
    let received = Arc::new(Mutex::new(Vec::new()));
    let heads = received.clone();
    let proxy = Upstream::plain(move |mut connection: Connection| {
        let heads = heads.clone();
        async move {
            let Some(head) = connection.head().await else {
                return;
            };
            heads.lock().unwrap().push(head);
            connection
                .write("HTTP/1.1 200 Connection established\r\n\r\n")
                .await;
            let mut client = connection.into_stream();
            let mut server = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
            // An error is the end of either connection.
            let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
        }
    })
    .await;
    let url = format!("https://other.example:{port}");
    let refresh_token = home.refresh_token();
    home.write_for(&url, &home.issuer_ca(), &jwt("old", -60.0), &refresh_token);
    let path = home.path();
    let mut command = Kubegate::command(["--kubeconfig", path.to_str().unwrap(), "--port", "0"]);
    command.env("HTTPS_PROXY", proxy.url());
    let response = get(&Kubegate::spawn(command).address, "/x").await;
    assert_eq!(status(&response), 200, "{response}");
    let received = received.lock().unwrap();
    assert!(!received.is_empty());
    for head in received.iter() {
        assert!(
            head.starts_with(&format!("CONNECT other.example:{port} ")),
            "{head}"
        );
    }
}
