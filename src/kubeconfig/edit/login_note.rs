//! The note in which a login records the entries that existed before it. It is an extension of the
//! login's context, which kubectl keeps and ignores.

use serde_json::{Map, Value, json};

use super::new_context::NewContext;

/// Name of the extension.
const NOTE: &str = "kubegate";

type Config = Map<String, Value>;

/// Returns the extensions of a new context: those of the context that it replaces, and the note. The
/// note of an earlier login of the same context stays.
pub(super) fn extensions(config: &Config, new: &NewContext, make_current: bool) -> Value {
    let old = find(config, "context", &new.context);
    let mut extensions = match old.map(|old| &old["extensions"]) {
        Some(Value::Array(extensions)) => extensions.clone(),
        _ => Vec::new(),
    };
    if extensions.iter().all(|one| one["name"] != NOTE) {
        let mut added = Vec::new();
        if find(config, "cluster", &new.cluster).is_none() {
            added.push("cluster");
        }
        let mut note = Map::new();
        match old.map(|old| &old["user"]) {
            None => added.push("context"),
            Some(Value::String(user)) if *user != new.user => {
                note.insert("user".to_owned(), json!(user));
            }
            Some(_) => {}
        }
        let current = config.get("current-context").and_then(Value::as_str);
        if let Some(current) = current.filter(|current| make_current && *current != new.context) {
            note.insert("current-context".to_owned(), json!(current));
        }
        note.insert("made".to_owned(), json!(added));
        extensions.push(json!({"name": NOTE, "extension": note}));
    }
    Value::Array(extensions)
}

/// Removes `user`, and restores what the notes in the user's contexts record. Contexts without a note
/// are removed too, and their clusters stay.
pub(super) fn restore(config: &mut Config, user: &str) {
    let (mut removed, mut clusters, mut current) = (Vec::new(), Vec::new(), None);
    retain(config, "users", |item| (*item)["name"] != user);
    retain(config, "contexts", |item| {
        if item["context"]["user"] != user {
            return true;
        }
        let context = &mut item["context"];
        let note = note(context);
        if let Some(before) = note["user"].as_str() {
            context["user"] = json!(before);
            remove_note(context);
            return true;
        }
        let made = |what: &str| {
            note["made"]
                .as_array()
                .is_some_and(|made| made.contains(&json!(what)))
        };
        if made("cluster") {
            clusters.push(context["cluster"].clone());
        }
        if let Some(before) = note["current-context"].as_str() {
            current = Some((item["name"].clone(), before.to_owned()));
        }
        removed.push(item["name"].clone());
        false
    });
    let is_needed = |cluster: &Value| {
        let contexts = config.get("contexts").and_then(Value::as_array);
        contexts.is_some_and(|all| all.iter().any(|one| one["context"]["cluster"] == *cluster))
    };
    clusters.retain(|cluster| !is_needed(cluster));
    retain(config, "clusters", |item| !clusters.contains(&item["name"]));
    let Some(now) = config
        .get("current-context")
        .filter(|now| removed.contains(now))
    else {
        return;
    };
    let before = current
        .filter(|(context, _)| context == now)
        .map(|(_, before)| before);
    match before.filter(|before| find(config, "context", before).is_some()) {
        Some(before) => config.insert("current-context".to_owned(), json!(before)),
        None => config.remove("current-context"),
    };
}

/// The note in a context; null if there is none.
fn note(context: &Value) -> Value {
    let extensions = context["extensions"].as_array().into_iter().flatten();
    let mut notes = extensions.filter(|one| one["name"] == NOTE);
    notes
        .next()
        .map(|one| one["extension"].clone())
        .unwrap_or_default()
}

fn remove_note(context: &mut Value) {
    let Some(fields) = context.as_object_mut() else {
        return;
    };
    if let Some(Value::Array(extensions)) = fields.get_mut("extensions") {
        extensions.retain(|one| one["name"] != NOTE);
        if extensions.is_empty() {
            fields.remove("extensions");
        }
    }
}

/// The entry of a kind with this name.
fn find<'a>(config: &'a Config, kind: &str, name: &str) -> Option<&'a Value> {
    let items = config.get(&format!("{kind}s"))?.as_array()?;
    let item = items.iter().find(|item| item["name"] == name)?;
    item.get(kind)
}

/// Removes the items of a section for which `stays` is false.
fn retain(config: &mut Config, section: &str, stays: impl FnMut(&mut Value) -> bool) {
    if let Some(Value::Array(items)) = config.get_mut(section) {
        items.retain_mut(stays);
    }
}
