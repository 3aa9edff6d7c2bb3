//! [`RequestRecord`]: what the request log says of one request.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use http::{Method, Request, StatusCode};

use crate::kubeconfig::Slug;

/// The target of these lines, by which a log takes or drops them.
pub(super) const TARGET: &str = "kubegate::requests";

/// A request in flight, among its extensions. Its log line is written when the last clone is dropped.
#[derive(Clone)]
pub(super) struct RequestRecord(Arc<Fields>);

struct Fields {
    method: Method,
    path: String,
    /// The path of the API, if the request came to the origin of an app.
    api_path: OnceLock<String>,
    start: Instant,
    /// 0 until there is a response.
    status: AtomicU16,
    is_watch: AtomicBool,
    /// Bytes to the client.
    bytes: AtomicU64,
    /// Bytes to the server, on an upgraded connection.
    sent: AtomicU64,
    /// The client whose token of `--require-token-file` the request brought.
    client: OnceLock<Arc<str>>,
    /// The context that the request chose.
    context: OnceLock<Slug>,
    is_broken: AtomicBool,
}

impl RequestRecord {
    pub(super) fn new<B>(request: &Request<B>) -> Self {
        Self(Arc::new(Fields {
            method: request.method().clone(),
            path: request.uri().path().to_owned(),
            api_path: OnceLock::new(),
            start: Instant::now(),
            status: AtomicU16::new(0),
            is_watch: AtomicBool::new(false),
            bytes: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            client: OnceLock::new(),
            context: OnceLock::new(),
            is_broken: AtomicBool::new(false),
        }))
    }

    pub(super) fn set_status(&self, status: StatusCode) {
        self.0.status.store(status.as_u16(), Ordering::Relaxed);
    }

    /// Notes the path of the API that a request to the origin of an app stands for.
    pub(super) fn set_api_path(&self, path: &str) {
        self.0.api_path.get_or_init(|| path.to_owned());
    }

    /// Notes the client that a token has proved.
    pub(super) fn set_client(&self, client: Arc<str>) {
        self.0.client.get_or_init(|| client);
    }

    /// Notes the context that the request chose.
    pub(super) fn set_context(&self, slug: Slug) {
        self.0.context.get_or_init(|| slug);
    }

    /// Writes a line for the start of a watch.
    pub(super) fn log_watch_begin(&self) {
        self.0.is_watch.store(true, Ordering::Relaxed);
        let (method, path) = (&self.0.method, self.0.path());
        let context = self.0.context();
        tracing::info!(target: TARGET, "watch begins: {method} {path}{context}");
    }

    /// Counts bytes of the body that were sent to the client.
    pub(super) fn add_bytes(&self, count: usize) {
        self.0.bytes.fetch_add(count as u64, Ordering::Relaxed);
    }

    /// Sets how many bytes were moved on an upgraded connection so far.
    pub(super) fn set_moved(&self, to_server: u64, to_client: u64) {
        self.0.sent.store(to_server, Ordering::Relaxed);
        self.0.bytes.store(to_client, Ordering::Relaxed);
    }

    /// Notes that the body broke off.
    pub(super) fn set_broken(&self) {
        self.0.is_broken.store(true, Ordering::Relaxed);
    }
}

impl Fields {
    fn path(&self) -> &str {
        self.api_path.get().unwrap_or(&self.path)
    }

    fn context(&self) -> String {
        let context = self.context.get();
        context.map_or_else(String::new, |slug| format!(", context {slug}"))
    }
}

impl Drop for Fields {
    fn drop(&mut self) {
        let context = self.context();
        let begin = match self.is_watch.get_mut() {
            true => "watch ends: ",
            false => "",
        };
        let time = format_time(self.start.elapsed());
        let bytes = *self.bytes.get_mut();
        let client = self.client.get();
        let client = client.map_or_else(String::new, |client| format!(", client {client}"));
        let end = match (*self.sent.get_mut(), *self.is_broken.get_mut()) {
            (_, true) => ", broken off".to_owned(),
            (0, false) => String::new(),
            (sent, false) => format!(", {sent} bytes sent"),
        };
        let status = *self.status.get_mut();
        let (method, path) = (&self.method, self.path());
        match status {
            0 => tracing::info!(
                target: TARGET,
                "{method} {path}: the client disconnected before the response, after {time}{context}"
            ),
            status => tracing::info!(
                target: TARGET,
                "{begin}{method} {path} {status} {time} {bytes} bytes{end}{context}{client}"
            ),
        }
    }
}

/// Formats a time in milliseconds, and in seconds from ten on.
fn format_time(time: Duration) -> String {
    if time < Duration::from_secs(10) {
        format!("{} ms", time.as_millis())
    } else {
        format!("{:.1} s", time.as_secs_f32())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_times_are_in_seconds() {
        for (milliseconds, text) in [(0, "0 ms"), (9999, "9999 ms"), (12_340, "12.3 s")] {
            assert_eq!(format_time(Duration::from_millis(milliseconds)), text);
        }
    }
}
