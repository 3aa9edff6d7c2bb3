//! Scopes, which limit what a token may be used for.

use crate::demo::kubernetes::authorization::{Action, ActionTarget};

/// The key of a user's extra attributes that holds the scopes.
pub(super) const SCOPES: &str = "scopes.authorization.openshift.io";

/// The scope that is granted if none is requested.
pub(super) const FULL: &str = "user:full";

const USER_INFO: &str = "user:info";
const CHECK_ACCESS: &str = "user:check-access";
const LIST_PROJECTS: &str = "user:list-projects";
const LIST_SCOPED_PROJECTS: &str = "user:list-scoped-projects";

/// All scopes, in the order of the discovery document.
pub(super) const KNOWN: [&str; 5] = [
    CHECK_ACCESS,
    FULL,
    USER_INFO,
    LIST_PROJECTS,
    LIST_SCOPED_PROJECTS,
];

/// The server's description of scopes that do not exist; `None` if all exist.
pub(super) fn error<S: AsRef<str>>(requested: &[S]) -> Option<String> {
    let unknown: Vec<String> = requested
        .iter()
        .map(AsRef::as_ref)
        .enumerate()
        .filter(|(_, scope)| !KNOWN.contains(scope))
        .map(|(index, scope)| {
            format!("[{index}]: Invalid value: {scope:?}: no scope handler found")
        })
        .collect();
    match &unknown[..] {
        [] => None,
        [one] => Some(one.clone()),
        many => Some(format!("[{}]", many.join(", "))),
    }
}

/// Whether one of the scopes allows an action. Every scope allows discovery.
pub(super) fn allow(scopes: &[String], action: &Action<'_>) -> bool {
    let ActionTarget::Resource { subject, .. } = &action.target else {
        return true;
    };
    let (verb, resource) = (action.verb.as_str(), (subject.group, subject.plural));
    scopes.iter().any(|scope| match scope.as_str() {
        FULL => true,
        USER_INFO => {
            resource == ("user.openshift.io", "users") && verb == "get" && subject.name == "~"
        }
        CHECK_ACCESS => resource.0 == "authorization.k8s.io" && verb == "create",
        LIST_PROJECTS | LIST_SCOPED_PROJECTS => {
            resource == ("project.openshift.io", "projects") && matches!(verb, "list" | "watch")
        }
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_scopes_are_named_by_index() {
        assert_eq!(error(&[FULL, USER_INFO]), None);
        assert_eq!(
            error(&["user:nope"]).as_deref(),
            Some("[0]: Invalid value: \"user:nope\": no scope handler found")
        );
        let two = error(&["a", FULL, "b"]);
        assert!(two.is_some_and(|text| text.starts_with('[') && text.contains("[2]: ")));
    }
}
