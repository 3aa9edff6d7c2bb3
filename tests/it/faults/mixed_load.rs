//! All kinds of load together, for minutes: nothing fails, and nothing leaks.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{
    task::JoinSet,
    time::{MissedTickBehavior, interval, sleep, timeout},
};

use super::{client, head};
use crate::support::{Connection, Kubegate, Served, ServerOptions, in_time, status};

/// The variable with a number of seconds, in place of [`MINUTES`].
const SECONDS: &str = "KUBEGATE_SOAK_SECONDS";

const MINUTES: Duration = Duration::from_secs(180);

/// By how much the maximum of the later two thirds of the time may exceed that of the first third.
const MORE_FILES: usize = 16;
const MORE_KIB: usize = 4 * 1024;

/// The number of events of a watch, ten a second.
const EVENTS: usize = 20;

/// What was in use at one time.
#[derive(Clone, Copy)]
struct Sample {
    files: usize,
    kib: usize,
}

impl Sample {
    fn of(kubegate: &Kubegate) -> Self {
        Self {
            files: kubegate.open_files(),
            kib: kubegate.resident(),
        }
    }
}

/// By how much the maximum of the later two thirds exceeds that of the first third.
fn growth(samples: &[Sample], of: impl Fn(&Sample) -> usize) -> usize {
    let (first, later) = samples.split_at(samples.len() / 3);
    let most = |samples: &[Sample]| samples.iter().map(&of).max().unwrap();
    most(later).saturating_sub(most(first))
}

/// A user of kubegate until the time is over.
#[derive(Clone)]
struct User {
    kubegate: Arc<Kubegate>,
    until: Instant,
    done: Arc<AtomicUsize>,
}

