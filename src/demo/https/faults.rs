//! What can be wrong with a host.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};

/// Stands in every wrong answer: what an issuer says may quote secrets and is never to be shown.
pub const SECRET: &str = "quoted-hunter2";

/// What is wrong with a host now; nothing at first. Clones are the same faults.
#[derive(Clone, Debug, Default)]
pub struct Faults(Arc<Mutex<State>>);

#[derive(Clone, Debug, Default)]
struct State {
    slow: Duration,
    down: bool,
    wrong: Option<Wrong>,
    rate_limit: Option<RetryAfter>,
    /// Seconds ahead of the true time.
    skew: i64,
    /// Where requests are slow, limited or answered wrongly; everywhere if `None`.
    path: Option<String>,
    /// How many more of them are; all if `None`.
    times: Option<usize>,
}

/// An answer that no issuer should give.
#[derive(Clone, Debug)]
pub enum Wrong {
    /// This status, with JSON that is no known error.
    Status(StatusCode),
    /// 200 with a page of HTML.
    Html,
    /// 200 with JSON of 10 MB.
    Huge,
    /// 302 to the same path of another host, given as `https://host:port`.
    Redirect(String),
    /// 200 with JSON that breaks off.
    Garbage,
    /// 200 with no body.
    Empty,
}

/// The form of `Retry-After` (RFC 9110, section 10.2.3).
#[derive(Clone, Copy, Debug)]
pub enum RetryAfter {
    /// So many seconds.
    Seconds(u64),
    /// So many seconds from the answer on, as a date by the host's clock.
    Date(u64),
}

impl Faults {
    /// Answers so much later.
    pub fn slow(&self, by: Duration) {
        self.state().slow = by;
    }

    /// Resets every connection, those that are open at their next request, or goes on.
    pub fn down(&self, down: bool) {
        self.state().down = down;
    }

    /// Gives a wrong answer instead of the right one, or the right one again.
    pub fn answer_with(&self, wrong: Option<Wrong>) {
        self.state().wrong = wrong;
    }

    /// Answers 429, or as before.
    pub fn rate_limit(&self, retry_after: Option<RetryAfter>) {
        self.state().rate_limit = retry_after;
    }

    /// Sets the host's clock so many seconds ahead, or back.
    pub fn skew(&self, seconds: i64) {
        self.state().skew = seconds;
    }

    /// Leaves all other paths alone, except that they are down and skewed too.
    pub fn only(&self, path: &str) {
        self.state().path = Some(path.to_owned());
    }

    /// Is slow, limits or answers wrongly so many times more; other faults stay.
    pub fn times(&self, times: usize) {
        self.state().times = Some(times);
    }

    /// Takes every fault away.
    pub fn heal(&self) {
        *self.state() = State::default();
    }

    pub(super) fn is_down(&self) -> bool {
        self.state().down
    }

    /// The time as the host sees it.
    pub(crate) fn now(&self) -> SystemTime {
        let (now, skew) = (SystemTime::now(), self.state().skew);
        let by = Duration::from_secs(skew.unsigned_abs());
        let skewed = if skew < 0 {
            now.checked_sub(by)
        } else {
            now.checked_add(by)
        };
        skewed.unwrap_or(now)
    }

    /// What `handler` answers, or what the faults make of it. `None` cuts the connection.
    pub(super) async fn meet(
        &self,
        request: Request<Bytes>,
        handler: impl Fn(Request<Bytes>, SystemTime) -> Response<Bytes>,
    ) -> Option<Response<Bytes>> {
        let path = request.uri().path().to_owned();
        let (state, concerned) = self.concern(&path);
        if concerned {
            tokio::time::sleep(state.slow).await;
        }
        if self.is_down() {
            return None;
        }
        match (state.rate_limit, state.wrong) {
            (Some(retry_after), _) if concerned => retry_after.answer(self.now()),
            (_, Some(wrong)) if concerned => wrong.answer(&path),
            _ => Some(handler(request, self.now())),
        }
    }

    /// Whether a request is slow, limited or answered wrongly, which is counted.
    fn concern(&self, path: &str) -> (State, bool) {
        let mut state = self.state();
        let here = state.path.as_ref().is_none_or(|only| only == path);
        let concerned = here && state.times != Some(0);
        if concerned && let Some(left) = &mut state.times {
            *left -= 1;
        }
        (state.clone(), concerned)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wrong {
    fn answer(self, path: &str) -> Option<Response<Bytes>> {
        let json = Response::builder().header(header::CONTENT_TYPE, "application/json");
        let response = match self {
            Self::Status(status) => json
                .status(status)
                .body(format!(r#"{{"problem":"{SECRET}"}}"#)),
            Self::Html => Response::builder()
                .header(header::CONTENT_TYPE, "text/html; charset=utf-8")
                .body(format!(
                    "<!doctype html><title>Sign in</title><p>{SECRET}</p>"
                )),
            Self::Huge => json.body(format!(r#"{{"padding":"{}"}}"#, SECRET.repeat(720_000))),
            Self::Redirect(host) => Response::builder()
                .status(StatusCode::FOUND)
                .header(header::LOCATION, format!("{host}{path}?hint={SECRET}"))
                .body(String::new()),
            Self::Garbage => json.body(format!(r#"{{"id_token":"{SECRET}","expires_"#)),
            Self::Empty => json.body(String::new()),
        };
        Some(response.ok()?.map(Bytes::from))
    }
}

impl RetryAfter {
    fn answer(self, now: SystemTime) -> Option<Response<Bytes>> {
        let value = match self {
            Self::Seconds(seconds) => HeaderValue::from(seconds),
            Self::Date(seconds) => super::date(now.checked_add(Duration::from_secs(seconds))?)?,
        };
        Response::builder()
            .status(StatusCode::TOO_MANY_REQUESTS)
            .header(header::RETRY_AFTER, value)
            .body(Bytes::from_static(SECRET.as_bytes()))
            .ok()
    }
}
