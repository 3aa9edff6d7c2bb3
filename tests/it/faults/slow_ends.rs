//! A slow end slows the other, little is buffered in between, and everything arrives in the end. For
//! tunnels, `upgrades` tests the same.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    task::JoinHandle,
    time::{sleep, timeout},
};

use super::{client, head};
use crate::support::{
    Connection, Kubegate, Served, ServerOptions, Upstream, halt, in_time, tls_config,
};

const MIB: usize = 1024 * 1024;

/// The bytes of each transfer: more than all socket buffers on the way, which grow to 6 MiB each on
/// Linux.
const MUCH: usize = 48 * MIB;

/// The number of concurrent transfers.
const ENDS: usize = 6;

/// kubegate's memory for each transfer that waits, in KiB, at most.
const EACH: usize = 2 * 1024;

/// Reads a `/flow` to its end.
async fn read_all(client: &mut Connection) {
    client.head().await.unwrap();
    let mut read = 0;
    loop {
        match client.chunk().await.expect("cut off") {
            end if end.is_empty() => break,
            data => {
                assert!(data.iter().all(|byte| *byte == b'0'));
                read += data.len();
            }
        }
    }
    assert_eq!(read, MUCH);
}

async fn slow_clients(http1: bool) {
    let options = ServerOptions {
        http1,
        ..ServerOptions::default()
    };
    let server = Served::start("127.0.0.1", options).await;
    let url = format!("https://localhost:{}", server.port());
    let kubegate = Kubegate::before_url(&url, &[]);
    let request = head(&format!("GET /flow/{MUCH}"), "");
    // The control: a client that reads gets everything. kubegate allocates what it needs once.
    let mut reader = client(&kubegate).await;
    reader.write(&request).await;
    timeout(Duration::from_secs(60), read_all(&mut reader))
        .await
        .expect("it hangs");
    let (sent, resident) = (
        server.record.sent.load(Ordering::SeqCst),
        kubegate.resident(),
    );
    assert_eq!(sent, MUCH);
    let mut clients = Vec::new();
    for _ in 0..ENDS {
        let mut slow = client(&kubegate).await;
        slow.write(&request).await;
        clients.push(slow);
    }
    let halted_at = in_time(halt(&server.record.sent)).await - sent;
    let grown = kubegate.resident().saturating_sub(resident);
    eprintln!(
        "HTTP/1.1 {http1}: {ENDS} that do not read: {halted_at} bytes sent, {grown} KiB more"
    );
    assert!(
        halted_at < ENDS * 32 * MIB,
        "{halted_at} bytes were sent and not read"
    );
    assert!(grown < ENDS * EACH, "{grown} KiB more");
    // Other requests are not delayed.
    let mut other = client(&kubegate).await;
    other.write(head("GET /x", "")).await;
    assert_eq!(in_time(other.response()).await.unwrap().body, b"ok");
    for mut slow in clients {
        timeout(Duration::from_secs(60), read_all(&mut slow))
            .await
            .expect("it hangs");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_do_not_read_stop_the_server_and_lose_nothing() {
    for http1 in [false, true] {
        slow_clients(http1).await;
    }
}

/// Starts to send [`MUCH`] bytes, and counts them. Returns the response's body.
async fn upload(kubegate: &Kubegate, written: &Arc<AtomicUsize>) -> JoinHandle<Vec<u8>> {
    let mut client = client(kubegate).await;
    let lines = format!("Connection: close\r\nContent-Length: {MUCH}\r\n");
    client.write(head("POST /x", &lines)).await;
    let written = written.clone();
    tokio::spawn(async move {
        let part = vec![b'1'; 64 * 1024];
        for _ in 0..MUCH / part.len() {
            client.write(&part).await;
            written.fetch_add(part.len(), Ordering::SeqCst);
        }
        client.response().await.unwrap().body
    })
}

/// Reads an upload to its end, and answers.
async fn take_all(mut server: Connection) {
    let reading = async {
        let head = server.head().await.unwrap();
        assert!(head.starts_with("POST /x "), "{head}");
        server.exactly(MUCH).await.expect("cut off")
    };
    let read = timeout(Duration::from_secs(60), reading)
        .await
        .expect("it hangs");
    assert!(read.iter().all(|byte| *byte == b'1'));
    let close = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 3\r\n\r\nall";
    server.write(close).await;
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_that_do_not_read_stop_the_client_and_lose_nothing() {
    // Over HTTP/1.1, where a server that does not read is one that does not read the socket.
    let (sender, mut servers) = tokio::sync::mpsc::unbounded_channel();
    let upstream = Upstream::with(
        tls_config("localhost", &[b"http/1.1"]),
        move |mut server: Connection| {
            let sender = sender.clone();
            async move {
                // kubegate may also probe whether the server is alive.
                if server.speaks().await {
                    let _ = sender.send(server);
                }
            }
        },
    )
    .await;
    let kubegate = Kubegate::before(&upstream, &[]);
    // The control: a server that reads gets everything. kubegate allocates what it needs once.
    let written = Arc::new(AtomicUsize::new(0));
    let sending = upload(&kubegate, &written).await;
    take_all(in_time(servers.recv()).await.unwrap()).await;
    assert_eq!(in_time(sending).await.unwrap(), b"all");
    let (sent, resident) = (written.swap(0, Ordering::SeqCst), kubegate.resident());
    assert_eq!(sent, MUCH);
    let (mut clients, mut held) = (Vec::new(), Vec::new());
    for _ in 0..ENDS {
        clients.push(upload(&kubegate, &written).await);
        held.push(in_time(servers.recv()).await.unwrap());
    }
    let halted_at = in_time(halt(&written)).await;
    let grown = kubegate.resident().saturating_sub(resident);
    eprintln!("{ENDS} servers that do not read: {halted_at} bytes sent, {grown} KiB more");
    assert!(
        halted_at < ENDS * 32 * MIB,
        "{halted_at} bytes were sent and not read"
    );
    assert!(grown < ENDS * EACH, "{grown} KiB more");
    for server in held {
        take_all(server).await;
    }
    for client in clients {
        assert_eq!(in_time(client).await.unwrap(), b"all");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_response_delays_no_other_request() {
    for http1 in [false, true] {
        let options = ServerOptions {
            http1,
            ..ServerOptions::default()
        };
        let server = Served::start("127.0.0.1", options).await;
        let url = format!("https://localhost:{}", server.port());
        let kubegate = Kubegate::before_url(&url, &[]);
        let mut slow = client(&kubegate).await;
        slow.write(head("GET /slow/3000", "")).await;
        for _ in 0..20 {
            let mut other = client(&kubegate).await;
            other.write(head("GET /x", "")).await;
            let response = timeout(Duration::from_secs(2), other.response()).await;
            assert_eq!(response.expect("it waits").unwrap().body, b"ok");
        }
        sleep(Duration::from_millis(10)).await;
        assert_eq!(in_time(slow.response()).await.unwrap().body, b"slow");
    }
}
