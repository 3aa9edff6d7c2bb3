//! Answers that come before the request's body has.

use http::{HeaderValue, Response, StatusCode, header::CONNECTION};

use super::exchange::{Body, Exchange};

/// Says in an answer that the connection closes, where the rest of the request's body would be
/// taken for the next request. hyper finds that out only when it has written the answer's head, and
/// closes without a word then, under the hands of a client that sends its next request (RFC 9112
/// section 9.6).
pub(super) async fn prepare<B>(answer: &mut Response<B>, exchange: &Exchange) {
    if exchange.body() == Body::Unclear {
        // hyper knows: it drops what it holds of a body that nobody reads, or closes and says so;
        // but it must have its turn first.
        tokio::task::yield_now().await;
    }
    if exchange.body() == Body::Coming && answer.status() != StatusCode::SWITCHING_PROTOCOLS {
        let close = HeaderValue::from_static("close");
        answer.headers_mut().insert(CONNECTION, close);
    }
}
