//! The note of a login in the extensions of its context: what existed before the login.
//!
//! | field | what it holds |
//! |---|---|
//! | `made` | `context`, `cluster`: what the login added |
//! | `made-clusters` | the clusters that the login added, each with its server |
//! | `existing-users` | the users' entries that are older than the login that took them |
//! | `cluster`, `user`, `namespace` | the former fields of a context that is older than the login; null for none |
//! | `clusters` | the former fields of cluster entries that the login changed, by the name of the entry |
//! | `former-users` | the users of earlier logins of the context |
//! | `current-context` | the current context before |
//! | `username` | who logged in last |

use serde_json::Value;

/// Name of the extension.
pub(super) const NOTE: &str = "kubegate";

/// The fields of a context that a login changes, and that the note has from before.
pub(super) const CONTEXT_FIELDS: [&str; 3] = ["cluster", "user", "namespace"];

/// The note in a context; null if there is none.
pub(super) fn note(context: &Value) -> Value {
    let extensions = context["extensions"].as_array().into_iter().flatten();
    let mut notes = extensions.filter(|one| one["name"] == NOTE);
    notes
        .next()
        .map(|one| one["extension"].clone())
        .unwrap_or_default()
}

/// Who logged in to a context last.
pub(super) fn username(context: &Value) -> Option<String> {
    note(context)["username"].as_str().map(str::to_owned)
}

/// Whether a list of the note has an item.
pub(super) fn has(note: &Value, list: &str, item: &str) -> bool {
    texts(&note[list]).any(|one| one == item)
}

/// The texts of a list.
pub(super) fn texts(list: &Value) -> impl Iterator<Item = &str> {
    let items = list.as_array().into_iter().flatten();
    items.filter_map(Value::as_str)
}
