//! `pods/{name}/log`: the lines of the pretend main process.

use bytes::Bytes;
use futures_util::stream;
use http_body_util::{BodyExt, StreamBody};
use hyper::Response;
use hyper::body::Frame;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::main_process::MainProcess;
use super::pod::Container;
use crate::demo::form::Query;
use crate::demo::kubernetes::encoding::status::{Cause, Status};
use crate::demo::server::Body;

/// How many of the last lines are still there; a kubelet rotates by size instead.
const KEPT: u64 = 1000;

/// What `PodLogOptions` ask for.
#[derive(Debug)]
struct Options {
    follow: bool,
    timestamps: bool,
    tail_lines: Option<u64>,
    since: Option<Timestamp>,
    limit_bytes: Option<u64>,
}

/// Answers with the log as plain text, without an end where `follow` is asked for.
///
/// # Errors
/// Options that cannot be read or met, in the API server's words.
pub(super) fn answer(query: &Query, container: &Container) -> Result<Response<Body>, Status> {
    if query.flag("previous") {
        // The pretend container has never been restarted.
        let Container { name, pod, .. } = container;
        return Err(Status::bad_request(format!(
            "previous terminated container \"{name}\" in pod \"{pod}\" not found"
        )));
    }
    let now = Timestamp::now();
    let options = Options::read(query, now)?;
    let body = body(container.main.clone(), options, now);
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    Ok(response)
}

impl Options {
    fn read(query: &Query, now: Timestamp) -> Result<Self, Status> {
        let seconds = number(query, "sinceSeconds", 1)?;
        let time = query.get("sinceTime");
        if let (Some(seconds), Some(_)) = (seconds, time) {
            let why = "at most one of `sinceTime` or `sinceSeconds` may be specified";
            return Err(invalid("sinceSeconds", &json!(seconds), why));
        }
        let since = match (seconds, time) {
            (Some(seconds), _) => {
                let back = i64::try_from(seconds).unwrap_or(i64::MAX);
                let back = SignedDuration::from_secs(back);
                Some(now.checked_sub(back).unwrap_or(Timestamp::MIN))
            }
            (None, Some(time)) => Some(time.parse().map_err(|error| {
                Status::bad_request(format!("sinceTime: {time:?} is no RFC 3339 time: {error}"))
            })?),
            (None, None) => None,
        };
        Ok(Self {
            follow: query.flag("follow"),
            timestamps: query.flag("timestamps"),
            tail_lines: number(query, "tailLines", 0)?,
            since,
            limit_bytes: number(query, "limitBytes", 1)?,
        })
    }

    /// The first line to send, of those written by now.
    fn first_line(&self, process: &MainProcess, written: u64) -> u64 {
        let kept = written.saturating_sub(KEPT);
        let tail = self
            .tail_lines
            .map_or(0, |tail| written.saturating_sub(tail));
        let since = self.since.map_or(0, |since| {
            let before = process.written_by(since);
            // The line of that very moment belongs to what is wanted.
            let at = before.saturating_sub(1);
            if before > 0 && process.written_at(at) >= since {
                at
            } else {
                before
            }
        });
        kept.max(tail).max(since.min(written))
    }

    fn render(&self, process: &MainProcess, n: u64) -> String {
        let line = process.line(n);
        if self.timestamps {
            // Kubelets write RFC 3339 with nine digits (RFC3339NanoFixed).
            format!("{:.9} {line}\n", process.written_at(n))
        } else {
            format!("{line}\n")
        }
    }
}

/// A whole number of at least `least`.
fn number(query: &Query, field: &'static str, least: i64) -> Result<Option<u64>, Status> {
    let Some(text) = query.get(field) else {
        return Ok(None);
    };
    let number: i64 = text.parse().map_err(|error| {
        Status::bad_request(format!("{field}: {text:?} is no whole number: {error}"))
    })?;
    match u64::try_from(number) {
        Ok(found) if number >= least => Ok(Some(found)),
        _ if least == 0 => Err(invalid(
            field,
            &json!(number),
            "must be greater than or equal to 0",
        )),
        _ => Err(invalid(field, &json!(number), "must be greater than 0")),
    }
}

fn invalid(field: &str, value: &Value, why: &str) -> Status {
    let cause = Cause::invalid(field, value, why);
    Status::invalid("PodLogOptions", "", "", vec![cause])
}

/// How far a followed log has come.
struct Reader {
    process: MainProcess,
    options: Options,
    next: u64,
    /// Lines before this one are sent in one piece.
    written: u64,
    left: Option<u64>,
}

fn body(process: MainProcess, options: Options, now: Timestamp) -> Body {
    let written = process.written_by(now);
    let reader = Reader {
        next: options.first_line(&process, written),
        written,
        left: options.limit_bytes,
        process,
        options,
    };
    let pieces = stream::unfold(reader, |mut reader| async move {
        let piece = reader.piece().await?;
        Some((Ok(Frame::data(piece)), reader))
    });
    StreamBody::new(pieces).boxed_unsync()
}

impl Reader {
    /// What there is to send next; `None` at the end.
    async fn piece(&mut self) -> Option<Bytes> {
        if self.left == Some(0) {
            return None;
        }
        if self.next >= self.written {
            if !self.options.follow {
                return None;
            }
            self.process.wait_for(self.next).await;
            self.written = self.next + 1;
        }
        let lines = self.next..self.written;
        let text: String = lines
            .map(|n| self.options.render(&self.process, n))
            .collect();
        self.next = self.written;
        let mut piece = Bytes::from(text);
        if let Some(left) = &mut self.left {
            piece.truncate(usize::try_from(*left).unwrap_or(usize::MAX));
            *left -= piece.len() as u64;
        }
        Some(piece)
    }
}

#[cfg(test)]
mod tests;
