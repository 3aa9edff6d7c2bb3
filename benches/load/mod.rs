//! Many clients that speak HTTP/1.1 over plain TCP with little memory, so that ten thousand of them
//! fit on the machine that they measure.
// The tests and the program use different parts.
#![allow(dead_code, unreachable_pub)]

pub mod descriptors;
pub mod gets;
pub mod stuck;
pub mod tunnels;
pub mod watches;

use std::{
    fs, io,
    net::SocketAddr,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use serde_json::Value;
use tokio::{io::AsyncWriteExt as _, net::TcpStream};

/// The number of connections that are opened at the same time.
const OPENING: usize = 64;

/// The timeout of everything. It is longer than anything takes.
const PATIENCE: Duration = Duration::from_secs(120);

/// The address of the proxy.
#[derive(Clone, Copy, Debug)]
pub struct Client {
    pub address: SocketAddr,
}

impl Client {
    /// Sends a request over a new connection, and reads the head of the response, which must have
    /// `status`. Returns the connection and the bytes read after the head.
    async fn request(self, request: &[u8], status: &str) -> io::Result<(TcpStream, Vec<u8>)> {
        let mut stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        stream.write_all(request).await?;
        let mut read = Vec::new();
        let end = loop {
            if let Some(at) = find(&read, b"\r\n\r\n") {
                break at + 4;
            }
            more(&stream, &mut read).await?;
        };
        if !read.starts_with(format!("HTTP/1.1 {status} ").as_bytes()) {
            let answer = String::from_utf8_lossy(&read);
            return Err(io::Error::other(format!("not {status}: {answer}")));
        }
        let rest = read.split_off(end);
        Ok((stream, rest))
    }

    /// Creates an object, or deletes one if `object` is `None`.
    async fn write(self, path: &str, object: Option<&Value>) -> io::Result<()> {
        let (method, status) = match object {
            Some(_) => ("POST", "201"),
            None => ("DELETE", "200"),
        };
        let body = object.map(Value::to_string).unwrap_or_default();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\n\
             Connection: close\r\nContent-Length: {}\r\n\r\n{body}",
            self.address,
            body.len()
        );
        self.request(request.as_bytes(), status).await.map(drop)
    }

    fn get(self, path: &str) -> String {
        format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", self.address)
    }
}

/// A process of this machine.
#[derive(Clone, Copy, Debug)]
pub struct Process {
    pub id: u32,
}

impl Process {
    /// Its resident memory, in KiB.
    pub fn resident_kb(self) -> io::Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.id))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        line.and_then(|line| line.split_whitespace().next()?.parse().ok())
            .ok_or_else(|| io::Error::other("no VmRSS"))
    }

    /// The CPU time that it has used, with a resolution of 10 ms.
    pub fn cpu(self) -> io::Result<Duration> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.id))?;
        let fields = stat.rsplit(") ").next().unwrap_or_default().split(' ');
        let ticks = fields
            .skip(11)
            .take(2)
            .filter_map(|f| f.parse::<u64>().ok());
        Ok(Duration::from_millis(ticks.sum::<u64>() * 10))
    }
}

/// Waits.
pub async fn idle(time: Duration) {
    tokio::time::sleep(time).await;
}

/// Milliseconds with two decimals.
pub fn ms(time: Duration) -> Value {
    ((time.as_secs_f64() * 100_000.0).round() / 100.0).into()
}

/// Opens `count` connections, [`OPENING`] at a time.
async fn open_many<T: Send + 'static, F>(
    count: usize,
    open: impl Fn() -> F + Clone + Send + 'static,
) -> io::Result<Vec<T>>
where
    F: Future<Output = io::Result<T>> + Send,
{
    let left = std::sync::Arc::new(AtomicUsize::new(count));
    let mut openers = tokio::task::JoinSet::new();
    for _ in 0..OPENING {
        let (open, left) = (open.clone(), left.clone());
        openers.spawn(async move {
            let mut opened = Vec::new();
            let take = |n: usize| n.checked_sub(1);
            while left
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, take)
                .is_ok()
            {
                opened.push(open().await?);
            }
            Ok::<_, io::Error>(opened)
        });
    }
    let mut all = Vec::with_capacity(count);
    while let Some(opened) = openers.join_next().await {
        all.extend(opened.map_err(io::Error::other)??);
    }
    Ok(all)
}

/// Waits for bytes and reads those that are available.
async fn more(stream: &TcpStream, read: &mut Vec<u8>) -> io::Result<()> {
    loop {
        stream.readable().await?;
        match take(stream, read) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            done => return done,
        }
    }
}

/// Reads available bytes. The buffer is not part of the future above, which every idle client has.
fn take(stream: &TcpStream, read: &mut Vec<u8>) -> io::Result<()> {
    let mut buffer = [0; 16 * 1024];
    match stream.try_read(&mut buffer)? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        n => {
            read.extend_from_slice(&buffer[..n]);
            Ok(())
        }
    }
}

fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).position(|window| window == part)
}
