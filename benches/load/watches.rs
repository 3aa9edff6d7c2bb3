//! Watches, and one change that all of them send.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::json;
use tokio::{net::TcpStream, sync::watch, task::JoinSet, time::timeout};

use super::{Client, PATIENCE, find, more, open_many};

/// The path of the change, which `--path` must watch.
const OBJECTS: &str = "/api/v1/namespaces/default/configmaps";

/// Open watches.
pub struct Watches {
    /// The time from the first connection to the head of the last response.
    pub opened_in: Duration,
    client: Client,
    name: String,
    /// The number of watches that have sent the change.
    delivered: Arc<AtomicUsize>,
    last: watch::Receiver<Instant>,
    readers: JoinSet<io::Result<()>>,
}

impl Watches {
    /// Opens `count` watches of `path`, and waits for the heads of all responses.
    pub async fn open(client: Client, path: &str, count: usize) -> io::Result<Self> {
        let begun = Instant::now();
        let request: Arc<str> = client.get(path).into();
        let streams = open_many(count, move || {
            let request = Arc::clone(&request);
            async move { client.request(request.as_bytes(), "200").await }
        });
        let streams = timeout(PATIENCE, streams).await??;
        let opened_in = begun.elapsed();
        let name = format!("load-{}-{}", std::process::id(), client.address.port());
        let mark: Arc<str> = format!("\"name\":\"{name}\"").into();
        let delivered = Arc::new(AtomicUsize::new(0));
        let (sender, last) = watch::channel(begun);
        let sender = Arc::new(sender);
        let mut readers = JoinSet::new();
        for (stream, read) in streams {
            let reader = Reader {
                stream,
                read,
                mark: Arc::clone(&mark),
                delivered: Arc::clone(&delivered),
                sender: Arc::clone(&sender),
                count,
            };
            readers.spawn(reader.run());
        }
        Ok(Self {
            opened_in,
            client,
            name,
            delivered,
            last,
            readers,
        })
    }

    /// Creates an object. Returns the time until the last watch has sent it.
    pub async fn change_once(&mut self) -> io::Result<Duration> {
        let object = json!({"metadata": {"name": self.name}, "data": {"a": "change"}});
        let begun = Instant::now();
        let change = async {
            self.client.write(OBJECTS, Some(&object)).await?;
            tokio::select! {
                last = self.last.wait_for(|at| *at > begun) => {
                    last.map(|at| *at).map_err(io::Error::other)
                }
                // A watch that ends before is an error.
                Some(ended) = self.readers.join_next() => {
                    let ended = ended.map_err(io::Error::other)?;
                    Err(ended.err().unwrap_or_else(|| io::Error::other("a watch ended")))
                }
            }
        };
        let last = timeout(PATIENCE, change).await.unwrap_or_else(|_| {
            let delivered = self.delivered.load(Ordering::Relaxed);
            Err(io::Error::other(format!(
                "only {delivered} watches sent it"
            )))
        });
        let path = format!("{OBJECTS}/{}", self.name);
        self.client.write(&path, None).await?;
        Ok(last?.duration_since(begun))
    }
}

/// Reads the events of one watch.
struct Reader {
    stream: TcpStream,
    read: Vec<u8>,
    mark: Arc<str>,
    /// The number of watches that have sent the change.
    delivered: Arc<AtomicUsize>,
    sender: Arc<watch::Sender<Instant>>,
    count: usize,
}

impl Reader {
    /// Reads until the watch ends, which is an error.
    async fn run(mut self) -> io::Result<()> {
        loop {
            if let Some(at) = find(&self.read, self.mark.as_bytes())
                && self.read[at..].contains(&b'\n')
            {
                self.mark = "\0".into();
                if self.delivered.fetch_add(1, Ordering::Relaxed) + 1 == self.count {
                    self.sender.send_replace(Instant::now());
                }
            }
            // Complete lines were searched. The start of an incomplete one is kept.
            let end = self.read.iter().rposition(|byte| *byte == b'\n');
            self.read.drain(..end.map_or(0, |at| at + 1));
            if self.read.is_empty() {
                self.read = Vec::new();
            }
            more(&self.stream, &mut self.read).await?;
        }
    }
}
