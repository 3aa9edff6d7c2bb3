//! `TokenRequest`: creates a token of a service account.

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
        objects::metadata::{meta, timestamp},
    },
    server::Body,
};

/// The longest lifetime of a token, in seconds.
const LONGEST: u64 = 86_400;

/// Responds to `POST serviceaccounts/NAME/token`.
pub(crate) fn respond(writer: &Writer<'_>, body: &[u8]) -> Result<Response<Body>, Status> {
    let resource = writer.target.resource;
    let (namespace, name) = (writer.target.namespace(), writer.name());
    let account = writer.store().get(&writer.key());
    let account = account.ok_or_else(|| Status::not_found(resource, name))?;
    let request = match body {
        [] => json!({}),
        body => request_object::object(writer.headers, body)?,
    };
    let tokens = writer.context.server.authentication.tokens();
    let shortest = tokens.shortest();
    let requested = &request["spec"]["expirationSeconds"];
    let seconds = match requested {
        Value::Null => Some(3600),
        requested => requested.as_u64().filter(|seconds| *seconds >= shortest),
    };
    let seconds = seconds.ok_or_else(|| {
        let detail = "may not specify a duration less than 10 minutes";
        let cause = Cause::invalid("spec.expirationSeconds", requested, detail);
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
    let response = json!({
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
    response::json(StatusCode::CREATED, &response, &writer.context.format)
}
