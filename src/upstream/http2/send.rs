//! [`send`]: one request and the head of its response.

use std::{
    future::{Future, poll_fn},
    io,
    pin::Pin,
};

use h2::Reason;
use http::{
    Request, Response, Uri, Version,
    header::{HOST, TRANSFER_ENCODING},
    request::Parts,
};

use super::{connection::Stream, request_body::BodySender, response_body::ResponseBody};
use crate::upstream::{body::RequestBody, send_failure::SendFailure};

/// Sends a request for `uri` on `stream`, and waits for the head of the response, or until
/// `unresponsive`. The request's body may go on after that. Dropped, it cancels the request at the
/// server.
pub(in crate::upstream) async fn send(
    stream: &Stream,
    mut request: Request<RequestBody>,
    uri: &Uri,
    unresponsive: impl Future<Output = ()>,
) -> Result<Response<ResponseBody>, SendFailure> {
    *request.uri_mut() = uri.clone();
    *request.version_mut() = Version::HTTP_2;
    let headers = request.headers_mut();
    headers.remove(HOST);
    // An attempt over HTTP/1.1 may have set it; HTTP/2 forbids it (RFC 9113 section 8.2.2).
    headers.remove(TRANSFER_ENCODING);
    let Some(mut sender) = stream.sender() else {
        let error = io::Error::from(io::ErrorKind::NotConnected);
        return Err(SendFailure::unsent(error, request));
    };
    let (head, body) = request.into_parts();
    let bodiless = body.is_end_stream();
    let writes = stream.writes();
    let (mut response, send_stream) = match sender.send_request(copy(&head), bodiless) {
        Ok(begun) => begun,
        Err(error) => {
            return Err(SendFailure::unsent(error, Request::from_parts(head, body)));
        }
    };
    let mut body = (!bodiless).then(|| BodySender::new(send_stream, body.replayable()));
    let response = poll_fn(|cx| {
        if let Some(body) = &mut body {
            // The response tells whether it ended well.
            let _ = body.poll(cx);
        }
        Pin::new(&mut response).poll(cx)
    });
    // A safe request is idempotent, so one without a body may be sent twice (RFC 9110 section
    // 9.2.2).
    let replayable = |head: Parts| {
        let can = bodiless && head.method.is_safe();
        can.then(|| Request::from_parts(head, RequestBody::Empty))
    };
    let response = tokio::select! {
        biased;
        response = response => response,
        () = unresponsive => return Err(SendFailure::unresponsive(replayable(head))),
    };
    match response {
        Ok(response) => Ok(ResponseBody::of(response, body)),
        Err(error) if is_unprocessed(&error) || stream.writes() == writes => {
            let body = match body {
                None => Some(RequestBody::Empty),
                Some(body) => body.into_body(),
            };
            let unsent = body.map(|body| Request::from_parts(head, body));
            Err(SendFailure::new(error, unsent))
        }
        // The connection broke. A reset, in contrast, is about the request.
        Err(error) if error.is_io() => Err(SendFailure::broken(error, replayable(head))),
        Err(error) => Err(SendFailure::new(error, None)),
    }
}

/// A copy of a request's head for h2, which consumes it. The original may have to be sent again.
fn copy(head: &Parts) -> Request<()> {
    let mut copy = Request::new(());
    *copy.method_mut() = head.method.clone();
    *copy.uri_mut() = head.uri.clone();
    *copy.version_mut() = head.version;
    *copy.headers_mut() = head.headers.clone();
    copy
}

/// Whether the server says that it did not process the request: its GOAWAY names an earlier
/// stream as the last one (RFC 9113 section 6.8; h2 ends no other streams by it), or it refused
/// the stream (section 8.7).
fn is_unprocessed(error: &h2::Error) -> bool {
    error.is_remote() && (error.is_go_away() || error.reason() == Some(Reason::REFUSED_STREAM))
}
