//! An API server whose responses depend on the path of the request, over the protocol that the
//! client selects. It can be stopped like a process that is killed, and started again.

use std::{
    collections::HashMap,
    net::SocketAddr,
    pin::pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use http::{HeaderValue, Request, header::CONNECTION};
use hyper::{
    body::Incoming,
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncRead, AsyncWrite, duplex},
    net::TcpListener,
    sync::Notify,
};
use tokio_rustls::TlsAcceptor;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{go_away::go_away_after, responses::response, tls_config};

/// The behavior of a server.
#[derive(Clone, Copy, Default)]
pub struct ServerOptions {
    /// Whether it speaks only HTTP/1.1.
    pub http1: bool,
    /// Closes a connection gracefully after one request of this number at random, like API servers
    /// with `--goaway-chance`; 0 for never.
    pub goaway: usize,
    /// Closes each HTTP/2 connection gracefully after about this number of streams, like Go's
    /// servers; 0 for never.
    pub leave_after: usize,
    /// Refuses one stream of this number at random (`REFUSED_STREAM`); 0 for never.
    pub refuse: usize,
    /// Ends a watch after this number of events; 0 for never.
    pub events: usize,
}

/// Counts of requests and connections. They survive restarts of the server.
#[derive(Default)]
pub struct Record {
    pub(super) posts: Mutex<HashMap<String, usize>>,
    /// All requests.
    pub(super) requests: AtomicUsize,
    /// Connections that it closed gracefully.
    pub leaves: AtomicUsize,
    /// Requests that it refused.
    pub refusals: AtomicUsize,
    /// Bytes of `/flow` that were sent.
    pub sent: Arc<AtomicUsize>,
    /// Bytes of request bodies that were read.
    pub read: Arc<AtomicUsize>,
    /// Connections accepted.
    pub connections: AtomicUsize,
}

/// A running server.
pub struct Served {
    address: SocketAddr,
    options: ServerOptions,
    /// The counts of its requests.
    pub record: Arc<Record>,
    running: CancellationToken,
    tasks: TaskTracker,
}

impl Record {
    /// The number of POST requests by path.
    pub fn posts(&self) -> HashMap<String, usize> {
        self.posts.lock().unwrap().clone()
    }

    /// The number of streams after which the connection accepted last is closed.
    fn streams(&self, options: ServerOptions) -> usize {
        let few = self.connections.load(Ordering::SeqCst) % 7;
        options.leave_after / 2 + few * options.leave_after / 6
    }
}

/// Whether the request with this number is one of the `1 / one_of` chosen, without a regular pattern.
fn chance(number: usize, one_of: usize) -> bool {
    let mixed = (number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33;
    one_of > 0 && mixed.is_multiple_of(one_of as u64)
}

impl Served {
    /// Listens on a free port of `host`, over TLS with `certs/localhost.pem`.
    pub async fn start(host: &str, options: ServerOptions) -> Self {
        let listener = TcpListener::bind((host, 0)).await.unwrap();
        let served = Self {
            address: listener.local_addr().unwrap(),
            options,
            record: Arc::default(),
            running: CancellationToken::new(),
            tasks: TaskTracker::new(),
        };
        served.run(listener);
        served
    }

    /// `https://HOST:PORT`, by address: the certificate's name is `localhost`.
    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Stops the server like a process that is killed: it stops listening and cuts every connection.
    pub async fn stop(&self) {
        self.running.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// Listens again on the same address.
    pub async fn start_again(&mut self) {
        let listener = TcpListener::bind(self.address).await.unwrap();
        self.running = CancellationToken::new();
        self.tasks = TaskTracker::new();
        self.run(listener);
    }

    fn run(&self, listener: TcpListener) {
        let alpn: &[&[u8]] = if self.options.http1 {
            &[b"http/1.1"]
        } else {
            &[b"h2", b"http/1.1"]
        };
        let acceptor = TlsAcceptor::from(Arc::new(tls_config("localhost", alpn)));
        let (options, record) = (self.options, self.record.clone());
        let (running, tasks) = (self.running.clone(), self.tasks.clone());
        let accepting = async move {
            while let Ok((tcp, _)) = listener.accept().await {
                record.connections.fetch_add(1, Ordering::SeqCst);
                let _ = tcp.set_nodelay(true);
                let (acceptor, record) = (acceptor.clone(), record.clone());
                let cut = running.clone();
                tasks.spawn(running.clone().run_until_cancelled_owned(async move {
                    if let Ok(tls) = acceptor.accept(tcp).await {
                        let http2 = tls.get_ref().1.alpn_protocol() == Some(b"h2");
                        if http2 && options.leave_after > 0 {
                            let (inner, outer) = duplex(64 * 1024);
                            let relayed = go_away_after(record.streams(options), tls, outer);
                            let (left, ()) = tokio::join!(
                                relayed,
                                connection(inner, http2, options, record.clone(), cut)
                            );
                            record.leaves.fetch_add(left.into(), Ordering::SeqCst);
                        } else {
                            connection(tls, http2, options, record, cut).await;
                        }
                    }
                }));
            }
        };
        let running = self.running.clone();
        self.tasks
            .spawn(running.run_until_cancelled_owned(accepting));
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.running.cancel();
    }
}

async fn connection(
    io: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    http2: bool,
    options: ServerOptions,
    record: Arc<Record>,
    cut: CancellationToken,
) {
    let leave = Arc::new(Notify::new());
    let leaving = leave.clone();
    let counted = record.clone();
    let service = service_fn(move |request: Request<Incoming>| {
        let (record, leave, cut) = (record.clone(), leave.clone(), cut.clone());
        async move {
            let number = record.requests.fetch_add(1, Ordering::SeqCst);
            if http2 && chance(number, options.refuse) {
                record.refusals.fetch_add(1, Ordering::SeqCst);
                return Err(h2::Error::from(h2::Reason::REFUSED_STREAM));
            }
            let leaves = chance(number, options.goaway);
            if leaves && http2 {
                leave.notify_one();
            } else if leaves {
                record.leaves.fetch_add(1, Ordering::SeqCst);
            }
            let mut response = response(request, options.events, record, cut).await;
            if leaves && !http2 {
                // Without this header, a client could not know whether a POST in transit was served.
                let close = HeaderValue::from_static("close");
                response.headers_mut().insert(CONNECTION, close);
            }
            Ok(response)
        }
    });
    let io = TokioIo::new(io);
    // An error means that the client has disconnected.
    if http2 {
        let serving = http2::Builder::new(TokioExecutor::new())
            .max_concurrent_streams(100)
            .serve_connection(io, service);
        let mut serving = pin!(serving);
        tokio::select! {
            _ = serving.as_mut() => return,
            () = leaving.notified() => serving.as_mut().graceful_shutdown(),
        }
        counted.leaves.fetch_add(1, Ordering::SeqCst);
        let _ = serving.await;
    } else {
        let serving = http1::Builder::new().serve_connection(io, service);
        let _ = serving.with_upgrades().await;
    }
}
