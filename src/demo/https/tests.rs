#![allow(clippy::unwrap_used)]
use super::*;
use crate::{
    credential::{self, issuer::Issuer},
    dial::Environment,
    kubeconfig::{Cluster, Pem},
    tls::Trust,
};
use std::time::Duration;

async fn start(faults: &Faults) -> HttpsServer {
    let echo = |request: Request<Bytes>, now: SystemTime| {
        let seconds = now.duration_since(SystemTime::UNIX_EPOCH).unwrap();
        let text = format!("{} {}", request.uri(), seconds.as_secs());
        Response::new(text.into())
    };
    let names = ["issuer.example"];
    HttpsServer::start(&names, faults.clone(), echo)
        .await
        .unwrap()
}

async fn get(
    server: &HttpsServer,
    path: &str,
) -> Result<credential::issuer::Response, credential::Error> {
    let trust = Trust::roots(server.ca_pem().as_bytes(), "the server").unwrap();
    let issuer = Issuer::new(trust, Environment::read(|_| None));
    let url = format!("{}{path}", server.url()).parse().unwrap();
    issuer.get(&url, None).await
}

async fn body(server: &HttpsServer, path: &str) -> String {
    let response = get(server, path).await.unwrap();
    String::from_utf8(response.body.to_vec()).unwrap()
}

#[tokio::test]
async fn requests_have_an_absolute_uri_and_are_logged_without_their_query() {
    let server = start(&Faults::default()).await;
    let text = body(&server, "/token?code=1").await;
    let expected = format!("{}/token?code=1 ", server.url());
    assert!(text.starts_with(&expected), "{text}");
    let received = ReceivedRequest {
        method: Method::GET,
        path: "/token".to_owned(),
        user_agent: Some(concat!("kubegate/", env!("CARGO_PKG_VERSION")).to_owned()),
        is_authorized: false,
        status: Some(StatusCode::OK),
    };
    assert_eq!(server.requests(), [received]);
    assert_eq!(
        (
            server.count("/token"),
            server.count("/"),
            server.connections()
        ),
        (1, 0, 1)
    );
}

#[tokio::test]
async fn the_certificate_is_valid_for_the_names_given_and_no_others() {
    let server = start(&Faults::default()).await;
    for (name, is_valid) in [("issuer.example", true), ("other.example", false)] {
        let cluster = Cluster {
            name: None,
            server: server.url().parse().unwrap(),
            certificate_authority: Some(Pem::Inline {
                data: server.ca_pem().as_bytes().to_vec().into(),
                origin: "the server".to_owned(),
            }),
            insecure_skip_tls_verify: false,
            tls_server_name: Some(name.to_owned()),
            proxy_url: None,
            disable_compression: false,
            exec_config: None,
        };
        let issuer = Issuer::of_cluster(&cluster, Environment::read(|_| None)).unwrap();
        let response = issuer.get(&server.url().parse().unwrap(), None).await;
        assert_eq!(response.is_ok(), is_valid, "{name}");
    }
}

#[tokio::test]
async fn connections_are_reset_until_the_fault_ends() {
    let faults = Faults::default();
    let server = start(&faults).await;
    faults.reset_connections(true);
    assert!(get(&server, "/").await.is_err());
    assert_eq!((server.connections(), server.requests().len()), (1, 0));
    faults.reset_connections(false);
    assert!(get(&server, "/").await.is_ok());
}

#[tokio::test]
async fn faulty_responses_and_rate_limits_affect_one_path_until_cleared() {
    let faults = Faults::default();
    let server = start(&faults).await;
    faults.only_on("/token");
    for (faulty, status) in [
        (FaultyResponse::Status(StatusCode::BAD_GATEWAY), 502),
        (FaultyResponse::Html, 200),
        (FaultyResponse::TruncatedJson, 200),
        (FaultyResponse::Empty, 200),
    ] {
        faults.respond_with(Some(faulty));
        let response = get(&server, "/token").await.unwrap();
        assert_eq!(response.status, status);
        assert!(!response.body.starts_with(b"https://"));
    }
    faults.respond_with(Some(FaultyResponse::Redirect(
        "https://elsewhere.example".to_owned(),
    )));
    let redirected = get(&server, "/token").await.err().unwrap().to_string();
    assert!(redirected.contains("redirects"), "{redirected}");
    faults.respond_with(Some(FaultyResponse::Oversized));
    let huge = get(&server, "/token").await.err().unwrap().to_string();
    assert!(huge.contains("more than"), "{huge}");
    for form in [RetryAfter::Seconds(7), RetryAfter::Date(7)] {
        faults.rate_limit(Some(form));
        let response = get(&server, "/token").await.unwrap();
        assert_eq!(response.status, 429);
        let pause = response.retry_after.unwrap();
        let expected = Duration::from_secs(5)..=Duration::from_secs(7);
        assert!(expected.contains(&pause), "{form:?}: {pause:?}");
    }
    assert!(body(&server, "/other").await.starts_with("https://"));
    faults.clear();
    assert!(body(&server, "/token").await.starts_with("https://"));

    faults.respond_with(Some(FaultyResponse::Html));
    faults.limit_to(2);
    for is_faulty in [true, true, false, false] {
        let is_normal = body(&server, "/token").await.starts_with("https://");
        assert_ne!(is_normal, is_faulty);
    }
}

#[tokio::test]
async fn a_skewed_clock_affects_the_handler_and_the_date_header() {
    let faults = Faults::default();
    let server = start(&faults).await;
    for skew in [-3600, 0, 3600] {
        faults.skew_clock(skew);
        let response = get(&server, "/").await.unwrap();
        let date = response.headers["date"].to_str().unwrap();
        let date = jiff::fmt::rfc2822::parse(date).unwrap().timestamp();
        let text = String::from_utf8(response.body.to_vec()).unwrap();
        let handler_time: i64 = text.rsplit(' ').next().unwrap().parse().unwrap();
        let now = Timestamp::now().as_second();
        for time in [date.as_second(), handler_time] {
            assert!((time - now - skew).abs() < 30, "{skew}: {time} at {now}");
        }
    }
}

#[tokio::test]
async fn a_delayed_response_is_late_and_is_cut_on_drop() {
    let faults = Faults::default();
    let server = start(&faults).await;
    faults.delay(Duration::from_millis(300));
    let started = std::time::Instant::now();
    assert!(get(&server, "/").await.is_ok());
    assert!(started.elapsed() >= Duration::from_millis(300));
    faults.delay(Duration::from_secs(600));
    let (ca, url) = (server.ca_pem().to_owned(), server.url());
    let request = tokio::spawn(async move {
        let trust = Trust::roots(ca.as_bytes(), "the server").unwrap();
        let issuer = Issuer::new(trust, Environment::read(|_| None));
        issuer.get(&url.parse().unwrap(), None).await.is_err()
    });
    while server.requests().len() < 2 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    drop(server);
    let cut = tokio::time::timeout(Duration::from_secs(20), request).await;
    assert!(cut.unwrap().unwrap());
}
