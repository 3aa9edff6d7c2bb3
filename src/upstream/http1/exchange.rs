//! [`Exchange`]: one request and its answer over HTTP/1.1.

use std::{
    io,
    sync::{Arc, atomic::Ordering},
};

use http::{
    HeaderValue, Request, Response, Uri, Version,
    header::{HOST, TRANSFER_ENCODING},
    uri::PathAndQuery,
};
use http_body::Body as _;
use hyper::{body::Incoming, client::conn::http1};

use super::{Client, HeadTooLarge, MORE_HEADERS, Pieces, Waits, Wire};
use crate::upstream::{
    RequestBody, TrafficClass, Unanswered,
    shared::{CLIENT, Shared},
};

/// A connection with an exchange on it.
pub(in crate::upstream) struct Exchange {
    sender: Option<http1::SendRequest<Pieces>>,
    wire: Arc<Wire>,
    home: Arc<Shared>,
    counted: bool,
    /// It was used before.
    kept: bool,
}

impl Exchange {
    pub(super) fn new(
        sender: http1::SendRequest<Pieces>,
        wire: Arc<Wire>,
        home: &Arc<Shared>,
        kind: TrafficClass,
    ) -> Self {
        let counted = kind != TrafficClass::Long;
        if counted {
            home.http1.busy.fetch_add(1, Ordering::Relaxed);
        }
        wire.in_use.store(true, Ordering::Relaxed);
        Self {
            sender: Some(sender),
            kept: wire.used.swap(true, Ordering::Relaxed),
            wire,
            home: Arc::clone(home),
            counted,
        }
    }

    /// Counts the connection as one of `client`. Where there are no other connections, no client may
    /// take them all.
    pub(in crate::upstream) fn count_for(&self, client: Option<&HeaderValue>) {
        if self.counted && self.home.no_http2.load(Ordering::Relaxed) {
            self.wire.set_client(Some(Client(client.cloned())));
        }
    }

    pub(in crate::upstream) async fn send(
        &mut self,
        mut request: Request<RequestBody>,
        uri: &Uri,
        host: &HeaderValue,
    ) -> Result<Response<Incoming>, Unanswered> {
        self.count_for(request.headers().get(&CLIENT));
        let spare = spare(&request);
        to_origin_form(&mut request, uri, host);
        let Some(sender) = &mut self.sender else {
            let error = io::Error::from(io::ErrorKind::NotConnected);
            return Err(Unanswered::unprocessed(error, request));
        };
        let _waits = Waits::begin(&self.wire);
        tokio::select! {
            biased;
            sent = sender.try_send_request(request.map(Pieces::of)) => sent.map_err(|mut error| {
                let unsent = error.take_message().map(|m| m.map(Pieces::into_body));
                let error = error.into_error();
                if error.is_parse_too_large() {
                    return self.too_large(spare);
                }
                // A server may close a connection that it kept at any time, also while a
                // request is on its way (RFC 9110 section 9.2.1 lets that be sent again).
                let spare = spare.filter(|_| self.kept);
                Unanswered::new(error, unsent.or(spare))
            }),
            () = self.wire.alarm.notified() => Err(Unanswered::silent(spare)),
        }
    }

    /// The answer's head was too large. Where a new connection takes more of it, what can be sent
    /// twice is.
    fn too_large(&self, spare: Option<Request<RequestBody>>) -> Unanswered {
        let max_headers = self.wire.max_headers;
        self.home.http1.more_headers.store(true, Ordering::Relaxed);
        let spare = spare.filter(|_| max_headers < MORE_HEADERS);
        Unanswered::broken(HeadTooLarge { max_headers }, spare)
    }

    /// The exchange is over in good order: the connection can be used again.
    pub(in crate::upstream) fn release(mut self) {
        let Some(mut sender) = self.sender.take() else {
            return;
        };
        self.wire.in_use.store(false, Ordering::Relaxed);
        if self.home.is_closed() {
            return;
        }
        if sender.is_ready() {
            return self.home.http1.put(sender, Arc::clone(&self.wire));
        }
        // The connection's own task has still to notice that the answer ended.
        tokio::spawn(async move {
            if sender.ready().await.is_ok() {
                self.home.http1.put(sender, Arc::clone(&self.wire));
            }
        });
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        if self.sender.is_some() {
            self.wire.in_use.store(false, Ordering::Relaxed);
        }
        if self.counted {
            self.home.http1.busy.fetch_sub(1, Ordering::Relaxed);
            if self.home.no_http2.load(Ordering::Relaxed) {
                self.wire.set_client(None);
            }
        }
        self.home.place_free();
    }
}

/// A copy of a request that can be sent twice: it changes nothing, and has no body.
fn spare(request: &Request<RequestBody>) -> Option<Request<RequestBody>> {
    if !request.method().is_safe() || !request.body().is_end_stream() {
        return None;
    }
    let mut spare = Request::new(RequestBody::Empty);
    *spare.method_mut() = request.method().clone();
    *spare.headers_mut() = request.headers().clone();
    Some(spare)
}

/// HTTP/1.1 form: path and query alone in the request line, the server's name in `Host`.
pub(in crate::upstream) fn to_origin_form(
    request: &mut Request<RequestBody>,
    uri: &Uri,
    host: &HeaderValue,
) {
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
