//! Faults that can be injected into an [`HttpsServer`](super::HttpsServer).

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};

/// Part of every faulty response. The responses of an issuer may quote secrets, so clients must
/// not show them, and tests look for this text.
pub const QUOTED_SECRET: &str = "quoted-hunter2";

/// The faults of a server, none at first. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Faults(Arc<Mutex<State>>);

#[derive(Clone, Debug, Default)]
struct State {
    delay: Duration,
    delay_when_done: Duration,
    resets_connections: bool,
    response: Option<FaultyResponse>,
    rate_limit: Option<RetryAfter>,
    /// Seconds that the server's clock is ahead.
    clock_skew: i64,
    /// The path whose responses are delayed, limited or faulty; `None` for all paths.
    path: Option<String>,
    /// Whether these are only the responses to requests with an `Authorization` header.
    authorized_only: bool,
    /// How many more responses are delayed, limited or faulty; `None` for all.
    remaining: Option<usize>,
}

/// A response that an issuer should not give.
#[derive(Clone, Debug)]
pub enum FaultyResponse {
    /// This status, with JSON in no known form.
    Status(StatusCode),
    /// 200 with an HTML page.
    Html,
    /// 200 with 10 MB of JSON.
    Oversized,
    /// 302 to the same path of another server, which is given as `https://host:port`.
    Redirect(String),
    /// 200 with JSON that breaks off.
    TruncatedJson,
    /// 200 without a body.
    Empty,
    /// Whatever a test needs beside the others.
    Custom {
        /// The status.
        status: StatusCode,
        /// Headers beside those that every response has.
        headers: Vec<(&'static str, String)>,
        /// The body, whole.
        body: String,
    },
}

/// The two forms of `Retry-After` (RFC 9110, section 10.2.3).
#[derive(Clone, Copy, Debug)]
pub enum RetryAfter {
    /// A number of seconds.
    Seconds(u64),
    /// A date by the server's clock, this many seconds after the response.
    Date(u64),
}

impl Faults {
    /// Delays responses.
    pub fn delay(&self, by: Duration) {
        self.state().delay = by;
    }

    /// Handles requests at once, also those whose client does not wait, and delays the responses.
    pub fn delay_when_done(&self, by: Duration) {
        self.state().delay_when_done = by;
    }

    /// Resets new connections at once and open ones at their next request, or stops doing so.
    pub fn reset_connections(&self, resets: bool) {
        self.state().resets_connections = resets;
    }

    /// Sends this response in place of the handler's; `None` ends that.
    pub fn respond_with(&self, response: Option<FaultyResponse>) {
        self.state().response = response;
    }

    /// Responds with 429; `None` ends that.
    pub fn rate_limit(&self, retry_after: Option<RetryAfter>) {
        self.state().rate_limit = retry_after;
    }

    /// Sets the server's clock ahead, or back if `seconds` is negative.
    pub fn skew_clock(&self, seconds: i64) {
        self.state().clock_skew = seconds;
    }

    /// Limits delays, rate limits and faulty responses to one path. Connection resets and the
    /// clock are not affected.
    pub fn only_on(&self, path: &str) {
        self.state().path = Some(path.to_owned());
    }

    /// Limits delays, rate limits and faulty responses to requests with an `Authorization` header.
    pub fn only_authorized(&self) {
        self.state().authorized_only = true;
    }

    /// Ends delays, rate limits and faulty responses after `responses` more of them.
    pub fn limit_to(&self, responses: usize) {
        self.state().remaining = Some(responses);
    }

    /// Removes every fault.
    pub fn clear(&self) {
        *self.state() = State::default();
    }

    pub(super) fn resets_connections(&self) -> bool {
        self.state().resets_connections
    }

    /// The time by the server's clock.
    pub(crate) fn now(&self) -> SystemTime {
        let (now, skew) = (SystemTime::now(), self.state().clock_skew);
        let by = Duration::from_secs(skew.unsigned_abs());
        let skewed = if skew < 0 {
            now.checked_sub(by)
        } else {
            now.checked_add(by)
        };
        skewed.unwrap_or(now)
    }

    /// The response to a request: the handler's, unless a fault replaces it. `None` cuts the
    /// connection.
    pub(super) async fn apply(
        &self,
        request: Request<Bytes>,
        handler: impl Fn(Request<Bytes>, SystemTime) -> Response<Bytes>,
    ) -> Option<Response<Bytes>> {
        let path = request.uri().path().to_owned();
        let is_authorized = request.headers().contains_key(header::AUTHORIZATION);
        let (state, is_affected) = self.take_turn(&path, is_authorized);
        if is_affected {
            tokio::time::sleep(state.delay).await;
        }
        if self.resets_connections() {
            return None;
        }
        match (state.rate_limit, state.response) {
            (Some(retry_after), _) if is_affected => retry_after.response(self.now()),
            (_, Some(response)) if is_affected => response.build(&path),
            _ => {
                let response = handler(request, self.now());
                if is_affected {
                    tokio::time::sleep(state.delay_when_done).await;
                }
                Some(response)
            }
        }
    }

    /// The faults, and whether a request to `path` is delayed, limited or answered with a faulty
    /// response. Such a request counts against [`Self::limit_to`].
    fn take_turn(&self, path: &str, is_authorized: bool) -> (State, bool) {
        let mut state = self.state();
        let is_here = state.path.as_ref().is_none_or(|only| only == path)
            && (is_authorized || !state.authorized_only);
        let is_affected = is_here && state.remaining != Some(0);
        if is_affected && let Some(remaining) = &mut state.remaining {
            *remaining -= 1;
        }
        (state.clone(), is_affected)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl FaultyResponse {
    fn build(self, path: &str) -> Option<Response<Bytes>> {
        let json = Response::builder().header(header::CONTENT_TYPE, "application/json");
        let response = match self {
            Self::Status(status) => json
                .status(status)
                .body(format!(r#"{{"problem":"{QUOTED_SECRET}"}}"#)),
            Self::Html => Response::builder()
                .header(header::CONTENT_TYPE, "text/html; charset=utf-8")
                .body(format!(
                    "<!doctype html><title>Sign in</title><p>{QUOTED_SECRET}</p>"
                )),
            Self::Oversized => json.body(format!(
                r#"{{"padding":"{}"}}"#,
                QUOTED_SECRET.repeat(720_000)
            )),
            Self::Redirect(server) => Response::builder()
                .status(StatusCode::FOUND)
                .header(
                    header::LOCATION,
                    format!("{server}{path}?hint={QUOTED_SECRET}"),
                )
                .body(String::new()),
            Self::TruncatedJson => {
                json.body(format!(r#"{{"id_token":"{QUOTED_SECRET}","expires_"#))
            }
            Self::Empty => json.body(String::new()),
            Self::Custom {
                status,
                headers,
                body,
            } => {
                let mut response = Response::builder().status(status);
                for (name, value) in headers {
                    response = response.header(name, value);
                }
                response.body(body)
            }
        };
        Some(response.ok()?.map(Bytes::from))
    }
}

impl RetryAfter {
    fn response(self, now: SystemTime) -> Option<Response<Bytes>> {
        let value = match self {
            Self::Seconds(seconds) => HeaderValue::from(seconds),
            Self::Date(seconds) => {
                super::http_date(now.checked_add(Duration::from_secs(seconds))?)?
            }
        };
        Response::builder()
            .status(StatusCode::TOO_MANY_REQUESTS)
            .header(header::RETRY_AFTER, value)
            .body(Bytes::from_static(QUOTED_SECRET.as_bytes()))
            .ok()
    }
}
