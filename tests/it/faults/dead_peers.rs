//! A server that is unreachable or frozen, and one that is only slow.

use std::{
    process::Command,
    time::{Duration, Instant},
};

use tempfile::{TempDir, tempdir};
use tokio::time::{sleep, timeout};

use super::{SLACK, client, head};
use crate::support::{Cable, Connection, Cut, FAR, Kubegate, ServerProcess, cert, status};

/// The time limit for the response to a new request.
const ANSWER: Duration = Duration::from_secs(5);

/// The time limit for the end of everything that was under way.
const END: Duration = Duration::from_secs(15);

/// The time limit for the first success after the server is back.
const AGAIN: Duration = Duration::from_secs(5);

/// How long a slow server takes for a response: longer than a dead one is waited for.
const SLOW: Duration = Duration::from_secs(22);

/// kubegate and a server, connected by a virtual cable.
struct Cabled {
    cable: Cable,
    kubegate: Kubegate,
    _server: ServerProcess,
    _folder: TempDir,
}

impl Cabled {
    /// `None` where this machine does not support it.
    fn new(http1: bool) -> Option<Self> {
        let cable = Cable::new()?;
        let server = ServerProcess::spawn(cable.far(&ServerProcess::command(FAR, http1)));
        let folder = tempdir().unwrap();
        let socket = folder.path().join("socket");
        let url = format!("https://{FAR}:{}", server.port);
        let mut command = before(&url);
        command.arg("--unix-socket").arg(socket);
        let kubegate = Kubegate::spawn(cable.near(&command));
        Some(Self {
            cable,
            kubegate,
            _server: server,
            _folder: folder,
        })
    }
}

/// kubegate before a server at an address that its certificate does not name.
fn before(url: &str) -> Command {
    let mut command = Kubegate::command(["--server", url, "--token", "sesame"]);
    command.args(["--tls-server-name", "localhost"]);
    command.arg("--certificate-authority").arg(cert("ca.pem"));
    command
}

/// kubegate before a server in a process of its own.
fn beside(http1: bool) -> (Kubegate, ServerProcess) {
    let server = ServerProcess::spawn(ServerProcess::command("127.0.0.1", http1));
    let mut command = before(&format!("https://127.0.0.1:{}", server.port));
    command.args(["--port", "0"]);
    (Kubegate::spawn(command), server)
}

/// Sends a request on a new connection. Returns the status of the response, and how long it took.
async fn ask(kubegate: &Kubegate, ask: &str) -> (u16, Duration) {
    let began = Instant::now();
    let mut client = client(kubegate).await;
    let lines = "Connection: close\r\nContent-Length: 0\r\n";
    client.write(head(ask, lines)).await;
    let response = timeout(END + SLOW, client.rest()).await.expect("it hangs");
    let response = String::from_utf8(response).unwrap();
    (status(&response), began.elapsed())
}

