//! The `ExecCredential` that a plugin prints, read as client-go's decoder reads it
//! (`codecs.UniversalDecoder` of k8s.io/apimachinery, which is not strict).
//!
//! A text that begins with a brace is JSON: one value with nothing after it. Any other text is
//! YAML, of which the first document counts. `kind` may be missing. Unknown fields are ignored, the
//! last of two equal fields counts, and the names of fields are case-sensitive, except `apiVersion`
//! and `kind`.

use std::{borrow::Cow, time::SystemTime};

use serde_json::{Map, Value, error::Category};
use serde_saphyr::DuplicateKeyPolicy;
use zeroize::Zeroizing;

use super::{exec_info::KIND, expiration::parse_expiration};
use crate::secret::Secret;

/// The status of an `ExecCredential`.
pub(super) struct ExecCredentialStatus {
    pub(super) token: Option<Secret>,
    /// The client certificate and its key, as PEM.
    pub(super) pair: Option<(Secret, Secret)>,
    pub(super) expires_at: Option<SystemTime>,
}

/// Reads a plugin's output. The error says what is wrong, without any part of the output that could
/// be secret.
pub(super) fn parse(stdout: &[u8], api_version: &str) -> Result<ExecCredentialStatus, String> {
    let text = text(stdout);
    if text.trim().is_empty() {
        return Err("nothing on standard output".to_owned());
    }
    let Value::Object(mut reply) = value(&text)? else {
        return Err(format!(
            "something that is not JSON or YAML with the fields of an {KIND}"
        ));
    };
    check_version(type_field(&reply, "apiVersion")?, api_version)?;
    if !matches!(type_field(&reply, "kind")?, "" | KIND) {
        return Err(format!("a kind other than {KIND}"));
    }
    let mut status = match reply.remove("status") {
        Some(Value::Object(status)) => status,
        None | Some(Value::Null) => return Err("no status".to_owned()),
        Some(_) => return Err("a status of the wrong type".to_owned()),
    };
    let token = secret(&mut status, "token")?;
    let certificate = secret(&mut status, "clientCertificateData")?;
    let pair = match (certificate, secret(&mut status, "clientKeyData")?) {
        (Some(certificate), Some(key)) => Some((certificate, key)),
        (None, None) => None,
        (Some(_), None) => return Err("clientCertificateData without clientKeyData".to_owned()),
        (None, Some(_)) => return Err("clientKeyData without clientCertificateData".to_owned()),
    };
    if token.is_none() && pair.is_none() {
        return Err("neither a token nor a client certificate in its status".to_owned());
    }
    let expires_at = match status.get("expirationTimestamp") {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) => parse_expiration(text).map_err(|()| {
            "an expirationTimestamp that is not a time by RFC 3339, such as 2026-03-05T17:30:20Z"
        })?,
        Some(_) => return Err("an expirationTimestamp of the wrong type".to_owned()),
    };
    Ok(ExecCredentialStatus {
        token,
        pair,
        expires_at,
    })
}

/// Returns the output as text. As in Go's YAML decoder, a byte order mark selects the encoding.
fn text(stdout: &[u8]) -> Zeroizing<String> {
    let utf16 = |bytes: &[u8], unit: fn([u8; 2]) -> u16| {
        let units = bytes.chunks_exact(2).map(|pair| unit([pair[0], pair[1]]));
        let signs = char::decode_utf16(units);
        let signs = signs.map(|sign| sign.unwrap_or(char::REPLACEMENT_CHARACTER));
        // The capacity is allocated at once: growing would leave copies that are not wiped.
        let mut text = String::with_capacity(2 * bytes.len());
        text.extend(signs);
        text
    };
    Zeroizing::new(match stdout {
        [0xef, 0xbb, 0xbf, rest @ ..] => String::from_utf8_lossy(rest).into_owned(),
        [0xff, 0xfe, rest @ ..] => utf16(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => utf16(rest, u16::from_be_bytes),
        // Bytes that are not UTF-8 are replaced, as in Go.
        bytes => match String::from_utf8_lossy(bytes) {
            Cow::Borrowed(text) => text.to_owned(),
            Cow::Owned(text) => text,
        },
    })
}

fn value(text: &str) -> Result<Value, String> {
    if text.trim_start().starts_with('{') {
        return serde_json::from_str(text).map_err(|error| broken(&error));
    }
    let options = serde_saphyr::options! {
        with_snippet: false,
        duplicate_keys: DuplicateKeyPolicy::LastWins,
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: 10_000 },
    };
    let mut bytes = text.as_bytes();
    let mut documents = serde_saphyr::read_with_options(&mut bytes, options);
    match documents.next() {
        None => Ok(Value::Null),
        Some(Ok(value)) => Ok(value),
        // The error's own text may quote the output.
        Some(Err(error)) => {
            let at = error.location();
            let location = at.map(|at| format!(" (line {}, column {})", at.line(), at.column()));
            let location = location.unwrap_or_default();
            Err(format!("something that is not JSON or YAML{location}"))
        }
    }
}

