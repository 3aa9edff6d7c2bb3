//! The login page, which lets everybody in at once (RFC 6749, section 4.1.1; RFC 7636).

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{Request, Response, StatusCode, Uri};

use super::{Desk, book::Login};
use crate::{
    credential::issuer::form_encoded,
    demo::{form::Query, https::messages},
};

/// How long a code may wait.
const PATIENCE: Duration = Duration::from_secs(60);

impl Desk {
    pub(super) fn authorize(&self, request: &Request<Bytes>, now: SystemTime) -> Response<Bytes> {
        let query = Query::parse(request.uri().query());
        // RFC 6749, section 4.1.2.1: nothing is sent to where the client may not be.
        if query.get("client_id") != Some(&self.options.client_id) {
            return messages::text(StatusCode::BAD_REQUEST, "client_id is not known");
        }
        let Some(redirect_uri) = query.get("redirect_uri").filter(|uri| is_loopback(uri)) else {
            return messages::text(
                StatusCode::BAD_REQUEST,
                "redirect_uri must be http on the loopback",
            );
        };
        let outcome = if let Some(error) = self.problem(&query) {
            format!("error={error}")
        } else {
            let scopes = query.get("scope").unwrap_or_default();
            let code = self.book.new_code(Login {
                redirect_uri: redirect_uri.to_owned(),
                code_challenge: query.get("code_challenge").map(str::to_owned),
                nonce: query.get("nonce").map(str::to_owned),
                offline: scopes.split(' ').any(|scope| scope == "offline_access"),
                ends: now + PATIENCE,
            });
            format!("code={code}")
        };
        let state = query.get("state").map_or_else(String::new, |state| {
            format!("&state={}", *form_encoded(state))
        });
        let and = if redirect_uri.contains('?') { '&' } else { '?' };
        messages::redirect(&format!("{redirect_uri}{and}{outcome}{state}"))
    }

    /// The error code for what cannot be granted.
    fn problem(&self, query: &Query) -> Option<&'static str> {
        let scopes = query.get("scope").unwrap_or_default();
        let public = self.options.client_secret.is_none();
        let challenge = query.get("code_challenge");
        if query.get("response_type") != Some("code") {
            Some("unsupported_response_type")
        } else if !scopes.split(' ').any(|scope| scope == "openid") {
            Some("invalid_scope")
        } else if challenge.is_none() && public
            || challenge.is_some() && query.get("code_challenge_method") != Some("S256")
        {
            Some("invalid_request")
        } else if self.book.refuses_logins() {
            Some("access_denied")
        } else {
            None
        }
    }
}

/// RFC 8252, section 7.3.
fn is_loopback(uri: &str) -> bool {
    let uri = uri.parse::<Uri>().ok();
    uri.is_some_and(|uri| {
        let host = uri.host().unwrap_or_default();
        uri.scheme_str() == Some("http") && ["127.0.0.1", "[::1]", "localhost"].contains(&host)
    })
}
