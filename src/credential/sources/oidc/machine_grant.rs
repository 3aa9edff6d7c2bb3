//! [`MachineRequest`]: the requests of logins without a person: for the client alone, for a user name
//! and a password, or for another token.

use std::time::{Duration, SystemTime};

use aws_lc_rs::digest::{SHA256, digest};
use http::StatusCode;
use serde::Deserialize;
use serde_json::Value;

use super::{Client, Metadata, machine_token::MachineToken, token_response};
use crate::{
    credential::{
        Error,
        protocol::{issuer::Response, jwt, oauth::OauthError},
    },
    hex,
    secret::Secret,
    settings::OidcFlags,
};

/// How long an opaque token is used whose issuer does not say how long it is valid.
const ASSUMED_LIFETIME: Duration = Duration::from_secs(300);
/// The scope of `OpenID` Connect itself.
const OPENID: &str = "openid";
/// The prefix of the types of tokens (RFC 8693, section 3).
const TOKEN_TYPE: &str = "urn:ietf:params:oauth:token-type:";
const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";

/// The statuses of a server, or of a proxy in front of it, that has not looked at a password.
const NOT_OF_PASSWORD: [StatusCode; 11] = [
    StatusCode::NOT_FOUND,
    StatusCode::METHOD_NOT_ALLOWED,
    StatusCode::NOT_ACCEPTABLE,
    StatusCode::PROXY_AUTHENTICATION_REQUIRED,
    StatusCode::REQUEST_TIMEOUT,
    StatusCode::PAYLOAD_TOO_LARGE,
    StatusCode::UNSUPPORTED_MEDIA_TYPE,
    StatusCode::MISDIRECTED_REQUEST,
    StatusCode::TOO_EARLY,
    StatusCode::UPGRADE_REQUIRED,
    StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
];

/// What stands for the user, as it was read from files.
pub(super) enum MachineSecret {
    /// Nothing beside the client's own secret.
    Client,
    Password {
        username: Secret,
        password: Secret,
    },
    Subject(Secret),
}

impl MachineSecret {
    /// Returns a digest of what the token is for, by which a change of its file is noticed. A token is for
    /// the same user after a change of the password.
    pub(super) fn subject(&self) -> Option<String> {
        let text = match self {
            Self::Client => return None,
            Self::Password { username, .. } => username,
            Self::Subject(token) => token,
        };
        let digest = digest(&SHA256, text.expose().as_bytes());
        Some(hex::encode(digest.as_ref()))
    }
}

/// The answer to a request.
pub(super) enum MachineAnswer {
    Token(MachineToken),
    /// The issuer refuses the password or the other token, with its own words after a colon, or nothing.
    Refused(String),
}

/// See the module.
pub(super) struct MachineRequest<'a> {
    pub(super) client: &'a Client,
    pub(super) metadata: &'a Metadata,
    pub(super) client_secret: Option<&'a Secret>,
    pub(super) flags: &'a OidcFlags,
}

