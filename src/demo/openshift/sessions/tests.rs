#![allow(clippy::unwrap_used)]

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
fn a_session_and_its_object_end_when_it_expires() {
    let sessions = Sessions::new();
    let start = SystemTime::now();
    let token = sessions.issue(grant(3, 0), start);
    let name = object_name(token.expose()).unwrap();
    let alice = sessions
        .authenticate(token.expose(), after(start, 2.9))
        .unwrap();
    assert_eq!(alice.username, "alice");
    assert_eq!(alice.groups, [OAUTH_GROUP, "system:authenticated"]);
    let info = sessions.info(token.expose(), after(start, 1.5)).unwrap();
    assert_eq!(info.expires_in, Some(1));
    assert!(sessions.store.get(&key(&name, "alice")).is_some());
    // It was issued shortly after `start`.
    let over = after(SystemTime::now(), 3.1);
    assert_eq!(sessions.authenticate(token.expose(), over), None);
    assert!(sessions.store.get(&key(&name, "alice")).is_none());
}

#[test]
fn a_lifetime_of_zero_never_expires_and_its_field_is_left_out() {
    let sessions = Sessions::new();
    let start = SystemTime::now();
    let token = sessions.issue(grant(0, 0), start);
    let much_later = after(start, 1e9);
    assert!(sessions.authenticate(token.expose(), much_later).is_some());
    assert_eq!(
        sessions.info(token.expose(), start).unwrap().expires_in,
        None
    );
    let name = object_name(token.expose()).unwrap();
    let object = sessions.store.get(&key(&name, "alice")).unwrap();
    assert!(object.value.get("expiresIn").is_none());
    assert_eq!(object.value["clientName"], "openshift-challenging-client");
}

#[test]
fn use_near_the_timeout_extends_a_session_and_a_pause_ends_it() {
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
            .authenticate(token.expose(), after(start, 150.0))
            .is_some()
    );
    assert_eq!(shown(), 300, "the object is not updated this early");
    assert!(
        sessions
            .authenticate(token.expose(), after(start, 250.5))
            .is_some()
    );
    assert_eq!(shown(), 550);
    assert!(
        sessions
            .authenticate(token.expose(), after(start, 549.5))
            .is_some()
    );
    assert_eq!(shown(), 849);
    assert_eq!(
        sessions.authenticate(token.expose(), after(start, 851.0)),
        None
    );
    assert!(
        sessions.info(token.expose(), after(start, 851.0)).is_some(),
        "the information does not depend on use"
    );
}

#[test]
fn only_its_owner_can_delete_a_session() {
    let sessions = Sessions::new();
    let token = sessions.issue(grant(60, 0), SystemTime::now());
    let name = object_name(token.expose()).unwrap();
    assert!(sessions.delete(&name, Some("bob")).is_none());
    let deleted = sessions.delete(&name, Some("alice")).unwrap();
    assert_eq!(deleted["kind"], "OAuthAccessToken");
    assert_eq!(
        sessions.authenticate(token.expose(), SystemTime::now()),
        None
    );
    assert!(sessions.delete(&name, None).is_none());
}
