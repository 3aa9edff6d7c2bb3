//! Session tokens: issued, looked up, extended by use, and ended.
//!
//! The tokens themselves are not kept. Each is known by its hash, which is the name of its object
//! in the API.

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
    api::{OAUTH_TOKENS, USER_TOKENS},
    random_text,
    scopes::SCOPES,
};
use crate::{
    demo::{
        kubernetes::{
            authentication::user_info::Identity,
            encoding::status::Status,
            objects::store::{HISTORY, Key, Outcome, Store},
        },
        random::new_uid,
    },
    secret::Secret,
};

/// What tokens and the names of their objects begin with.
const PREFIX: &str = "sha256~";

/// What a session is granted.
#[derive(Clone, Debug)]
pub(super) struct Grant {
    pub(super) user: String,
    pub(super) uid: String,
    pub(super) client: &'static str,
    pub(super) scopes: Vec<String>,
    pub(super) redirect_uri: String,
    /// The authorization code it was exchanged for, if there was one.
    pub(super) code: Option<String>,
    /// Seconds; 0 never ends.
    pub(super) expires_in: u64,
    /// Seconds without use after which it ends; 0 never.
    pub(super) inactivity: u64,
}

#[derive(Debug)]
struct Session {
    grant: Grant,
    /// Object identity and time, as the issuer's clock shows it.
    uid: String,
    created: Timestamp,
    /// By the true clock, to the millisecond, so that short lives are exact.
    issued: SystemTime,
    /// `inactivityTimeoutSeconds`: counted from the creation on, and moved by use.
    idle_after: u64,
}

/// What `/oauth/info` tells of a token.
pub(super) struct Told {
    pub(super) client: &'static str,
    pub(super) scopes: Vec<String>,
    /// Seconds left; `None` where it never ends.
    pub(super) left: Option<u64>,
}

/// All sessions, and their objects as the API shows them.
///
/// In the store a user's objects are kept under the user's name in place of a namespace: so
/// everybody lists and watches their own alone.
#[derive(Debug)]
pub(super) struct Sessions {
    by_name: Mutex<BTreeMap<String, Session>>,
    pub(super) store: Arc<Store>,
}

/// The name of a token's object: the prefix, then the hash of what stands behind the prefix.
pub(super) fn object_name(token: &str) -> Option<String> {
    let text = token.strip_prefix(PREFIX)?;
    let hash = digest(&SHA256, text.as_bytes());
    Some(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(hash)))
}

/// A new token or authorization code.
pub(super) fn new_token() -> String {
    format!("{PREFIX}{}", random_text())
}

impl Sessions {
    pub(super) fn new() -> Self {
        Self {
            by_name: Mutex::default(),
            store: Arc::new(Store::new(HISTORY)),
        }
    }

    /// A new token. `shown` is the time by the issuer's clock.
    pub(super) fn issue(&self, grant: Grant, shown: SystemTime) -> Secret {
        let token = new_token();
        let session = Session {
            uid: new_uid(),
            created: Timestamp::try_from(shown).unwrap_or_default(),
            issued: SystemTime::now(),
            idle_after: grant.inactivity,
            grant,
        };
        if let Some(name) = object_name(&token) {
            self.publish(&name, &session);
            self.sessions().insert(name, session);
        }
        Secret::new(token)
    }

    /// Whose token it is, while it is valid. That is a use of it.
    pub(super) fn identify(&self, token: &str, now: SystemTime) -> Option<Identity> {
        let name = object_name(token)?;
        self.sweep(now);
        let mut sessions = self.sessions();
        let session = sessions.get_mut(&name)?;
        let age = session.age(now);
        let (idle_after, inactivity) = (session.idle_after, session.grant.inactivity);
        if idle_after > 0 {
            let left = Duration::from_secs(idle_after).checked_sub(age)?;
            // As on real servers, what is far from its end is not written again at each use.
            if left <= Duration::from_secs(inactivity) / 3 {
                session.idle_after = age.as_secs() + inactivity;
                self.publish(&name, session);
            }
        }
        let Grant {
            user, uid, scopes, ..
        } = session.grant.clone();
        let mut identity = Identity::authenticated(user, vec![OAUTH_GROUP.to_owned()]);
        identity.uid = uid;
        identity.extra.insert(SCOPES.to_owned(), scopes);
        Some(identity)
    }

