//! The user of a request: name, UID, groups and extra attributes.

use std::collections::BTreeMap;

use serde::Serialize;

/// `userInfo` of `authentication.k8s.io/v1`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct UserInfo {
    pub(crate) username: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) uid: String,
    pub(crate) groups: Vec<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) extra: BTreeMap<String, Vec<String>>,
}

const AUTHENTICATED: &str = "system:authenticated";
const ANONYMOUS: &str = "system:anonymous";

impl UserInfo {
    /// An authenticated user. Adds the group `system:authenticated`.
    pub(crate) fn authenticated(username: impl Into<String>, mut groups: Vec<String>) -> Self {
        groups.push(AUTHENTICATED.to_owned());
        Self {
            username: username.into(),
            uid: String::new(),
            groups,
            extra: BTreeMap::new(),
        }
    }

    /// The demo's administrator, who may do everything.
    pub(crate) fn admin() -> Self {
        Self::authenticated("demo-admin", vec!["system:masters".to_owned()])
    }

    pub(crate) fn anonymous() -> Self {
        Self {
            username: ANONYMOUS.to_owned(),
            uid: String::new(),
            groups: vec!["system:unauthenticated".to_owned()],
            extra: BTreeMap::new(),
        }
    }

    pub(crate) fn service_account(namespace: &str, name: &str) -> Self {
        Self::authenticated(
            format!("system:serviceaccount:{namespace}:{name}"),
            service_account_groups(namespace),
        )
    }

    pub(crate) fn is_anonymous(&self) -> bool {
        self.username == ANONYMOUS
    }

    /// The user that a request with `Impersonate-*` headers acts as. The groups are those of the
    /// headers. A service account without any gets its default groups.
    pub(crate) fn impersonated(
        username: String,
        uid: String,
        mut groups: Vec<String>,
        extra: BTreeMap<String, Vec<String>>,
    ) -> Self {
        if username == ANONYMOUS {
            return Self {
                uid,
                extra,
                ..Self::anonymous()
            };
        }
        if groups.is_empty()
            && let Some(account) = username.strip_prefix("system:serviceaccount:")
            && let Some((namespace, _)) = account.split_once(':')
        {
            groups = service_account_groups(namespace);
        }
        groups.retain(|group| group != AUTHENTICATED);
        Self {
            uid,
            extra,
            ..Self::authenticated(username, groups)
        }
    }
}

fn service_account_groups(namespace: &str) -> Vec<String> {
    vec![
        "system:serviceaccounts".to_owned(),
        format!("system:serviceaccounts:{namespace}"),
    ]
}
