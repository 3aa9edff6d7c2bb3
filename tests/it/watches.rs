//! Many watches, tunnels and clients that never read, through the compiled program.
//!
//! The limits are for a debug build on a busy machine, and so far above the measured figures that only a
//! fault exceeds them. `benches/compare` measures the real figures.
#![cfg(feature = "demo")]

#[path = "../../benches/load/mod.rs"]
mod load;

use std::{fs, io, time::Duration};

use kubegate::demo::ControlPlane;
use tempfile::TempDir;
use tokio::io::AsyncReadExt as _;

use crate::support::{Kubegate, get, in_time, status};
use load::{Client, Process, gets::Gets, stuck, tunnels::Tunnels, watches::Watches};

const WATCH: &str = "/api/v1/namespaces/default/configmaps?watch=1";

/// kubegate before the demo control plane, whose connections have 100 streams each.
struct Crowded {
    kubegate: Kubegate,
    client: Client,
    process: Process,
    _demo: ControlPlane,
    _folder: TempDir,
}

impl Crowded {
    async fn new() -> Self {
        load::descriptors::raise_limit().unwrap();
        let demo = ControlPlane::start(Duration::from_secs(3600))
            .await
            .unwrap();
        let folder = tempfile::tempdir().unwrap();
        let ca = folder.path().join("ca.pem");
        fs::write(&ca, demo.ca_pem()).unwrap();
        let (token, _) = demo.token();
        let kubegate = Kubegate::start([
            "-v",
            "0",
            "--server",
            &demo.url(),
            "--certificate-authority",
            ca.to_str().unwrap(),
            "--token",
            token.expose(),
        ]);
        // The memory of the first request must not be counted.
        assert_eq!(status(&get(&kubegate.address, WATCH_ONCE).await), 200);
        Self {
            client: Client {
                address: kubegate.address.parse().unwrap(),
            },
            process: Process { id: kubegate.id() },
            kubegate,
            _demo: demo,
            _folder: folder,
        }
    }

    /// Returns the growth of memory since `before` in KiB for each of `count`.
    fn growth(&self, before: u64, count: u64) -> u64 {
        self.process.resident_kb().unwrap().saturating_sub(before) / count
    }
}

const WATCH_ONCE: &str = "/api/v1/namespaces/default/configmaps?watch=1&timeoutSeconds=1";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_watches_deliver_a_change_and_delay_no_request() {
    let crowded = Crowded::new().await;
    let before = crowded.process.resident_kb().unwrap();
    let mut watches = Watches::open(crowded.client, WATCH, 1000).await.unwrap();
    let gets = Gets::start(crowded.client);
    load::idle(Duration::from_secs(1)).await;
    let growth = crowded.growth(before, 1000);
    let delivered = watches.change_once().await.unwrap();
    let gets = gets.stop().await.unwrap();
    println!(
        "{growth} KiB a watch, delivered in {delivered:?}, GETs {:?}",
        gets.at(0.99)
    );
    assert!(delivered < Duration::from_secs(10), "{delivered:?}");
    assert!(
        gets.at(0.99) < Duration::from_secs(2),
        "{:?}",
        gets.at(0.99)
    );
    assert!(growth <= 12, "{growth} KiB a watch");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quiet_tunnel_holds_little_memory() {
    let crowded = Crowded::new().await;
    let before = crowded.process.resident_kb().unwrap();
    let mut tunnels = Tunnels::open(crowded.client, 200).await.unwrap();
    let growth = crowded.growth(before, 200);
    tunnels.echo().await.unwrap();
    let after = crowded.growth(before, 200);
    println!("{growth} KiB a tunnel, {after} when all were used");
    assert!(
        growth.max(after) <= 40,
        "{growth}, then {after} KiB a tunnel"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_response_that_is_not_read_is_not_buffered() {
    // Few, since a debug build of the demo takes a second of CPU time for each response.
    const CLIENTS: u8 = 8;
    let crowded = Crowded::new().await;
    stuck::fill(crowded.client, 12).await.unwrap();
    // The control: a client that reads gets the whole response.
    let whole = get(&crowded.kubegate.address, stuck::FILLED).await;
    assert_eq!(status(&whole), 200);
    assert!(whole.len() > 12 * 1024 * 1024, "{} bytes", whole.len());
    let before = crowded.process.resident_kb().unwrap();
    let held = stuck::open(crowded.client, stuck::FILLED, CLIENTS.into())
        .await
        .unwrap();
    for _ in 0..30 {
        load::idle(Duration::from_millis(100)).await;
        let growth = crowded.growth(before, CLIENTS.into());
        assert!(growth <= 600, "{growth} KiB a client that does not read");
    }
    println!("{} KiB a client", crowded.growth(before, CLIENTS.into()));
    // The response was not given up.
    let mut one = held.into_iter().next().unwrap();
    let read = in_time(async {
        let mut read = vec![0; whole.len() - 1024];
        one.read_exact(&mut read).await?;
        io::Result::Ok(read)
    });
    assert!(read.await.unwrap().starts_with(b"HTTP/1.1 200 OK\r\n"));
}

#[tokio::test]
async fn a_watch_announces_that_it_closes_its_connection() {
    let crowded = Crowded::new().await;
    let (mut stream, mut response) = (
        tokio::net::TcpStream::connect(crowded.client.address)
            .await
            .unwrap(),
        String::new(),
    );
    let request = format!("GET {WATCH_ONCE} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    tokio::io::AsyncWriteExt::write_all(&mut stream, request.as_bytes())
        .await
        .unwrap();
    in_time(stream.read_to_string(&mut response)).await.unwrap();
    assert_eq!(status(&response), 200, "{response}");
    assert!(response.contains("\r\nconnection: close\r\n"), "{response}");
    assert!(
        response.contains("\r\ntransfer-encoding: chunked\r\n"),
        "{response}"
    );
    assert!(response.ends_with("\r\n0\r\n\r\n"), "{response}");
}