    /// What the issuer tells of a token, whether it was used of late or not.
    pub(super) fn info(&self, token: &str, now: SystemTime) -> Option<Told> {
        self.sweep(now);
        let sessions = self.sessions();
        let session = sessions.get(&object_name(token)?)?;
        let life = Duration::from_secs(session.grant.expires_in);
        let left = life.saturating_sub(session.age(now)).as_secs();
        Some(Told {
            client: session.grant.client,
            scopes: session.grant.scopes.clone(),
            left: (session.grant.expires_in > 0).then_some(left),
        })
    }

    /// Ends a session by its object's name, if it is `owner`'s (`None`: whoever's it is).
    /// Returns the object that went.
    pub(super) fn delete(&self, name: &str, owner: Option<&str>) -> Option<Value> {
        self.sweep(SystemTime::now());
        let mut sessions = self.sessions();
        let is_owners = |user: &str| owner.is_none_or(|owner| owner == user);
        let session = sessions.get(name).filter(|s| is_owners(&s.grant.user))?;
        let deleted = self.unpublish(name, &session.grant.user);
        sessions.remove(name);
        deleted
    }

    /// Ends the sessions whose time is over: their objects go by themselves.
    pub(super) fn sweep(&self, now: SystemTime) {
        self.sessions().retain(|name, session| {
            let life = Duration::from_secs(session.grant.expires_in);
            let lives = session.grant.expires_in == 0 || session.age(now) <= life;
            if !lives {
                self.unpublish(name, &session.grant.user);
            }
            lives
        });
    }

    fn publish(&self, name: &str, session: &Session) {
        let object = session.object(name);
        let put = |_: Option<&_>| Ok::<_, Status>(Outcome::Put(object));
        // Nothing that it is shown is refused.
        let _ = self
            .store
            .change(&key(name, &session.grant.user), false, put);
    }

