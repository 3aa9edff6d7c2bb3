//! Errors of OAuth issuers, and the decoding of forms.

use std::fmt;

use percent_encoding::percent_decode_str;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::issuer::{Response, form_encoded};
use crate::printable::excerpt;

/// Characters of an error code that are shown.
const CODE_LIMIT: usize = 64;
/// Characters of an error's description that are shown.
const DESCRIPTION_LIMIT: usize = 300;
/// The text in place of a secret.
const REMOVED: &str = "[removed]";
/// A shorter secret is removed only where it is a word of its own: it may be part of many words.
const SHORTEST_PART: usize = 6;
/// Error codes of RFC 6749, RFC 8628, RFC 8693 and `OpenID` Connect, which are words of the issuer even
/// if a secret is equal to a part of one.
const CODES: [&str; 16] = [
    "access_denied",
    "authorization_pending",
    "consent_required",
    "expired_token",
    "interaction_required",
    "invalid_client",
    "invalid_grant",
    "invalid_request",
    "invalid_scope",
    "invalid_target",
    "login_required",
    "server_error",
    "slow_down",
    "temporarily_unavailable",
    "unauthorized_client",
    "unsupported_grant_type",
];

/// The `error` and `error_description` of an issuer, fit to be shown: cut, without control
/// characters, and without the secrets that were sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OauthError {
    code: String,
    description: Option<String>,
}

impl OauthError {
    /// Reads an error response (RFC 6749, section 5.2); `None` for a response of another form.
    /// `sent` are the secrets of the request, which the description may repeat.
    #[must_use]
    pub fn of_response(response: &Response, sent: &[&str]) -> Option<Self> {
        #[derive(Deserialize)]
        struct Refused {
            error: String,
            // Other values than text are ignored.
            #[serde(default)]
            error_description: serde_json::Value,
        }
        let refused: Refused = serde_json::from_slice(&response.body).ok()?;
        Some(Self::new(
            &refused.error,
            refused.error_description.as_str(),
            sent,
        ))
    }

    /// Reads the error of a redirect (RFC 6749, section 4.1.2.1) from its query; `None` if it has
    /// none.
    #[must_use]
    pub fn of_redirect(query: &str) -> Option<Self> {
        let description = form_value(query, "error_description");
        let description = description.as_ref().map(|text| text.as_str());
        Some(Self::new(&form_value(query, "error")?, description, &[]))
    }

    fn new(code: &str, description: Option<&str>, sent: &[&str]) -> Self {
        let description = description.map(|text| shown(text, sent, DESCRIPTION_LIMIT));
        Self {
            code: if CODES.contains(&code) {
                code.to_owned()
            } else {
                shown(code, sent, CODE_LIMIT)
            },
            description: description.filter(|text| !text.is_empty()),
        }
    }

    /// Returns the error code, such as `invalid_grant`.
    #[must_use]
    pub fn code(&self) -> &str {
        &self.code
    }
}

impl fmt::Display for OauthError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.description {
            Some(description) => write!(f, "{} ({description})", self.code),
            None => f.write_str(&self.code),
        }
    }
}

/// Returns text of an issuer without the secrets that it repeats, as it may be shown.
fn shown(text: &str, sent: &[&str], limit: usize) -> String {
    let mut text = text.to_owned();
    let mut sent: Vec<&str> = sent.iter().copied().filter(|one| !one.is_empty()).collect();
    // A secret may contain a shorter one, of which the rest would be left.
    sent.sort_unstable_by_key(|one| std::cmp::Reverse(one.len()));
    for secret in sent {
        for form in [secret, form_encoded(secret).as_str()] {
            text = if secret.len() < SHORTEST_PART {
                without_word(&text, form)
            } else {
                text.replace(form, REMOVED)
            };
        }
    }
    // The issuer may quote another token than the one that was sent.
    let words = text.split(' ').map(|word| {
        let is_token = word.contains("eyJ") || word.contains("sha256~");
        if is_token { REMOVED } else { word }
    });
    let text: Vec<&str> = words.collect();
    excerpt(&text.join(" "), limit)
}

/// Returns text without a secret where neither a letter nor a digit joins it to another word.
fn without_word(text: &str, secret: &str) -> String {
    let is_open = |neighbour: Option<char>, edge: Option<char>| {
        let joins = |one: Option<char>| one.is_some_and(char::is_alphanumeric);
        !(joins(neighbour) && joins(edge))
    };
    let (first, last) = (secret.chars().next(), secret.chars().next_back());
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(secret) {
        let end = at + secret.len();
        kept.push_str(&rest[..at]);
        let is_word =
            is_open(kept.chars().next_back(), first) && is_open(rest[end..].chars().next(), last);
        kept.push_str(if is_word { REMOVED } else { secret });
        rest = &rest[end..];
    }
    kept.push_str(rest);
    kept
}

