//! Watches, which follow the log of changes and send those that match.

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
    form::Form,
    kubernetes::{
        encoding::{
            response,
            status::Status,
            view::{Selection, View},
        },
        objects::{
            metadata::metadata_mut,
            resources::Resource,
            store::{Event, EventType, Store, event_line},
        },
        route::Target,
    },
    server::Body,
};

/// The duration of a watch without `timeoutSeconds`. Real servers choose 30 to 60 minutes.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(45 * 60);

/// The interval of `BOOKMARK` events, as in real servers.
const BOOKMARK_INTERVAL: Duration = Duration::from_secs(60);

/// The annotation that ends the initial events of a streaming list.
const INITIAL_EVENTS_END: &str = "k8s.io/initial-events-end";

/// The watch of one client. Watches share the serialized events.
pub(crate) struct Watch {
    store: Arc<Store>,
    /// Cancelled when the control plane stops.
    stop: CancellationToken,
    selection: Selection,
    view: View,
    latest: watch::Receiver<u64>,
    /// The revision of the last event that was sent.
    cursor: u64,
    pending: VecDeque<Bytes>,
    /// Whether the watch ends after the pending events.
    is_ending: bool,
    deadline: Instant,
    /// When the next `BOOKMARK` is due, if the client has asked for them.
    bookmark: Option<Instant>,
}

/// Responds with a watch as a stream of JSON lines.
pub(crate) fn respond(
    (store, stop): (&Arc<Store>, &CancellationToken),
    target: &Target,
    query: &Form,
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
    /// Starts a watch according to `resourceVersion` and `sendInitialEvents`.
    ///
    /// Without a version, or with `0`, it begins with the existing objects as `ADDED`, otherwise
    /// with the changes after that version. If the log no longer reaches back to it, the watch
    /// sends an `ERROR` event, because the response has begun already.
    pub(crate) fn start(
        (store, stop): (&Arc<Store>, &CancellationToken),
        target: &Target,
        query: &Form,
        view: View,
    ) -> Result<Self, Status> {
        let selection = Selection::new(target, query)?;
        let requested = match query.get("resourceVersion") {
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
        let timeout = query
            .number("timeoutSeconds")
            .filter(|seconds| *seconds > 0);
        let timeout = timeout
            .map_or(DEFAULT_TIMEOUT, Duration::from_secs)
            .min(DEFAULT_TIMEOUT * 2);
        let mut watch = Self {
            latest: store.subscribe(),
            cursor: requested,
            pending: VecDeque::new(),
            is_ending: false,
            deadline: now + timeout,
            bookmark: bookmarks.then(|| now + BOOKMARK_INTERVAL),
            store: store.clone(),
            stop: stop.clone(),
            selection,
            view,
        };
        let starts_with_existing =
            requested == 0 && query.get("sendInitialEvents") != Some("false");
        if streaming_list || starts_with_existing {
            watch.queue_existing();
        }
        if streaming_list {
            watch.queue_bookmark(json!({INITIAL_EVENTS_END: "true"}));
        }
        Ok(watch)
    }

    /// The next event as a JSON line; `None` at the end of the watch. It is safe to cancel.
    pub(crate) async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(line) = self.pending.pop_front() {
                return Some(line);
            }
            if self.is_ending {
                return None;
            }
            self.latest.borrow_and_update();
            self.queue_changes();
            if !self.pending.is_empty() {
                continue;
            }
            let wake = self
                .bookmark
                .map_or(self.deadline, |due| due.min(self.deadline));
            tokio::select! {
                changed = self.latest.changed() => self.is_ending = changed.is_err(),
                () = self.stop.cancelled() => self.is_ending = true,
                () = tokio::time::sleep_until(wake) => self.tick(),
            }
        }
    }

    /// Handles the timer: a bookmark is due, or the watch ends. A last bookmark saves the client a
    /// list request.
    fn tick(&mut self) {
        let now = Instant::now();
        self.is_ending = now >= self.deadline;
        if self.bookmark.is_some() {
            self.queue_bookmark(json!({}));
            self.bookmark = Some(now + BOOKMARK_INTERVAL);
        }
    }

    fn queue_existing(&mut self) {
        let namespace = self.selection.namespace.as_deref();
        let listing = self.store.list(self.selection.resource, namespace);
        self.cursor = listing.revision;
        for (_, object) in &listing.objects {
            if self.selection.matches(&object.value) {
                let line = if self.view.is_plain() {
                    object.event_line(EventType::Added)
                } else {
                    self.encode(EventType::Added, &object.value)
                };
                self.pending.push_back(line);
            }
        }
    }

    fn queue_changes(&mut self) {
        let (resource, namespace) = (self.selection.resource, &self.selection.namespace);
        match self
            .store
            .events_after(self.cursor, resource, namespace.as_deref())
        {
            Ok((events, revision)) => {
                self.cursor = revision;
                for event in events {
                    let line = self.visible_event(&event);
                    self.pending.extend(line);
                }
            }
            Err(expired) => {
                let status = expired.body();
                let status = String::from_utf8_lossy(status.trim_ascii());
                self.pending.push_back(event_line("ERROR", &status));
                self.is_ending = true;
            }
        }
    }

    /// The event of a change for this client. An object that begins to match the selectors is
    /// `ADDED`, one that no longer matches is `DELETED` in its last matching state.
    fn visible_event(&self, event: &Event) -> Option<Bytes> {
        let matches = |object: &Value| self.selection.matches(object);
        let before = event
            .previous
            .as_ref()
            .filter(|object| matches(&object.value));
        let now = event.kind != EventType::Deleted && matches(&event.object.value);
        let event_type = match (before, now) {
            (None, false) => return None,
            (None, true) => EventType::Added,
            (Some(_), true) => EventType::Modified,
            (Some(_), false) => EventType::Deleted,
        };
        if let (Some(before), EventType::Modified, false) = (before, event.kind, now) {
            let mut last = before.value.clone();
            let version = json!(event.revision.to_string());
            metadata_mut(&mut last).insert("resourceVersion".to_owned(), version);
            return Some(self.encode(event_type, &last));
        }
        Some(if self.view.is_plain() {
            event.object.event_line(event_type)
        } else {
            self.encode(event_type, &event.object.value)
        })
    }

    fn encode(&self, event_type: EventType, object: &Value) -> Bytes {
        event_line(
            event_type.name(),
            &self.view.one(self.selection.resource, object),
        )
    }

    fn queue_bookmark(&mut self, annotations: Value) {
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
