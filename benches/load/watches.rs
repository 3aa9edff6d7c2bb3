//! Watches, and one change that all of them tell of.

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

use super::{Client, PATIENCE, crowd, find, more};

/// Where the change is made: `--path` must watch it.
const OBJECTS: &str = "/api/v1/namespaces/default/configmaps";

/// Open watches.
pub struct Watches {
    /// From the first connection to the last head of an answer.
    pub opened_in: Duration,
    client: Client,
    name: String,
    told: Arc<AtomicUsize>,
    last: watch::Receiver<Instant>,
    readers: JoinSet<io::Result<()>>,
}

impl Watches {
    /// Opens `count` watches on `path`, and waits until all are answered.
    pub async fn open(client: Client, path: &str, count: usize) -> io::Result<Self> {
        let begun = Instant::now();
        let request: Arc<str> = client.get(path).into();
        let streams = crowd(count, move || {
            let request = Arc::clone(&request);
            async move { client.ask(request.as_bytes(), "200").await }
        });
        let streams = timeout(PATIENCE, streams).await??;
        let opened_in = begun.elapsed();
        let name = format!("load-{}-{}", std::process::id(), client.address.port());
        let mark: Arc<str> = format!("\"name\":\"{name}\"").into();
        let told = Arc::new(AtomicUsize::new(0));
        let (tell, last) = watch::channel(begun);
        let tell = Arc::new(tell);
        let mut readers = JoinSet::new();
        for (stream, read) in streams {
            let reader = Reader {
                stream,
                read,
                mark: Arc::clone(&mark),
                told: Arc::clone(&told),
                tell: Arc::clone(&tell),
                count,
            };
            readers.spawn(reader.run());
        }
        Ok(Self {
            opened_in,
            client,
            name,
            told,
            last,
            readers,
        })
    }

    /// Creates an object: how long until the last watch has told of it.
    pub async fn change_once(&mut self) -> io::Result<Duration> {
        let object = json!({"metadata": {"name": self.name}, "data": {"a": "change"}});
        let begun = Instant::now();
        let told = async {
            self.client.write(OBJECTS, Some(&object)).await?;
            tokio::select! {
                told = self.last.wait_for(|at| *at > begun) => {
                    told.map(|at| *at).map_err(io::Error::other)
                }
                // None ends by itself before.
                Some(ended) = self.readers.join_next() => {
                    let ended = ended.map_err(io::Error::other)?;
                    Err(ended.err().unwrap_or_else(|| io::Error::other("a watch ended")))
                }
            }
        };
        let told = timeout(PATIENCE, told).await.unwrap_or_else(|_| {
            let told = self.told.load(Ordering::Relaxed);
            Err(io::Error::other(format!("only {told} watches told of it")))
        });
        let path = format!("{OBJECTS}/{}", self.name);
        self.client.write(&path, None).await?;
        Ok(told?.duration_since(begun))
    }
}

/// One watch's events.
struct Reader {
    stream: TcpStream,
    read: Vec<u8>,
    mark: Arc<str>,
    told: Arc<AtomicUsize>,
    tell: Arc<watch::Sender<Instant>>,
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
                if self.told.fetch_add(1, Ordering::Relaxed) + 1 == self.count {
                    self.tell.send_replace(Instant::now());
                }
            }
            // What is whole was looked through; the beginning of an event may be held back.
            let whole = self.read.iter().rposition(|byte| *byte == b'\n');
            self.read.drain(..whole.map_or(0, |at| at + 1));
            if self.read.is_empty() {
                self.read = Vec::new();
            }
            more(&self.stream, &mut self.read).await?;
        }
    }
}