/// A stream under way, with the name of its kind.
struct Running(&'static str, Connection);

impl Running {
    /// Starts one of each kind.
    async fn all(kubegate: &Kubegate) -> Vec<Self> {
        let upgrade = "Connection: Upgrade\r\nUpgrade: SPDY/3.1\r\nContent-Length: 0\r\n";
        let tunnel = head("POST /api/v1/namespaces/x/pods/p/portforward", upgrade);
        let mut all = Vec::new();
        for (kind, head, first) in [
            ("watch", head("GET /api/v1/pods?watch=1", ""), "ADDED"),
            ("quiet answer", head("GET /stall", ""), "begun"),
            ("quiet tunnel", tunnel.clone() + "echo", "echo"),
            ("tunnel", tunnel + "echo", "echo"),
        ] {
            let mut connection = client(kubegate).await;
            connection.write(head).await;
            let began = timeout(END, connection.through(first.as_bytes())).await;
            assert!(began.is_ok_and(|seen| seen.is_some()), "no {kind}");
            all.push(Self(kind, connection));
        }
        all
    }

    /// Whether it is still open.
    async fn is_whole(&mut self) -> bool {
        let Self(kind, connection) = self;
        if kind.contains("tunnel") {
            connection.write("again").await;
            let echo = timeout(END, connection.through(b"again")).await;
            return echo.is_ok_and(|seen| seen.is_some());
        }
        timeout(Duration::from_millis(300), connection.rest())
            .await
            .is_err()
    }

    /// Reads to its end. Returns how long that took, and whether the end looked complete.
    async fn end(self) -> (&'static str, Duration, bool) {
        let began = Instant::now();
        let Self(kind, mut connection) = self;
        let reading = async {
            // One tunnel has data in flight; the other is quiet.
            if kind == "tunnel" {
                connection.write("into the dark").await;
            }
            connection.rest().await
        };
        let rest = timeout(END * 3, reading).await;
        let rest = rest.unwrap_or_else(|_| panic!("the {kind} never ends"));
        (kind, began.elapsed(), rest.ends_with(b"0\r\n\r\n"))
    }
}

/// Tests requests and streams while the server is disconnected by `cut`, and after `mend`. With
/// `frozen`, the server's machine still acknowledges for it, so a tunnel survives that has nothing
/// unanswered.
async fn assert_outage_is_survived(
    kubegate: &Kubegate,
    frozen: bool,
    cut: impl Fn(),
    mend: impl Fn(),
) {
    for request in ["GET /x", "GET /x", "POST /x"] {
        assert_eq!(ask(kubegate, request).await.0, 200, "{request}");
    }
    let outlives = |running: &Running| frozen && running.0 == "quiet tunnel";
    let running = Running::all(kubegate).await;
    let (outliving, running): (Vec<_>, Vec<_>) = running.into_iter().partition(outlives);
    cut();
    let began = Instant::now();
    let ends = running
        .into_iter()
        .map(|running| tokio::spawn(running.end()));
    let ends: Vec<_> = ends.collect();
    // At once, before the outage is detected, and again after that.
    for _ in 0..2 {
        for request in ["GET /x", "POST /x"] {
            let (code, took) = ask(kubegate, request).await;
            eprintln!("{request} after {:?}: {code} in {took:?}", began.elapsed());
            assert!((502..=504).contains(&code), "{code} {}", kubegate.log());
            assert!(took < ANSWER + SLACK, "{took:?} {}", kubegate.log());
        }
    }
    for end in ends {
        let end = end.await;
        let (kind, took, clean) = end.unwrap_or_else(|e| panic!("{e} {}", kubegate.log()));
        eprintln!("{kind}: ended after {took:?}");
        assert!(took < END + SLACK, "{kind}: {took:?}");
        assert!(!clean, "{kind}: it looks complete");
    }
    let (code, took) = ask(kubegate, "GET /x").await;
    assert!((502..=504).contains(&code), "{code}");
    eprintln!("GET /x when all is over: {code} in {took:?}");
    assert!(took < ANSWER + SLACK, "{took:?}");
    mend();
    let began = Instant::now();
    while ask(kubegate, "GET /x").await.0 != 200 {
        let waited = began.elapsed();
        assert!(waited < AGAIN + SLACK, "{waited:?} {}", kubegate.log());
        sleep(Duration::from_millis(20)).await;
    }
    eprintln!("the first success after {:?}", began.elapsed());
    assert_eq!(ask(kubegate, "POST /x").await.0, 200);
    let again = Running::all(kubegate).await;
    for mut running in again.into_iter().chain(outliving) {
        assert!(running.is_whole().await, "{}", running.0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silently_dropped_packets_end_all_streams_until_they_arrive_again() {
    for http1 in [false, true] {
        let Some(cabled) = Cabled::new(http1) else {
            return;
        };
        let (cut, mend) = (
            || cabled.cable.cut(Cut::Silent),
            || cabled.cable.mend(Cut::Silent),
        );
        assert_outage_is_survived(&cabled.kubegate, false, cut, mend).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_that_is_down_ends_all_streams_until_it_is_up() {
    for http1 in [false, true] {
        let Some(cabled) = Cabled::new(http1) else {
            return;
        };
        let (cut, mend) = (
            || cabled.cable.cut(Cut::Link),
            || cabled.cable.mend(Cut::Link),
        );
        assert_outage_is_survived(&cabled.kubegate, false, cut, mend).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_server_ends_all_streams_until_it_continues() {
    for http1 in [false, true] {
        let (kubegate, server) = beside(http1);
        let (freeze, thaw) = (|| server.freeze(), || server.thaw());
        assert_outage_is_survived(&kubegate, true, freeze, thaw).await;
    }
}

/// The control of all other tests.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_server_that_answers_probes_loses_no_stream() {
    let slow = format!("GET /slow/{}", SLOW.as_millis());
    for http1 in [false, true] {
        let Some(cabled) = Cabled::new(http1) else {
            return;
        };
        let mut running = Running::all(&cabled.kubegate).await;
        let (code, took) = ask(&cabled.kubegate, &slow).await;
        assert_eq!(code, 200, "{took:?} {}", cabled.kubegate.log());
        assert!(took + SLACK > SLOW, "{took:?}");
        for running in &mut running {
            assert!(running.is_whole().await, "{}", running.0);
        }
    }
}
