#![allow(clippy::unwrap_used)]
use std::time::Duration;

use http::{HeaderValue, Request};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    sync::Semaphore,
    task::JoinHandle,
    time::{sleep, timeout},
};

use super::*;
use crate::upstream::{RequestBody, pool::Pool, upkeep::tests::pool};

/// Answers requests for `/hold` never, and each other one for a permit.
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
                    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
                    client.write_all(answer).await.unwrap();
                }
            });
        }
    });
    (address.parse().unwrap(), permits)
}

/// A request of `client` in a task of its own; whether it was answered.
fn ask(pool: &Arc<Pool>, client: &'static str, path: &str) -> JoinHandle<bool> {
    let uri = format!("{}{path}", pool.0.address);
    let mut request = Request::get(uri).body(RequestBody::Empty).unwrap();
    let client = HeaderValue::from_static(client);
    request.headers_mut().insert(CLIENT, client);
    let pool = Arc::clone(pool);
    tokio::spawn(async move {
        let host = HeaderValue::from_static("localhost");
        pool.send(request, &host, TrafficClass::Short).await.is_ok()
    })
}

/// Waits until this many exchanges are under way, and as many requests wait.
async fn until(pool: &Pool, busy: usize, queueing: usize) {
    let reached = async {
        while (pool.0.http1.busy(), pool.0.desk().queueing()) != (busy, queueing) {
            sleep(Duration::from_millis(1)).await;
        }
    };
    let reached = timeout(Duration::from_secs(20), reached).await;
    assert!(
        reached.is_ok(),
        "{} busy, {} wait",
        pool.0.http1.busy(),
        pool.0.desk().queueing()
    );
}

#[tokio::test]
async fn a_freed_connection_admits_a_request_whose_client_has_less_than_its_share() {
    let (address, permits) = server().await;
    let mut pool = pool(address);
    // Three of them are a client's share.
    Arc::get_mut(&mut pool.0).unwrap().max_http1_alone = 4;
    let pool = Arc::new(pool);
    let first = ask(&pool, "192.0.2.9", "first");
    permits.add_permits(1);
    assert!(first.await.unwrap());
    let mut greedy = Vec::new();
    for busy in 1..=3 {
        greedy.push(ask(&pool, "192.0.2.1", "hold"));
        until(&pool, busy, 0).await;
    }
    // More of this client's than the other's exchanges that end below.
    for waiting in 1..=9 {
        greedy.push(ask(&pool, "192.0.2.1", "held-back"));
        until(&pool, 3, waiting).await;
    }
    let mut modest = vec![ask(&pool, "192.0.2.2", "x")];
    until(&pool, 4, 9).await;
    // Two in the line, and two that wait until this client has less than its share.
    for waiting in 10..=13 {
        modest.push(ask(&pool, "192.0.2.2", "x"));
        until(&pool, 4, waiting).await;
    }
    permits.add_permits(modest.len());
    for asked in modest {
        let answered = timeout(Duration::from_secs(4), asked).await;
        assert!(answered.expect("it waits without end").unwrap());
    }
    // The control: the other client has its share still.
    until(&pool, 3, 9).await;
    assert!(greedy.iter().all(|asked| !asked.is_finished()));
    // And gets no more than it when one of its own ends.
    greedy.swap_remove(0).abort();
    permits.add_permits(1);
    until(&pool, 3, 7).await;
    for asked in &greedy {
        asked.abort();
    }
}
