//! [`Refusal`]: IAM's error codes, and what each means to the user.

use serde::Deserialize;

use crate::credential::protocol::issuer::Response;

/// IAM's refusal of a grant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) reason: Reason,
    /// `BXNIM`, four digits and `E`.
    code: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    /// The refresh token or the session has ended: start again from the root credential.
    SessionEnded,
    ApiKeyNotFound,
    UserNotFound,
    UserSuspended,
    AddressNotAllowed,
    WrongPassword,
    SecondFactor,
    NotAuthorised,
    /// Any other code.
    Other,
}

impl Refusal {
    /// Reads the code of a 4xx response. Returns `None` if there is none, as from a proxy, and for
    /// statuses that do not decide about the grant, such as 429.
    pub(super) fn of(response: &Response) -> Option<Self> {
        #[derive(Deserialize)]
        struct Body {
            #[serde(rename = "errorCode")]
            code: String,
        }
        let transient = [408, 429].contains(&response.status.as_u16());
        if !response.status.is_client_error() || transient {
            return None;
        }
        let Body { code } = serde_json::from_slice(&response.body).ok()?;
        let digits = code.strip_prefix("BXNIM")?.strip_suffix('E')?;
        if digits.len() != 4 || !digits.bytes().all(|sign| sign.is_ascii_digit()) {
            return None;
        }
        Some(Self {
            reason: match digits {
                "0407" | "0408" | "0439" => Reason::SessionEnded,
                "0415" => Reason::ApiKeyNotFound,
                "0410" => Reason::UserNotFound,
                "0436" => Reason::UserSuspended,
                "0430" => Reason::AddressNotAllowed,
                "0602" => Reason::WrongPassword,
                // "External authentication": its `requirements` name the second factor.
                "0400" => Reason::SecondFactor,
                "0513" => Reason::NotAuthorised,
                _ => Reason::Other,
            },
            code,
        })
    }

    /// Returns what is wrong with `subject`, such as `the API key in IC_API_KEY`.
    pub(super) fn problem(&self, subject: &str) -> String {
        let code = &self.code;
        match self.reason {
            Reason::SessionEnded => format!("{subject} has expired or was revoked ({code})"),
            Reason::ApiKeyNotFound => format!(
                "{subject} was not found: it was revoked, deleted, or belongs to another IBM \
                 Cloud ({code})"
            ),
            Reason::UserNotFound => {
                format!("the user or trusted profile is not known or not active ({code})")
            }
            Reason::UserSuspended => format!("the user is suspended ({code})"),
            Reason::AddressNotAllowed => format!(
                "logging in from this machine's IP address is not allowed by the account ({code})"
            ),
            Reason::WrongPassword => format!("the user name or password is wrong ({code})"),
            Reason::SecondFactor => format!(
                "multi-factor authentication (MFA) is required, which {subject} cannot pass \
                 ({code})"
            ),
            Reason::NotAuthorised => format!("{subject} is not authorised for this ({code})"),
            Reason::Other => format!("IAM refused {subject} ({code})"),
        }
    }

    /// Returns what to do, or `None` if that depends on what was refused.
    pub(super) fn remedy(&self) -> Option<&'static str> {
        Some(match self.reason {
            Reason::UserNotFound => {
                "have the account's administrator invite or reactivate the user"
            }
            Reason::UserSuspended => "have the account's administrator reactivate the user",
            Reason::AddressNotAllowed => {
                "log in from an address that is allowed, or have the account's administrator \
                 allow this one (Manage > Access (IAM) > Settings)"
            }
            Reason::SecondFactor => {
                "log in by one-time passcode (`kubegate login ibm --sso`) or with an API key \
                 (`kubegate login ibm --apikey-file FILE`)"
            }
            Reason::WrongPassword => {
                "try again; a federated ID has no password here, so use `kubegate login ibm \
                 --sso` or an API key"
            }
            _ => return None,
        })
    }
}

/// Returns whether IAM says that a refresh token is no longer valid.
pub(in crate::credential) fn ends_session(response: &Response) -> bool {
    Refusal::of(response).is_some_and(|refusal| refusal.reason == Reason::SessionEnded)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn refusal(status: u16, body: &str) -> Option<Refusal> {
        Refusal::of(&Response {
            server: "IBM Cloud",
            url: "https://iam.example".parse().unwrap(),
            status: http::StatusCode::from_u16(status).unwrap(),
            headers: http::HeaderMap::new(),
            retry_after: None,
            body: body.as_bytes().to_vec().into(),
        })
    }

    #[test]
    fn each_known_code_has_its_own_message() {
        for (code, reason, says) in [
            ("BXNIM0407E", Reason::SessionEnded, "expired or was revoked"),
            ("BXNIM0408E", Reason::SessionEnded, "expired or was revoked"),
            ("BXNIM0439E", Reason::SessionEnded, "expired or was revoked"),
            (
                "BXNIM0415E",
                Reason::ApiKeyNotFound,
                "the key was not found",
            ),
            (
                "BXNIM0410E",
                Reason::UserNotFound,
                "not known or not active",
            ),
            ("BXNIM0436E", Reason::UserSuspended, "suspended"),
            ("BXNIM0430E", Reason::AddressNotAllowed, "IP address"),
            ("BXNIM0602E", Reason::WrongPassword, "password is wrong"),
            ("BXNIM0400E", Reason::SecondFactor, "MFA"),
            ("BXNIM0513E", Reason::NotAuthorised, "not authorised"),
            ("BXNIM0999E", Reason::Other, "refused the key"),
        ] {
            let body = serde_json::json!({"errorCode": code, "errorMessage": "sesame-ibm-2"});
            let refusal = refusal(400, &body.to_string()).unwrap();
            assert_eq!(refusal.reason, reason, "{code}");
            let problem = refusal.problem("the key");
            assert!(
                problem.contains(says) && problem.contains(code),
                "{problem}"
            );
            assert!(!problem.contains("sesame-ibm-2"), "{problem}");
        }
    }

    #[test]
    fn responses_without_a_decision_are_not_refusals() {
        let code = r#"{"errorCode": "BXNIM0415E"}"#;
        assert!(refusal(400, code).is_some() && refusal(403, code).is_some());
        for (status, body) in [
            (429, code),
            (500, code),
            (503, code),
            (400, "<html>"),
            (400, r#"{"errorCode": "sesame-ibm-3"}"#),
            (400, r#"{"errorCode": "BXNIM04155E"}"#),
        ] {
            assert_eq!(refusal(status, body), None, "{status} {body}");
        }
    }
}
