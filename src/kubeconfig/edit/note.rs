//! The note of a login in the extensions of its context.

use serde_json::Value;

/// Name of the extension.
pub(super) const NOTE: &str = "kubegate";

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
