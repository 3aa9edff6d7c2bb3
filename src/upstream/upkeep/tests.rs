#![allow(clippy::unwrap_used)]
use std::sync::atomic::AtomicUsize;

use http::{HeaderValue, Request, Uri};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

use super::*;
use crate::{
    dial::{self, Dialer, Environment, Offer, Tcp},
    tls::{self, Trust},
    upstream::{RequestBody, TrafficClass, opening::Connectors, pool::Pool},
};

/// Answers every request; counts its connections.
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
                    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
                    client.write_all(answer).await.unwrap();
                }
            });
        }
    });
    (address.parse().unwrap(), accepted)
}

pub(in crate::upstream) fn pool(address: Uri) -> Pool {
    let environment = Environment::read(|_| None);
    let dialer = Dialer::to(&address, None, &environment, Tcp::default()).unwrap();
    let connector = || {
        let config = tls::client_config(&Trust::insecure(), None);
        dial::connector(dialer.clone(), config, "localhost", Offer::Http1).unwrap()
    };
    let connectors = Connectors {
        either: connector(),
        http1: connector(),
    };
    Pool::new(connectors, address, Timeouts::default())
}

/// Asks, and waits until the connection is given back and nothing is left to do.
async fn ask(pool: &Pool) {
    let uri = pool.0.address.clone();
    let request = Request::get(uri).body(RequestBody::Empty).unwrap();
    let host = HeaderValue::from_static("localhost");
    let answer = pool.send(request, &host, TrafficClass::Short).await;
    drop(answer.ok().unwrap());
    timeout(Duration::from_secs(20), async {
        while !pool.0.upkeep.rests.load(Ordering::Relaxed) {
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
    ask(&pool).await;
    ask(&pool).await;
    // The control: the second had the first's.
    assert_eq!(accepted.load(Ordering::SeqCst), 1);
    // As if the clock on the wall had gone on meanwhile.
    pool.0.upkeep.clocks.lock().unwrap().wall -= Duration::from_secs(3600);
    ask(&pool).await;
    assert_eq!(accepted.load(Ordering::SeqCst), 2);
    ask(&pool).await;
    assert_eq!(accepted.load(Ordering::SeqCst), 2);
}

#[test]
fn only_a_clock_on_the_wall_that_went_on_alone_tells_of_sleep() {
    let before = Clocks::now();
    let later = |wall: u64, ours: u64| {
        Clocks {
            wall: before.wall + Duration::from_secs(wall),
            ours: before.ours + Duration::from_secs(ours),
        }
        .slept_since(&before)
    };
    assert!(later(3600, 0));
    assert!(later(3606, 3600));
    assert!(!later(3604, 3600));
    assert!(!later(0, 3600));
    // Set back.
    assert!(!before.slept_since(&Clocks {
        wall: before.wall + Duration::from_secs(3600),
        ours: before.ours,
    }));
}
