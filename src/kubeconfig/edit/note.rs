//! The note of a login in the extensions of its context: what the login wrote, and what was there before.
//! What no longer is as the login wrote it, others have changed since: it is not restored.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::contents::Contents;

/// Name of the extension.
pub(super) const NOTE: &str = "kubegate";

/// The fields of a context that a login changes, and that the note has from before.
pub(super) const CONTEXT_FIELDS: [&str; 3] = ["cluster", "user", "namespace"];

/// What a login wrote, and what was there before.
#[derive(Clone, Default, Deserialize, Serialize)]
#[serde(default, rename_all = "kebab-case")]
pub(super) struct Note {
    /// `context`, if the login added it.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    made: BTreeSet<String>,
    /// Who logged in last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) login: Option<NotedLogin>,
    /// The changed fields of a context that is older than the login.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) context: BTreeMap<String, NotedField>,
    /// The cluster entries that the login added or changed, by their names.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) clusters: BTreeMap<String, NotedCluster>,
    /// The user entries that are older than the login that took them.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub(super) existing_users: BTreeSet<String>,
    /// The user entries of earlier logins of the context.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub(super) former_users: BTreeSet<String>,
    /// The current context before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) current: Option<NotedCurrent>,
}

/// Who logged in, and the user entry that has the login.
#[derive(Clone, Default, Deserialize, Serialize)]
#[serde(default)]
pub(super) struct NotedLogin {
    pub(super) user: String,
    pub(super) username: String,
}

/// A changed field; null stands for none.
#[derive(Clone, Default, Deserialize, Serialize)]
#[serde(default)]
pub(super) struct NotedField {
    pub(super) before: Value,
    pub(super) written: Value,
}

/// A cluster entry.
#[derive(Clone, Default, Deserialize, Serialize)]
#[serde(default)]
pub(super) struct NotedCluster {
    /// The file that has it, if that is another than the file of the context.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) file: Option<String>,
    /// Whether a login added it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) made: bool,
    /// The former values of the changed fields; null for none.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub(super) before: Map<String, Value>,
    /// [`super::meaning::digest`] of what the login wrote.
    pub(super) written: String,
}

/// The `current-context` of a file before; null for none.
#[derive(Clone, Default, Deserialize, Serialize)]
#[serde(default)]
pub(super) struct NotedCurrent {
    /// The file, if that is another than the file of the context.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) file: Option<String>,
    pub(super) before: Value,
}

impl Note {
    /// The note in a context. One that cannot be read says nothing.
    pub(super) fn of(context: &Value) -> Option<Self> {
        let mut extensions = context["extensions"].as_array()?.iter();
        let extension = extensions.find(|one| one["name"] == NOTE)?.get("extension");
        let note = extension.map(Self::deserialize);
        Some(note.and_then(Result::ok).unwrap_or_default())
    }

    /// The note of a first login, which `makes` its context or finds it.
    pub(super) fn first(makes: bool) -> Self {
        Self {
            made: makes.then(|| "context".to_owned()).into_iter().collect(),
            ..Self::default()
        }
    }

    /// Whether the login added the context.
    pub(super) fn is_made(&self) -> bool {
        self.made.contains("context")
    }
}

impl NotedField {
    /// Whether a field of a context still is as the login wrote it. A user entry that is gone was renamed.
    pub(super) fn is_as_written(&self, contents: &Contents<'_>, field: &str, now: &Value) -> bool {
        let is_gone = |name: &str| field == "user" && contents.find(field, name).is_none();
        self.written == *now || self.written.as_str().is_some_and(is_gone)
    }
}

/// Whether a context uses an entry of a kind, or would after its login is forgotten.
pub(super) fn uses(context: &Value, kind: &str, name: &str) -> bool {
    let had = |note: Note| note.context.get(kind).is_some_and(|one| one.before == name);
    context[kind] == name || Note::of(context).is_some_and(had)
}

/// Who logged in to a context, and the user entry that has the login. An entry that is gone was renamed.
pub(super) fn login_of(contents: &Contents<'_>, context: &Value) -> Option<NotedLogin> {
    let mut login = Note::of(context)?.login?;
    if contents.find("user", &login.user).is_none() {
        context["user"].as_str()?.clone_into(&mut login.user);
    }
    Some(login)
}

/// How the note of a context in the file `own` names `file`.
pub(super) fn named_file(contents: &Contents<'_>, own: usize, file: usize) -> Option<String> {
    (file != own).then(|| full_path(contents, file))
}

/// The file that the note of a context in the file `own` names; `None` if it is not in the kubeconfig.
pub(super) fn find_file(
    contents: &Contents<'_>,
    own: usize,
    named: Option<&String>,
) -> Option<usize> {
    let Some(named) = named else { return Some(own) };
    (0..contents.len()).find(|file| full_path(contents, *file) == *named)
}

fn full_path(contents: &Contents<'_>, file: usize) -> String {
    let path = contents.path(file);
    let full = fs::canonicalize(path);
    full.as_deref().unwrap_or(path).display().to_string()
}
