#![allow(clippy::unwrap_used)]
use super::*;
use crate::{
    credential::{self, issuer::Issuer},
    dial::Environment,
    kubeconfig::{Cluster, Pem},
    tls::Trust,
};
use std::time::Duration;

async fn start(faults: &Faults) -> Host {
    let echo = |request: Request<Bytes>, now: SystemTime| {
        let seconds = now.duration_since(SystemTime::UNIX_EPOCH).unwrap();
        let text = format!("{} {}", request.uri(), seconds.as_secs());
        Response::new(text.into())
    };
    let names = ["issuer.example"];
    Host::start(&names, faults.clone(), echo).await.unwrap()
}

async fn get(host: &Host, path: &str) -> Result<credential::issuer::Response, credential::Error> {
    let trust = Trust::roots(host.ca_pem().as_bytes(), "the host").unwrap();
    let issuer = Issuer::new(trust, Environment::read(|_| None));
    let url = format!("{}{path}", host.url()).parse().unwrap();
    issuer.get(&url, None).await
}

async fn body(host: &Host, path: &str) -> String {
    let answer = get(host, path).await.unwrap();
    String::from_utf8(answer.body.to_vec()).unwrap()
}

#[tokio::test]
async fn requests_come_with_their_host_and_are_noted_without_their_query() {
    let host = start(&Faults::default()).await;
    let said = body(&host, "/token?code=1").await;
    let expected = format!("{}/token?code=1 ", host.url());
    assert!(said.starts_with(&expected), "{said}");
    let seen = Seen {
        method: Method::GET,
        path: "/token".to_owned(),
        status: Some(StatusCode::OK),
    };
    assert_eq!(host.requests(), [seen]);
    assert_eq!(
        (host.count("/token"), host.count("/"), host.connections()),
        (1, 0, 1)
    );
}

#[tokio::test]
async fn a_further_name_stands_in_the_certificate_and_others_do_not() {
    let host = start(&Faults::default()).await;
    for (name, known) in [("issuer.example", true), ("other.example", false)] {
        let cluster = Cluster {
            name: None,
            server: host.url().parse().unwrap(),
            certificate_authority: Some(Pem::Inline {
                data: host.ca_pem().as_bytes().to_vec().into(),
                origin: "the host".to_owned(),
            }),
            insecure_skip_tls_verify: false,
            tls_server_name: Some(name.to_owned()),
            proxy_url: None,
            disable_compression: false,
            exec_config: None,
        };
        let issuer = Issuer::of_cluster(&cluster, Environment::read(|_| None)).unwrap();
        let answer = issuer.get(&host.url().parse().unwrap(), None).await;
        assert_eq!(answer.is_ok(), known, "{name}");
    }
}

#[tokio::test]
async fn a_host_that_is_down_resets_until_it_is_up() {
    let faults = Faults::default();
    let host = start(&faults).await;
    faults.down(true);
    assert!(get(&host, "/").await.is_err());
    assert_eq!((host.connections(), host.requests().len()), (1, 0));
    faults.down(false);
    assert!(get(&host, "/").await.is_ok());
}

#[tokio::test]
async fn wrong_answers_and_limits_stand_on_the_path_told_and_go_when_healed() {
    let faults = Faults::default();
    let host = start(&faults).await;
    faults.only("/token");
    for (wrong, status) in [
        (Wrong::Status(StatusCode::BAD_GATEWAY), 502),
        (Wrong::Html, 200),
        (Wrong::Garbage, 200),
        (Wrong::Empty, 200),
    ] {
        faults.answer_with(Some(wrong));
        let answer = get(&host, "/token").await.unwrap();
        assert_eq!(answer.status, status);
        assert!(!answer.body.starts_with(b"https://"));
    }
    faults.answer_with(Some(Wrong::Redirect(
        "https://elsewhere.example".to_owned(),
    )));
    let redirected = get(&host, "/token").await.err().unwrap().to_string();
    assert!(redirected.contains("redirects"), "{redirected}");
    faults.answer_with(Some(Wrong::Huge));
    let huge = get(&host, "/token").await.err().unwrap().to_string();
    assert!(huge.contains("more than"), "{huge}");
    for form in [RetryAfter::Seconds(7), RetryAfter::Date(7)] {
        faults.rate_limit(Some(form));
        let answer = get(&host, "/token").await.unwrap();
        assert_eq!(answer.status, 429);
        let pause = answer.retry_after.unwrap();
        let around = Duration::from_secs(5)..=Duration::from_secs(7);
        assert!(around.contains(&pause), "{form:?}: {pause:?}");
    }
    assert!(body(&host, "/other").await.starts_with("https://"));
    faults.heal();
    assert!(body(&host, "/token").await.starts_with("https://"));

    faults.answer_with(Some(Wrong::Html));
    faults.times(2);
    for wrong in [true, true, false, false] {
        let right = body(&host, "/token").await.starts_with("https://");
        assert_ne!(right, wrong);
    }
}

#[tokio::test]
async fn a_skewed_host_lives_at_another_time_and_says_so() {
    let faults = Faults::default();
    let host = start(&faults).await;
    for skew in [-3600, 0, 3600] {
        faults.skew(skew);
        let answer = get(&host, "/").await.unwrap();
        let date = answer.headers["date"].to_str().unwrap();
        let date = jiff::fmt::rfc2822::parse(date).unwrap().timestamp();
        let text = String::from_utf8(answer.body.to_vec()).unwrap();
        let told: i64 = text.rsplit(' ').next().unwrap().parse().unwrap();
        let now = Timestamp::now().as_second();
        for time in [date.as_second(), told] {
            assert!((time - now - skew).abs() < 30, "{skew}: {time} at {now}");
        }
    }
}

#[tokio::test]
async fn a_slow_host_answers_late_and_is_cut_on_drop() {
    let faults = Faults::default();
    let host = start(&faults).await;
    faults.slow(Duration::from_millis(300));
    let started = std::time::Instant::now();
    assert!(get(&host, "/").await.is_ok());
    assert!(started.elapsed() >= Duration::from_millis(300));
    faults.slow(Duration::from_secs(600));
    let (ca, url) = (host.ca_pem().to_owned(), host.url());
    let asking = tokio::spawn(async move {
        let trust = Trust::roots(ca.as_bytes(), "the host").unwrap();
        let issuer = Issuer::new(trust, Environment::read(|_| None));
        issuer.get(&url.parse().unwrap(), None).await.is_err()
    });
    while host.requests().len() < 2 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    drop(host);
    let cut = tokio::time::timeout(Duration::from_secs(20), asking).await;
    assert!(cut.unwrap().unwrap());
}
