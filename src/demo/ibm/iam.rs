//! The HTTP interface of IAM.

use std::time::SystemTime;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use serde_json::{Value, json};

use super::{Cloud, iam_error::IamError};
use crate::demo::{https::message, random::new_uuid};

impl Cloud {
    pub(super) fn handle_iam(&self, request: &Request<Bytes>, now: SystemTime) -> Response<Bytes> {
        let path = request.uri().path();
        let result = match (request.method(), path) {
            (&Method::POST, "/identity/token") => {
                let tokens = self.grant(request, now);
                if tokens.is_err() {
                    self.iam.count_refusal();
                }
                tokens
            }
            (&Method::GET, "/identity/keys") => self.signer.key_set().ok_or(IamError::Internal),
            (&Method::GET, "/identity/.well-known/openid-configuration") => {
                Ok(metadata(&message::origin(request)))
            }
            // The page that shows a passcode after a login.
            (&Method::GET, "/identity/passcode") => {
                let expires_at = now + self.options().passcode;
                Ok(json!({"passcode": self.iam.new_passcode(expires_at)}))
            }
            _ => return message::text(StatusCode::NOT_FOUND, "there is nothing here"),
        };
        let mut response = match result {
            Ok(body) => message::json(StatusCode::OK, &body),
            Err(error) => error.response(path, now),
        };
        if let Ok(id) = HeaderValue::try_from(format!("demo-{}", new_uuid())) {
            response.headers_mut().insert("transaction-id", id);
        }
        response
    }
}

/// The metadata of `OpenID` Connect Discovery 1.0, section 3, and IAM's `passcode_endpoint`.
fn metadata(origin: &str) -> Value {
    let issuer = format!("{origin}/identity");
    json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/authorize"),
        "token_endpoint": format!("{issuer}/token"),
        "passcode_endpoint": format!("{issuer}/passcode"),
        "jwks_uri": format!("{issuer}/keys"),
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "scopes_supported": ["openid"],
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
    })
}