impl MachineRequest<'_> {
    /// Requests a token.
    ///
    /// # Errors
    /// The request fails, or the issuer does not allow the client to do this.
    pub(super) async fn send(&self, secret: &MachineSecret) -> Result<MachineAnswer, Error> {
        let mut scopes = vec![OPENID];
        let extra = self.flags.oidc_extra_scope.iter().map(String::as_str);
        scopes.extend(extra.filter(|scope| *scope != OPENID));
        let answer = self.post(secret, &scopes).await?;
        if is_of_scope(&answer) {
            // Some issuers refuse a scope of users to a client without one.
            return self.read(secret, &self.post(secret, &scopes[1..]).await?);
        }
        self.read(secret, &answer)
    }

    async fn post(&self, secret: &MachineSecret, scopes: &[&str]) -> Result<Response, Error> {
        let scope = scopes.join(" ");
        let grant = &self.flags.grant;
        let subject_type = grant.token_exchange_subject_token_type.as_deref();
        let subject_type = token_type(subject_type.unwrap_or("id-token"));
        let requested = grant.token_exchange_requested_token_type.as_deref();
        let requested = requested.map(token_type);
        let mut form = match secret {
            MachineSecret::Client => vec![("grant_type", "client_credentials")],
            MachineSecret::Password { username, password } => vec![
                ("grant_type", "password"),
                ("username", username.expose()),
                ("password", password.expose()),
            ],
            MachineSecret::Subject(token) => {
                let mut form = vec![
                    ("grant_type", TOKEN_EXCHANGE),
                    ("subject_token", token.expose()),
                    ("subject_token_type", &subject_type),
                ];
                let requested = requested.as_deref();
                form.extend(requested.map(|kind| ("requested_token_type", kind)));
                let audiences = grant.token_exchange_audience.iter();
                form.extend(audiences.map(|audience| ("audience", audience.as_str())));
                let resources = grant.token_exchange_resource.iter();
                form.extend(resources.map(|resource| ("resource", resource.as_str())));
                form
            }
        };
        if !scope.is_empty() {
            form.push(("scope", &scope));
        }
        // As kubelogin does.
        form.extend(self.flags.extra_pairs());
        let url = self.client.token_endpoint(self.metadata)?;
        self.client
            .call(self.metadata, self.client_secret, &url, &form)
            .await
    }

    fn read(&self, secret: &MachineSecret, response: &Response) -> Result<MachineAnswer, Error> {
        if response.status == StatusCode::OK {
            return self
                .token(secret, response, SystemTime::now())
                .map(MachineAnswer::Token);
        }
        let sent = match secret {
            MachineSecret::Client => vec![],
            MachineSecret::Password { username, password } => {
                vec![username.expose(), password.expose()]
            }
            MachineSecret::Subject(token) => vec![token.expose()],
        };
        let sent = self.client.sent(&sent, self.client_secret);
        let error = OauthError::of_response(response, &sent.texts());
        let code = error.as_ref().map(OauthError::code);
        let is_refusal = match secret {
            MachineSecret::Client => false,
            MachineSecret::Password { .. } => refuses_password(response, code),
            MachineSecret::Subject(_) => {
                let refuses = |code: &str| ["invalid_grant", "invalid_request"].contains(&code);
                response.status.is_client_error() && code.is_some_and(refuses)
            }
        };
        if is_refusal {
            let words = error.map_or_else(
                || format!(": it answered {}", response.status),
                |error| format!(": {error}"),
            );
            return Ok(MachineAnswer::Refused(words));
        }
        Err(token_response::failure(response, error.as_ref()))
    }

    /// Returns the token for the API server: the ID token, or the access token if that is wanted or the
    /// grant gives no other.
    fn token(
        &self,
        secret: &MachineSecret,
        response: &Response,
        now: SystemTime,
    ) -> Result<MachineToken, Error> {
        #[derive(Deserialize)]
        struct Answer {
            id_token: Option<Secret>,
            access_token: Option<Secret>,
            expires_in: Option<Value>,
        }
        let answer: Answer = response.json(token_response::EXPECTED)?;
        let is_of_user = matches!(secret, MachineSecret::Password { .. });
        let (token, what) = if self.flags.grant.uses_access_token() {
            (answer.access_token, "access_token")
        } else if is_of_user || answer.id_token.is_some() {
            (answer.id_token, "id_token")
        } else {
            (answer.access_token, "access_token")
        };
        let token = token.filter(|token| !token.expose().is_empty());
        let token = token.ok_or_else(|| {
            response.error(format!(
                "its answer has no {what}; see --oidc-extra-scope and --oidc-use-access-token"
            ))
        })?;
        let claims = jwt::claims(token.expose());
        Ok(MachineToken {
            expires_at: match claims {
                Some(claims) => Some(claims.expires_at),
                None => expiry(answer.expires_in.as_ref(), now)
                    .or_else(|| now.checked_add(ASSUMED_LIFETIME)),
            },
            issued_at: Some(now),
            subject: secret.subject(),
            token,
        })
    }
}

