//! Watches: the log of changes, filtered and sent as it grows.

use std::{collections::VecDeque, io, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::stream;
use http::{Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use serde_json::{Value, json};
use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;

use crate::demo::{
    form::Query,
    kubernetes::{
        encoding::{
            response,
            status::Status,
            view::{Selection, View},
        },
        objects::{
            metadata::metadata_mut,
            resources::Resource,
            store::{Change, Event, Store, event_line},
        },
        route::Target,
    },
    server::Body,
};

/// How long a watch lives that names no `timeoutSeconds`; real servers pick 30 to 60 minutes.
const LIFETIME: Duration = Duration::from_secs(45 * 60);

/// How often a quiet watch gets a `BOOKMARK`, if it asked for them, as from real servers.
const BOOKMARK_INTERVAL: Duration = Duration::from_secs(60);

/// The annotation that ends the initial events of a streaming list.
const INITIAL_EVENTS_END: &str = "k8s.io/initial-events-end";

/// One client's watch. It costs a cursor and two timers; events are shared.
pub(crate) struct Watch {
    store: Arc<Store>,
    /// Cancelled when the control plane stops.
    stop: CancellationToken,
    selection: Selection,
    view: View,
    latest: watch::Receiver<u64>,
    /// The revision up to which the client has been told.
    cursor: u64,
    pending: VecDeque<Bytes>,
    /// Whether the stream ends once `pending` is sent.
    last: bool,
    deadline: Instant,
    /// When the next `BOOKMARK` is due, if the client wants them.
    bookmark: Option<Instant>,
}

/// A watch as a chunked body of JSON lines.
pub(crate) fn answer(
    (store, stop): (&Arc<Store>, &CancellationToken),
    target: &Target,
    query: &Query,
    view: View,
) -> Result<Response<Body>, Status> {
    let watch = Watch::start((store, stop), target, query, view)?;
    let frames = stream::unfold(watch, |mut watch| async move {
        let line = watch.next().await?;
        Some((Ok::<_, io::Error>(Frame::data(line)), watch))
    });
    let mut response = response::json_bytes(StatusCode::OK, Bytes::new());
    *response.body_mut() = StreamBody::new(frames).boxed_unsync();
    Ok(response)
}

impl Watch {
    /// Begins where `resourceVersion` and `sendInitialEvents` say.
    ///
    /// Without a version, or with `0`, the present objects come first as `ADDED`; otherwise
    /// the changes after that version. A version the log no longer has is told as an `ERROR`
    /// event, as the stream has begun by then.
    pub(crate) fn start(
        (store, stop): (&Arc<Store>, &CancellationToken),
        target: &Target,
        query: &Query,
        view: View,
    ) -> Result<Self, Status> {
        let selection = Selection::new(target, query)?;
        let asked = match query.get("resourceVersion") {
            None => 0,
            Some(text) => text
                .parse()
                .map_err(|_| Status::bad_request(format!("invalid resource version {text:?}")))?,
        };
        let streaming_list = query.flag("sendInitialEvents");
        let bookmarks = query.flag("allowWatchBookmarks");
        if streaming_list && query.get("resourceVersionMatch") != Some("NotOlderThan") {
            return Err(Status::bad_request(
                "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
            ));
        }
        let now = Instant::now();
        let lifetime = query
            .number("timeoutSeconds")
            .filter(|seconds| *seconds > 0);
        let lifetime = lifetime
            .map_or(LIFETIME, Duration::from_secs)
            .min(LIFETIME * 2);
        let mut watch = Self {
            latest: store.subscribe(),
            cursor: asked,
            pending: VecDeque::new(),
            last: false,
            deadline: now + lifetime,
            bookmark: bookmarks.then(|| now + BOOKMARK_INTERVAL),
            store: store.clone(),
            stop: stop.clone(),
            selection,
            view,
        };
        let unset = asked == 0 && query.get("sendInitialEvents") != Some("false");
        if streaming_list || unset {
            watch.send_present();
        }
        if streaming_list {
            watch.send_bookmark(json!({INITIAL_EVENTS_END: "true"}));
        }
        Ok(watch)
    }

    /// The next event as a JSON line; `None` when the watch is over. Safe to cancel.
    pub(crate) async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(line) = self.pending.pop_front() {
                return Some(line);
            }
            if self.last {
                return None;
            }
            self.latest.borrow_and_update();
            self.take_changes();
            if !self.pending.is_empty() {
                continue;
            }
            let wake = self
                .bookmark
                .map_or(self.deadline, |due| due.min(self.deadline));
            tokio::select! {
                changed = self.latest.changed() => self.last = changed.is_err(),
                () = self.stop.cancelled() => self.last = true,
                () = tokio::time::sleep_until(wake) => self.tick(),
            }
        }
    }

    /// A bookmark is due, or the end: then a last one saves the client a list.
    fn tick(&mut self) {
        let now = Instant::now();
        self.last = now >= self.deadline;
        if self.bookmark.is_some() {
            self.send_bookmark(json!({}));
            self.bookmark = Some(now + BOOKMARK_INTERVAL);
        }
    }

    fn send_present(&mut self) {
        let namespace = self.selection.namespace.as_deref();
        let listing = self.store.list(self.selection.resource, namespace);
        self.cursor = listing.revision;
        for (_, object) in &listing.objects {
            if self.selection.matches(&object.value) {
                let line = if self.view.is_plain() {
                    object.line(Change::Added)
                } else {
                    self.shaped(Change::Added, &object.value)
                };
                self.pending.push_back(line);
            }
        }
    }

    fn take_changes(&mut self) {
        let (resource, namespace) = (self.selection.resource, &self.selection.namespace);
        match self
            .store
            .events_after(self.cursor, resource, namespace.as_deref())
        {
            Ok((events, revision)) => {
                self.cursor = revision;
                for event in events {
                    let line = self.seen(&event);
                    self.pending.extend(line);
                }
            }
            Err(expired) => {
                let status = expired.body();
                let status = String::from_utf8_lossy(status.trim_ascii());
                self.pending.push_back(event_line("ERROR", &status));
                self.last = true;
            }
        }
    }

    /// What a client with these selectors sees of a change: an object that comes into view
    /// is `ADDED`, one that goes out of view `DELETED`, in its last visible state.
    fn seen(&self, event: &Event) -> Option<Bytes> {
        let matches = |object: &Value| self.selection.matches(object);
        let before = event
            .previous
            .as_ref()
            .filter(|object| matches(&object.value));
        let now = event.change != Change::Deleted && matches(&event.object.value);
        let change = match (before, now) {
            (None, false) => return None,
            (None, true) => Change::Added,
            (Some(_), true) => Change::Modified,
            (Some(_), false) => Change::Deleted,
        };
        if let (Some(before), Change::Modified, false) = (before, event.change, now) {
            let mut gone = before.value.clone();
            let version = json!(event.revision.to_string());
            metadata_mut(&mut gone).insert("resourceVersion".to_owned(), version);
            return Some(self.shaped(change, &gone));
        }
        Some(if self.view.is_plain() {
            event.object.line(change)
        } else {
            self.shaped(change, &event.object.value)
        })
    }

    fn shaped(&self, change: Change, object: &Value) -> Bytes {
        event_line(
            change.name(),
            &self.view.one(self.selection.resource, object),
        )
    }

    fn send_bookmark(&mut self, annotations: Value) {
        let resource: &Resource = self.selection.resource;
        let mut bookmark = json!({
            "kind": resource.kind,
            "apiVersion": resource.api_version(),
            "metadata": {"resourceVersion": self.cursor.to_string(), "creationTimestamp": null},
        });
        if annotations != json!({}) {
            metadata_mut(&mut bookmark).insert("annotations".to_owned(), annotations);
        }
        let shown = self.view.bookmark(resource, &bookmark);
        self.pending.push_back(event_line("BOOKMARK", &shown));
    }
}
