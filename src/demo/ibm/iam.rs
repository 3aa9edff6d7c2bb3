//! The host of IAM.

use std::time::SystemTime;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use serde_json::{Value, json};

use super::{Cloud, refusal::Refusal};
use crate::demo::{https::messages, random::new_uid};

impl Cloud {
    pub(super) fn answer_iam(&self, request: &Request<Bytes>, now: SystemTime) -> Response<Bytes> {
        let path = request.uri().path();
        let answered = match (request.method(), path) {
            (&Method::POST, "/identity/token") => {
                let granted = self.grant(request, now);
                if granted.is_err() {
                    self.book.count_refusal();
                }
                granted
            }
            (&Method::GET, "/identity/keys") => self.signer.key_set().ok_or(Refusal::Broken),
            (&Method::GET, "/identity/.well-known/openid-configuration") => {
                Ok(metadata(&messages::origin(request)))
            }
            // A browser shows it after its login.
            (&Method::GET, "/identity/passcode") => {
                let ends = now + self.options.passcode;
                Ok(json!({"passcode": self.book.new_passcode(ends)}))
            }
            _ => return messages::text(StatusCode::NOT_FOUND, "there is nothing here"),
        };
        let mut response = match answered {
            Ok(body) => messages::json(StatusCode::OK, &body),
            Err(refusal) => refusal.answer(path, now),
        };
        if let Ok(id) = HeaderValue::try_from(format!("demo-{}", new_uid())) {
            response.headers_mut().insert("transaction-id", id);
        }
        response
    }
}

/// `OpenID` Connect Discovery 1.0, section 3, and where passcodes are shown.
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
