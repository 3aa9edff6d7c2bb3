//! `pods/{name}/log`: the lines of the main process.

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
use crate::demo::form::Form;
use crate::demo::kubernetes::encoding::status::{Cause, Status};
use crate::demo::server::Body;

/// The number of lines that are kept. Kubelets limit the size instead.
const KEPT_LINES: u64 = 1000;

/// The fields of `PodLogOptions`.
#[derive(Debug)]
struct Options {
    follow: bool,
    timestamps: bool,
    tail_lines: Option<u64>,
    since: Option<Timestamp>,
    limit_bytes: Option<u64>,
}

/// Responds with the log as plain text. With `follow` the response does not end.
///
/// # Errors
/// The options are invalid or cannot be met. The messages are those of API servers.
pub(super) fn respond(query: &Form, container: &Container) -> Result<Response<Body>, Status> {
    if query.flag("previous") {
        // The container was never restarted.
        let Container { name, pod, .. } = container;
        return Err(Status::bad_request(format!(
            "previous terminated container \"{name}\" in pod \"{pod}\" not found"
        )));
    }
    let now = Timestamp::now();
    let options = Options::parse(query, now)?;
    let body = body(container.main.clone(), options, now);
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    Ok(response)
}

impl Options {
    fn parse(query: &Form, now: Timestamp) -> Result<Self, Status> {
        let seconds = number(query, "sinceSeconds", 1)?;
        let time = query.get("sinceTime");
        if let (Some(seconds), Some(_)) = (seconds, time) {
            let detail = "at most one of `sinceTime` or `sinceSeconds` may be specified";
            return Err(invalid("sinceSeconds", &json!(seconds), detail));
        }
        let since = match (seconds, time) {
            (Some(seconds), _) => {
                let back = i64::try_from(seconds).unwrap_or(i64::MAX);
                let back = SignedDuration::from_secs(back);
                Some(now.checked_sub(back).unwrap_or(Timestamp::MIN))
            }
            (None, Some(time)) => Some(time.parse().map_err(|error| {
                Status::bad_request(format!(
                    "sinceTime: {time:?} is not an RFC 3339 time: {error}"
                ))
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

    /// The number of the first line to send, if `written` lines exist.
    fn first_line(&self, process: &MainProcess, written: u64) -> u64 {
        let kept = written.saturating_sub(KEPT_LINES);
        let tail = self
            .tail_lines
            .map_or(0, |tail| written.saturating_sub(tail));
        let since = self.since.map_or(0, |since| {
            let before = process.written_by(since);
            // A line of exactly that time is included.
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
            // Kubelets use RFC 3339 with nine decimals (RFC3339NanoFixed).
            format!("{:.9} {line}\n", process.written_at(n))
        } else {
            format!("{line}\n")
        }
    }
}

/// A whole number that is not less than `minimum`.
fn number(query: &Form, field: &'static str, minimum: i64) -> Result<Option<u64>, Status> {
    let Some(text) = query.get(field) else {
        return Ok(None);
    };
    let number: i64 = text.parse().map_err(|error| {
        Status::bad_request(format!("{field}: {text:?} is not a whole number: {error}"))
    })?;
    match u64::try_from(number) {
        Ok(found) if number >= minimum => Ok(Some(found)),
        _ if minimum == 0 => Err(invalid(
            field,
            &json!(number),
            "must be greater than or equal to 0",
        )),
        _ => Err(invalid(field, &json!(number), "must be greater than 0")),
    }
}

fn invalid(field: &str, value: &Value, detail: &str) -> Status {
    let cause = Cause::invalid(field, value, detail);
    Status::invalid("PodLogOptions", "", "", vec![cause])
}

/// The position in a log.
struct Reader {
    process: MainProcess,
    options: Options,
    next: u64,
    /// The number of lines that exist and are sent in one piece.
    written: u64,
    /// The number of bytes that may still be sent.
    remaining: Option<u64>,
}

fn body(process: MainProcess, options: Options, now: Timestamp) -> Body {
    let written = process.written_by(now);
    let reader = Reader {
        next: options.first_line(&process, written),
        written,
        remaining: options.limit_bytes,
        process,
        options,
    };
    let pieces = stream::unfold(reader, |mut reader| async move {
        let piece = reader.next_piece().await?;
        Some((Ok(Frame::data(piece)), reader))
    });
    StreamBody::new(pieces).boxed_unsync()
}

impl Reader {
    /// The next piece of the log; `None` at the end.
    async fn next_piece(&mut self) -> Option<Bytes> {
        if self.remaining == Some(0) {
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
        if let Some(remaining) = &mut self.remaining {
            piece.truncate(usize::try_from(*remaining).unwrap_or(usize::MAX));
            *remaining -= piece.len() as u64;
        }
        Some(piece)
    }
}

#[cfg(test)]
mod tests;
