//! A server that closes connections, refuses streams and ends watches in good order.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{task::JoinHandle, time::timeout};

use super::{client, head};
use crate::support::{Kubegate, Served, ServerOptions, in_time, status};

/// The number of concurrent clients, and of requests of each, half of them POSTs.
const CLIENTS: usize = 24;
const REQUESTS: usize = 100;

/// The number of concurrent watches.
const WATCHES: usize = 12;

fn before(server: &Served) -> Kubegate {
    Kubegate::before_url(&format!("https://localhost:{}", server.port()), &[])
}

/// Sends ordinary requests, one after the other on each connection. Returns each response that is
/// not 200.
async fn ordinary_requests(kubegate: &Arc<Kubegate>) -> Vec<String> {
    let clients = (0..CLIENTS).map(|client_number| {
        let kubegate = kubegate.clone();
        tokio::spawn(async move {
            let mut failed = Vec::new();
            let mut client = client(&kubegate).await;
            for number in 0..REQUESTS {
                let request = if number % 2 == 0 {
                    head(
                        &format!("POST /{client_number}-{number}"),
                        "Content-Length: 4\r\n",
                    ) + "body"
                } else {
                    head("GET /x", "")
                };
                client.write(request).await;
                let response = timeout(Duration::from_secs(30), client.response()).await;
                let response = response.expect("it hangs");
                let response = response.map_or("no answer".to_owned(), |response| {
                    response.head + &String::from_utf8_lossy(&response.body)
                });
                if !response.starts_with("HTTP/1.1 200 ") {
                    failed.push(format!("{client_number}-{number}: {response}"));
                    client = super::client(&kubegate).await;
                }
            }
            failed
        })
    });
    let mut failed = Vec::new();
    for client in clients.collect::<Vec<_>>() {
        failed.extend(client.await.unwrap());
    }
    failed
}

/// Watches, each of which is started again when it ends.
struct Watches {
    on: Arc<AtomicBool>,
    ended: Arc<AtomicUsize>,
    tasks: Vec<JoinHandle<()>>,
}

impl Watches {
    fn on(kubegate: &Arc<Kubegate>, events: usize) -> Self {
        let (on, ended) = (
            Arc::new(AtomicBool::new(true)),
            Arc::new(AtomicUsize::new(0)),
        );
        let tasks = (0..WATCHES).map(|_| {
            let (kubegate, on, ended) = (kubegate.clone(), on.clone(), ended.clone());
            tokio::spawn(async move {
                while on.load(Ordering::SeqCst) {
                    watch(&kubegate, events).await;
                    ended.fetch_add(1, Ordering::SeqCst);
                }
            })
        });
        let tasks = tasks.collect();
        Self { on, ended, tasks }
    }

    /// Stops them. Returns how many have ended.
    async fn off(self) -> usize {
        self.on.store(false, Ordering::SeqCst);
        for task in self.tasks {
            in_time(task).await.unwrap();
        }
        self.ended.load(Ordering::SeqCst)
    }
}

/// Reads a watch to its end. All its events must arrive, complete and in order.
async fn watch(kubegate: &Kubegate, events: usize) {
    let mut client = client(kubegate).await;
    client.write(head("GET /api/v1/pods?watch=1", "")).await;
    let response = in_time(client.response()).await;
    let response = response.unwrap_or_else(|| panic!("cut off: {}", kubegate.log()));
    assert_eq!(status(&response.head), 200, "{}", response.head);
    let events_seen = String::from_utf8(response.body).unwrap();
    let expected = (1..=events).map(|n| format!("{{\"type\":\"ADDED\",\"number\":{n}}}\n"));
    let expected = expected.collect::<Vec<_>>().concat();
    assert_eq!(events_seen, expected);
}

/// Runs requests and watches with a server of these habits. Returns how many connections it closed
/// and how many streams it refused.
async fn nothing_fails(options: ServerOptions) -> (usize, usize) {
    const EVENTS: usize = 12;
    let options = ServerOptions {
        events: EVENTS,
        ..options
    };
    let server = Served::start("127.0.0.1", options).await;
    let kubegate = Arc::new(before(&server));
    let watches = Watches::on(&kubegate, EVENTS);
    let failed = ordinary_requests(&kubegate).await;
    let ended = watches.off().await;
    let record = &server.record;
    let count = |counter: &AtomicUsize| counter.load(Ordering::SeqCst);
    let (leaves, refusals) = (count(&record.leaves), count(&record.refusals));
    eprintln!(
        "{} requests and {ended} watches; {leaves} connections left, {refusals} streams refused, \
         {} failed",
        CLIENTS * REQUESTS,
        failed.len()
    );
    assert!(
        failed.is_empty(),
        "{} {:?}",
        failed.len(),
        &failed[..3.min(failed.len())]
    );
    assert!(ended >= WATCHES, "{ended}");
    for (path, times) in record.posts() {
        assert_eq!(times, 1, "{path} was executed {times} times");
    }
    assert_eq!(record.posts().len(), CLIENTS * REQUESTS / 2);
    (leaves, refusals)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_fails_where_a_first_goaway_announces_the_second() {
    for http1 in [false, true] {
        let (leaves, _) = nothing_fails(ServerOptions {
            goaway: 20,
            http1,
            ..ServerOptions::default()
        })
        .await;
        assert!(leaves > 20, "{leaves}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_fails_where_connections_are_closed_as_api_servers_do() {
    let (leaves, _) = nothing_fails(ServerOptions {
        leave_after: 40,
        ..ServerOptions::default()
    })
    .await;
    assert!(leaves > 20, "{leaves}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_fails_where_streams_are_refused() {
    let (_, refusals) = nothing_fails(ServerOptions {
        refuse: 20,
        ..ServerOptions::default()
    })
    .await;
    assert!(refusals > 50, "{refusals}");
}
