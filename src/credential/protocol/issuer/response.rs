//! What issuers answer, and what their answers mean for another try.

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

/// Bytes that an answer may have.
const LIMIT: usize = 1 << 20;
/// The longest `Retry-After` that is believed.
const RETRY_LIMIT: Duration = Duration::from_secs(3600);

/// What an issuer answered. The body may hold tokens and is wiped on drop.
pub struct Response {
    /// Who was asked: `the issuer`.
    pub server: &'static str,
    /// What was asked for, without its query.
    pub url: Uri,
    /// The status, redirects included.
    pub status: StatusCode,
    /// The headers; `Location` may hold a code or a token.
    pub headers: HeaderMap,
    /// `Retry-After`, an hour at most.
    pub retry_after: Option<Duration>,
    /// 1 MiB at most.
    pub body: Zeroizing<Vec<u8>>,
}

impl Response {
    /// An error about this answer.
    pub fn error(&self, problem: impl Into<String>) -> Error {
        let busy = matches!(
            self.status,
            StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT
        );
        // An issuer that does not know how will not learn it meanwhile.
        let broken = self.status.is_server_error() && self.status != StatusCode::NOT_IMPLEMENTED;
        self.judged(problem.into(), busy || broken)
    }

    /// An error that may pass by itself, whatever the status.
    pub(in crate::credential) fn transient(&self, problem: impl Into<String>) -> Error {
        self.judged(problem.into(), true)
    }

    fn judged(&self, problem: String, transient: bool) -> Error {
        Error::Issuer(IssuerError::Response {
            server: self.server,
            url: self.url.to_string(),
            problem,
            transient,
            retry_after: self.retry_after,
        })
    }

    /// The body as JSON; `otherwise` says in errors what it is. The error's own text is dropped,
    /// for it may quote the answer.
    ///
    /// # Errors
    /// A body that is no such JSON. One that is none at all may come from something in between,
    /// such as the login page of a network, and pass.
    pub fn json<T: DeserializeOwned>(&self, otherwise: &str) -> Result<T, Error> {
        serde_json::from_slice(&self.body).map_err(|parsing| match parsing.classify() {
            Category::Data => self.error(format!("its answer is {otherwise}")),
            _ => self.transient(format!(
                "its answer is {otherwise}, and no JSON at all; see that nothing in between \
                 answers in its place, such as the login page of a network"
            )),
        })
    }
}

/// An answer whose body is still on its way.
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

    /// The next part of the body; `None` at its end.
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

    /// The whole answer, by the end of the patience that began when it was asked for.
    pub(in crate::credential) async fn whole(self) -> Result<Response, Error> {
        let call = self.call.clone();
        call.bounded(self.read()).await
    }

    async fn read(mut self) -> Result<Response, Error> {
        // Room for all of it at once: growing would leave unwiped copies behind.
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
            retry_after: retry_after(&self.head.headers, Timestamp::now()),
            headers: self.head.headers,
            body,
        };
        if too_long {
            return Err(response.error(format!("its answer has more than {LIMIT} bytes")));
        }
        Ok(response)
    }
}

/// `Retry-After` in both its forms (RFC 9110, section 10.2.3), an hour at most.
fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
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
            assert_eq!(retry_after(&headers, now), expected, "{text}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), now), None);
    }
}
