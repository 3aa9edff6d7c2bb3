//! Writes the note in which a login records what existed before it, and who logged in. It is an extension
//! of the login's context, which kubectl keeps and ignores.

use serde_json::{Map, Value, json};

use super::{
    contents::Contents,
    new_context::NewContext,
    note::{CONTEXT_FIELDS, NOTE, has},
    plan::Plan,
};

/// Returns the extensions of a planned context, whose new fields are `fields`: those of the context that
/// it replaces, and the note. What an earlier login of the same context noted stays.
pub(super) fn extensions(
    contents: &Contents<'_>,
    plan: &Plan,
    new: &NewContext,
    fields: &Map<String, Value>,
    current: Option<&str>,
) -> Value {
    let old = contents.find_in(plan.context.file, "context", &plan.context.name);
    let mut extensions = match old.map(|old| &old["extensions"]) {
        Some(Value::Array(extensions)) => extensions.clone(),
        _ => Vec::new(),
    };
    let earlier = extensions.iter_mut().find(|one| one["name"] == NOTE);
    let earlier = earlier.map(|one| one["extension"].take());
    let is_first = earlier.is_none();
    if is_first {
        extensions.push(json!({"name": NOTE}));
    }
    let mut note = match earlier {
        Some(Value::Object(note)) => note,
        Some(_) => Map::new(),
        None => first_note(plan, old, current),
    };
    note_context(&mut note, old, fields);
    let former_user = old
        .filter(|_| !is_first)
        .and_then(|old| old["user"].as_str());
    note_users(&mut note, contents, plan, new, former_user);
    note_clusters(&mut note, contents, plan, new, old);
    note.insert("username".to_owned(), json!(new.username));
    if let Some(one) = extensions.iter_mut().find(|one| one["name"] == NOTE) {
        one["extension"] = Value::Object(note);
    }
    Value::Array(extensions)
}

/// The note of the first login of a context, whose fields were `old`.
fn first_note(plan: &Plan, old: Option<&Value>, current: Option<&str>) -> Map<String, Value> {
    let mut note = Map::new();
    if let Some(current) = current.filter(|current| *current != plan.context.name) {
        note.insert("current-context".to_owned(), json!(current));
    }
    let made: &[&str] = if old.is_none() { &["context"] } else { &[] };
    note.insert("made".to_owned(), json!(made));
    note
}

/// Notes the former fields of a context that is older than its first login.
fn note_context(note: &mut Map<String, Value>, old: Option<&Value>, fields: &Map<String, Value>) {
    let is_made = has(&Value::Object(note.clone()), "made", "context");
    let Some(old) = old.filter(|_| !is_made) else {
        return;
    };
    for field in CONTEXT_FIELDS {
        let Some(new) = fields.get(field) else {
            continue;
        };
        if old[field] != *new && !note.contains_key(field) {
            note.insert(field.to_owned(), old[field].clone());
        }
    }
}

/// Notes that the user's entry is older than the login, or that an earlier login of the context had the
/// user `former`.
fn note_users(
    note: &mut Map<String, Value>,
    contents: &Contents<'_>,
    plan: &Plan,
    new: &NewContext,
    former: Option<&str>,
) {
    let is_login = |name: &str| {
        let found = contents.find("user", name);
        let exec = found.and_then(|found| contents.exec(name, found));
        exec.is_some_and(|exec| (new.identity.is_login)(&exec))
    };
    if plan.user.exists && !is_login(&plan.user.name) {
        add(note, "existing-users", &plan.user.name);
    }
    if let Some(former) = former.filter(|former| *former != plan.user.name && is_login(former)) {
        add(note, "former-users", former);
    }
}

/// Notes the cluster that the login makes, or the former fields of the one that it changes.
fn note_clusters(
    note: &mut Map<String, Value>,
    contents: &Contents<'_>,
    plan: &Plan,
    new: &NewContext,
    old: Option<&Value>,
) {
    let name = &plan.cluster.name;
    let mut made = made_clusters(note, contents, old);
    if !plan.cluster.exists {
        add(note, "made", "cluster");
    }
    let is_made = made.contains_key(name);
    if !plan.cluster.exists || is_made && !plan.cluster_fields.is_empty() {
        made.insert(name.clone(), json!(new.cluster.server));
    } else if !is_made {
        note_changed_fields(note, contents, plan);
    }
    if !made.is_empty() {
        note.insert("made-clusters".to_owned(), Value::Object(made));
    }
}

/// Returns the clusters that earlier logins of the context made, each with its server.
fn made_clusters(
    note: &Map<String, Value>,
    contents: &Contents<'_>,
    old: Option<&Value>,
) -> Map<String, Value> {
    if let Some(Value::Object(made)) = note.get("made-clusters") {
        return made.clone();
    }
    // Earlier versions noted only that they made the cluster of the context.
    let former = old.and_then(|old| old["cluster"].as_str());
    let is_made = has(&Value::Object(note.clone()), "made", "cluster");
    let Some(name) = former.filter(|_| is_made) else {
        return Map::new();
    };
    let entry = contents.find("cluster", name);
    let server = entry.map_or(Value::Null, |entry| entry.body["server"].clone());
    Map::from_iter([(name.to_owned(), server)])
}

/// Notes the former fields of an older cluster that the login changes. What was noted before stays.
fn note_changed_fields(note: &mut Map<String, Value>, contents: &Contents<'_>, plan: &Plan) {
    let name = &plan.cluster.name;
    let Some(entry) = contents.find_in(plan.cluster.file, "cluster", name) else {
        return;
    };
    let mut clusters = object(note.get("clusters"));
    let mut before = object(clusters.get(name));
    for key in plan.cluster_fields.iter().flat_map(|field| field.keys()) {
        if !before.contains_key(*key) {
            before.insert((*key).to_owned(), entry[*key].clone());
        }
    }
    if !before.is_empty() {
        clusters.insert(name.clone(), Value::Object(before));
        note.insert("clusters".to_owned(), Value::Object(clusters));
    }
}

/// Returns the fields of an object; none for any other value.
fn object(value: Option<&Value>) -> Map<String, Value> {
    value
        .and_then(Value::as_object)
        .cloned()
        .unwrap_or_default()
}

/// Adds an item to a list of the note.
fn add(note: &mut Map<String, Value>, list: &str, item: &str) {
    match note.get_mut(list) {
        Some(Value::Array(items)) if items.contains(&json!(item)) => {}
        Some(Value::Array(items)) => items.insert(0, json!(item)),
        _ => {
            note.insert(list.to_owned(), json!([item]));
        }
    }
}
