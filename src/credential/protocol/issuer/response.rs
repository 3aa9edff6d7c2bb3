//! The responses of issuers, and whether a later call may succeed.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode, Uri, header::RETRY_AFTER, response};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use jiff::{Timestamp, fmt::rfc2822::DateTimeParser};
use serde::de::DeserializeOwned;
use serde_json::error::Category;
use zeroize::Zeroizing;

use super::{IssuerError, call_policy::Call};
use crate::credential::Error;

/// Bytes that a body may have.
const LIMIT: usize = 1 << 20;
/// The longest `Retry-After` that is accepted.
const RETRY_LIMIT: Duration = Duration::from_secs(3600);

/// The response of an issuer. The body may contain tokens and is wiped on drop.
pub struct Response {
    /// The kind of server: `the issuer`.
    pub server: &'static str,
    /// The requested URL, without its query.
    pub url: Uri,
    /// The status, redirects included.
    pub status: StatusCode,
    /// The headers; `Location` may contain a code or a token.
    pub headers: HeaderMap,
    /// `Retry-After`, an hour at most.
    pub retry_after: Option<Duration>,
    /// 1 MiB at most.
    pub body: Zeroizing<Vec<u8>>,
}

impl Response {
    /// An error about this response.
    pub fn error(&self, problem: impl Into<String>) -> Error {
        let busy = matches!(
            self.status,
            StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT
        );
        // 501 does not change by waiting.
        let failed = self.status.is_server_error() && self.status != StatusCode::NOT_IMPLEMENTED;
        self.with_transience(problem.into(), busy || failed)
    }

    /// A transient error about this response, whatever its status.
    pub(in crate::credential) fn transient_error(&self, problem: impl Into<String>) -> Error {
        self.with_transience(problem.into(), true)
    }

    fn with_transience(&self, problem: String, transient: bool) -> Error {
        Error::Issuer(IssuerError::Response {
            server: self.server,
            url: self.url.to_string(),
            problem,
            transient,
            retry_after: self.retry_after,
        })
    }

    /// Parses the body as JSON; `otherwise` describes it in errors. The parser's own error is
    /// dropped, because it may quote the response.
    ///
    /// # Errors
    /// A body that is other JSON. A body that is no JSON is a transient error: it may come from an
    /// intermediary, such as the login page of a network.
    pub fn json<T: DeserializeOwned>(&self, otherwise: &str) -> Result<T, Error> {
        serde_json::from_slice(&self.body).map_err(|parsing| match parsing.classify() {
            Category::Data => self.error(format!("its answer is {otherwise}")),
            _ => self.transient_error(format!(
                "its answer is {otherwise}, and no JSON at all; check that nothing in between \
                 answers in its place, such as the login page of a network"
            )),
        })
    }
}

/// A response whose body has not arrived yet.
pub(in crate::credential) struct StreamingResponse {
    pub(super) url: Uri,
    pub(super) head: response::Parts,
    pub(super) incoming: Incoming,
    pub(super) call: Call,
}

impl StreamingResponse {
    pub(in crate::credential) fn status(&self) -> StatusCode {
        self.head.status
    }

    /// Reads the next part of the body; `None` at its end.
    pub(in crate::credential) async fn part(&mut self) -> Result<Option<Bytes>, Error> {
        while let Some(frame) = self.incoming.frame().await {
            let frame = frame
                .map_err(|e| IssuerError::unreachable(self.call.server, &self.url, e.into()))?;
            if let Ok(data) = frame.into_data() {
                return Ok(Some(data));
            }
        }
        Ok(None)
    }

    /// Reads the whole response, within the timeout of the call.
    pub(in crate::credential) async fn whole(self) -> Result<Response, Error> {
        let call = self.call.clone();
        call.bounded(self.read()).await
    }

    async fn read(mut self) -> Result<Response, Error> {
        // Growing would leave copies that are not wiped.
        let mut body = Zeroizing::new(Vec::with_capacity(64 << 10));
        let mut too_long = false;
        while let Some(data) = self.part().await? {
            too_long = body.len() + data.len() > LIMIT;
            if too_long {
                break;
            }
            if body.len() + data.len() > body.capacity() {
                let mut larger = Zeroizing::new(Vec::with_capacity(LIMIT));
                larger.extend_from_slice(&body);
                body = larger;
            }
            body.extend_from_slice(&data);
        }
        let response = Response {
            server: self.call.server,
            url: self.url,
            status: self.head.status,
            retry_after: retry_after(&self.head.headers),
            headers: self.head.headers,
            body,
        };
        if too_long {
            return Err(response.error(format!("its answer has more than {LIMIT} bytes")));
        }
        Ok(response)
    }
}

/// `Retry-After`, an hour at most.
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    retry_after_at(headers, Timestamp::now())
}

/// `Retry-After` in both its forms (RFC 9110, section 10.2.3).
fn retry_after_at(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let pause = if let Ok(seconds) = text.parse() {
        Duration::from_secs(seconds)
    } else {
        let date = DateTimeParser::new().parse_timestamp(text).ok()?;
        Duration::try_from(date.duration_since(now)).unwrap_or_default()
    };
    Some(pause.min(RETRY_LIMIT))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn retry_after_may_be_seconds_or_a_date() {
        let now: Timestamp = "2026-11-06T08:49:37Z".parse().unwrap();
        for (text, seconds) in [
            ("7", Some(7)),
            ("Fri, 06 Nov 2026 08:49:47 GMT", Some(10)),
            ("Fri, 06 Nov 2026 08:49:07 GMT", Some(0)),
            ("99999999999", Some(3600)),
            ("-1", None),
            ("soon", None),
        ] {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, text.parse().unwrap())]);
            let expected = seconds.map(Duration::from_secs);
            assert_eq!(retry_after_at(&headers, now), expected, "{text}");
        }
        assert_eq!(retry_after_at(&HeaderMap::new(), now), None);
    }
}
