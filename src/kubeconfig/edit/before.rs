//! What was in a kubeconfig before a login: noted in the context that the login makes, as an
//! extension, which kubectl keeps and passes over.

use serde_json::{Map, Value, json};

use super::NewContext;

/// Name of the extension.
const NOTE: &str = "kubegate";

type Config = Map<String, Value>;

/// The extensions of a new context: those of the one that it replaces, and the note of what was
/// before. What an earlier login of the same context noted stays.
pub(super) fn noted(config: &Config, new: &NewContext, make_current: bool) -> Value {
    let old = find(config, "context", &new.context);
    let mut extensions = match old.map(|old| &old["extensions"]) {
        Some(Value::Array(extensions)) => extensions.clone(),
        _ => Vec::new(),
    };
    if extensions.iter().all(|one| one["name"] != NOTE) {
        let mut made = Vec::new();
        if find(config, "cluster", &new.cluster).is_none() {
            made.push("cluster");
        }
        let mut note = Map::new();
        match old.map(|old| &old["user"]) {
            None => made.push("context"),
            Some(Value::String(user)) if *user != new.user => {
                note.insert("user".to_owned(), json!(user));
            }
            Some(_) => {}
        }
        let current = config.get("current-context").and_then(Value::as_str);
        if let Some(current) = current.filter(|current| make_current && *current != new.context) {
            note.insert("current-context".to_owned(), json!(current));
        }
        note.insert("made".to_owned(), json!(made));
        extensions.push(json!({"name": NOTE, "extension": note}));
    }
    Value::Array(extensions)
}

/// Takes `user` out, and undoes what the notes in that user's contexts say. Contexts without a note
/// go with the user, and their clusters stay.
pub(super) fn restore(config: &mut Config, user: &str) {
    let (mut gone, mut clusters, mut current) = (Vec::new(), Vec::new(), None);
    take(config, "users", |item| (*item)["name"] != user);
    take(config, "contexts", |item| {
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
        gone.push(item["name"].clone());
        false
    });
    let is_needed = |cluster: &Value| {
        let contexts = config.get("contexts").and_then(Value::as_array);
        contexts.is_some_and(|all| all.iter().any(|one| one["context"]["cluster"] == *cluster))
    };
    clusters.retain(|cluster| !is_needed(cluster));
    take(config, "clusters", |item| !clusters.contains(&item["name"]));
    let Some(now) = config
        .get("current-context")
        .filter(|now| gone.contains(now))
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

/// What a login noted in a context; null where none did.
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

/// The entry of a kind that has this name.
fn find<'a>(config: &'a Config, kind: &str, name: &str) -> Option<&'a Value> {
    let items = config.get(&format!("{kind}s"))?.as_array()?;
    let item = items.iter().find(|item| item["name"] == name)?;
    item.get(kind)
}

fn take(config: &mut Config, section: &str, stays: impl FnMut(&mut Value) -> bool) {
    if let Some(Value::Array(items)) = config.get_mut(section) {
        items.retain_mut(stays);
    }
}
