//! The objects, their resource versions, and the log of changes that watches follow.
//!
//! One number counts every change of the whole store, as etcd's revision does. Each version of
//! an object is serialised at most once per event type and shared by all watches.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
    sync::{Arc, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::resources::Resource;
use crate::demo::kubernetes::{
    encoding::status::Status,
    objects::metadata::{meta, metadata_mut},
};

/// How many past changes a watch may start from before it gets `410 Expired`.
pub(crate) const HISTORY: usize = 10_000;

/// Where an object is kept. Ordered, so that a namespace's objects of a kind are neighbours.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    kind: (&'static str, &'static str),
    pub(crate) namespace: String,
    pub(crate) name: String,
}

impl Key {
    /// The key of one object; `namespace` is empty for cluster kinds.
    pub(crate) fn new(resource: &Resource, namespace: &str, name: &str) -> Self {
        Self {
            kind: (resource.group, resource.plural),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        }
    }

    fn is_of(&self, resource: &Resource) -> bool {
        self.kind == (resource.group, resource.plural)
    }

    fn is_in(&self, namespace: Option<&str>) -> bool {
        namespace.is_none_or(|namespace| self.namespace == namespace)
    }
}

/// One version of one object.
#[derive(Debug)]
pub(crate) struct Object {
    pub(crate) value: Value,
    lines: [OnceLock<Bytes>; 3],
}

impl Object {
    pub(crate) fn new(value: Value) -> Arc<Self> {
        Arc::new(Self {
            value,
            lines: Default::default(),
        })
    }

    /// This version as a watch event, with its newline; serialised once for all watches.
    pub(crate) fn line(&self, change: Change) -> Bytes {
        let line = &self.lines[change as usize];
        line.get_or_init(|| event_line(change.name(), &self.value))
            .clone()
    }
}

/// A watch event with its newline; the object is JSON.
pub(crate) fn event_line(kind: &str, object: &impl fmt::Display) -> Bytes {
    Bytes::from(format!("{{\"type\":\"{kind}\",\"object\":{object}}}\n"))
}

/// What happened to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    Added,
    Modified,
    Deleted,
}

impl Change {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Added => "ADDED",
            Self::Modified => "MODIFIED",
            Self::Deleted => "DELETED",
        }
    }
}

/// One entry of the log.
#[derive(Debug)]
pub(crate) struct Event {
    pub(crate) revision: u64,
    pub(crate) change: Change,
    pub(crate) object: Arc<Object>,
    /// The version before it, by which selectors know what came into and went out of view.
    pub(crate) previous: Option<Arc<Object>>,
    key: Key,
}

/// What a writer wants done with the object it was shown.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// Store this; the resource version is set by the store.
    Put(Value),
    /// Nothing changed: no new version, no event.
    Unchanged,
    Delete,
}

/// A list and the revision that it shows.
#[derive(Debug)]
pub(crate) struct Listing {
    pub(crate) objects: Vec<(Key, Arc<Object>)>,
    pub(crate) revision: u64,
}

#[derive(Debug)]
pub(crate) struct Store {
    inner: RwLock<Inner>,
    latest: watch::Sender<u64>,
    history: usize,
}

#[derive(Debug)]
struct Inner {
    objects: BTreeMap<Key, Arc<Object>>,
    log: VecDeque<Arc<Event>>,
    revision: u64,
    /// Watches start from here or later.
    oldest: u64,
}

/// Where the count starts: a cluster that has been set up has a past.
const FIRST_REVISION: u64 = 800;

impl Store {
    /// An empty store that remembers that many changes.
    pub(crate) fn new(history: usize) -> Self {
        Self {
            inner: RwLock::new(Inner {
                objects: BTreeMap::new(),
                log: VecDeque::new(),
                revision: FIRST_REVISION,
                oldest: FIRST_REVISION,
            }),
            latest: watch::Sender::new(FIRST_REVISION),
            history,
        }
    }

    pub(crate) fn get(&self, key: &Key) -> Option<Arc<Object>> {
        self.read().objects.get(key).cloned()
    }

    /// Objects of a kind in key order, in one namespace or all.
    pub(crate) fn list(&self, resource: &Resource, namespace: Option<&str>) -> Listing {
        let inner = self.read();
        let start = Key::new(resource, namespace.unwrap_or_default(), "");
        let objects = inner
            .objects
            .range(start..)
            .take_while(|(key, _)| key.is_of(resource) && key.is_in(namespace))
            .map(|(key, object)| (key.clone(), object.clone()))
            .collect();
        Listing {
            objects,
            revision: inner.revision,
        }
    }

