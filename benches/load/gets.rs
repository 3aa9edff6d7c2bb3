//! Ordinary requests beside the other clients.

use std::{
    io,
    time::{Duration, Instant},
};

use tokio::{io::AsyncWriteExt as _, net::TcpStream, task::JoinSet};
use tokio_util::sync::CancellationToken;

use super::{Client, find, idle, more};

/// A small object.
const PATH: &str = "/api/v1/namespaces/default";
/// The number of connections, each with one request at a time.
const CONNECTIONS: usize = 4;
const PAUSE: Duration = Duration::from_millis(5);

/// Clients that send requests until they are stopped.
pub struct Gets {
    stop: CancellationToken,
    clients: JoinSet<io::Result<Vec<Duration>>>,
}

impl Gets {
    /// Starts the clients.
    pub fn start(client: Client) -> Self {
        let stop = CancellationToken::new();
        let mut clients = JoinSet::new();
        for _ in 0..CONNECTIONS {
            clients.spawn(run(client, stop.clone()));
        }
        Self { stop, clients }
    }

    /// Stops the clients. Returns the durations of their requests.
    pub async fn stop(mut self) -> io::Result<Times> {
        self.stop.cancel();
        let mut all = Vec::new();
        while let Some(times) = self.clients.join_next().await {
            all.extend(times.map_err(io::Error::other)??);
        }
        all.sort_unstable();
        Ok(Times(all))
    }
}

/// Durations of requests, the shortest first.
pub struct Times(Vec<Duration>);

impl Times {
    /// The duration that this share of the requests did not exceed.
    pub fn at(&self, part: f64) -> Duration {
        let last = self.0.len().saturating_sub(1);
        #[allow(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss
        )]
        let at = (last as f64 * part).round() as usize;
        self.0.get(at).copied().unwrap_or_default()
    }
}

async fn run(client: Client, stop: CancellationToken) -> io::Result<Vec<Duration>> {
    let request = client.get(PATH);
    let mut stream = TcpStream::connect(client.address).await?;
    stream.set_nodelay(true)?;
    let (mut times, mut read) = (Vec::new(), Vec::new());
    while !stop.is_cancelled() {
        let begun = Instant::now();
        stream.write_all(request.as_bytes()).await?;
        read.clear();
        while !is_whole(&read)? {
            more(&stream, &mut read).await?;
        }
        times.push(begun.elapsed());
        idle(PAUSE).await;
    }
    Ok(times)
}

/// Whether a 200 response with `Content-Length` was read completely.
fn is_whole(read: &[u8]) -> io::Result<bool> {
    let Some(end) = find(read, b"\r\n\r\n") else {
        return Ok(false);
    };
    let head = String::from_utf8_lossy(&read[..end]).to_ascii_lowercase();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length:"));
    let length = length.and_then(|length| length.trim().parse::<usize>().ok());
    match length {
        Some(length) if head.starts_with("http/1.1 200 ") => Ok(read.len() >= end + 4 + length),
        _ => Err(io::Error::other(head)),
    }
}
