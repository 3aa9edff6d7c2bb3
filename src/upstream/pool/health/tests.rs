#![allow(clippy::unwrap_used)]
use std::sync::atomic::AtomicUsize;

use http::{HeaderValue, Request, Uri};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

use super::*;
use crate::upstream::{
    TrafficClass,
    body::RequestBody,
    pool::{Pool, tests::pool},
};

/// Answers every request, and counts its connections.
async fn server() -> (Uri, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}/", listener.local_addr().unwrap());
    let accepted = Arc::<AtomicUsize>::default();
    let counted = Arc::clone(&accepted);
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(async move {
                let mut request = [0; 1024];
                while let Ok(1..) = client.read(&mut request).await {
                    let response = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
                    client.write_all(response).await.unwrap();
                }
            });
        }
    });
    (address.parse().unwrap(), accepted)
}

/// Sends a request, and waits until its connection is given back and nothing is left to do.
async fn send(pool: &Pool) {
    let uri = pool.address().clone();
    let request = Request::get(uri).body(RequestBody::Empty).unwrap();
    let host = HeaderValue::from_static("localhost");
    let response = pool.send(request, &host, TrafficClass::Short).await;
    drop(response.ok().unwrap());
    timeout(Duration::from_secs(20), async {
        while !pool.0.health().is_resting() {
            sleep(Duration::from_millis(10)).await;
        }
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn after_sleep_the_next_request_gets_a_new_connection() {
    let (address, accepted) = server().await;
    let pool = pool(address);
    send(&pool).await;
    send(&pool).await;
    // The control: the second used the connection of the first.
    assert_eq!(accepted.load(Ordering::SeqCst), 1);
    // As if the wall clock had advanced in the meantime.
    pool.0.health().clocks.lock().unwrap().wall -= Duration::from_secs(3600);
    send(&pool).await;
    assert_eq!(accepted.load(Ordering::SeqCst), 2);
    send(&pool).await;
    assert_eq!(accepted.load(Ordering::SeqCst), 2);
}

#[test]
fn only_a_wall_clock_that_advanced_alone_means_sleep() {
    let before = Clocks::now();
    let later = |wall: u64, monotonic: u64| {
        Clocks {
            wall: before.wall + Duration::from_secs(wall),
            monotonic: before.monotonic + Duration::from_secs(monotonic),
        }
        .slept_since(&before)
    };
    assert!(later(3600, 0));
    assert!(later(3606, 3600));
    assert!(!later(3604, 3600));
    assert!(!later(0, 3600));
    // The wall clock was set back.
    assert!(!before.slept_since(&Clocks {
        wall: before.wall + Duration::from_secs(3600),
        monotonic: before.monotonic,
    }));
}
