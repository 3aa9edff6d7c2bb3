//! [`Lease`]: the right to one request on one connection.

use http::{HeaderValue, Request, Response, Uri};
use http_body::Body as _;
use hyper::body::Incoming;

use super::{http1_connections::Http1Lease, http2_connections::StreamLease};
use crate::upstream::{body::RequestBody, http2, send_failure::SendFailure};

/// The right to one request on one connection.
pub(super) enum Lease {
    Http1(Http1Lease),
    Http2(StreamLease),
}

/// The body of a response as its protocol yields it.
pub(super) enum WireBody {
    Http1(Incoming),
    Http2(http2::ResponseBody),
}

impl Lease {
    pub(super) async fn send(
        &mut self,
        request: Request<RequestBody>,
        uri: &Uri,
        host: &HeaderValue,
    ) -> Result<Response<WireBody>, SendFailure> {
        match self {
            Self::Http1(lease) => {
                let response = lease.send(request, uri, host).await?;
                Ok(response.map(WireBody::Http1))
            }
            Self::Http2(lease) => {
                let response = lease.send(request, uri).await?;
                Ok(response.map(WireBody::Http2))
            }
        }
    }
}

impl WireBody {
    pub(super) fn is_end_stream(&self) -> bool {
        match self {
            Self::Http1(body) => body.is_end_stream(),
            Self::Http2(body) => body.is_end_stream(),
        }
    }
}
