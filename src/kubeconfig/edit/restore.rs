//! Restores what existed before a login, by the notes that it left in its contexts. What is no longer as
//! the login wrote it stays as it is.

use serde_json::{Map, Value, json};

use super::{
    contents::{Config, Contents, ContextEntry},
    meaning::digest,
    names::numbered,
    note::{CONTEXT_FIELDS, NOTE, Note, NotedCluster, find_file},
};

/// A context that loses the login.
pub(super) struct Taken {
    /// The file, as an index.
    pub(super) file: usize,
    pub(super) name: String,
    pub(super) note: Option<Note>,
}

impl Taken {
    /// Whether the context goes with the login: nothing says that it is older.
    pub(super) fn is_removed(&self) -> bool {
        self.note.as_ref().is_none_or(Note::is_made)
    }

    /// Whether the user's entry is older than the login.
    pub(super) fn has_older_user(&self, user: &str) -> bool {
        let note = self.note.as_ref();
        note.is_some_and(|note| note.existing_users.contains(user))
    }

    /// The user entries of earlier logins of the context.
    pub(super) fn former_users(&self) -> impl Iterator<Item = &String> {
        self.note.iter().flat_map(|note| &note.former_users)
    }

    /// The clusters that the login added (`made`) or changed and that still are as it wrote them, with the
    /// file of each.
    pub(super) fn clusters(
        &self,
        contents: &Contents<'_>,
        made: bool,
    ) -> Vec<(usize, &String, &NotedCluster)> {
        let noted = self.note.iter().flat_map(|note| &note.clusters);
        let found = noted.filter_map(|(name, noted)| {
            let file = find_file(contents, self.file, noted.file.as_ref())?;
            let entry = contents.find_in(file, "cluster", name)?;
            let is_as_written = noted.made == made && digest(entry) == noted.written;
            is_as_written.then_some((file, name, noted))
        });
        found.collect()
    }
}

/// Gives a context the cluster, user and namespace that it had before its first login. It keeps no user of
/// the login, unless that entry `is_older`.
pub(super) fn restore_context(contents: &mut Contents<'_>, taken: &Taken, is_older: bool) {
    let Some(old) = contents.find_in(taken.file, "context", &taken.name) else {
        return;
    };
    let noted = taken.note.iter().flat_map(|note| &note.context);
    let noted = noted.filter(|(field, noted)| {
        CONTEXT_FIELDS.contains(&field.as_str())
            && noted.is_as_written(contents, field, &old[field.as_str()])
    });
    let noted: Vec<_> = noted.collect();
    let Some(context) = context_mut(contents, taken) else {
        return;
    };
    if !is_older {
        context.remove("user");
    }
    for (field, noted) in noted {
        if noted.before.is_null() {
            context.remove(field);
        } else {
            context.insert(field.clone(), noted.before.clone());
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
pub(super) fn restore_clusters(contents: &mut Contents<'_>, taken: &Taken) {
    for (file, name, noted) in taken.clusters(contents, false) {
        let entry = contents.find_in(file, "cluster", name);
        let Some(fields) = entry.and_then(|entry| former_fields(entry, &noted.before)) else {
            continue;
        };
        let is_own = |one: ContextEntry<'_>| one.file == taken.file && one.name == taken.name;
        let is_shared = contents
            .contexts()
            .any(|one| !is_own(one) && one.body["cluster"] == *name);
        let own = contents.find_in(taken.file, "context", &taken.name);
        let is_used = own.is_some_and(|own| own["cluster"] == *name);
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

/// Gives each file whose current context is that of a login the one of before. A file whose current
/// context others made this one, where it is gone now, gets none.
pub(super) fn restore_current_contexts(contents: &mut Contents<'_>, taken: &[Taken]) {
    for one in taken {
        let noted = one.note.as_ref().and_then(|note| note.current.as_ref());
        let noted_in = noted.and_then(|noted| find_file(contents, one.file, noted.file.as_ref()));
        let before = noted.and_then(|noted| noted.before.as_str());
        let is_gone = contents.find("context", &one.name).is_none();
        if is_gone {
            pass_on(contents, one, before);
        }
        let exists = |name: &&str| name.is_empty() || contents.find("context", name).is_some();
        let before = before.filter(exists).map(str::to_owned);
        for file in 0..contents.len() {
            let Some(config) = contents.config_mut(file) else {
                continue;
            };
            let is_current = config.get("current-context") == Some(&json!(one.name));
            match &before {
                _ if !is_current => {}
                Some(before) if noted_in == Some(file) => {
                    config.insert("current-context".to_owned(), json!(before));
                }
                _ if is_gone || noted_in == Some(file) => {
                    config.remove("current-context");
                }
                _ => {}
            }
        }
    }
}

/// Notes in the contexts of later logins, which found a removed context as the current one, that
/// `before` was.
fn pass_on(contents: &mut Contents<'_>, removed: &Taken, before: Option<&str>) {
    for file in 0..contents.len() {
        let config = contents.config_mut(file);
        let items = config.and_then(|config| config.get_mut("contexts")?.as_array_mut());
        for item in items.into_iter().flatten() {
            let Some(mut note) = Note::of(&item["context"]) else {
                continue;
            };
            let Some(current) = &mut note.current else {
                continue;
            };
            if current.before != *removed.name {
                continue;
            }
            let before = before.filter(|before| item["name"] != *before);
            current.before = before.map_or(Value::Null, Value::from);
            let extensions = item["context"]["extensions"].as_array_mut();
            for one in extensions.into_iter().flatten() {
                if one["name"] == NOTE {
                    one["extension"] = json!(note);
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
