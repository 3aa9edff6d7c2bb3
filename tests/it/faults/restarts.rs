//! A server that restarts under load.

use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::{SLACK, client, head};
use crate::support::{
    Completed, Kubegate, Load, Served, ServerOptions, cert, get, in_time, status,
};

/// The time limit for the first success after the server listens again.
const AGAIN: Duration = Duration::from_millis(250);

/// The time limit for a response that needs no server, far below any timeout.
const QUICK: Duration = Duration::from_secs(1);

/// An address of this machine on which no other test listens, so that a port that is free for a
/// moment stays free.
const HOST: &str = "127.0.7.1";

fn before(server: &Served) -> Kubegate {
    let mut command = Kubegate::command(["--server", &server.url(), "--token", "sesame"]);
    command.args(["--tls-server-name", "localhost", "--port", "0"]);
    command.arg("--certificate-authority").arg(cert("ca.pem"));
    Kubegate::spawn(command)
}

async fn succeeded(load: &Load, more: usize) {
    let good = |completed: &Completed| status(&completed.response) == 200;
    let enough = load.count(good) + more;
    in_time(async {
        while load.count(good) < enough {
            sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
}

async fn restart_under_load(http1: bool) {
    let options = ServerOptions {
        http1,
        ..ServerOptions::default()
    };
    let mut server = Served::start(HOST, options).await;
    let kubegate = before(&server);
    let load = Load::of(&kubegate.address, |number| {
        let method = if number % 2 == 0 { "GET" } else { "POST" };
        format!("{method} /{number}")
    });
    succeeded(&load, 200).await;
    let stopped = Instant::now();
    server.stop().await;
    sleep(Duration::from_millis(1500)).await;
    let listens = Instant::now();
    server.start_again().await;
    succeeded(&load, 300).await;
    let responses = load.off().await;

    let (mut failed, mut slowest) = (0, Duration::ZERO);
    for completed in &responses {
        let (code, took) = (
            status(&completed.response),
            completed.ended - completed.began,
        );
        slowest = slowest.max(took);
        let down = completed.ended > stopped && completed.began < listens + AGAIN + SLACK;
        assert!(code == 200 || down, "{completed:?} {}", kubegate.log());
        if code == 200 {
            continue;
        }
        failed += 1;
        assert!((502..=503).contains(&code), "{completed:?}");
        assert!(took < QUICK + SLACK, "{took:?} {completed:?}");
        // client-go tries ten times where there is a Retry-After.
        let head = completed.response.to_ascii_lowercase();
        assert!(!head.contains("\r\nretry-after: "), "{completed:?}");
    }
    let first = responses
        .iter()
        .filter(|completed| completed.ended > listens && status(&completed.response) == 200);
    let first = first
        .map(|completed| completed.ended - listens)
        .min()
        .unwrap();
    eprintln!(
        "{} requests, {failed} failed, the slowest took {slowest:?}; the first success came \
         {first:?} after the server listened",
        responses.len()
    );
    assert!(failed > 50, "it was not down: {failed}");
    assert!(first < AGAIN + SLACK / 4, "{first:?} {}", kubegate.log());
    assert!(slowest < QUICK + SLACK, "{slowest:?}");
    let posts = server.record.posts();
    for completed in responses
        .iter()
        .filter(|completed| completed.number % 2 == 1)
    {
        let times = posts.get(&format!("/{}", completed.number));
        let times = times.copied().unwrap_or_default();
        let succeeded = status(&completed.response) == 200;
        assert!(times <= 1, "executed {times} times: {completed:?}");
        assert!(times == 1 || !succeeded, "not executed: {completed:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_under_load_repeats_no_request_and_is_noticed_at_once() {
    for http1 in [false, true] {
        restart_under_load(http1).await;
    }
}

#[tokio::test]
async fn a_request_on_a_closed_idle_connection_uses_another() {
    for http1 in [false, true] {
        let options = ServerOptions {
            http1,
            ..ServerOptions::default()
        };
        let mut server = Served::start(HOST, options).await;
        let kubegate = before(&server);
        for number in 0..20 {
            let path = format!("/{number}");
            let mut client = client(&kubegate).await;
            let lines = "Content-Length: 2\r\n";
            client
                .write(head(&format!("POST {path}"), lines) + "ok")
                .await;
            let response = in_time(client.response()).await.unwrap().head;
            assert_eq!(
                status(&response),
                200,
                "{number}: {response} {}",
                kubegate.log()
            );
            assert_eq!(server.record.posts().get(&path), Some(&1));
            server.stop().await;
            server.start_again().await;
            // The end of the connection has to arrive first.
            sleep(Duration::from_millis(20)).await;
        }
    }
}

#[tokio::test]
async fn requests_wait_for_a_server_that_left_within_the_last_second() {
    const GRACE: Duration = Duration::from_secs(1);
    for http1 in [false, true] {
        let options = ServerOptions {
            http1,
            ..ServerOptions::default()
        };
        let mut server = Served::start(HOST, options).await;
        let kubegate = before(&server);
        let took = async || {
            let began = Instant::now();
            let response = get(&kubegate.address, "/api/v1/pods").await;
            (status(&response), began.elapsed())
        };
        assert_eq!(took().await.0, 200);
        server.stop().await;
        // The grace period ends the wait; the test itself has used a part of it.
        let (code, waited) = took().await;
        assert_eq!(code, 502);
        assert!(waited > GRACE / 2, "{waited:?}");
        server.start_again().await;
        in_time(async { while took().await.0 != 200 {} }).await;
        server.stop().await;
        sleep(GRACE + GRACE / 10).await;
        let (code, waited) = took().await;
        assert_eq!(code, 502);
        assert!(waited < GRACE * 9 / 10, "{waited:?}");
    }
}
