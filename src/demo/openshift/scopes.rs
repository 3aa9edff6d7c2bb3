//! Scopes: what a token may be used for at most.

use crate::demo::kubernetes::authorization::{Action, Object};

/// Where an identity's scopes stand among its extra attributes.
pub(super) const SCOPES: &str = "scopes.authorization.openshift.io";

/// What is granted where nothing is asked for.
pub(super) const FULL: &str = "user:full";

const USER_INFO: &str = "user:info";
const CHECK_ACCESS: &str = "user:check-access";
const LIST_PROJECTS: &str = "user:list-projects";
const LIST_SCOPED_PROJECTS: &str = "user:list-scoped-projects";

/// All that are known, in the order of the discovery document.
pub(super) const KNOWN: [&str; 5] = [
    CHECK_ACCESS,
    FULL,
    USER_INFO,
    LIST_PROJECTS,
    LIST_SCOPED_PROJECTS,
];

/// What is wrong with scopes asked for, in the server's words.
pub(super) fn problem<S: AsRef<str>>(asked: &[S]) -> Option<String> {
    let unknown: Vec<String> = asked
        .iter()
        .map(AsRef::as_ref)
        .enumerate()
        .filter(|(_, scope)| !KNOWN.contains(scope))
        .map(|(place, scope)| {
            format!("[{place}]: Invalid value: {scope:?}: no scope handler found")
        })
        .collect();
    match &unknown[..] {
        [] => None,
        [one] => Some(one.clone()),
        many => Some(format!("[{}]", many.join(", "))),
    }
}

/// Whether one of the scopes lets an action through. Discovery is open to every scope.
pub(super) fn allow(scopes: &[String], action: &Action<'_>) -> bool {
    let Object::Resource { subject, .. } = &action.object else {
        return true;
    };
    let (verb, what) = (action.verb.as_str(), (subject.group, subject.plural));
    scopes.iter().any(|scope| match scope.as_str() {
        FULL => true,
        USER_INFO => what == ("user.openshift.io", "users") && verb == "get" && subject.name == "~",
        CHECK_ACCESS => what.0 == "authorization.k8s.io" && verb == "create",
        LIST_PROJECTS | LIST_SCOPED_PROJECTS => {
            what == ("project.openshift.io", "projects") && matches!(verb, "list" | "watch")
        }
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_scopes_are_told_by_their_place() {
        assert_eq!(problem(&[FULL, USER_INFO]), None);
        assert_eq!(
            problem(&["user:nope"]).as_deref(),
            Some("[0]: Invalid value: \"user:nope\": no scope handler found")
        );
        let two = problem(&["a", FULL, "b"]);
        assert!(two.is_some_and(|text| text.starts_with('[') && text.contains("[2]: ")));
    }
}
