//! The note in which a login records the entries that existed before it, and who logged in. It is an
//! extension of the login's context, which kubectl keeps and ignores.

use serde_json::{Map, Value, json};

use super::{
    contents::{Config, Contents},
    new_context::NewContext,
    note::{NOTE, note},
    plan::Plan,
};
use crate::kubeconfig::ExecConfig;

/// Returns the extensions of a planned context: those of the context that it replaces, and the note. What
/// an earlier login of the same context noted stays.
pub(super) fn extensions(
    contents: &Contents<'_>,
    plan: &Plan,
    new: &NewContext,
    current: Option<&str>,
) -> Value {
    let old = contents.find_in(plan.context.file, "context", &plan.context.name);
    let mut extensions = match old.map(|old| &old["extensions"]) {
        Some(Value::Array(extensions)) => extensions.clone(),
        _ => Vec::new(),
    };
    let noted = extensions.iter_mut().find(|one| one["name"] == NOTE);
    let mut note = if let Some(noted) = noted {
        noted["extension"].take()
    } else {
        extensions.push(json!({"name": NOTE}));
        first_note(plan, old, current)
    };
    if !note.is_object() {
        note = json!({});
    }
    if !plan.cluster.exists {
        add_made(&mut note, "cluster");
    }
    note["username"] = json!(new.username);
    if let Some(one) = extensions.iter_mut().find(|one| one["name"] == NOTE) {
        one["extension"] = note;
    }
    Value::Array(extensions)
}

/// The note of the first login of a context, whose fields were `old`.
fn first_note(plan: &Plan, old: Option<&Value>, current: Option<&str>) -> Value {
    let mut note = Map::new();
    let mut made = Vec::new();
    match old.map(|old| &old["user"]) {
        None => made.push("context"),
        Some(Value::String(user)) if *user != plan.user.name => {
            note.insert("user".to_owned(), json!(user));
        }
        Some(_) => {}
    }
    if let Some(current) = current.filter(|current| *current != plan.context.name) {
        note.insert("current-context".to_owned(), json!(current));
    }
    note.insert("made".to_owned(), json!(made));
    Value::Object(note)
}

fn add_made(note: &mut Value, what: &str) {
    match &mut note["made"] {
        Value::Array(made) if made.contains(&json!(what)) => {}
        Value::Array(made) => made.insert(0, json!(what)),
        other => *other = json!([what]),
    }
}

/// Removes the user of a login from every file, and restores what the notes in the user's contexts
/// record. Contexts without a note are removed too, and their clusters stay. An entry of the same name
/// that is not of the login stays with the contexts that use it. Returns `false` if there is no such
/// user.
pub(super) fn restore(
    contents: &mut Contents<'_>,
    user: &str,
    is_login: &dyn Fn(Option<&ExecConfig>) -> bool,
) -> bool {
    let owners = owners(contents, user, is_login);
    if !owners.iter().any(|owner| owner.has_entry) {
        return false;
    }
    let mut removed = Removed::default();
    for (file, owner) in owners.iter().enumerate() {
        let Some(config) = contents.config_mut(file) else {
            continue;
        };
        if owner.has_entry {
            retain(config, "users", |item| (*item)["name"] != user);
        }
        if owner.has_contexts {
            removed.take_contexts(config, user);
        }
    }
    removed.take_clusters(contents);
    removed.restore_current_contexts(contents);
    true
}

/// What a file has of a login.
struct Owner {
    /// Whether it has the user's entry.
    has_entry: bool,
    /// Whether its contexts that name the user mean the login.
    has_contexts: bool,
}

fn owners(
    contents: &Contents<'_>,
    user: &str,
    is_login: &dyn Fn(Option<&ExecConfig>) -> bool,
) -> Vec<Owner> {
    let is_of_login = |found| is_login(contents.exec(user, found).as_ref());
    let effective = contents.find("user", user).is_some_and(is_of_login);
    let files = 0..contents.len();
    files
        .map(|file| match contents.find_in(file, "user", user) {
            Some(body) => {
                let is_of_login = is_of_login(super::contents::Found { file, body });
                Owner {
                    has_entry: is_of_login,
                    has_contexts: is_of_login,
                }
            }
            None => Owner {
                has_entry: false,
                has_contexts: effective,
            },
        })
        .collect()
}

/// What is removed with a user.
#[derive(Default)]
struct Removed {
    contexts: Vec<Value>,
    clusters: Vec<Value>,
    /// Each context, and the one that was current before its login.
    before: Vec<(Value, String)>,
}

impl Removed {
    fn take_contexts(&mut self, config: &mut Config, user: &str) {
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
            let made = note["made"].as_array();
            if made.is_some_and(|made| made.contains(&json!("cluster"))) {
                self.clusters.push(context["cluster"].clone());
            }
            if let Some(before) = note["current-context"].as_str() {
                self.before.push((item["name"].clone(), before.to_owned()));
            }
            self.contexts.push(item["name"].clone());
            false
        });
    }

    /// Removes the clusters that the login made and no other context uses.
    fn take_clusters(&mut self, contents: &mut Contents<'_>) {
        self.clusters.retain(|cluster| {
            let mut left = contents.contexts();
            !left.any(|context| context.body["cluster"] == *cluster)
        });
        for file in 0..contents.len() {
            if let Some(config) = contents.config_mut(file) {
                retain(config, "clusters", |item| {
                    !self.clusters.contains(&item["name"])
                });
            }
        }
    }

    fn restore_current_contexts(&self, contents: &mut Contents<'_>) {
        for file in 0..contents.len() {
            let current = contents
                .config(file)
                .and_then(|config| config.get("current-context"));
            let Some(current) = current.filter(|now| self.contexts.contains(now)) else {
                continue;
            };
            let name = current.as_str().unwrap_or_default();
            if contents.find("context", name).is_some() {
                continue;
            }
            let mut before = self.before.iter();
            let before = before.find(|(context, _)| context == current);
            let before = before.map(|(_, before)| before.clone());
            let before = before.filter(|before| contents.find("context", before).is_some());
            if let Some(config) = contents.config_mut(file) {
                match before {
                    Some(before) => config.insert("current-context".to_owned(), json!(before)),
                    None => config.remove("current-context"),
                };
            }
        }
    }
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

/// Removes the items of a section for which `stays` is false.
fn retain(config: &mut Config, section: &str, stays: impl FnMut(&mut Value) -> bool) {
    if let Some(Value::Array(items)) = config.get_mut(section) {
        items.retain_mut(stays);
    }
}
