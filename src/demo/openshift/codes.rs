//! Authorization codes, with and without PKCE (RFC 7636).

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use aws_lc_rs::digest::{SHA256, digest};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use super::{responses::OAuthError, sessions};

/// How long a code is valid.
const LIFETIME: Duration = Duration::from_secs(300);

/// The login that a code was issued for.
#[derive(Clone, Debug)]
pub(super) struct Code {
    pub(super) client: &'static str,
    pub(super) redirect_uri: String,
    pub(super) user: String,
    pub(super) scopes: Vec<String>,
    pub(super) challenge: Option<Challenge>,
    pub(super) issued_at: SystemTime,
}

/// The PKCE challenge, which the code verifier must match.
#[derive(Clone, Debug)]
pub(super) enum Challenge {
    Plain(String),
    S256(String),
}

impl Challenge {
    /// Reads `code_challenge` and `code_challenge_method`. The error is the server's description.
    pub(super) fn parse(text: &str, method: Option<&str>) -> Result<Option<Self>, &'static str> {
        let challenge = match method {
            _ if text.is_empty() => return Ok(None),
            None | Some("plain") => Self::Plain(text.to_owned()),
            Some("S256") => Self::S256(text.to_owned()),
            Some(_) => {
                return Err("code_challenge_method transform algorithm not supported (rfc7636)");
            }
        };
        if is_well_formed(text) {
            Ok(Some(challenge))
        } else {
            Err("code_challenge invalid (rfc7636)")
        }
    }

    fn check(&self, verifier: &str) -> Result<(), OAuthError> {
        if !is_well_formed(verifier) {
            return Err(OAuthError::InvalidRequest);
        }
        let matches = match self {
            Self::Plain(challenge) => verifier == challenge,
            Self::S256(challenge) => {
                let hash = digest(&SHA256, verifier.as_bytes());
                URL_SAFE_NO_PAD.encode(hash) == *challenge
            }
        };
        matches.then_some(()).ok_or(OAuthError::InvalidGrant)
    }
}

fn is_well_formed(text: &str) -> bool {
    (43..=128).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"~._-".contains(&byte))
}

/// What a client sends to exchange a code for a token.
pub(super) struct CodeExchange<'a> {
    pub(super) code: &'a str,
    pub(super) client: &'a str,
    pub(super) redirect_uri: &'a str,
    pub(super) verifier: &'a str,
}

/// The codes that were not exchanged yet, by their text.
#[derive(Debug, Default)]
pub(super) struct Codes(Mutex<HashMap<String, Code>>);

impl Codes {
    pub(super) fn issue(&self, code: Code) -> String {
        let text = sessions::new_token();
        let mut codes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        codes.insert(text.clone(), code);
        text
    }

    /// The login that a code was issued for. The code stays valid until an exchange succeeds.
    pub(super) fn redeem(
        &self,
        exchange: &CodeExchange<'_>,
        now: SystemTime,
    ) -> Result<Code, OAuthError> {
        let mut codes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let code = codes.get(exchange.code);
        let code = code.ok_or(OAuthError::UnauthorizedClient)?;
        if now > code.issued_at + LIFETIME || exchange.client != code.client {
            return Err(OAuthError::InvalidGrant);
        }
        if exchange.redirect_uri != code.redirect_uri {
            return Err(OAuthError::InvalidRequest);
        }
        if let Some(challenge) = &code.challenge {
            challenge.check(exchange.verifier)?;
        }
        codes
            .remove(exchange.code)
            .ok_or(OAuthError::UnauthorizedClient)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// RFC 7636, appendix B.
    const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

    const EXCHANGE: CodeExchange<'_> = CodeExchange {
        code: "",
        client: "openshift-challenging-client",
        redirect_uri: "https://here/",
        verifier: VERIFIER,
    };

    fn issue(codes: &Codes, challenge: Option<Challenge>) -> String {
        codes.issue(Code {
            client: "openshift-challenging-client",
            redirect_uri: "https://here/".to_owned(),
            user: "alice".to_owned(),
            scopes: Vec::new(),
            challenge,
            issued_at: SystemTime::UNIX_EPOCH,
        })
    }

    fn redeem(codes: &Codes, exchange: &CodeExchange<'_>) -> Result<Code, OAuthError> {
        codes.redeem(exchange, SystemTime::UNIX_EPOCH + LIFETIME)
    }

    #[test]
    fn a_code_works_once_and_a_failed_exchange_leaves_it() {
        let codes = Codes::default();
        let challenge = Challenge::parse(CHALLENGE, Some("S256")).unwrap();
        let code = &issue(&codes, challenge);
        let exchange = CodeExchange { code, ..EXCHANGE };
        let other = "x".repeat(43);
        for (wrong, error) in [
            (
                CodeExchange {
                    verifier: &other,
                    ..exchange
                },
                OAuthError::InvalidGrant,
            ),
            (
                CodeExchange {
                    verifier: "short",
                    ..exchange
                },
                OAuthError::InvalidRequest,
            ),
            (
                CodeExchange {
                    client: "openshift-cli-client",
                    ..exchange
                },
                OAuthError::InvalidGrant,
            ),
            (
                CodeExchange {
                    redirect_uri: "https://there/",
                    ..exchange
                },
                OAuthError::InvalidRequest,
            ),
            (
                CodeExchange {
                    code: "sha256~none",
                    ..exchange
                },
                OAuthError::UnauthorizedClient,
            ),
        ] {
            assert_eq!(redeem(&codes, &wrong).unwrap_err(), error);
        }
        let late = SystemTime::UNIX_EPOCH + LIFETIME + Duration::from_secs(1);
        assert_eq!(
            codes.redeem(&exchange, late).unwrap_err(),
            OAuthError::InvalidGrant
        );
        assert_eq!(redeem(&codes, &exchange).unwrap().user, "alice");
        assert_eq!(
            redeem(&codes, &exchange).unwrap_err(),
            OAuthError::UnauthorizedClient
        );
    }

    #[test]
    fn a_plain_challenge_is_the_verifier_and_none_needs_none() {
        let codes = Codes::default();
        for method in [None, Some("plain")] {
            let challenge = Challenge::parse(VERIFIER, method).unwrap();
            let code = &issue(&codes, challenge);
            let hashed = CodeExchange {
                code,
                verifier: CHALLENGE,
                ..EXCHANGE
            };
            assert_eq!(
                redeem(&codes, &hashed).unwrap_err(),
                OAuthError::InvalidGrant
            );
            redeem(&codes, &CodeExchange { code, ..EXCHANGE }).unwrap();
        }
        let code = &issue(&codes, Challenge::parse("", Some("S256")).unwrap());
        redeem(
            &codes,
            &CodeExchange {
                code,
                verifier: "",
                ..EXCHANGE
            },
        )
        .unwrap();
    }

    #[test]
    fn malformed_challenges_and_unknown_methods_are_refused() {
        assert!(Challenge::parse(CHALLENGE, Some("S512")).is_err());
        assert!(Challenge::parse(&CHALLENGE[1..], Some("S256")).is_err());
        assert!(Challenge::parse(&format!("{}!", &CHALLENGE[1..]), None).is_err());
    }
}
