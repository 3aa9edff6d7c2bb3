//! Session tokens: issued, authenticated, extended by use, and ended.
//!
//! The tokens themselves are not stored. Each is identified by its hash, which is the name of its
//! object in the API.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use aws_lc_rs::digest::{SHA256, digest};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::{
    resources::{OAUTH_TOKENS, USER_TOKENS},
    scopes::SCOPES,
};
use crate::{
    demo::{
        kubernetes::{
            authentication::user_info::UserInfo,
            encoding::status::Status,
            objects::store::{HISTORY, Key, Outcome, Store},
        },
        random::{self, new_uuid},
    },
    secret::Secret,
};

/// The prefix of tokens and of the names of their objects.
const PREFIX: &str = "sha256~";

/// The login that a session was begun for.
#[derive(Clone, Debug)]
pub(super) struct Grant {
    pub(super) user: String,
    pub(super) uid: String,
    pub(super) client: &'static str,
    pub(super) scopes: Vec<String>,
    pub(super) redirect_uri: String,
    /// The authorization code that was exchanged for it, if there was one.
    pub(super) code: Option<String>,
    /// Lifetime in seconds; with 0 it does not expire.
    pub(super) expires_in: u64,
    /// Seconds without use after which it expires; 0 for never.
    pub(super) inactivity: u64,
}

#[derive(Debug)]
struct Session {
    grant: Grant,
    /// The UID of its object.
    uid: String,
    /// The creation time of its object, by the OAuth server's clock.
    created_at: Timestamp,
    /// The time of issue by the system's clock, with milliseconds, so that short lifetimes are
    /// exact.
    issued_at: SystemTime,
    /// `inactivityTimeoutSeconds`: the age in seconds at which it expires, which use increases.
    inactive_at_age: u64,
}

/// The information that `/oauth/info` gives about a token.
pub(super) struct TokenInfo {
    pub(super) client: &'static str,
    pub(super) scopes: Vec<String>,
    /// Seconds until it expires; `None` if it does not.
    pub(super) expires_in: Option<u64>,
}

/// All sessions, and their objects in the API.
///
/// The store keeps a user's objects under the user's name in place of a namespace, so that users
/// list and watch only their own.
#[derive(Debug)]
pub(super) struct Sessions {
    by_name: Mutex<BTreeMap<String, Session>>,
    pub(super) store: Arc<Store>,
}

/// The name of a token's object: the prefix, and the hash of the rest of the token.
pub(super) fn object_name(token: &str) -> Option<String> {
    let text = token.strip_prefix(PREFIX)?;
    let hash = digest(&SHA256, text.as_bytes());
    Some(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(hash)))
}

/// A new token or authorization code.
pub(super) fn new_token() -> String {
    format!("{PREFIX}{}", random::new_token())
}

impl Sessions {
    pub(super) fn new() -> Self {
        Self {
            by_name: Mutex::default(),
            store: Arc::new(Store::new(HISTORY)),
        }
    }

    /// Issues a token. `created_at` is the time by the OAuth server's clock.
    pub(super) fn issue(&self, grant: Grant, created_at: SystemTime) -> Secret {
        let token = new_token();
        let session = Session {
            uid: new_uuid(),
            created_at: Timestamp::try_from(created_at).unwrap_or_default(),
            issued_at: SystemTime::now(),
            inactive_at_age: grant.inactivity,
            grant,
        };
        if let Some(name) = object_name(&token) {
            self.put_object(&name, &session);
            self.sessions().insert(name, session);
        }
        Secret::new(token)
    }

    /// The user of a valid token. Counts as use of the token.
    pub(super) fn authenticate(&self, token: &str, now: SystemTime) -> Option<UserInfo> {
        let name = object_name(token)?;
        self.remove_expired(now);
        let mut sessions = self.sessions();
        let session = sessions.get_mut(&name)?;
        let age = session.age(now);
        let (inactive_at_age, inactivity) = (session.inactive_at_age, session.grant.inactivity);
        if inactive_at_age > 0 {
            let left = Duration::from_secs(inactive_at_age).checked_sub(age)?;
            // Like real servers, this one updates the object only in the last third of the time.
            if left <= Duration::from_secs(inactivity) / 3 {
                session.inactive_at_age = age.as_secs() + inactivity;
                self.put_object(&name, session);
            }
        }
        let Grant {
            user, uid, scopes, ..
        } = session.grant.clone();
        let mut user = UserInfo::authenticated(user, vec![OAUTH_GROUP.to_owned()]);
        user.uid = uid;
        user.extra.insert(SCOPES.to_owned(), scopes);
        Some(user)
    }

