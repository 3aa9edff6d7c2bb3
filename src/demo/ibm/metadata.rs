//! The metadata service of a virtual server in a VPC: its identity, and access tokens for it.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    Cloud, claims,
    client::Client,
    fixtures::{ACCOUNT, PROFILE_ID},
    iam_state::{Grant, Session},
};
use crate::demo::{form::Form, https::message};

/// An error: HTTP status and code.
type Refused = (StatusCode, &'static str);

const BAD_REQUEST: Refused = (StatusCode::BAD_REQUEST, "bad_request");
const UNAUTHORIZED: Refused = (StatusCode::UNAUTHORIZED, "not_authorized");
const NO_PROFILE: Refused = (StatusCode::FORBIDDEN, "forbidden");
const FAILED: Refused = (StatusCode::INTERNAL_SERVER_ERROR, "internal_error");

impl Cloud {
    pub(super) fn handle_metadata(
        &self,
        request: &Request<Bytes>,
        now: SystemTime,
    ) -> Response<Bytes> {
        let has_version = Form::parse(request.uri().query()).get("version").is_some();
        let result = match (request.method(), request.uri().path()) {
            _ if !has_version => Err(BAD_REQUEST),
            (&Method::PUT, "/instance_identity/v1/token") => self.identity_token(request, now),
            (&Method::POST, "/instance_identity/v1/iam_token") => self.server_token(request, now),
            _ => return message::text(StatusCode::NOT_FOUND, "there is nothing here"),
        };
        match result {
            Ok(body) => message::json(StatusCode::OK, &body),
            Err((status, code)) => message::json(
                status,
                &json!({"errors": [{"code": code, "message": code}]}),
            ),
        }
    }

    fn identity_token(&self, request: &Request<Bytes>, now: SystemTime) -> Result<Value, Refused> {
        let flavor = request.headers().get("metadata-flavor");
        let body: Value = serde_json::from_slice(request.body()).map_err(|_| BAD_REQUEST)?;
        let seconds = body["expires_in"].as_u64().unwrap_or(300);
        if flavor.is_none_or(|flavor| flavor != "ibm") || !(5..=3600).contains(&seconds) {
            return Err(BAD_REQUEST);
        }
        let claims = claims::pod(now, Duration::from_secs(seconds));
        let token = self.pod_signer.sign(&claims).map_err(|_| FAILED)?;
        Ok(token_of(&token, seconds, now))
    }

    fn server_token(&self, request: &Request<Bytes>, now: SystemTime) -> Result<Value, Refused> {
        let identity = message::bearer(request.headers()).ok_or(UNAUTHORIZED)?;
        let claims = self.pod_signer.unexpired_claims(identity, now);
        claims.ok_or(UNAUTHORIZED)?;
        if !request.body().is_empty() {
            let body: Value = serde_json::from_slice(request.body()).map_err(|_| BAD_REQUEST)?;
            let profile = &body["trusted_profile"];
            let is_known = match (profile["id"].as_str(), profile["crn"].as_str()) {
                (Some(id), None) => id == PROFILE_ID,
                (None, Some(crn)) => crn.ends_with(&format!(":a/{ACCOUNT}::profile:{PROFILE_ID}")),
                _ => return Err(BAD_REQUEST),
            };
            if !is_known {
                return Err(NO_PROFILE);
            }
        }
        let session = self.iam.begin_session(Session {
            grant: Grant::ComputeResource,
            account: Some(ACCOUNT),
            last_active: now,
        });
        let issuer = self.iam_url.get().ok_or(FAILED)?;
        let tokens = self.tokens(session, Client::Anonymous, issuer, now);
        let tokens = tokens.map_err(|_| FAILED)?;
        let access = tokens["access_token"].as_str().unwrap_or_default();
        let seconds = tokens["expires_in"].as_u64().unwrap_or_default();
        Ok(token_of(access, seconds, now))
    }
}

/// The response of both operations.
fn token_of(token: &str, seconds: u64, now: SystemTime) -> Value {
    let time = |at| Timestamp::try_from(at).unwrap_or_default().to_string();
    json!({
        "access_token": token,
        "created_at": time(now),
        "expires_at": time(now + Duration::from_secs(seconds)),
        "expires_in": seconds,
    })
}
