//! [`LocalTokens`]: tokens by which clients prove to this proxy that they may use it.
//!
//! A token is known by its SHA-256 hash alone. It is checked and taken off before anything else looks
//! at the request, so that it reaches neither the API server nor a log.

use std::{fmt, sync::Arc};

use arc_swap::ArcSwap;
use aws_lc_rs::{
    constant_time::verify_slices_are_equal,
    digest::{SHA256, SHA256_OUTPUT_LEN, digest},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{HeaderMap, Request, header::AUTHORIZATION};

use super::Refusal;
use crate::{
    printable::printable,
    proxy::{head_filter::HeadFilter, request_record::RequestRecord, websocket_token},
    secret::Secret,
};

/// What begins the hash of a token in the file.
const HASH: &str = "sha256:";
/// The shortest token, in characters. A shorter one could be guessed.
const MIN_LENGTH: usize = 16;

/// The name of the rule in refusals.
const RULE: &str = "--require-token-file";

/// The tokens of `--require-token-file`.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct LocalTokens(Vec<Entry>);

#[derive(PartialEq, Eq)]
struct Entry {
    client: Arc<str>,
    hash: [u8; SHA256_OUTPUT_LEN],
}

/// Hides the hash.
impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.client.fmt(f)
    }
}

/// A line of the file that cannot be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}; write `NAME TOKEN` or `NAME sha256:HEX`")]
pub struct BadLine {
    line: usize,
    problem: &'static str,
}

impl LocalTokens {
    /// Parses lines of a name and a token, or the SHA-256 hash of one in hexadecimal digits. Empty
    /// lines and those that begin with `#` are skipped. A name may have several tokens.
    ///
    /// # Errors
    /// A line of another form, by its number.
    pub fn parse(text: &str) -> Result<Self, BadLine> {
        let mut entries = Vec::<Entry>::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let entry = Entry::parse(line).and_then(|entry| {
                let is_known = entries.iter().any(|known| known.hash == entry.hash);
                let new = (!is_known).then_some(entry);
                new.ok_or("the token stands on an earlier line too")
            });
            entries.push(entry.map_err(|problem| BadLine {
                line: index + 1,
                problem,
            })?);
        }
        Ok(Self(entries))
    }

    /// How many tokens there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether no token is accepted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the name of the client whose token this is. Takes the same time for every token.
    fn client(&self, token: &[u8]) -> Option<&Arc<str>> {
        let hash = digest(&SHA256, token);
        let mut found = None;
        for entry in &self.0 {
            if verify_slices_are_equal(&entry.hash, hash.as_ref()).is_ok() {
                found = Some(&entry.client);
            }
        }
        found
    }
}

impl Entry {
    fn parse(line: &str) -> Result<Self, &'static str> {
        let mut words = line.split_ascii_whitespace();
        let (Some(client), Some(token), None) = (words.next(), words.next(), words.next()) else {
            return Err("not a name and a token");
        };
        if printable(client) != client {
            return Err("the name has a character that cannot be shown");
        }
        let hash = match token.strip_prefix(HASH) {
            Some(digits) => hash_of_digits(digits).ok_or("not 64 hexadecimal digits")?,
            None => hash_of_token(token)?,
        };
        let client = client.into();
        Ok(Self { client, hash })
    }
}

fn hash_of_token(token: &str) -> Result<[u8; SHA256_OUTPUT_LEN], &'static str> {
    if token.len() < MIN_LENGTH {
        return Err("the token has fewer than 16 characters and could be guessed");
    }
    // RFC 6750, section 2.1. Clients cannot send others.
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
    if !token.bytes().all(is_allowed) {
        return Err("the token has a character that no bearer token may have");
    }
    let hash = digest(&SHA256, token.as_bytes());
    hash.as_ref().try_into().map_err(|_| "no hash")
}

fn hash_of_digits(digits: &str) -> Option<[u8; SHA256_OUTPUT_LEN]> {
    let mut hash = [0; SHA256_OUTPUT_LEN];
    if digits.len() != 2 * hash.len() || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    for (index, byte) in hash.iter_mut().enumerate() {
        *byte = u8::from_str_radix(digits.get(2 * index..2 * index + 2)?, 16).ok()?;
    }
    Some(hash)
}

/// Lets requests with a token of the file pass, without their credential; every request if no token
/// is required.
#[derive(Debug)]
pub struct CheckLocalToken(pub(super) Option<Arc<ArcSwap<LocalTokens>>>);

impl HeadFilter for CheckLocalToken {
    fn filter<B>(&self, request: &mut Request<B>) -> Result<(), Refusal> {
        let Some(tokens) = &self.0 else {
            return Ok(());
        };
        let token = token(request.headers())?;
        let tokens = tokens.load();
        let client = tokens.client(token.expose().as_bytes()).ok_or_else(|| {
            Refusal::unauthorized(
                RULE,
                "the token of the request is not one of --require-token-file",
            )
        })?;
        if let Some(record) = request.extensions().get::<RequestRecord>() {
            record.set_client(Arc::clone(client));
        }
        let headers = request.headers_mut();
        headers.remove(AUTHORIZATION);
        websocket_token::remove(headers);
        Ok(())
    }
}

