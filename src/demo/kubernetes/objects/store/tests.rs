#![allow(clippy::unwrap_used)]

use super::*;
use crate::demo::kubernetes::objects::resources;

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

fn changes(store: &Store, after: u64, namespace: Option<&str>) -> Vec<(EventType, u64)> {
    let (events, _) = store.events_after(after, config_maps(), namespace).unwrap();
    let events = events.iter();
    events.map(|event| (event.kind, event.revision)).collect()
}

#[test]
fn every_write_is_one_revision_and_one_event() {
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
            (EventType::Added, first + 1),
            (EventType::Modified, first + 2),
            (EventType::Deleted, first + 3),
        ]
    );
    assert_eq!(
        changes(&store, first, Some("a")),
        [
            (EventType::Modified, first + 2),
            (EventType::Deleted, first + 3)
        ]
    );
    assert_eq!(*store.subscribe().borrow(), first + 3);
}

#[test]
fn a_dry_run_and_an_unchanged_object_make_no_revision() {
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
fn only_a_revision_before_the_log_is_expired() {
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
fn a_list_has_one_resource_and_namespace_in_order() {
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
fn a_version_is_serialized_once_for_all_watches() {
    let object = Object::new(json!({"a": 1}));
    let first = object.event_line(EventType::Added);
    assert_eq!(first, "{\"type\":\"ADDED\",\"object\":{\"a\":1}}\n");
    assert_eq!(first.as_ptr(), object.event_line(EventType::Added).as_ptr());
}
