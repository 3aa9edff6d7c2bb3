//! `constant-rate`: sends GET requests at a constant rate and prints their latencies.
//!
//! A client that waits for a response before it sends the next request sends fewer requests to a
//! slow proxy, and does not measure the queue that a constant load would cause ("coordinated
//! omission"). Here each request has a scheduled time that does not depend on responses. Its latency
//! is measured from that time, even if the request had to wait for its connection.
//!
//! Each connection has a thread with blocking sockets, because the timers of async runtimes are too
//! coarse.
#![allow(missing_docs)]

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use clap::Parser;
use serde_json::{Value, json};

/// The time between the start of the threads and the first request.
const LEAD: Duration = Duration::from_millis(50);

/// A response that takes longer ends the run.
const TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Parser)]
struct Load {
    /// Address of the proxy
    #[arg(long)]
    address: SocketAddr,
    /// Path of the requests
    #[arg(long)]
    path: String,
    /// Requests per second over all connections
    #[arg(long)]
    rate: f64,
    /// Number of connections, each with its own thread
    #[arg(long)]
    connections: u32,
    /// Duration in seconds
    #[arg(long)]
    seconds: u64,
}

fn main() -> anyhow::Result<()> {
    println!("{}", Load::parse().run()?);
    Ok(())
}

impl Load {
    /// Runs the load. Returns the latencies in microseconds.
    fn run(&self) -> anyhow::Result<Value> {
        // By default sleeps may take 50 us longer than requested. Threads inherit this setting.
        fs::write("/proc/self/timerslack_ns", "1").context("cannot set the timers' slack")?;
        let begin = Instant::now() + LEAD;
        let mut latencies = thread::scope(|scope| {
            let threads: Vec<_> = (0..self.connections)
                .map(|index| scope.spawn(move || self.connection(index, begin)))
                .collect();
            let mut all = Vec::new();
            for thread in threads {
                all.extend(thread.join().expect("a connection's thread")?);
            }
            anyhow::Ok(all)
        })?;
        latencies.sort_unstable();
        let took = begin.elapsed();
        ensure!(!latencies.is_empty(), "no request was due in that time");
        let percentile = |percent: usize| latencies[(latencies.len() - 1) * percent / 100];
        Ok(json!({
            "requests": latencies.len(),
            "seconds": took.as_secs_f64(),
            "p50_us": percentile(50),
            "p90_us": percentile(90),
            "p99_us": percentile(99),
            "max_us": percentile(100),
        }))
    }

    /// Sends the requests of one connection, which alternate with those of the others.
    fn connection(&self, index: u32, begin: Instant) -> anyhow::Result<Vec<u64>> {
        let interval = Duration::from_secs_f64(f64::from(self.connections) / self.rate);
        let mut due = begin + interval * index / self.connections;
        let end = begin + Duration::from_secs(self.seconds);
        let mut connection = Connection::open(self.address, &self.path)?;
        let mut latencies = Vec::new();
        while due < end {
            thread::sleep(due.saturating_duration_since(Instant::now()));
            connection.get()?;
            latencies.push(u64::try_from(due.elapsed().as_micros())?);
            due += interval;
        }
        Ok(latencies)
    }
}

struct Connection {
    stream: BufReader<TcpStream>,
    request: String,
    line: String,
    body: Vec<u8>,
}

impl Connection {
    fn open(address: SocketAddr, path: &str) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        Ok(Self {
            stream: BufReader::with_capacity(64 * 1024, stream),
            request: format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n"),
            line: String::new(),
            body: Vec::new(),
        })
    }

    /// Sends the request and reads the response, which must be a 200 with `Content-Length`.
    fn get(&mut self) -> anyhow::Result<()> {
        self.stream.get_mut().write_all(self.request.as_bytes())?;
        let status = self.read_line()?;
        ensure!(
            status.split(' ').nth(1) == Some("200"),
            "the response was {status:?}"
        );
        let mut length = None;
        loop {
            let line = self.read_line()?;
            if line.is_empty() {
                break;
            }
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = Some(value.trim().parse()?);
            }
        }
        self.body
            .resize(length.context("a response without Content-Length")?, 0);
        self.stream.read_exact(&mut self.body)?;
        Ok(())
    }

    fn read_line(&mut self) -> anyhow::Result<&str> {
        self.line.clear();
        ensure!(
            self.stream.read_line(&mut self.line)? > 0,
            "the connection was closed"
        );
        Ok(self.line.trim_end())
    }
}
