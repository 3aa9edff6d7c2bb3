//! The responses of the token endpoint.

use http::StatusCode;
use serde::Deserialize;

use super::MachineToken;
use crate::{
    credential::{
        Error,
        protocol::{issuer::Response, jwt, oauth::OauthError},
        sources::ibm_iam,
    },
    kubeconfig::OidcTokens,
    secret::Secret,
};

/// What a response is not, for errors.
pub(super) const EXPECTED: &str = "not the JSON that OpenID Connect requires";

/// Errors about the client or the request, which another refresh token does not change (RFC 6749,
/// section 5.2).
pub(super) const OF_CLIENT: [&str; 3] = [
    "invalid_client",
    "unauthorized_client",
    "unsupported_grant_type",
];
/// Errors that end by waiting (RFC 6749, section 4.1.2.1).
pub(super) const TRANSIENT: [&str; 3] = ["server_error", "slow_down", "temporarily_unavailable"];

/// What the issuer granted.
pub struct Granted {
    /// An ID token, and a refresh token if the issuer gives one.
    pub tokens: OidcTokens,
    /// The scopes to send with the refresh token, separated by spaces.
    pub scope: Option<String>,
    /// The token of a login without a person, which is the ID token too.
    pub machine: Option<MachineToken>,
}

/// The result of redeeming a refresh token.
pub enum Renewal {
    /// A new ID token, and a new refresh token if the issuer rotates them.
    Granted(Granted),
    /// A response without a usable ID token.
    NoIdToken {
        /// The new refresh token. That before may be used up.
        refresh_token: Option<Secret>,
        /// What is wrong with the response.
        problem: &'static str,
    },
    /// The refresh token was used before, revoked, or has expired; or the user has to do something
    /// at the issuer.
    Refused(Refusal),
}

/// Why an issuer refuses a code or a refresh token.
pub struct Refusal(Option<OauthError>);

impl Refusal {
    /// Returns the issuer's own words after a colon, or nothing if it has none.
    #[must_use]
    pub fn in_its_words(&self) -> String {
        self.0
            .as_ref()
            .map_or_else(String::new, |error| format!(": {error}"))
    }

    pub(super) fn is_of_scope(&self) -> bool {
        self.0
            .as_ref()
            .is_some_and(|error| error.code() == "invalid_scope")
    }
}

/// Reads the response to a code or a refresh token. `sent` are the secrets of the request. The access
/// token takes the place of the ID token if `uses_access_token`.
pub(super) fn read(
    response: &Response,
    sent: &[&str],
    uses_access_token: bool,
) -> Result<Renewal, Error> {
    if response.status == StatusCode::OK {
        return granted(response, uses_access_token);
    }
    let error = OauthError::of_response(response, sent);
    if is_refusal(response, error.as_ref()) {
        return Ok(Renewal::Refused(Refusal(error)));
    }
    Err(failure(response, error.as_ref()))
}

/// Returns whether a response refuses the code or the refresh token. Every issuer has its own word for
/// that: `invalid_grant` (RFC 6749), `invalid_request` (Dex), `interaction_required` (Azure AD).
fn is_refusal(response: &Response, error: Option<&OauthError>) -> bool {
    let may_refuse = [
        StatusCode::BAD_REQUEST,
        StatusCode::UNAUTHORIZED,
        StatusCode::FORBIDDEN,
    ];
    let code = error.map(OauthError::code).filter(|code| is_word(code));
    match code {
        Some(code) => {
            may_refuse.contains(&response.status)
                && !OF_CLIENT.contains(&code)
                && !TRANSIENT.contains(&code)
        }
        None => {
            ibm_iam::ends_session(response)
                || response.status == StatusCode::BAD_REQUEST && is_json_object(response)
        }
    }
}

/// Returns whether this is an error code rather than the text of a status, such as `Not Found`, which
/// web frameworks put into the same field.
pub(super) fn is_word(code: &str) -> bool {
    code.starts_with(|c: char| c.is_ascii_lowercase()) && !code.contains(' ')
}

/// Returns the error for a response that grants nothing and is no refusal.
pub(super) fn failure(response: &Response, error: Option<&OauthError>) -> Error {
    let Some(error) = error else {
        return response.error(format!("it answered {}", response.status));
    };
    let problem = format!("it answered {}: {error}", response.status.as_u16());
    match error.code() {
        code if TRANSIENT.contains(&code) => response.transient_error(problem),
        code if OF_CLIENT.contains(&code) => response.error(format!(
            "{problem}; correct the client's ID or secret, or have the client allowed to do this at \
             the issuer"
        )),
        _ => response.error(problem),
    }
}

/// Returns the ID token of a response, whatever else it has.
pub(super) fn id_token(response: &Response) -> Option<Secret> {
    #[derive(Deserialize)]
    struct Answer {
        id_token: Option<Secret>,
    }
    serde_json::from_slice::<Answer>(&response.body)
        .ok()?
        .id_token
}

fn granted(response: &Response, uses_access_token: bool) -> Result<Renewal, Error> {
    #[derive(Deserialize)]
    struct Answer {
        id_token: Option<Secret>,
        access_token: Option<Secret>,
        refresh_token: Option<Secret>,
        scope: Option<serde_json::Value>,
    }
    /// The part that must not be lost, whatever is wrong with the rest.
    #[derive(Deserialize)]
    struct Rotated {
        refresh_token: Option<Secret>,
    }

    let is_set = |token: &Secret| !token.expose().is_empty();
    let answer: Answer = match response.json(EXPECTED) {
        Ok(answer) => answer,
        Err(error) => {
            let rotated = serde_json::from_slice::<Rotated>(&response.body).ok();
            let rotated = rotated.and_then(|rotated| rotated.refresh_token);
            let Some(refresh_token) = rotated.filter(is_set) else {
                return Err(error);
            };
            return Ok(Renewal::NoIdToken {
                refresh_token: Some(refresh_token),
                problem: "its answer is not the JSON that OpenID Connect requires",
            });
        }
    };
    let refresh_token = answer.refresh_token.filter(is_set);
    let (token, missing, no_jwt) = if uses_access_token {
        (
            answer.access_token,
            "its answer has no access_token",
            "its access_token is not a JWT with an expiry, as API servers need it; see \
             --oidc-use-access-token",
        )
    } else {
        (
            answer.id_token,
            "its answer has no id_token",
            "its id_token is not a JWT with an expiry",
        )
    };
    let unusable = |problem| Renewal::NoIdToken {
        refresh_token: refresh_token.clone(),
        problem,
    };
    let Some(token) = token.filter(is_set) else {
        return Ok(unusable(missing));
    };
    if jwt::claims(token.expose()).is_none() {
        return Ok(unusable(no_jwt));
    }
    Ok(Renewal::Granted(Granted {
        tokens: OidcTokens {
            id_token: Some(token),
            refresh_token,
        },
        scope: answer
            .scope
            .as_ref()
            .and_then(|scope| scope.as_str())
            .map(str::to_owned),
        machine: None,
    }))
}

/// Returns whether the body is a JSON object, as that of an issuer is.
pub(super) fn is_json_object(response: &Response) -> bool {
    serde_json::from_slice::<serde::de::IgnoredAny>(&response.body).is_ok()
        && response.body.trim_ascii_start().first() == Some(&b'{')
}
