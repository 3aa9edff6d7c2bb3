//! The objects, their resource versions, and the log of changes that watches follow.
//!
//! A revision counts the changes of the whole store, as in etcd. Each version of an object is
//! serialized at most once per event type, for all watches.

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

/// The number of changes that the log keeps. A watch that starts before them gets `410 Expired`.
pub(crate) const HISTORY: usize = 10_000;

/// The key of an object. Keys are ordered by resource, namespace and name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    kind: (&'static str, &'static str),
    pub(crate) namespace: String,
    pub(crate) name: String,
}

impl Key {
    /// The key of one object; `namespace` is empty for cluster-scoped resources.
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
    event_lines: [OnceLock<Bytes>; 3],
}

impl Object {
    pub(crate) fn new(value: Value) -> Arc<Self> {
        Arc::new(Self {
            value,
            event_lines: Default::default(),
        })
    }

    /// This version as a watch event with its newline. It is serialized once for all watches.
    pub(crate) fn event_line(&self, event: EventType) -> Bytes {
        let line = &self.event_lines[event as usize];
        line.get_or_init(|| event_line(event.name(), &self.value))
            .clone()
    }
}

/// Encodes a watch event with its newline; `object` displays as JSON.
pub(crate) fn event_line(kind: &str, object: &impl fmt::Display) -> Bytes {
    Bytes::from(format!("{{\"type\":\"{kind}\",\"object\":{object}}}\n"))
}

/// The type of a watch event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EventType {
    Added,
    Modified,
    Deleted,
}

impl EventType {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Added => "ADDED",
            Self::Modified => "MODIFIED",
            Self::Deleted => "DELETED",
        }
    }
}

/// An entry of the log.
#[derive(Debug)]
pub(crate) struct Event {
    pub(crate) revision: u64,
    pub(crate) kind: EventType,
    pub(crate) object: Arc<Object>,
    /// The version before it. Watches with selectors compare both.
    pub(crate) previous: Option<Arc<Object>>,
    key: Key,
}

/// What [`Store::change`] does with an object.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// Stores this version. The store sets its resource version.
    Put(Value),
    /// Does nothing: there is no new version and no event.
    Unchanged,
    Delete,
}

/// A list of objects, and the revision of the store at that time.
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
    /// The oldest revision that a watch can start from.
    oldest: u64,
}

/// The revision of an empty store. A real cluster has changed many times when it is set up.
const FIRST_REVISION: u64 = 800;

impl Store {
    /// An empty store whose log keeps this number of changes.
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

    /// The objects of a resource in the order of their keys, in one namespace or all.
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

    /// Passes the object to `decide` and does what it returns, in one atomic step. Returns the
    /// version that is current afterwards, or the last one after a deletion. With `dry_run`,
    /// nothing is stored.
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
        self.publish(inner);
        Ok(changed)
    }

    /// Deletes all objects of a namespace.
    pub(crate) fn delete_namespace_contents(&self, namespace: &str) {
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
        self.publish(inner);
    }

    /// Clears the log. Watches that start before the current revision are `Expired` from now on.
    pub(crate) fn compact(&self) {
        let mut inner = self.write();
        inner.log.clear();
        inner.oldest = inner.revision;
    }

    /// The number of watches that follow the log.
    #[cfg(test)]
    pub(crate) fn watches(&self) -> usize {
        self.latest.receiver_count()
    }

    /// Subscribes to new revisions.
    pub(crate) fn subscribe(&self) -> watch::Receiver<u64> {
        self.latest.subscribe()
    }

    /// The changes of one resource after `revision`, in one namespace or all, and the revision
    /// after them; `Expired` if the log does not reach back that far.
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
        // Every revision has exactly one event, so their difference is the index in the log.
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

    /// Ends a write: trims the log, releases the lock and wakes the watches.
    fn publish(&self, mut inner: RwLockWriteGuard<'_, Inner>) {
        while inner.log.len() > self.history {
            inner.log.pop_front();
            inner.oldest += 1;
        }
        let revision = inner.revision;
        drop(inner);
        // Two writers may get here out of order. The newest revision counts.
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
        let event_type = match previous {
            None => EventType::Added,
            Some(_) => EventType::Modified,
        };
        self.log(key, event_type, object.clone(), previous);
        object
    }

    fn delete(&mut self, key: &Key) -> Option<Arc<Object>> {
        let previous = self.objects.remove(key)?;
        let object = self.next_version(previous.value.clone());
        self.log(key, EventType::Deleted, object.clone(), Some(previous));
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
        event_type: EventType,
        object: Arc<Object>,
        previous: Option<Arc<Object>>,
    ) {
        debug_assert_eq!(
            meta(&object.value, "resourceVersion"),
            self.revision.to_string()
        );
        self.log.push_back(Arc::new(Event {
            revision: self.revision,
            kind: event_type,
            object,
            previous,
            key: key.clone(),
        }));
    }
}

#[cfg(test)]
mod tests;
