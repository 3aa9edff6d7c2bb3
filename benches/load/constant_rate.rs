//! `constant-rate`: GETs at a constant rate, whatever the answers take; prints their latencies.
//!
//! A client that waits for an answer before it sends the next request asks less of a proxy that
//! is slow, and so never sees how long a queue would have been ("coordinated omission"). Here
//! every request has its time ahead of any answer, and its latency counts from that time, even
//! where it had to wait for its connection.
//!
//! A thread a connection with blocking sockets: runtimes' timers are too coarse for this.
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

/// Between the start of the threads and the first request.
const LEAD: Duration = Duration::from_millis(50);

/// An answer that takes longer ends the run.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Parser)]
struct Load {
    /// The proxy
    #[arg(long)]
    address: SocketAddr,
    /// What to ask for
    #[arg(long)]
    path: String,
    /// Requests a second, over all connections
    #[arg(long)]
    rate: f64,
    /// Connections, each with a thread of its own
    #[arg(long)]
    connections: u32,
    /// For how long
    #[arg(long)]
    seconds: u64,
}

fn main() -> anyhow::Result<()> {
    println!("{}", Load::parse().run()?);
    Ok(())
}

impl Load {
    /// Latencies in microseconds.
    fn run(&self) -> anyhow::Result<Value> {
        // Sleeps may last 50 us longer than asked for by default. Threads inherit it.
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

    /// The requests of one connection, which take their turns with those of the others.
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
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self {
            stream: BufReader::with_capacity(64 * 1024, stream),
            request: format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n"),
            line: String::new(),
            body: Vec::new(),
        })
    }

    /// Sends the request and reads its answer, which must be a 200 of a stated length.
    fn get(&mut self) -> anyhow::Result<()> {
        self.stream.get_mut().write_all(self.request.as_bytes())?;
        let status = self.read_line()?;
        ensure!(
            status.split(' ').nth(1) == Some("200"),
            "the answer was {status:?}"
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
            .resize(length.context("an answer without Content-Length")?, 0);
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
