//! Authorization codes, with and without PKCE (RFC 7636).

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use aws_lc_rs::digest::{SHA256, digest};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use super::{answers::Problem, sessions};

/// How long a code can be exchanged.
const LIFE: Duration = Duration::from_secs(300);

/// What a code stands for.
#[derive(Clone, Debug)]
pub(super) struct Code {
    pub(super) client: &'static str,
    pub(super) redirect_uri: String,
    pub(super) user: String,
    pub(super) scopes: Vec<String>,
    pub(super) challenge: Option<Challenge>,
    pub(super) issued: SystemTime,
}

/// What the verifier must match.
#[derive(Clone, Debug)]
pub(super) enum Challenge {
    Plain(String),
    S256(String),
}

impl Challenge {
    /// Reads `code_challenge` and `code_challenge_method`; the error is the server's text.
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

    fn check(&self, verifier: &str) -> Result<(), Problem> {
        if !is_well_formed(verifier) {
            return Err(Problem::InvalidRequest);
        }
        let matches = match self {
            Self::Plain(challenge) => verifier == challenge,
            Self::S256(challenge) => {
                let hash = digest(&SHA256, verifier.as_bytes());
                URL_SAFE_NO_PAD.encode(hash) == *challenge
            }
        };
        matches.then_some(()).ok_or(Problem::InvalidGrant)
    }
}

fn is_well_formed(text: &str) -> bool {
    (43..=128).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"~._-".contains(&byte))
}

/// What a client brings in exchange for a token.
pub(super) struct Exchange<'a> {
    pub(super) code: &'a str,
    pub(super) client: &'a str,
    pub(super) redirect_uri: &'a str,
    pub(super) verifier: &'a str,
}

/// The codes that were not exchanged yet.
#[derive(Debug, Default)]
pub(super) struct Codes(Mutex<HashMap<String, Code>>);

impl Codes {
    pub(super) fn issue(&self, code: Code) -> String {
        let text = sessions::new_token();
        let mut codes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        codes.insert(text.clone(), code);
        text
    }

    /// What the code was issued for. Only an exchange that succeeds uses it up.
    pub(super) fn redeem(&self, by: &Exchange<'_>, now: SystemTime) -> Result<Code, Problem> {
        let mut codes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let code = codes.get(by.code).ok_or(Problem::UnauthorizedClient)?;
        if now > code.issued + LIFE || by.client != code.client {
            return Err(Problem::InvalidGrant);
        }
        if by.redirect_uri != code.redirect_uri {
            return Err(Problem::InvalidRequest);
        }
        if let Some(challenge) = &code.challenge {
            challenge.check(by.verifier)?;
        }
        codes.remove(by.code).ok_or(Problem::UnauthorizedClient)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// RFC 7636, appendix B.
    const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

    const BY: Exchange<'_> = Exchange {
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
            issued: SystemTime::UNIX_EPOCH,
        })
    }

    fn redeem(codes: &Codes, by: &Exchange<'_>) -> Result<Code, Problem> {
        codes.redeem(by, SystemTime::UNIX_EPOCH + LIFE)
    }

    #[test]
    fn a_code_works_once_and_a_failed_exchange_leaves_it() {
        let codes = Codes::default();
        let challenge = Challenge::parse(CHALLENGE, Some("S256")).unwrap();
        let code = &issue(&codes, challenge);
        let by = Exchange { code, ..BY };
        let other = "x".repeat(43);
        for (wrong, problem) in [
            (
                Exchange {
                    verifier: &other,
                    ..by
                },
                Problem::InvalidGrant,
            ),
            (
                Exchange {
                    verifier: "short",
                    ..by
                },
                Problem::InvalidRequest,
            ),
            (
                Exchange {
                    client: "openshift-cli-client",
                    ..by
                },
                Problem::InvalidGrant,
            ),
            (
                Exchange {
                    redirect_uri: "https://there/",
                    ..by
                },
                Problem::InvalidRequest,
            ),
            (
                Exchange {
                    code: "sha256~none",
                    ..by
                },
                Problem::UnauthorizedClient,
            ),
        ] {
            assert_eq!(redeem(&codes, &wrong).unwrap_err(), problem);
        }
        let late = SystemTime::UNIX_EPOCH + LIFE + Duration::from_secs(1);
        assert_eq!(codes.redeem(&by, late).unwrap_err(), Problem::InvalidGrant);
        assert_eq!(redeem(&codes, &by).unwrap().user, "alice");
        assert_eq!(
            redeem(&codes, &by).unwrap_err(),
            Problem::UnauthorizedClient
        );
    }

    #[test]
    fn a_plain_challenge_is_the_verifier_and_none_asks_for_none() {
        let codes = Codes::default();
        for method in [None, Some("plain")] {
            let challenge = Challenge::parse(VERIFIER, method).unwrap();
            let code = &issue(&codes, challenge);
            let hashed = Exchange {
                code,
                verifier: CHALLENGE,
                ..BY
            };
            assert_eq!(redeem(&codes, &hashed).unwrap_err(), Problem::InvalidGrant);
            redeem(&codes, &Exchange { code, ..BY }).unwrap();
        }
        let code = &issue(&codes, Challenge::parse("", Some("S256")).unwrap());
        redeem(
            &codes,
            &Exchange {
                code,
                verifier: "",
                ..BY
            },
        )
        .unwrap();
    }

    #[test]
    fn challenges_that_no_verifier_fits_are_refused() {
        assert!(Challenge::parse(CHALLENGE, Some("S512")).is_err());
        assert!(Challenge::parse(&CHALLENGE[1..], Some("S256")).is_err());
        assert!(Challenge::parse(&format!("{}!", &CHALLENGE[1..]), None).is_err());
    }
}