/// Returns the bearer token of a request: of its `Authorization`, or where a browser cannot set that,
/// of a WebSocket subprotocol.
fn token(headers: &HeaderMap) -> Result<Secret, Refusal> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (value, more) = (values.next(), values.next());
    if more.is_some() {
        return Err(Refusal::malformed(
            "several Authorization headers",
            "the request has more than one Authorization header; send one",
        ));
    }
    let of_header = || {
        let (scheme, token) = value?.to_str().ok()?.trim().split_once(' ')?;
        let is_bearer = scheme.eq_ignore_ascii_case("bearer");
        is_bearer.then(|| Secret::new(token.trim()))
    };
    let of_subprotocol = || {
        let encoded = websocket_token::find(headers)?;
        let token = URL_SAFE_NO_PAD.decode(encoded).ok()?;
        String::from_utf8(token).ok().map(Secret::new)
    };
    of_header().or_else(of_subprotocol).ok_or_else(|| {
        Refusal::unauthorized(
            RULE,
            "this proxy requires a token of its own (--require-token-file): send it as a \
             bearer token in the Authorization header",
        )
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use http::{HeaderValue, StatusCode, header::SEC_WEBSOCKET_PROTOCOL};

    use super::*;
    use crate::hex;

    const TOKEN: &str = "0123456789abcdef";
    const OTHER: &str = "another-token~of/it+s_own=";

    fn check(file: &str, headers: &[(&'static str, &str)]) -> Result<HeaderMap, Refusal> {
        let tokens = LocalTokens::parse(file).unwrap();
        let filter = CheckLocalToken(Some(Arc::new(ArcSwap::from_pointee(tokens))));
        let mut request = Request::new(());
        for (name, value) in headers {
            let value = HeaderValue::from_str(value).unwrap();
            request.headers_mut().append(*name, value);
        }
        filter.filter(&mut request)?;
        Ok(request.headers().clone())
    }

    fn file() -> String {
        let hash = hex::encode(digest(&SHA256, OTHER.as_bytes()).as_ref());
        format!(
            "# clients\n\nalice {TOKEN}\r\nbob\t{HASH}{}\n",
            hash.to_uppercase()
        )
    }

    #[test]
    fn a_token_of_the_file_passes_and_is_taken_off() {
        for value in [
            format!("Bearer {TOKEN}"),
            format!("bearer  {TOKEN} "),
            format!("Bearer {OTHER}"),
        ] {
            let left = check(&file(), &[("authorization", &value), ("accept", "x")]).unwrap();
            assert_eq!(left.len(), 1, "{left:?}");
        }
    }

    #[test]
    fn a_websocket_may_bring_the_token_as_a_subprotocol() {
        let token = URL_SAFE_NO_PAD.encode(TOKEN);
        let offered = format!("v5.channel.k8s.io, base64url.bearer.authorization.k8s.io.{token}");
        let left = check(&file(), &[("sec-websocket-protocol", &offered)]).unwrap();
        assert_eq!(left[SEC_WEBSOCKET_PROTOCOL], "v5.channel.k8s.io");
    }

    #[test]
    fn without_a_token_of_the_file_it_is_401() {
        let wrong = URL_SAFE_NO_PAD.encode("0123456789abcdeX");
        let wrong = format!("base64url.bearer.authorization.k8s.io.{wrong}");
        for headers in [
            &[][..],
            &[("authorization", "Bearer 0123456789abcdeX")],
            &[("authorization", "Bearer")],
            &[("authorization", "Bearer ")],
            &[("authorization", "Basic YWxpY2U6MDEyMzQ1Njc4OWFiY2RlZg==")],
            &[("authorization", TOKEN)],
            &[("x-token", TOKEN), ("cookie", "token=0123456789abcdef")],
            &[("sec-websocket-protocol", &wrong)],
            &[("impersonate-user", "admin")],
        ] {
            let refusal = check(&file(), headers).unwrap_err();
            assert_eq!(refusal.status, StatusCode::UNAUTHORIZED, "{headers:?}");
            assert!(!refusal.message.contains("0123"), "{refusal}");
        }
        assert!(check("", &[("authorization", "Bearer 0123456789abcdef")]).is_err());
        // The hash is no token.
        let hash = hex::encode(digest(&SHA256, TOKEN.as_bytes()).as_ref());
        for token in [hash.clone(), format!("{HASH}{hash}")] {
            let value = format!("Bearer {token}");
            assert!(check(&file(), &[("authorization", &value)]).is_err());
        }
    }

    #[test]
    fn two_authorization_headers_are_malformed() {
        let value = format!("Bearer {TOKEN}");
        let twice = [
            ("authorization", value.as_str()),
            ("authorization", "Bearer x"),
        ];
        let refusal = check(&file(), &twice).unwrap_err();
        assert_eq!(refusal.status, StatusCode::BAD_REQUEST);
    }

    #[test]
    fn a_bad_line_is_named_by_its_number_alone() {
        for (text, line, problem) in [
            ("alice", 1, "not a name and a token"),
            ("\nalice 0123456789abcdef x", 2, "not a name and a token"),
            ("alice hunter2", 1, "fewer than 16"),
            ("alice sha256:abc", 1, "64 hexadecimal digits"),
            ("alice hunter2\u{e9}hunter2hunter2", 1, "no bearer token"),
            ("a 0123456789abcdef\nb 0123456789abcdef", 2, "earlier line"),
        ] {
            let error = LocalTokens::parse(text).unwrap_err().to_string();
            assert!(error.contains(&format!("line {line}: ")), "{error}");
            assert!(error.contains(problem), "{error}");
            assert!(
                !error.contains("hunter2") && !error.contains("0123"),
                "{error}"
            );
        }
    }

    #[test]
    fn debug_output_has_no_token() {
        let tokens = LocalTokens::parse(&file()).unwrap();
        assert_eq!(format!("{tokens:?}"), r#"LocalTokens(["alice", "bob"])"#);
        assert_eq!(tokens.len(), 2);
    }
}