    /// The information about a token. It does not depend on when the token was used last.
    pub(super) fn info(&self, token: &str, now: SystemTime) -> Option<TokenInfo> {
        self.remove_expired(now);
        let sessions = self.sessions();
        let session = sessions.get(&object_name(token)?)?;
        let lifetime = Duration::from_secs(session.grant.expires_in);
        let expires_in = lifetime.saturating_sub(session.age(now)).as_secs();
        Some(TokenInfo {
            client: session.grant.client,
            scopes: session.grant.scopes.clone(),
            expires_in: (session.grant.expires_in > 0).then_some(expires_in),
        })
    }

    /// Ends the session whose object has this name, if it belongs to `owner` (`None`: to any user).
    /// Returns the deleted object.
    pub(super) fn delete(&self, name: &str, owner: Option<&str>) -> Option<Value> {
        self.remove_expired(SystemTime::now());
        let mut sessions = self.sessions();
        let is_owners = |user: &str| owner.is_none_or(|owner| owner == user);
        let session = sessions.get(name).filter(|s| is_owners(&s.grant.user))?;
        let deleted = self.delete_object(name, &session.grant.user);
        sessions.remove(name);
        deleted
    }

    /// Removes expired sessions and their objects.
    pub(super) fn remove_expired(&self, now: SystemTime) {
        self.sessions().retain(|name, session| {
            let lifetime = Duration::from_secs(session.grant.expires_in);
            let is_valid = session.grant.expires_in == 0 || session.age(now) <= lifetime;
            if !is_valid {
                self.delete_object(name, &session.grant.user);
            }
            is_valid
        });
    }

    fn put_object(&self, name: &str, session: &Session) {
        let object = session.object(name);
        let put = |_: Option<&_>| Ok::<_, Status>(Outcome::Put(object));
        // The closure returns no error.
        let _ = self
            .store
            .change(&key(name, &session.grant.user), false, put);
    }

    fn delete_object(&self, name: &str, user: &str) -> Option<Value> {
        let delete = |_: Option<&_>| Ok(Outcome::Delete);
        let deleted = self.store.change(&key(name, user), false, delete);
        let mut object = deleted.ok()??.value.clone();
        object["kind"] = json!(OAUTH_TOKENS.kind);
        Some(object)
    }

    fn sessions(&self) -> MutexGuard<'_, BTreeMap<String, Session>> {
        self.by_name.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The group of all users who logged in with OAuth.
pub(super) const OAUTH_GROUP: &str = "system:authenticated:oauth";

fn key(name: &str, user: &str) -> Key {
    Key::new(&USER_TOKENS, user, name)
}

impl Session {
    fn age(&self, now: SystemTime) -> Duration {
        now.duration_since(self.issued_at).unwrap_or_default()
    }

    /// The session's object in the API. Fields that are not set are left out.
    fn object(&self, name: &str) -> Value {
        let grant = &self.grant;
        let created_at = format!("{:.0}", self.created_at);
        let mut spec = Map::new();
        spec.insert("clientName".to_owned(), json!(grant.client));
        spec.insert("expiresIn".to_owned(), json!(grant.expires_in));
        spec.insert("scopes".to_owned(), json!(grant.scopes));
        spec.insert("redirectURI".to_owned(), json!(grant.redirect_uri));
        spec.insert("userName".to_owned(), json!(grant.user));
        spec.insert("userUID".to_owned(), json!(grant.uid));
        if let Some(code) = &grant.code {
            spec.insert("authorizeToken".to_owned(), json!(code));
        }
        if self.inactive_at_age > 0 {
            let name = "inactivityTimeoutSeconds".to_owned();
            spec.insert(name, json!(self.inactive_at_age));
        }
        spec.retain(|_, value| *value != json!(0) && *value != json!(""));
        let fields: Map<String, Value> = spec
            .keys()
            .map(|field| (format!("f:{field}"), json!({})))
            .collect();
        let mut object = json!({
            "kind": USER_TOKENS.kind,
            "apiVersion": USER_TOKENS.api_version(),
            "metadata": {
                "name": name,
                "uid": self.uid,
                "creationTimestamp": created_at,
                "managedFields": [{
                    "manager": "oauth-server",
                    "operation": "Update",
                    "apiVersion": USER_TOKENS.api_version(),
                    "time": created_at,
                    "fieldsType": "FieldsV1",
                    "fieldsV1": fields,
                }],
            },
        });
        if let Value::Object(map) = &mut object {
            map.extend(spec);
        }
        object
    }
}

#[cfg(test)]
mod tests;
