//! Responses that are ready before the request's body was received.

use http::{HeaderValue, Response, StatusCode, header::CONNECTION};

use super::connection_state::{BodyProgress, ConnectionState};

/// Adds `Connection: close` to a response if the rest of the request's body is still to come and
/// would be taken for the next request. hyper notices this only after it has written the response's
/// head, and then closes without notice while the client sends its next request (RFC 9112
/// section 9.6).
pub(super) async fn announce_close<B>(response: &mut Response<B>, state: &ConnectionState) {
    if state.body_progress() == BodyProgress::Unknown {
        // hyper knows: it discards the rest of an unread body that it holds, or closes and says so
        // itself. It does that when it is polled next.
        tokio::task::yield_now().await;
    }
    if state.body_progress() == BodyProgress::Incomplete
        && response.status() != StatusCode::SWITCHING_PROTOCOLS
    {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(CONNECTION, close);
    }
}