/// Returns whether an answer refuses the user name or the password. Every issuer has its own word for
/// that: `invalid_grant` (RFC 6749), `access_denied` (Dex), `unauthorized` (UAA). A password that is sent
/// again and again locks the account, so any other error counts too, unless it is about the client, the
/// request or the load of the server. A page of a firewall or a proxy is no answer of the issuer.
fn refuses_password(response: &Response, code: Option<&str>) -> bool {
    let status = response.status;
    if !status.is_client_error() || status == StatusCode::TOO_MANY_REQUESTS {
        return false;
    }
    match code.filter(|code| token_response::is_word(code)) {
        Some(code) => {
            !token_response::OF_CLIENT.contains(&code)
                && !token_response::TRANSIENT.contains(&code)
                && !["invalid_scope", "invalid_target"].contains(&code)
        }
        None if token_response::is_json_object(response) => !NOT_OF_PASSWORD.contains(&status),
        None => status == StatusCode::UNAUTHORIZED,
    }
}

fn is_of_scope(response: &Response) -> bool {
    response.status.is_client_error()
        && OauthError::of_response(response, &[])
            .is_some_and(|error| error.code() == "invalid_scope")
}

/// Returns the URN of a type of tokens; kubelogin knows some by a short name.
fn token_type(name: &str) -> String {
    match name {
        "id-token" => format!("{TOKEN_TYPE}id_token"),
        "access-token" => format!("{TOKEN_TYPE}access_token"),
        "refresh-token" => format!("{TOKEN_TYPE}refresh_token"),
        "jwt" => format!("{TOKEN_TYPE}jwt"),
        urn => urn.to_owned(),
    }
}

/// Returns when a token expires by its `expires_in`, which some issuers send as text.
fn expiry(expires_in: Option<&Value>, now: SystemTime) -> Option<SystemTime> {
    let seconds = match expires_in? {
        Value::String(text) => text.trim().parse().ok()?,
        number => number.as_f64()?,
    };
    now.checked_add(Duration::try_from_secs_f64(seconds).ok()?)
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, Uri};
    use zeroize::Zeroizing;

    use super::*;

    #[test]
    fn types_of_tokens_have_short_names() {
        let id_token = "urn:ietf:params:oauth:token-type:id_token";
        assert_eq!(token_type("id-token"), id_token);
        assert_eq!(token_type(id_token), id_token);
        assert_eq!(token_type("jwt"), "urn:ietf:params:oauth:token-type:jwt");
    }

    #[test]
    fn every_error_that_is_not_about_something_else_refuses_a_password() {
        let json = |code: &str| format!(r#"{{"error": "{code}"}}"#);
        for (status, body, is_refusal) in [
            (400, json("invalid_grant"), true),
            (401, json("access_denied"), true),
            (401, json("unauthorized"), true),
            (403, json("invalid_grant"), true),
            (400, json("interaction_required"), true),
            (404, json("user_not_found"), true),
            (401, String::new(), true),
            (400, json("Bad Request"), true),
            (403, r#"{"message": "wrong"}"#.to_owned(), true),
            (403, "<html>".to_owned(), false),
            (400, "<html>".to_owned(), false),
            (401, json("invalid_client"), false),
            (400, json("unauthorized_client"), false),
            (400, json("unsupported_grant_type"), false),
            (400, json("invalid_scope"), false),
            (400, json("temporarily_unavailable"), false),
            (429, json("too_many_attempts"), false),
            (404, json("Not Found"), false),
            (407, String::new(), false),
            (500, json("invalid_grant"), false),
            (503, String::new(), false),
        ] {
            let response = Response {
                server: "the issuer",
                url: Uri::from_static("https://issuer.example/token"),
                status: StatusCode::from_u16(status).unwrap_or_default(),
                headers: HeaderMap::new(),
                retry_after: None,
                body: Zeroizing::new(body.as_bytes().to_vec()),
            };
            let error = OauthError::of_response(&response, &[]);
            let code = error.as_ref().map(OauthError::code);
            assert_eq!(
                refuses_password(&response, code),
                is_refusal,
                "{status} {body}"
            );
        }
    }

    #[test]
    fn an_opaque_token_expires_by_its_lifetime() {
        let now = SystemTime::UNIX_EPOCH;
        let at = |seconds| Some(now + Duration::from_secs(seconds));
        assert_eq!(expiry(Some(&60.into()), now), at(60));
        assert_eq!(expiry(Some(&"60".into()), now), at(60));
        for other in [
            None,
            Some(&Value::Null),
            Some(&"soon".into()),
            Some(&(-1).into()),
        ] {
            assert_eq!(expiry(other, now), None);
        }
    }
}