impl User {
    /// Runs `once` again and again, at most once in each `every`.
    async fn repeats(self, every: Duration, once: impl AsyncFn(&Self, usize)) {
        let mut ticks = interval(every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        for number in 0.. {
            ticks.tick().await;
            if Instant::now() >= self.until {
                return;
            }
            timeout(Duration::from_secs(60), once(&self, number))
                .await
                .expect("it hangs");
            self.done.fetch_add(1, Ordering::Relaxed);
        }
    }

    async fn begin(&self, request: impl AsRef<[u8]>) -> Connection {
        let mut client = client(&self.kubegate).await;
        client.write(request).await;
        client
    }

    async fn succeeds(&self, client: &mut Connection) -> Vec<u8> {
        let response = client.response().await;
        let response = response.unwrap_or_else(|| panic!("no answer: {}", self.kubegate.log()));
        assert_eq!(
            status(&response.head),
            200,
            "{} {}",
            response.head,
            self.kubegate.log()
        );
        response.body
    }

    /// Sends some requests over one connection.
    async fn asks(&self, number: usize) {
        let mut client = self.begin(head("GET /x", "")).await;
        assert_eq!(self.succeeds(&mut client).await, b"ok");
        for part in 0..4 {
            let body = "b".repeat(1 + part * 3000);
            let lines = format!("Content-Length: {}\r\n", body.len());
            client
                .write(head(&format!("POST /{number}"), &lines) + &body)
                .await;
            assert_eq!(self.succeeds(&mut client).await, b"created");
            client.write(head("GET /flow/50000", "")).await;
            assert_eq!(self.succeeds(&mut client).await.len(), 50_000);
        }
    }

    async fn lists(&self, _: usize) {
        let mut client = self.begin(head("GET /flow/1000000", "")).await;
        assert_eq!(self.succeeds(&mut client).await.len(), 1_000_000);
    }

    /// Reads a watch to its end, or for a while.
    async fn watches(&self, number: usize) {
        let mut client = self.begin(head("GET /api/v1/pods?watch=1", "")).await;
        if number.is_multiple_of(2) {
            let events = self.succeeds(&mut client).await;
            assert_eq!(events.split(|byte| *byte == b'\n').count(), EVENTS + 1);
        } else {
            client.through(b"ADDED").await.expect("no event");
            sleep(Duration::from_millis(number as u64 * 37 % 500)).await;
        }
    }

    async fn tunnels(&self, number: usize) {
        let lines = "Connection: Upgrade\r\nUpgrade: SPDY/3.1\r\nContent-Length: 0\r\n";
        let request = head("POST /api/v1/namespaces/x/pods/p/portforward", lines);
        let mut client = self.begin(request).await;
        let response = client.head().await.expect("no tunnel");
        assert_eq!(status(&response), 101, "{response}");
        client.write("echo".repeat(5000)).await;
        client.exactly(20_000).await.expect("no echo");
        if number.is_multiple_of(2) {
            client.shutdown().await;
            assert_eq!(client.rest().await, b"");
        }
    }

    /// Disconnects before the request or response is complete.
    async fn leaves(&self, number: usize) {
        let request = match number % 4 {
            0 => head("GET /slow/300", ""),
            1 => head("POST /left", "Content-Length: 900\r\n") + "half",
            2 => head("GET /flow/5000000", ""),
            _ => "GET /x HTT".to_owned(),
        };
        let mut client = self.begin(request).await;
        if number % 4 == 2 {
            client.exactly(100_000).await.expect("nothing flows");
        }
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn minutes_of_mixed_load_leak_no_memory_and_no_descriptors() {
    let seconds = std::env::var(SECONDS)
        .ok()
        .and_then(|text| text.parse().ok());
    let time = seconds.map_or(MINUTES, Duration::from_secs);
    let server = Served::start(
        "127.0.0.1",
        ServerOptions {
            goaway: 100,
            events: EVENTS,
            ..ServerOptions::default()
        },
    )
    .await;
    let url = format!("https://localhost:{}", server.port());
    let kubegate = Arc::new(Kubegate::before_url(&url, &[]));
    let user = User {
        kubegate: kubegate.clone(),
        until: Instant::now() + time,
        done: Arc::default(),
    };
    let mut users = JoinSet::new();
    let millis = Duration::from_millis;
    for _ in 0..2 {
        users.spawn(user.clone().repeats(millis(250), User::asks));
        users.spawn(user.clone().repeats(millis(1000), User::lists));
        users.spawn(user.clone().repeats(millis(300), User::tunnels));
        users.spawn(user.clone().repeats(millis(150), User::leaves));
    }
    for _ in 0..8 {
        users.spawn(user.clone().repeats(millis(100), User::watches));
    }
    let mut samples = Vec::new();
    while Instant::now() < user.until {
        // The failure of a user ends the test at once.
        if let Some(ended) = users.try_join_next() {
            ended.unwrap();
        }
        samples.push(Sample::of(&kubegate));
        sleep(Duration::from_secs(1)).await;
    }
    while let Some(ended) = users.join_next().await {
        ended.unwrap();
    }
    let (files, kib) = (growth(&samples, |s| s.files), growth(&samples, |s| s.kib));
    let all = |of: fn(&Sample) -> usize| {
        samples
            .iter()
            .step_by(samples.len() / 12)
            .map(of)
            .collect::<Vec<_>>()
    };
    eprintln!(
        "{} runs of users, {} connections upstream, {} of them left by the server; descriptors \
         {:?}, KiB {:?}",
        user.done.load(Ordering::Relaxed),
        server.record.connections.load(Ordering::SeqCst),
        server.record.leaves.load(Ordering::SeqCst),
        all(|s| s.files),
        all(|s| s.kib),
    );
    assert!(files <= MORE_FILES, "{files} descriptors more");
    assert!(kib <= MORE_KIB, "{kib} KiB more");

    // The control: connections that stay open are counted.
    let mut held = Vec::new();
    let first = samples[..samples.len() / 3].iter().map(|s| s.files).max();
    while held.len() < first.unwrap() + MORE_FILES {
        let mut client = user.begin(head("GET /x", "")).await;
        in_time(user.succeeds(&mut client)).await;
        held.push(client);
    }
    samples.push(Sample::of(&kubegate));
    let files = growth(&samples, |sample| sample.files);
    assert!(files > MORE_FILES, "{} held, {files} seen", held.len());
}
