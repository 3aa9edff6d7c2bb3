//! HTTP/1.1 connections, one exchange at a time on each, and those that wait for their next.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use http::{
    HeaderValue, Request, Response, Uri, Version,
    header::{HOST, TRANSFER_ENCODING},
    uri::PathAndQuery,
};
use http_body::Body as _;
use hyper::{body::Incoming, client::conn::http1};

use super::{RequestBody, Unanswered};
use crate::dial::Connection;

/// Header lines of an answer; hyper's default of 100 is too small for many cookies.
const MAX_HEADERS: usize = 512;
/// Idle connections kept, and for how long: API servers close theirs after 90 s.
const MAX_IDLE: usize = 32;
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// The connections that wait for their next request.
#[derive(Default)]
pub(super) struct Idle(Mutex<Vec<Waiting>>);

struct Waiting {
    sender: http1::SendRequest<RequestBody>,
    since: Instant,
}

/// A connection with an exchange on it.
pub(super) struct Exchange {
    sender: http1::SendRequest<RequestBody>,
    idle: Arc<Idle>,
    /// It was used before.
    kept: bool,
}

impl Idle {
    /// The connection that waited last, where one is still open.
    pub(super) fn take(self: &Arc<Self>) -> Option<Exchange> {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(Waiting { sender, since }) = waiting.pop() {
            if sender.is_ready() && since.elapsed() < IDLE_TIMEOUT {
                return Some(Exchange {
                    sender,
                    idle: Arc::clone(self),
                    kept: true,
                });
            }
        }
        None
    }

    fn put(&self, sender: http1::SendRequest<RequestBody>) {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.retain(|w| !w.sender.is_closed() && w.since.elapsed() < IDLE_TIMEOUT);
        if waiting.len() < MAX_IDLE {
            let since = Instant::now();
            waiting.push(Waiting { sender, since });
        }
    }
}

impl Exchange {
    /// Begins to speak HTTP/1.1 on `connection`, which goes to `idle` when its exchange is over.
    pub(super) async fn handshake(connection: Connection, idle: Arc<Idle>) -> hyper::Result<Self> {
        let (sender, driver) = http1::Builder::new()
            .max_headers(MAX_HEADERS)
            .handshake(connection)
            .await?;
        tokio::spawn(async move {
            if let Err(error) = driver.await {
                tracing::debug!(
                    error = &error as &dyn std::error::Error,
                    "upstream connection ended"
                );
            }
        });
        Ok(Self {
            sender,
            idle,
            kept: false,
        })
    }

    /// A copy to send again if this connection is found closed: a server may close one that
    /// it kept at any time, also while a request is on its way. Only of what can be sent
    /// twice (RFC 9110 section 9.2.1), as Go's transport does.
    pub(super) fn spare(&self, request: &Request<RequestBody>) -> Option<Request<RequestBody>> {
        if !self.kept || !request.method().is_safe() || !request.body().is_end_stream() {
            return None;
        }
        let mut spare = Request::new(RequestBody::Empty);
        *spare.method_mut() = request.method().clone();
        *spare.headers_mut() = request.headers().clone();
        Some(spare)
    }

    pub(super) async fn send(
        &mut self,
        mut request: Request<RequestBody>,
        uri: &Uri,
        host: &HeaderValue,
    ) -> Result<Response<Incoming>, Unanswered> {
        to_origin_form(&mut request, uri, host);
        let sent = self.sender.try_send_request(request).await;
        sent.map_err(|mut error| {
            let again = error.take_message();
            Unanswered::new(error.into_error(), again)
        })
    }

    /// The exchange is over in good order: the connection can be used again.
    pub(super) fn release(self) {
        let Self {
            mut sender, idle, ..
        } = self;
        if sender.is_ready() {
            return idle.put(sender);
        }
        // The connection's own task has still to notice that the answer ended.
        tokio::spawn(async move {
            if sender.ready().await.is_ok() {
                idle.put(sender);
            }
        });
    }
}

/// HTTP/1.1 form: path and query alone in the request line, the server's name in `Host`.
pub(super) fn to_origin_form(request: &mut Request<RequestBody>, uri: &Uri, host: &HeaderValue) {
    let path = uri.path_and_query().cloned();
    *request.uri_mut() = path.unwrap_or(PathAndQuery::from_static("/")).into();
    *request.version_mut() = Version::HTTP_11;
    request.headers_mut().insert(HOST, host.clone());
    // hyper takes a GET whose body has no known length for one without a body.
    let body = request.body();
    if !body.is_end_stream() && body.size_hint().exact().is_none() {
        let chunked = HeaderValue::from_static("chunked");
        request.headers_mut().insert(TRANSFER_ENCODING, chunked);
    }
}