    fn unpublish(&self, name: &str, user: &str) -> Option<Value> {
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

/// The group of everybody who came by OAuth.
pub(super) const OAUTH_GROUP: &str = "system:authenticated:oauth";

fn key(name: &str, user: &str) -> Key {
    Key::new(&USER_TOKENS, user, name)
}

impl Session {
    fn age(&self, now: SystemTime) -> Duration {
        now.duration_since(self.issued).unwrap_or_default()
    }

    /// As the API shows it. Fields that are not set are left out.
    fn object(&self, name: &str) -> Value {
        let grant = &self.grant;
        let created = format!("{:.0}", self.created);
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
        if self.idle_after > 0 {
            let name = "inactivityTimeoutSeconds".to_owned();
            spec.insert(name, json!(self.idle_after));
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
                "creationTimestamp": created,
                "managedFields": [{
                    "manager": "oauth-server",
                    "operation": "Update",
                    "apiVersion": USER_TOKENS.api_version(),
                    "time": created,
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
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn grant(expires_in: u64, inactivity: u64) -> Grant {
        Grant {
            user: "alice".to_owned(),
            uid: "9c635ef2-d584-4779-bb60-477f3c353c07".to_owned(),
            client: "openshift-challenging-client",
            scopes: vec!["user:full".to_owned()],
            redirect_uri: "https://localhost:8445/oauth/token/implicit".to_owned(),
            code: None,
            expires_in,
            inactivity,
        }
    }

    fn after(from: SystemTime, seconds: f64) -> SystemTime {
        from + Duration::from_secs_f64(seconds)
    }

    #[test]
    fn objects_are_named_as_real_servers_name_them() {
        for (token, name) in [
            (
                "sha256~AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8",
                "sha256~6oZqdX5MOLq_qBJ8vppAnT4fk6AP8UiP9zX8-Rev_9A",
            ),
            (
                "sha256~dIAo76N-W-GXK3S_w_KsC6DmH3MzP79zq7jbMQvCOUo",
                "sha256~a_oN_AsWxjLMvDr5wLYcVInklOAmXrGN22bkWBvvDMk",
            ),
            (
                "sha256~k7jKT4cKKdETjye7F4WKKqhc2JIV7o5-FVIJgRu6JQg",
                "sha256~NW-9jQLslk6yQAO8FTeudE4mRlCMp6yLBg78cIV5zbI",
            ),
        ] {
            assert_eq!(object_name(token).as_deref(), Some(name));
        }
        assert_eq!(
            object_name("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"),
            None
        );
    }

    #[test]
    fn a_session_is_valid_until_its_time_is_over_and_then_its_object_is_gone() {
        let sessions = Sessions::new();
        let start = SystemTime::now();
        let token = sessions.issue(grant(3, 0), start);
        let name = object_name(token.expose()).unwrap();
        let alice = sessions
            .identify(token.expose(), after(start, 2.9))
            .unwrap();
        assert_eq!(alice.username, "alice");
        assert_eq!(alice.groups, [OAUTH_GROUP, "system:authenticated"]);
        let told = sessions.info(token.expose(), after(start, 1.5)).unwrap();
        assert_eq!(told.left, Some(1));
        assert!(sessions.store.get(&key(&name, "alice")).is_some());
        // Issued within a moment after `start`.
        let over = after(SystemTime::now(), 3.1);
        assert_eq!(sessions.identify(token.expose(), over), None);
        assert!(sessions.store.get(&key(&name, "alice")).is_none());
    }

    #[test]
    fn a_life_of_zero_never_ends_and_leaves_its_field_out() {
        let sessions = Sessions::new();
        let start = SystemTime::now();
        let token = sessions.issue(grant(0, 0), start);
        let much_later = after(start, 1e9);
        assert!(sessions.identify(token.expose(), much_later).is_some());
        assert_eq!(sessions.info(token.expose(), start).unwrap().left, None);
        let name = object_name(token.expose()).unwrap();
        let object = sessions.store.get(&key(&name, "alice")).unwrap();
        assert!(object.value.get("expiresIn").is_none());
        assert_eq!(object.value["clientName"], "openshift-challenging-client");
    }

    #[test]
    fn use_near_the_end_extends_an_idle_session_and_a_pause_ends_it() {
        let sessions = Sessions::new();
        let start = SystemTime::now();
        let token = sessions.issue(grant(0, 300), start);
        let name = object_name(token.expose()).unwrap();
        let shown = || {
            let object = sessions.store.get(&key(&name, "alice")).unwrap();
            object.value["inactivityTimeoutSeconds"].clone()
        };
        assert!(
            sessions
                .identify(token.expose(), after(start, 150.0))
                .is_some()
        );
        assert_eq!(shown(), 300, "far from the end, nothing is written");
        assert!(
            sessions
                .identify(token.expose(), after(start, 250.5))
                .is_some()
        );
        assert_eq!(shown(), 550);
        assert!(
            sessions
                .identify(token.expose(), after(start, 549.5))
                .is_some()
        );
        assert_eq!(shown(), 849);
        assert_eq!(sessions.identify(token.expose(), after(start, 851.0)), None);
        assert!(
            sessions.info(token.expose(), after(start, 851.0)).is_some(),
            "the issuer heeds no inactivity"
        );
    }

    #[test]
    fn a_session_is_deleted_by_its_owner_alone() {
        let sessions = Sessions::new();
        let token = sessions.issue(grant(60, 0), SystemTime::now());
        let name = object_name(token.expose()).unwrap();
        assert!(sessions.delete(&name, Some("bob")).is_none());
        let deleted = sessions.delete(&name, Some("alice")).unwrap();
        assert_eq!(deleted["kind"], "OAuthAccessToken");
        assert_eq!(sessions.identify(token.expose(), SystemTime::now()), None);
        assert!(sessions.delete(&name, None).is_none());
    }
}