    /// Shows the object to `decide` and does what it says, with nothing in between. Returns
    /// the version that is current then (for a deletion, the last one). With `dry_run`,
    /// decides and stores nothing.
    pub(crate) fn change(
        &self,
        key: &Key,
        dry_run: bool,
        decide: impl FnOnce(Option<&Arc<Object>>) -> Result<Outcome, Status>,
    ) -> Result<Option<Arc<Object>>, Status> {
        let mut inner = self.write();
        let current = inner.objects.get(key).cloned();
        let outcome = decide(current.as_ref())?;
        if dry_run {
            return Ok(match outcome {
                Outcome::Put(value) => Some(Object::new(value)),
                Outcome::Unchanged | Outcome::Delete => current,
            });
        }
        let changed = match outcome {
            Outcome::Unchanged => return Ok(current),
            Outcome::Put(value) => Some(inner.put(key, value)),
            Outcome::Delete => inner.delete(key),
        };
        self.settle(inner);
        Ok(changed)
    }

    /// Deletes everything in a namespace.
    pub(crate) fn empty_namespace(&self, namespace: &str) {
        let mut inner = self.write();
        let keys: Vec<Key> = inner
            .objects
            .keys()
            .filter(|key| key.namespace == namespace)
            .cloned()
            .collect();
        for key in keys {
            inner.delete(&key);
        }
        self.settle(inner);
    }

    /// Forgets the log: from here on, watches from earlier versions are `Expired`.
    pub(crate) fn compact(&self) {
        let mut inner = self.write();
        inner.log.clear();
        inner.oldest = inner.revision;
    }

    /// How many watches follow the changes.
    #[cfg(test)]
    pub(crate) fn watches(&self) -> usize {
        self.latest.receiver_count()
    }

    /// Tells of new revisions.
    pub(crate) fn subscribe(&self) -> watch::Receiver<u64> {
        self.latest.subscribe()
    }

    /// The changes after `revision` to one kind in one namespace or all, and the revision they
    /// lead up to; `Expired` if the log does not reach back that far.
    pub(crate) fn events_after(
        &self,
        revision: u64,
        resource: &Resource,
        namespace: Option<&str>,
    ) -> Result<(Vec<Arc<Event>>, u64), Status> {
        let inner = self.read();
        if revision < inner.oldest {
            return Err(Status::expired(revision, inner.oldest));
        }
        // Every revision has one event, so the position in the log is a subtraction.
        let skip = usize::try_from(revision - inner.oldest).unwrap_or(usize::MAX);
        let events = inner
            .log
            .iter()
            .skip(skip)
            .filter(|event| event.key.is_of(resource) && event.key.is_in(namespace))
            .cloned()
            .collect();
        Ok((events, inner.revision.max(revision)))
    }

    /// After a write: trims the log, lets the lock go, and wakes the watches.
    fn settle(&self, mut inner: RwLockWriteGuard<'_, Inner>) {
        while inner.log.len() > self.history {
            inner.log.pop_front();
            inner.oldest += 1;
        }
        let revision = inner.revision;
        drop(inner);
        // Two writers may arrive here out of order: the newest revision stays.
        self.latest.send_if_modified(|latest| {
            revision > *latest && {
                *latest = revision;
                true
            }
        });
    }

