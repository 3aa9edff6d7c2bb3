//! The user by the claims of a token. They are not verified: the API server decides which claim names
//! the user, and which prefix it gets.

use serde::Deserialize;
use serde_json::Value;

use crate::{credential::protocol::jwt, secret::Secret};

/// The claims that may name a user; `sub` is often an opaque ID.
#[derive(Deserialize)]
struct Claims {
    email: Option<Value>,
    preferred_username: Option<Value>,
    upn: Option<Value>,
    sub: Option<Value>,
    groups: Option<Value>,
}

/// Returns the name and the groups of the user; `None` if the token is no JWT that names a user.
pub(super) fn identity(token: &Secret) -> Option<(String, Vec<String>)> {
    let claims: Claims = jwt::payload(token.expose())?;
    let names = [
        claims.email,
        claims.preferred_username,
        claims.upn,
        claims.sub,
    ];
    let mut names = names.iter().flatten().filter_map(Value::as_str);
    let name = names.find(|name| !name.is_empty())?.to_owned();
    let groups = match claims.groups {
        Some(Value::String(group)) => vec![group],
        Some(Value::Array(groups)) => {
            let groups = groups.iter().filter_map(Value::as_str);
            groups.map(str::to_owned).collect()
        }
        _ => Vec::new(),
    };
    Some((name, groups))
}

#[cfg(test)]
mod tests {
    use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};

    use super::*;

    fn of(claims: &str) -> Option<(String, Vec<String>)> {
        let payload = BASE64_URL_SAFE_NO_PAD.encode(claims);
        identity(&Secret::new(format!("e30.{payload}.c2ln")))
    }

    #[test]
    fn a_user_is_named_by_the_most_readable_claim() {
        for (claims, name, groups) in [
            (
                r#"{"sub": "4711", "email": "jane@example.com", "groups": ["a", "b"]}"#,
                "jane@example.com",
                &["a", "b"][..],
            ),
            (
                r#"{"sub": "4711", "preferred_username": "jane", "groups": "a"}"#,
                "jane",
                &["a"],
            ),
            (
                r#"{"sub": "4711", "email": "", "upn": "jane"}"#,
                "jane",
                &[],
            ),
            (
                r#"{"sub": "system:serviceaccount:a:b", "email": 7, "groups": {}}"#,
                "system:serviceaccount:a:b",
                &[],
            ),
        ] {
            let groups = groups.iter().map(|&group| group.to_owned()).collect();
            assert_eq!(of(claims), Some((name.to_owned(), groups)), "{claims}");
        }
    }

    #[test]
    fn a_token_without_a_name_names_nobody() {
        for claims in ["{}", "[]", r#"{"sub": 7}"#, r#"{"email": ""}"#, "jane"] {
            assert_eq!(of(claims), None, "{claims}");
        }
        assert_eq!(identity(&Secret::new("sha256~opaque")), None);
    }
}
