#![allow(clippy::unwrap_used)]
use std::time::Duration;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    sync::Semaphore,
    task::JoinHandle,
    time::{sleep, timeout},
};

use super::*;
use crate::{
    dial::{self, Dialer, Environment, Offer, Tcp},
    tls::{self, Trust},
};

/// A pool for a server of plain HTTP/1.1.
pub(super) fn pool(address: Uri) -> Pool {
    let connectors = connectors(&address);
    Pool::new(connectors, address, Timeouts::default())
}

fn connectors(address: &Uri) -> Connectors {
    let environment = Environment::read(|_| None);
    let dialer = Dialer::to(address, None, &environment, Tcp::default()).unwrap();
    let connector = || {
        let config = tls::client_config(&Trust::insecure(), None);
        dial::connector(dialer.clone(), config, "localhost", Offer::Http1).unwrap()
    };
    Connectors {
        either: connector(),
        http1: connector(),
    }
}

/// Never answers a request for `/hold`, and answers each other one for a permit.
async fn server() -> (Uri, Arc<Semaphore>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}/", listener.local_addr().unwrap());
    let permits = Arc::new(Semaphore::new(0));
    let given = Arc::clone(&permits);
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let permits = Arc::clone(&given);
            tokio::spawn(async move {
                let mut request = [0; 1024];
                while let Ok(read @ 1..) = client.read(&mut request).await {
                    if request[..read].starts_with(b"GET /hold") {
                        std::future::pending::<()>().await;
                    }
                    permits.acquire().await.unwrap().forget();
                    let response = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
                    client.write_all(response).await.unwrap();
                }
            });
        }
    });
    (address.parse().unwrap(), permits)
}

/// Sends a request of `client` in a task of its own, which returns whether it got a response.
fn send(pool: &Arc<Pool>, client: &'static str, path: &str) -> JoinHandle<bool> {
    let uri = format!("{}{path}", pool.address());
    let mut request = Request::get(uri).body(RequestBody::Empty).unwrap();
    let client = HeaderValue::from_static(client);
    request.headers_mut().insert(X_FORWARDED_FOR, client);
    let pool = Arc::clone(pool);
    tokio::spawn(async move {
        let host = HeaderValue::from_static("localhost");
        let sent = pool.send(request, &host, TrafficClass::Short).await;
        sent.is_ok()
    })
}

/// Waits until this many requests are under way, and this many wait.
async fn until(pool: &Pool, busy: usize, waiting: usize) {
    let counts = || {
        let busy = pool.0.connections().http1().busy();
        (busy, pool.0.waiting_for_http1())
    };
    let reached = async {
        while counts() != (busy, waiting) {
            sleep(Duration::from_millis(1)).await;
        }
    };
    let reached = timeout(Duration::from_secs(20), reached).await;
    assert!(reached.is_ok(), "(busy, waiting) is {:?}", counts());
}

#[tokio::test]
async fn a_freed_connection_admits_a_client_with_less_than_its_share() {
    let (address, permits) = server().await;
    // A client's share is three of four.
    let (connectors, timeouts) = (connectors(&address), Timeouts::default());
    let dispatcher = Dispatcher::with_max_busy(connectors, address, timeouts, 4);
    let pool = Arc::new(Pool(dispatcher));
    let first = send(&pool, "192.0.2.9", "first");
    permits.add_permits(1);
    assert!(first.await.unwrap());
    let mut greedy = Vec::new();
    for busy in 1..=3 {
        greedy.push(send(&pool, "192.0.2.1", "hold"));
        until(&pool, busy, 0).await;
    }
    // More of this client's requests wait than the other client's end below.
    for waiting in 1..=9 {
        greedy.push(send(&pool, "192.0.2.1", "held-back"));
        until(&pool, 3, waiting).await;
    }
    let mut modest = vec![send(&pool, "192.0.2.2", "x")];
    until(&pool, 4, 9).await;
    // Two wait for a connection, and two until this client has less than its share.
    for waiting in 10..=13 {
        modest.push(send(&pool, "192.0.2.2", "x"));
        until(&pool, 4, waiting).await;
    }
    permits.add_permits(modest.len());
    for sent in modest {
        let answered = timeout(Duration::from_secs(4), sent).await;
        assert!(answered.expect("it waits without end").unwrap());
    }
    // The control: the other client still has its share.
    until(&pool, 3, 9).await;
    assert!(greedy.iter().all(|sent| !sent.is_finished()));
    // It gets no more than that when one of its own requests ends.
    greedy.swap_remove(0).abort();
    permits.add_permits(1);
    until(&pool, 3, 7).await;
    for sent in &greedy {
        sent.abort();
    }
}
