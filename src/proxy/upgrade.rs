//! Upgrades: one HTTP/1.1 request and response, and after a valid 101 two joined byte streams.

use std::sync::Arc;

use http::{
    HeaderMap, HeaderValue, Request, Response, StatusCode,
    header::{CONNECTION, UPGRADE},
};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use rustls::sign::CertifiedKey;
use tokio_util::task::TaskTracker;

use super::{
    Body, Error,
    hop_by_hop::{self, Protocol},
    request_record::RequestRecord,
    response_framing,
    tunnel::{self, Broken},
};
use crate::upstream::{RequestBody, ResponseBody, Upstream};

/// Sends an upgrade, and relays the response or the joined streams.
///
/// Only a 101 that names `protocol` joins the streams. An error is relayed, and its connections carry
/// nothing more. Anything else is refused: client and server could disagree on whether the connection
/// is upgraded (CVE-2018-1002105). Redirects are never followed.
pub(super) async fn forward(
    upstream: &Upstream,
    mut request: Request<RequestBody>,
    certificate: Option<&Arc<CertifiedKey>>,
    protocol: Protocol,
    (client, record): (OnUpgrade, Option<RequestRecord>),
    tunnels: &TaskTracker,
) -> Result<Response<Body>, Error> {
    set_upgrade_headers(request.headers_mut(), protocol);
    let mut response = upstream.upgrade(request, certificate).await?;
    response_framing::normalise(&mut response)?;
    let status = response.status();
    if status == StatusCode::SWITCHING_PROTOCOLS {
        if !switches_to(response.headers(), protocol) {
            return Err(refuse(protocol, &response));
        }
        let server = hyper::upgrade::on(&mut response);
        tunnels.spawn(join(client, server, record));
        return Ok(relay(response, |headers| {
            set_upgrade_headers(headers, protocol);
        }));
    }
    if status.is_client_error() || status.is_server_error() {
        return Ok(relay(response, |headers| {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }));
    }
    Err(refuse(protocol, &response))
}

fn set_upgrade_headers(headers: &mut HeaderMap, protocol: Protocol) {
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static(protocol.token()));
}

fn switches_to(headers: &HeaderMap, protocol: Protocol) -> bool {
    let mut tokens = headers.get_all(UPGRADE).iter();
    let named = tokens.next().map(|token| token.as_bytes().trim_ascii());
    named.and_then(Protocol::of_token) == Some(protocol) && tokens.next().is_none()
}

fn relay(
    response: Response<ResponseBody>,
    connection: impl FnOnce(&mut HeaderMap),
) -> Response<Body> {
    let (mut head, body) = response.into_parts();
    hop_by_hop::strip_response(&mut head.headers);
    connection(&mut head.headers);
    head.extensions.clear();
    let body = if head.status == StatusCode::SWITCHING_PROTOCOLS {
        Body::Empty
    } else {
        Body::Upstream(body)
    };
    Response::from_parts(head, body)
}

fn refuse(protocol: Protocol, response: &Response<ResponseBody>) -> Error {
    let named = response.headers().get(UPGRADE);
    let named = named.map(|v| format!(" naming {:?}", String::from_utf8_lossy(v.as_bytes())));
    Error::BadUpgrade {
        asked: protocol.token(),
        answered: format!("{}{}", response.status(), named.unwrap_or_default()),
    }
}

/// Joins the two upgraded connections, and counts the bytes for the log.
async fn join(client: OnUpgrade, server: OnUpgrade, record: Option<RequestRecord>) {
    let (client, server) = match tokio::try_join!(client, server) {
        Ok(both) => both,
        Err(error) => return tracing::debug!(%error, "an upgrade failed"),
    };
    let (client, server) = (TokioIo::new(client), TokioIo::new(server));
    let count = |to_server, to_client| {
        if let Some(record) = &record {
            record.set_moved(to_server, to_client);
        }
    };
    match tunnel::join(client, server, count).await {
        Ok(()) => {}
        Err(Broken::Client(error)) => tracing::debug!(%error, "the client of a tunnel closed it"),
        Err(Broken::Server(error)) => tracing::debug!(%error, "tunnel broke"),
    }
}
