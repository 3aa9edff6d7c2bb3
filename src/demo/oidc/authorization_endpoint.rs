//! The authorization endpoint, which logs every user in without a prompt (RFC 6749,
//! section 4.1.1; RFC 7636).

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{Request, Response, StatusCode, Uri};

use super::{Issuer, grants::Login};
use crate::demo::{
    form::{self, Form},
    https::message,
};

/// How long an authorization code is valid.
const CODE_LIFETIME: Duration = Duration::from_secs(60);

/// The redirect URI of a client that its user types the code into.
const OUT_OF_BAND: &str = "urn:ietf:wg:oauth:2.0:oob";

impl Issuer {
    pub(super) fn authorize(&self, request: &Request<Bytes>, now: SystemTime) -> Response<Bytes> {
        let query = request.uri().query();
        self.quirks.note_authorization(query.unwrap_or_default());
        let query = Form::parse(query);
        // RFC 6749, section 4.1.2.1: do not redirect to a URI that is not known to be the
        // client's.
        if query.get("client_id") != Some(&self.options.client_id) {
            return message::text(StatusCode::BAD_REQUEST, "client_id is not known");
        }
        let redirect_uri = query.get("redirect_uri");
        let Some(redirect_uri) = redirect_uri.filter(|uri| *uri == OUT_OF_BAND || is_loopback(uri))
        else {
            return message::text(
                StatusCode::BAD_REQUEST,
                "redirect_uri must be http on the loopback",
            );
        };
        let code;
        let result = if let Some(error) = self.error(&query) {
            ("error", error)
        } else {
            let mut scopes = query.get("scope").unwrap_or_default().to_owned();
            let by_access_type = query.get("access_type") == Some("offline")
                && query.get("prompt") == Some("consent");
            if by_access_type && self.quirks.get().offline_by_access_type {
                scopes.push_str(" offline_access");
            }
            code = self.grants.new_code(Login {
                redirect_uri: redirect_uri.to_owned(),
                code_challenge: query.get("code_challenge").map(str::to_owned),
                nonce: query.get("nonce").map(str::to_owned),
                scopes,
                expires_at: now + CODE_LIFETIME,
            });
            ("code", code.as_str())
        };
        if redirect_uri == OUT_OF_BAND {
            return shown(result);
        }
        let mut pairs = vec![result];
        if result.0 == "error" {
            pairs.push(("error_description", "the demo says no\u{1b}[2J"));
        }
        pairs.extend(query.get("state").map(|state| ("state", state)));
        message::redirect(&form::add_query(redirect_uri, &pairs))
    }

    /// The error code of a request that cannot be granted.
    fn error(&self, query: &Form) -> Option<&'static str> {
        let scopes = query.get("scope").unwrap_or_default();
        let is_public = self.options.client_secret.is_none();
        let challenge = query.get("code_challenge");
        if query.get("response_type") != Some("code") {
            Some("unsupported_response_type")
        } else if !scopes.split(' ').any(|scope| scope == "openid") {
            Some("invalid_scope")
        } else if challenge.is_none() && is_public
            || challenge.is_some() && query.get("code_challenge_method") != Some("S256")
        {
            Some("invalid_request")
        } else if self.grants.refuses_logins() {
            Some("access_denied")
        } else {
            None
        }
    }
}

/// A page that shows the code, or the error, in place of a redirect.
fn shown((name, value): (&str, &str)) -> Response<Bytes> {
    let mut page = message::text(StatusCode::OK, "");
    *page.body_mut() = format!("your {name}: {value}\n").into();
    page
}

/// Whether a URI is a loopback redirect (RFC 8252, section 7.3).
fn is_loopback(uri: &str) -> bool {
    let uri = uri.parse::<Uri>().ok();
    uri.is_some_and(|uri| {
        let host = uri.host().unwrap_or_default();
        uri.scheme_str() == Some("http") && ["127.0.0.1", "[::1]", "localhost"].contains(&host)
    })
}
