//! Serves a connection over HTTP/2. Everything around it (guard, forwarded headers, watches, drain) is the
//! same as over HTTP/1.1.
//!
//! | concern | file |
//! |---|---|
//! | `:authority`, a missing `:path`, cookies in parts | `request_head` |
//! | floods, heads that are not completed | `guarded_io`, `flood_limits`, `frame_scanner` |

mod flood_limits;
mod frame_scanner;
mod guarded_io;
mod request_head;

use std::{convert::Infallible, pin::Pin, time::Duration};

use h2::Reason;
use http::{Request, Response, header::CONNECTION};
use hyper::{body::Incoming, rt::Executor, server::conn::http2, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::sleep,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::guarded_io::GuardedIo;
use super::server_io::MAX_HEAD_SIZE;
use crate::{error::BoxError, proxy::TracedBody};

/// How many requests a connection may carry at once.
const MAX_STREAMS: u32 = 1000;

/// How many bytes of one request's body are received before the API server takes them.
const STREAM_WINDOW: u32 = 256 * 1024;

/// How many bytes of all bodies of a connection are received before the API server takes them: more than
/// those of a few requests, so that a few which the API server does not take do not stop the others.
const CONNECTION_WINDOW: u32 = 4 * 1024 * 1024;

/// How many bytes of a response are kept for a client that does not read.
const MAX_SEND_BUFFER: usize = 64 * 1024;

/// How many requests a client may cancel before hyper has seen them. [`GuardedIo`] limits their rate.
const MAX_PENDING_RESETS: usize = MAX_STREAMS as usize;

/// How long the drain waits for a client without requests to acknowledge GOAWAY, and for the end of the
/// last response to be read.
const GO_AWAY_TIMEOUT: Duration = Duration::from_secs(3);

/// Runs each request as a task, and counts them.
#[derive(Clone, Default)]
struct Requests(TaskTracker);

impl<F> Executor<F> for Requests
where
    F: Future<Output: Send> + Send + 'static,
{
    fn execute(&self, request: F) {
        tokio::spawn(self.0.track_future(request));
    }
}

/// Serves the connection until it ends. When `draining` is cancelled, the client is told by GOAWAY, and
/// what runs is completed.
pub(super) async fn serve<S, F>(
    stream: S,
    draining: CancellationToken,
    respond: impl Fn(Request<Incoming>) -> F,
) -> Result<(), BoxError>
where
    S: AsyncRead + AsyncWrite + Unpin,
    F: Future<Output = Result<Response<TracedBody>, Infallible>> + Send + 'static,
{
    let service = service_fn(move |mut request: Request<Incoming>| {
        let has_path = request_head::has_path(&request);
        request_head::normalise(&mut request);
        let responding = has_path.then(|| respond(request));
        async move {
            let Some(responding) = responding else {
                return Err(h2::Error::from(Reason::PROTOCOL_ERROR));
            };
            let mut response = responding.await.unwrap_or_else(|never| match never {});
            // The connection goes on: its framing cannot be misread.
            response.headers_mut().remove(CONNECTION);
            Ok(response)
        }
    });
    // No extended CONNECT (RFC 8441) is offered, so that clients use HTTP/1.1 for upgrades.
    let requests = Requests::default();
    let serving = http2::Builder::new(requests.clone())
        .max_concurrent_streams(MAX_STREAMS)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(MAX_SEND_BUFFER)
        .max_pending_accept_reset_streams(MAX_PENDING_RESETS)
        // hyper's constant fits.
        .max_header_list_size(u32::try_from(MAX_HEAD_SIZE).unwrap_or(u32::MAX))
        .serve_connection(TokioIo::new(GuardedIo::new(stream)), service);
    let mut serving = std::pin::pin!(serving);
    tokio::select! {
        served = &mut serving => return Ok(served?),
        () = draining.cancelled() => {}
    }
    Pin::as_mut(&mut serving).graceful_shutdown();
    let idle = async {
        requests.0.close();
        // A request may still arrive that was sent before GOAWAY was read.
        loop {
            requests.0.wait().await;
            sleep(GO_AWAY_TIMEOUT).await;
            if requests.0.is_empty() {
                return;
            }
        }
    };
    tokio::select! {
        served = serving => Ok(served?),
        () = idle => Ok(()),
    }
}