    fn read(&self) -> RwLockReadGuard<'_, Inner> {
        self.inner.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Inner> {
        self.inner.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn put(&mut self, key: &Key, value: Value) -> Arc<Object> {
        let object = self.next_version(value);
        let previous = self.objects.insert(key.clone(), object.clone());
        let change = match previous {
            None => Change::Added,
            Some(_) => Change::Modified,
        };
        self.log(key, change, object.clone(), previous);
        object
    }

    fn delete(&mut self, key: &Key) -> Option<Arc<Object>> {
        let previous = self.objects.remove(key)?;
        let object = self.next_version(previous.value.clone());
        self.log(key, Change::Deleted, object.clone(), Some(previous));
        Some(object)
    }

    fn next_version(&mut self, mut value: Value) -> Arc<Object> {
        self.revision += 1;
        let version = json!(self.revision.to_string());
        metadata_mut(&mut value).insert("resourceVersion".to_owned(), version);
        Object::new(value)
    }

    fn log(
        &mut self,
        key: &Key,
        change: Change,
        object: Arc<Object>,
        previous: Option<Arc<Object>>,
    ) {
        debug_assert_eq!(
            meta(&object.value, "resourceVersion"),
            self.revision.to_string()
        );
        self.log.push_back(Arc::new(Event {
            revision: self.revision,
            change,
            object,
            previous,
            key: key.clone(),
        }));
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::{super::resources, *};

    fn config_maps() -> &'static Resource {
        resources::find("", "v1", "configmaps").unwrap()
    }

    fn key(namespace: &str, name: &str) -> Key {
        Key::new(config_maps(), namespace, name)
    }

    fn put(store: &Store, namespace: &str, name: &str) -> u64 {
        let object = json!({"metadata": {"name": name}});
        let key = key(namespace, name);
        let stored = store.change(&key, false, |_| Ok(Outcome::Put(object)));
        let version = meta(&stored.unwrap().unwrap().value, "resourceVersion").to_owned();
        version.parse().unwrap()
    }

    fn changes(store: &Store, after: u64, namespace: Option<&str>) -> Vec<(Change, u64)> {
        let (events, _) = store.events_after(after, config_maps(), namespace).unwrap();
        let events = events.iter();
        events.map(|event| (event.change, event.revision)).collect()
    }

    #[test]
    fn every_write_counts_one_revision_and_tells_what_it_was() {
        let store = Store::new(10);
        let first = put(&store, "a", "x");
        assert_eq!(put(&store, "b", "y"), first + 1);
        assert_eq!(put(&store, "a", "x"), first + 2);
        let deleted = store.change(&key("a", "x"), false, |_| Ok(Outcome::Delete));
        let deleted = deleted.unwrap().unwrap();
        assert_eq!(
            deleted.value["metadata"]["resourceVersion"],
            (first + 3).to_string()
        );
        assert_eq!(
            changes(&store, first, None),
            [
                (Change::Added, first + 1),
                (Change::Modified, first + 2),
                (Change::Deleted, first + 3),
            ]
        );
        assert_eq!(
            changes(&store, first, Some("a")),
            [(Change::Modified, first + 2), (Change::Deleted, first + 3)]
        );
        assert_eq!(*store.subscribe().borrow(), first + 3);
    }

    #[test]
    fn a_dry_run_and_no_change_leave_no_trace() {
        let store = Store::new(10);
        let first = put(&store, "a", "x");
        let dry = store.change(&key("a", "x"), true, |_| Ok(Outcome::Delete));
        assert!(dry.unwrap().is_some());
        let same = store.change(&key("a", "x"), false, |_| Ok(Outcome::Unchanged));
        assert!(same.unwrap().is_some());
        assert!(store.get(&key("a", "x")).is_some());
        assert_eq!(store.list(config_maps(), None).revision, first);
    }

    #[test]
    fn a_revision_before_the_log_is_expired_and_the_oldest_one_is_not() {
        let store = Store::new(2);
        let first = put(&store, "a", "x");
        put(&store, "a", "y");
        put(&store, "a", "z");
        assert_eq!(changes(&store, first, None).len(), 2);
        let expired = store.events_after(first - 1, config_maps(), None);
        assert_eq!(expired.unwrap_err().code, 410);
        store.compact();
        assert!(store.events_after(first, config_maps(), None).is_err());
        assert!(changes(&store, first + 2, None).is_empty());
    }

    #[test]
    fn a_list_holds_one_kind_and_namespace_in_order() {
        let store = Store::new(10);
        for (namespace, name) in [("b", "x"), ("a", "z"), ("a", "y"), ("ab", "w")] {
            put(&store, namespace, name);
        }
        let names = |namespace| -> Vec<String> {
            let listing = store.list(config_maps(), namespace);
            let keys = listing.objects.into_iter();
            keys.map(|(key, _)| key.name).collect()
        };
        assert_eq!(names(Some("a")), ["y", "z"]);
        assert_eq!(names(None), ["y", "z", "w", "x"]);
        let secrets = resources::find("", "v1", "secrets").unwrap();
        assert!(store.list(secrets, None).objects.is_empty());
    }

    #[test]
    fn a_version_is_serialised_once_for_all_watches() {
        let object = Object::new(json!({"a": 1}));
        let first = object.line(Change::Added);
        assert_eq!(first, "{\"type\":\"ADDED\",\"object\":{\"a\":1}}\n");
        assert_eq!(first.as_ptr(), object.line(Change::Added).as_ptr());
    }
}