/// A number that some issuers send as text.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(in crate::credential) enum Number {
    Number(serde_json::Number),
    Text(String),
}

impl Number {
    /// Returns the number as the issuer wrote it, which may be no number at all if it is text.
    pub(in crate::credential) fn into_text(self) -> String {
        match self {
            Self::Number(number) => number.to_string(),
            Self::Text(text) => text.trim().to_owned(),
        }
    }
}

/// Returns the first value of `name` in form-encoded text, such as a query or a fragment.
#[must_use]
pub fn form_value(form: &str, name: &str) -> Option<Zeroizing<String>> {
    let mut pairs = form.split('&').filter_map(|pair| pair.split_once('='));
    let (_, value) = pairs.find(|(key, _)| *key == name)?;
    let value = Zeroizing::new(value.replace('+', " "));
    let decoded = percent_decode_str(&value).decode_utf8().ok()?;
    Some(Zeroizing::new(decoded.into_owned()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_value_is_found_by_its_whole_name_and_decoded() {
        let form = "xcode=1&code=sha256~a%2Fb+c&code=2&state=";
        assert_eq!(form_value(form, "code").unwrap().as_str(), "sha256~a/b c");
        assert_eq!(form_value(form, "state").unwrap().as_str(), "");
        assert!(form_value(form, "ode").is_none());
    }

    #[test]
    fn an_error_is_shown_cut_and_without_secrets() {
        let error = |code: &str, description: &str| {
            OauthError::new(code, Some(description), &["s&cret-1", "x"]).to_string()
        };
        for (description, expected) in [
            ("Token is not active", "invalid_grant (Token is not active)"),
            ("", "invalid_grant"),
            (
                "no s&cret-1 or s%26cret-1",
                "invalid_grant (no [removed] or [removed])",
            ),
            ("a 'eyJh.eyJi.c' x", "invalid_grant (a [removed] [removed])"),
            ("a\u{1b}[2J\r\nb", "invalid_grant (a\u{fffd}[2J  b)"),
        ] {
            assert_eq!(error("invalid_grant", description), expected);
        }
        let long = error(&"c".repeat(1000), &"d".repeat(100_000));
        assert!(
            long.chars().count() < CODE_LIMIT + DESCRIPTION_LIMIT + 10,
            "{long}"
        );
        let query = "state=1&error=access_denied&error_description=not+in+the+group";
        let told = OauthError::of_redirect(query).unwrap();
        assert_eq!(told.to_string(), "access_denied (not in the group)");
        assert_eq!(OauthError::of_redirect("code=1"), None);
    }

    #[test]
    fn a_short_secret_is_removed_where_it_is_a_word() {
        let shown = |description: &str, sent: &[&str]| {
            OauthError::new("access_denied", Some(description), sent).to_string()
        };
        for (description, secret, expected) in [
            (
                "wrong password s3cre for bob",
                "s3cre",
                "wrong password [removed] for bob",
            ),
            ("pw='s3cre',x", "s3cre", "pw='[removed]',x"),
            ("bob:1 is no a", "1", "bob:[removed] is no a"),
            ("p%40s%21 or p@s!", "p@s!", "[removed] or [removed]"),
            ("a s3cret", "s3cre", "a s3cret"),
            ("a\u{e9}a s", "s", "a\u{e9}a [removed]"),
        ] {
            let expected = format!("access_denied ({expected})");
            assert_eq!(shown(description, &[secret]), expected);
        }
        assert_eq!(
            shown("no hunter2-of-jane", &["hunter2", "hunter2-of-jane"]),
            "access_denied (no [removed])"
        );
        // What the issuer means by its code does not depend on the secret.
        let error = OauthError::new("access_denied", None, &["denied", "access_denied"]);
        assert_eq!(error.code(), "access_denied");
        let error = OauthError::new("bad hunter2", None, &["hunter2"]);
        assert_eq!(error.code(), "bad [removed]");
    }

    #[test]
    fn a_number_may_be_text() {
        for (json, text) in [("3600", "3600"), (r#"" 3600 ""#, "3600"), ("1.5", "1.5")] {
            let number: Number = serde_json::from_str(json).unwrap();
            assert_eq!(number.into_text(), text);
        }
        assert!(serde_json::from_str::<Number>("[3600]").is_err());
    }
}