/// Returns `apiVersion` or `kind`. Go reads these with encoding/json, which also accepts a name in
/// other case if there is none in the exact one.
fn type_field<'a>(reply: &'a Map<String, Value>, name: &str) -> Result<&'a str, String> {
    let folded = || reply.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
    let found = reply.get(name).or_else(|| folded().map(|(_, value)| value));
    match found {
        None | Some(Value::Null) => Ok(""),
        Some(Value::String(text)) => Ok(text),
        Some(_) => Err(format!("a field of the wrong type: {name}")),
    }
}

fn check_version(version: &str, requested: &str) -> Result<(), String> {
    match version {
        "" => Err("no apiVersion".to_owned()),
        version if version == requested => Ok(()),
        version => {
            let version = version.get(..80).unwrap_or(version);
            Err(format!(
                "apiVersion {version:?} where {requested} was asked for"
            ))
        }
    }
}

/// Moves a text out of the status; `None` if it is missing or empty.
fn secret(status: &mut Map<String, Value>, name: &str) -> Result<Option<Secret>, String> {
    match status.remove(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.is_empty() => Ok(None),
        Some(Value::String(text)) => Ok(Some(Secret::new(text))),
        Some(_) => Err(format!("a field of the wrong type: {name} is no text")),
    }
}

/// Describes an error of serde, whose own text may quote a value.
fn broken(error: &serde_json::Error) -> String {
    let what = match error.classify() {
        Category::Data => "a field of the wrong type",
        Category::Eof => "JSON that breaks off",
        Category::Syntax | Category::Io => {
            "something that is not JSON, or JSON followed by other text"
        }
    };
    format!("{what} (line {}, column {})", error.line(), error.column())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::time::Duration;

    use serde_json::json;

    use super::*;

    const V1: &str = "client.authentication.k8s.io/v1";

    fn reply(status: &Value) -> Vec<u8> {
        json!({"kind": "ExecCredential", "apiVersion": V1, "status": status})
            .to_string()
            .into_bytes()
    }

    /// The token of the parsed output.
    fn token(stdout: &[u8]) -> Result<String, String> {
        parse(stdout, V1).map(|response| response.token.unwrap().expose().to_owned())
    }

    #[test]
    fn the_output_has_a_token_a_pair_or_both() {
        let both = json!({"token": "t", "clientCertificateData": "c", "clientKeyData": "k"});
        let response = parse(&reply(&both), V1).unwrap();
        assert_eq!(response.token.unwrap().expose(), "t");
        let (certificate, key) = response.pair.unwrap();
        assert_eq!((certificate.expose(), key.expose()), ("c", "k"));
        assert_eq!(response.expires_at, None);
    }

    #[test]
    fn empty_and_null_fields_count_as_missing() {
        let status = json!({
            "token": "t", "clientCertificateData": "", "clientKeyData": null,
            "expirationTimestamp": null, "somethingNew": {},
        });
        let response = parse(&reply(&status), V1).unwrap();
        assert!(
            response.token.is_some() && response.pair.is_none() && response.expires_at.is_none()
        );
    }

    #[test]
    fn the_expiration_is_a_time_or_none() {
        for (text, end) in [
            ("2026-03-05T17:30:20Z", Some(1_772_731_820)),
            ("9999-12-31T23:59:59Z", None),
        ] {
            let status = json!({"token": "t", "expirationTimestamp": text});
            let end = end.map(|end| SystemTime::UNIX_EPOCH + Duration::from_secs(end));
            assert_eq!(
                parse(&reply(&status), V1).unwrap().expires_at,
                end,
                "{text}"
            );
        }
    }

    #[test]
    fn yaml_a_byte_order_mark_and_a_missing_kind_are_accepted() {
        let head = format!("apiVersion: {V1}\n");
        let body = "status:\n  token: t\n  expirationTimestamp: 2026-03-05T17:30:20Z\n";
        let json = format!("{{\"apiVersion\": \"{V1}\", \"status\": {{\"token\": \"t\"}}}}");
        let utf16 = |text: &str| -> Vec<u8> {
            let units = format!("\u{feff}{text}").encode_utf16().collect::<Vec<_>>();
            units.into_iter().flat_map(u16::to_le_bytes).collect()
        };
        for stdout in [
            format!("{head}{body}").into_bytes(),
            format!("{head}kind: ExecCredential\n{body}").into_bytes(),
            format!("# made by a plugin\n---\n{head}{body}").into_bytes(),
            format!("{head}{body}---\nsecond: [document\n").into_bytes(),
            format!("\u{feff}{json}").into_bytes(),
            format!("\n  {json}\n\n").into_bytes(),
            format!("# a comment\n{json}").into_bytes(),
            json.replace("apiVersion", "APIVERSION").into_bytes(),
            json.replace("{\"token\"", "{\"token\": \"first\", \"token\"")
                .into_bytes(),
            json.replace("\"status\"", "\"kind\": null, \"status\"")
                .into_bytes(),
            utf16(&json),
            utf16(&format!("{head}{body}")),
        ] {
            assert_eq!(
                token(&stdout).as_deref(),
                Ok("t"),
                "{}",
                String::from_utf8_lossy(&stdout)
            );
        }
    }

    #[test]
    fn deeply_nested_output_is_refused() {
        for deep in ["[", "- ", "{a: ", "{\"a\":", "? "] {
            let text = deep.repeat(20_000);
            for text in [
                format!("status: {text}"),
                text.clone(),
                format!("a:\n {text}"),
            ] {
                assert!(parse(text.as_bytes(), V1).is_err(), "{deep}");
            }
        }
    }

    #[test]
    fn fields_are_case_sensitive_and_text_stays_text() {
        let status = |status: &str| format!("apiVersion: {V1}\nstatus: {status}\n").into_bytes();
        assert_eq!(token(&status("{token: ' t '}")).as_deref(), Ok(" t "));
        assert!(
            token(&status("{Token: t}"))
                .unwrap_err()
                .contains("neither")
        );
        assert!(
            token(&status("{token: 5}"))
                .unwrap_err()
                .contains("wrong type")
        );
        let json = |name: &str| {
            format!("{{\"apiVersion\":\"{V1}\",\"{name}\":{{\"token\":\"t\"}}}}").into_bytes()
        };
        assert_eq!(token(&json("status")).as_deref(), Ok("t"));
        assert!(token(&json("Status")).unwrap_err().contains("no status"));
    }

    #[test]
    fn what_is_no_answer_is_refused_for_its_reason_and_not_shown() {
        let ok = json!({"token": "hunter2"});
        assert!(parse(&reply(&ok), V1).is_ok());
        let text = |text: &str| text.as_bytes().to_vec();
        let trailing = |more: &str| [reply(&ok), more.as_bytes().to_vec()].concat();
        for (stdout, reason) in [
            (text(" \n"), "nothing"),
            (text("\u{feff}\n"), "nothing"),
            (text("hunter2"), "not JSON"),
            (text("hunter2: [hunter2"), "not JSON"),
            (trailing(" hunter2"), "not JSON"),
            (trailing("{}"), "not JSON"),
            (text("{\"status\": {\"token\": \"hunter2"), "breaks off"),
            (text("{\"apiVersion\": [\"hunter2\"]}"), "wrong type"),
            (reply(&json!("hunter2")), "wrong type"),
            (reply(&json!({"token": 5})), "wrong type"),
            (text("{\"kind\": \"ExecCredential\"}"), "no apiVersion"),
            (text("{\"apiVersion\": \"v1\"}"), "apiVersion \"v1\""),
            (
                text("{\"apiVersion\": \"client.authentication.k8s.io/v1\", \"kind\": \"x\"}"),
                "kind",
            ),
            (reply(&Value::Null), "no status"),
            (reply(&json!({})), "neither"),
            (
                reply(&json!({"clientCertificateData": "hunter2"})),
                "without clientKeyData",
            ),
            (
                reply(&json!({"token": "t", "clientKeyData": "hunter2"})),
                "without clientCertificateData",
            ),
            (
                reply(&json!({"token": "hunter2", "expirationTimestamp": "hunter2"})),
                "expirationTimestamp",
            ),
            (
                reply(&json!({"token": "hunter2", "expirationTimestamp": ""})),
                "expirationTimestamp",
            ),
            (
                reply(&json!({"token": "hunter2", "expirationTimestamp": 5})),
                "expirationTimestamp",
            ),
        ] {
            let error = parse(&stdout, V1).err().unwrap();
            assert!(error.contains(reason), "{error}, not {reason}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
