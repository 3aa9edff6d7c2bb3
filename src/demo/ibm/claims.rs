//! The claims of IAM's tokens.

use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use super::{
    client::Client,
    fixtures::{PROFILE_ID, PROFILE_NAME, USER},
    iam_state::{Grant, Session},
};
use crate::demo::{jwt::seconds, random::new_uuid};

/// The audience of ID tokens: the client ID of every cluster.
pub(super) const KUBE: &str = "kube";

/// The claims of an access token, which the cloud's services accept.
pub(super) fn access(
    session: &Session,
    client: Client,
    issuer: &str,
    now: SystemTime,
    lifetime: Duration,
) -> Value {
    let mut claims = common(session, issuer, now, lifetime);
    claims["grant_type"] = grant_type(session.grant).into();
    claims["scope"] = scope(client).into();
    claims["client_id"] = match client {
        Client::Anonymous => "default",
        Client::Bx => "bx",
        Client::Kube => KUBE,
    }
    .into();
    claims["acr"] = 1.into();
    claims["amr"] = json!(["pwd"]);
    claims
}

/// The claims of an ID token, which clusters accept.
pub(super) fn id(session: &Session, issuer: &str, now: SystemTime, lifetime: Duration) -> Value {
    let mut claims = common(session, issuer, now, lifetime);
    claims["aud"] = KUBE.into();
    claims
}

/// The claims of a token that identifies a pod.
pub(super) fn pod(now: SystemTime, lifetime: Duration) -> Value {
    json!({
        "iss": "kubernetes/serviceaccount",
        "sub": "system:serviceaccount:default:default",
        "iat": seconds(now),
        "exp": seconds(now) + lifetime.as_secs(),
    })
}

/// The scope of the tokens that a client gets.
pub(super) fn scope(client: Client) -> &'static str {
    match client {
        Client::Kube => "ibm openid containers-kubernetes",
        Client::Anonymous | Client::Bx => "ibm openid",
    }
}

fn common(session: &Session, issuer: &str, now: SystemTime, lifetime: Duration) -> Value {
    let mut account = json!({"valid": true, "frozen": true});
    if let Some(id) = session.account {
        account["bss"] = id.into();
    }
    let mut claims = json!({
        "iss": format!("{issuer}/identity"),
        "iat": seconds(now),
        "exp": seconds(now) + lifetime.as_secs(),
        "jti": new_uuid(),
        "account": account,
    });
    let subject = if session.grant == Grant::ComputeResource {
        json!({
            "iam_id": format!("iam-{PROFILE_ID}"),
            "realmid": "iam",
            "sub": PROFILE_ID,
            "sub_type": "Profile",
            "name": PROFILE_NAME,
        })
    } else {
        json!({
            "iam_id": "IBMid-550000DEMO",
            "realmid": "IBMid",
            "sub": USER,
            "email": USER,
            "given_name": "Example",
            "family_name": "User",
            "name": "Example User",
        })
    };
    if let (Some(claims), Value::Object(subject)) = (claims.as_object_mut(), subject) {
        claims.extend(subject);
    }
    claims
}

fn grant_type(grant: Grant) -> &'static str {
    match grant {
        Grant::Password => "password",
        Grant::ApiKey => "urn:ibm:params:oauth:grant-type:apikey",
        Grant::Passcode => "urn:ibm:params:oauth:grant-type:passcode",
        Grant::ComputeResource => "urn:ibm:params:oauth:grant-type:cr-token",
        Grant::Refresh | Grant::ClusterRefresh | Grant::Delegate | Grant::Redeem => "refresh_token",
    }
}
