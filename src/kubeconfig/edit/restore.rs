//! Restores what existed before a login, by the notes that it left in its contexts.

use serde_json::{Map, Value, json};

use super::{
    contents::{Config, Contents, ContextEntry, Found},
    names::numbered,
    note::{self, NOTE},
};

/// A context that loses the login.
pub(super) struct Taken {
    /// The file, as an index.
    pub(super) file: usize,
    pub(super) name: String,
    /// Its cluster before.
    pub(super) cluster: Value,
    pub(super) note: Value,
}

impl Taken {
    /// Whether the user's entry is older than the login. Earlier versions noted only that of the
    /// context.
    pub(super) fn has_older_user(&self, user: &str) -> bool {
        let is_older_context = !self.note.is_null() && !note::has(&self.note, "made", "context");
        note::has(&self.note, "existing-users", user)
            || is_older_context && self.note["user"].is_null()
    }

    /// The clusters that the login made, each with its server, if the note says which that was.
    pub(super) fn made_clusters(&self) -> Vec<(String, Option<String>)> {
        if let Some(made) = self.note["made-clusters"].as_object() {
            let made = made.iter();
            return made
                .map(|(name, server)| (name.clone(), server.as_str().map(str::to_owned)))
                .collect();
        }
        let is_made = note::has(&self.note, "made", "cluster");
        let name = self.cluster.as_str().filter(|_| is_made);
        name.map(|name| (name.to_owned(), None))
            .into_iter()
            .collect()
    }
}

/// Gives a context the cluster, user and namespace that it had before its first login.
pub(super) fn restore_context(contents: &mut Contents<'_>, taken: &Taken) {
    let Some(context) = context_mut(contents, taken) else {
        return;
    };
    for field in note::CONTEXT_FIELDS {
        match taken.note.get(field) {
            None => {}
            Some(Value::Null) => {
                context.remove(field);
            }
            Some(before) => {
                context.insert(field.to_owned(), before.clone());
            }
        }
    }
    if let Some(Value::Array(extensions)) = context.get_mut("extensions") {
        extensions.retain(|one| one["name"] != NOTE);
        if extensions.is_empty() {
            context.remove("extensions");
        }
    }
}

/// Gives the cluster entries that the login changed their former fields. If another context uses one by
/// now, that keeps its meaning, and a context that is restored gets an entry of its own.
pub(super) fn restore_clusters(contents: &mut Contents<'_>, taken: &Taken, is_restored: bool) {
    let changed = taken.note["clusters"].as_object();
    for (name, before) in changed.into_iter().flatten() {
        let Some(before) = before.as_object() else {
            continue;
        };
        let found = contents.find_in(taken.file, "cluster", name);
        let found = found.map(|body| Found {
            file: taken.file,
            body,
        });
        let Some(found) = found.or_else(|| contents.find("cluster", name)) else {
            continue;
        };
        let Some(fields) = former_fields(found.body, before) else {
            continue;
        };
        let file = found.file;
        let is_own = |one: ContextEntry<'_>| one.file == taken.file && one.name == taken.name;
        let is_shared = contents
            .contexts()
            .any(|one| !is_own(one) && one.body["cluster"] == *name);
        let own = contents.find_in(taken.file, "context", &taken.name);
        let is_used = is_restored && own.is_some_and(|own| own["cluster"] == *name);
        if !is_shared {
            let config = contents.config_mut(file);
            if let Some(entry) = config.and_then(|config| body_mut(config, "cluster", name)) {
                *entry = fields;
            }
        } else if is_used {
            add_cluster(contents, file, name, &fields, taken);
        }
    }
}

/// Returns the fields of an entry with those of `before` in place of its own; null stands for a field
/// that was missing.
fn former_fields(body: &Value, before: &Map<String, Value>) -> Option<Map<String, Value>> {
    let mut fields = body.as_object()?.clone();
    fields.retain(|field, _| !before.contains_key(field));
    let former = before.iter().filter(|(_, value)| !value.is_null());
    fields.extend(former.map(|(field, value)| (field.clone(), value.clone())));
    Some(fields)
}

/// Adds an entry for a context that is restored.
fn add_cluster(
    contents: &mut Contents<'_>,
    file: usize,
    base: &str,
    fields: &Map<String, Value>,
    taken: &Taken,
) {
    let mut names = numbered(base, '-');
    let Some(name) = names.find(|name| contents.find("cluster", name).is_none()) else {
        return;
    };
    let config = contents.config_mut(file);
    if let Some(Value::Array(items)) = config.and_then(|config| config.get_mut("clusters")) {
        items.push(json!({"name": name, "cluster": fields}));
    }
    if let Some(context) = context_mut(contents, taken) {
        context.insert("cluster".to_owned(), json!(name));
    }
}

/// Gives each file the current context of before the login, where that of the login is current.
pub(super) fn restore_current_contexts(contents: &mut Contents<'_>, taken: &[Taken]) {
    for file in 0..contents.len() {
        let current = contents
            .config(file)
            .and_then(|config| config.get("current-context")?.as_str());
        let Some(name) = current else { continue };
        let mut of_login = taken.iter().filter(|one| one.name == name).peekable();
        if of_login.peek().is_none() {
            continue;
        }
        let before = of_login.find_map(|one| one.note["current-context"].as_str());
        let before = before.filter(|before| contents.find("context", before).is_some());
        let before = before.map(str::to_owned);
        let is_restored = contents.find("context", name).is_some();
        if let Some(config) = contents.config_mut(file) {
            match before {
                Some(before) => {
                    config.insert("current-context".to_owned(), json!(before));
                }
                None if is_restored => {}
                None => {
                    config.remove("current-context");
                }
            }
        }
    }
}

fn context_mut<'a>(
    contents: &'a mut Contents<'_>,
    taken: &Taken,
) -> Option<&'a mut Map<String, Value>> {
    let config = contents.config_mut(taken.file)?;
    body_mut(config, "context", &taken.name)
}

/// The fields of an entry.
pub(super) fn body_mut<'a>(
    config: &'a mut Config,
    kind: &str,
    name: &str,
) -> Option<&'a mut Map<String, Value>> {
    let items = config.get_mut(&format!("{kind}s"))?.as_array_mut()?;
    let item = items.iter_mut().find(|item| item["name"] == name)?;
    item.get_mut(kind)?.as_object_mut()
}
