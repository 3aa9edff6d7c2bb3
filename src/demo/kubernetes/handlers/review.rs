//! Questions that are answered and not kept: who am I, may I, and may I have a token.

use std::time::Duration;

use http::{Response, StatusCode};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::write::Writer;
use crate::demo::{
    kubernetes::{
        encoding::{
            request_object, response,
            status::{Cause, Status},
        },
        objects::{
            metadata::{as_map, meta, timestamp},
            resources::{Review, group_version},
        },
        router::Context,
    },
    server::Body,
};

/// Answers a review of the caller.
pub(crate) fn answer(
    context: &Context<'_>,
    review: &Review,
    sent: Value,
) -> Result<Response<Body>, Status> {
    let mut answer = sent;
    let map = as_map(&mut answer);
    let version = group_version(review.group, "v1");
    map.insert("kind".to_owned(), json!(review.kind));
    map.insert("apiVersion".to_owned(), json!(version));
    let status = match review.kind {
        "SelfSubjectReview" => {
            map.insert(
                "metadata".to_owned(),
                json!({"creationTimestamp": timestamp()}),
            );
            map.remove("spec");
            json!({"userInfo": context.identity})
        }
        "SelfSubjectRulesReview" => json!({
            "resourceRules": [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}],
            "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}],
            "incomplete": false,
        }),
        // Whoever came this far may do everything.
        _ => json!({"allowed": true}),
    };
    map.entry("metadata").or_insert_with(|| json!({}));
    map.insert("status".to_owned(), status);
    response::json(StatusCode::CREATED, &answer, &context.format)
}

/// The longest here: a day.
const LONGEST: u64 = 86_400;

/// `serviceaccounts/NAME/token`: a `TokenRequest`.
pub(crate) fn token(writer: &Writer<'_>, sent: &[u8]) -> Result<Response<Body>, Status> {
    let resource = writer.target.resource;
    let (namespace, name) = (writer.target.namespace(), writer.name());
    let account = writer.store().get(&writer.key());
    let account = account.ok_or_else(|| Status::not_found(resource, name))?;
    let request = match sent {
        [] => json!({}),
        sent => request_object::object(writer.headers, sent)?,
    };
    let tokens = writer.context.plane.authentication.tokens();
    let shortest = tokens.shortest();
    let asked = &request["spec"]["expirationSeconds"];
    let seconds = match asked {
        Value::Null => Some(3600),
        asked => asked.as_u64().filter(|seconds| *seconds >= shortest),
    };
    let seconds = seconds.ok_or_else(|| {
        let why = "may not specify a duration less than 10 minutes";
        let cause = Cause::invalid("spec.expirationSeconds", asked, why);
        Status::invalid("TokenRequest", "authentication.k8s.io", "", vec![cause])
    })?;
    let seconds = seconds.min(LONGEST);
    let lifetime = Duration::from_secs(seconds);
    let (token, expires_at) = tokens.issue_for_account(namespace, name, lifetime);
    let expires_at =
        Timestamp::try_from(expires_at).map_err(|e| Status::internal(e.to_string()))?;
    let audiences = match &request["spec"]["audiences"] {
        Value::Array(audiences) if !audiences.is_empty() => json!(audiences),
        _ => json!(["https://kubernetes.default.svc"]),
    };
    let answer = json!({
        "kind": "TokenRequest",
        "apiVersion": "authentication.k8s.io/v1",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "uid": meta(&account.value, "uid"),
            "creationTimestamp": timestamp(),
        },
        "spec": {
            "audiences": audiences,
            "expirationSeconds": seconds,
            "boundObjectRef": request["spec"]["boundObjectRef"],
        },
        "status": {
            "token": token.expose(),
            "expirationTimestamp": format!("{expires_at:.0}"),
        },
    });
    response::json(StatusCode::CREATED, &answer, &writer.context.format)
}
