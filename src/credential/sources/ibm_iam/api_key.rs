//! Finds the API key in text, in each form that IBM's tools and their users have it.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, Visitor},
};

use super::settings_file;
use crate::secret::Secret;

/// The name of the container service in IBM's SDK for it.
const OWN_SERVICE: &str = "KUBERNETES_SERVICE_API_APIKEY";
/// The variables of IBM's command line, which come before other names.
const OWN_NAMES: [&str; 3] = [OWN_SERVICE, "IC_API_KEY", "IBMCLOUD_API_KEY"];

/// The forms that are understood, for errors.
const FORMS: &str = "put the key alone into it, a line `IBMCLOUD_API_KEY=KEY` or `apikey: KEY`, or JSON with \
                     the field `apikey`";

/// Returns the key in `text`: the key alone, also in quotes; a line `NAME=key` or `NAME: key`; a credentials
/// file of IBM's SDKs; or JSON with a field such as `apikey`. Comments and headings in brackets are skipped.
///
/// # Errors
/// A clause that follows the name of the text: there is no key in it, there are several, or it has
/// characters that no key has. It shows no part of the text.
pub(super) fn parse(text: &str) -> Result<Secret, String> {
    let text = text.trim().trim_start_matches('\u{feff}').trim();
    if text.is_empty() {
        return Err("is empty; put an API key into it".to_owned());
    }
    if text.starts_with('{') || (text.starts_with('[') && !text.lines().any(is_heading)) {
        return of_json(text);
    }
    let is_content = |line: &&str| {
        let line = line.trim();
        let is_comment = ["#", ";", "//"].iter().any(|mark| line.starts_with(mark));
        !(line.is_empty() || line == "---" || is_comment || is_heading(line))
    };
    let lines: Vec<&str> = text.lines().filter(is_content).map(str::trim).collect();
    if lines.is_empty() {
        return Err(format!("has no API key; {FORMS}"));
    }
    if let Some(key) = of_lines(&lines)? {
        return checked(key);
    }
    match lines[..] {
        [line] if is_assignment(line) => Err(format!(
            "names something else than an API key, or nothing; {FORMS}"
        )),
        [line] if !settings_file::unquoted(line).contains(char::is_whitespace) => {
            checked(settings_file::unquoted(line))
        }
        _ => Err(format!("holds more than an API key; {FORMS}")),
    }
}

/// Returns the key of the lines that name one.
fn of_lines<'a>(lines: &[&'a str]) -> Result<Option<&'a str>, String> {
    let entries: Vec<_> = lines.iter().filter_map(|line| named(line)).collect();
    let named: Vec<_> = entries
        .iter()
        .filter(|(name, _)| is_key_name(name))
        .collect();
    let values = |wanted: &dyn Fn(&str) -> bool| -> Vec<&'a str> {
        let entries = named.iter().filter(|(name, _)| wanted(name));
        entries.map(|(_, key)| *key).collect()
    };
    for own in OWN_NAMES {
        let keys = values(&|name| name == own);
        if !keys.is_empty() {
            let key =
                only(keys).ok_or(format!("names {own} twice; leave only the one that counts"));
            return key.map(Some);
        }
    }
    let mut keys = values(&|_| true);
    if keys.is_empty() {
        let plain = entries.iter().filter(|(name, _)| is_plain_key_name(name));
        keys = plain.map(|(_, key)| *key).collect();
    }
    if keys.is_empty() {
        return Ok(None);
    }
    let key = only(keys).ok_or(format!(
        "has several API keys; leave only one in it, or add {OWN_SERVICE} to say which counts"
    ));
    key.map(Some)
}

/// Returns name and value of a line. The names of keys may also have a colon without a space after them.
fn named(line: &str) -> Option<(&str, &str)> {
    settings_file::entries(line).next().or_else(|| {
        let (name, value) = line.split_once(':')?;
        let name = name.trim();
        let is_key = is_key_name(name) || is_plain_key_name(name);
        is_key.then(|| (name, settings_file::unquoted(value.trim())))
    })
}

/// Whether a line gives a value, or none, to a name. The `=` at the end of Base64 is no such line.
fn is_assignment(line: &str) -> bool {
    if settings_file::entries(line).any(|(_, value)| !value.trim_matches('=').is_empty()) {
        return true;
    }
    let name = line.split(['=', ':']).next().unwrap_or_default();
    name.len() < line.len() && (is_key_name(name.trim()) || is_plain_key_name(name.trim()))
}

/// Whether a line is the heading of a part, such as `[default]`.
fn is_heading(line: &str) -> bool {
    let inner = line
        .trim()
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let is_name = |sign: char| sign.is_ascii_alphanumeric() || "_-. ".contains(sign);
    inner.is_some_and(|name| name.contains(char::is_alphabetic) && name.chars().all(is_name))
}

fn of_json(text: &str) -> Result<Secret, String> {
    // The parser's error is dropped, since it may quote the key.
    let found: Found = serde_json::from_str(text)
        .or_else(|_| {
            // `ibmcloud resource service-key --output json` writes a list.
            let all: Vec<Found> = serde_json::from_str(text)?;
            let mut found = Found::default();
            for one in all {
                found.add(one);
            }
            Ok::<_, serde_json::Error>(found)
        })
        .map_err(|_| format!("is no JSON with the text field `apikey`; {FORMS}"))?;
    let keys = if found.named.is_empty() {
        &found.plain
    } else {
        &found.named
    };
    let keys: Vec<&str> = keys.iter().map(Secret::expose).collect();
    match keys[..] {
        [] => Err(format!("is JSON without the text field `apikey`; {FORMS}")),
        _ => checked(
            only(keys).ok_or("is JSON with several API keys; leave only one in it".to_owned())?,
        ),
    }
}

/// Returns the key if there are no different ones.
fn only(mut keys: Vec<&str>) -> Option<&str> {
    keys.dedup();
    match keys[..] {
        [key] => Some(key),
        _ => None,
    }
}

/// Whether a field or variable holds an API key: `apikey`, `apiKey`, `iam_apikey`, `my-api-key`,
/// `IBMCLOUD_API_KEY`, `TF_VAR_ibmcloud_api_key`. The classic infrastructure has keys of its own.
fn is_key_name(name: &str) -> bool {
    let is_name = |sign: char| sign.is_ascii_alphanumeric() || "_-.".contains(sign);
    let plain: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
    let plain = plain.to_ascii_lowercase();
    let is_classic = ["softlayerapikey", "iaasclassicapikey"]
        .iter()
        .any(|classic| plain.ends_with(classic));
    name.chars().all(is_name) && plain.ends_with("apikey") && !is_classic && plain != "slapikey"
}

/// Whether a field or variable holds an API key if no other one does.
fn is_plain_key_name(name: &str) -> bool {
    name.eq_ignore_ascii_case("key")
}

/// Refuses what cannot be a key, before it is sent.
fn checked(key: &str) -> Result<Secret, String> {
    let odd = key.chars().zip(1..).find_map(|(sign, at)| {
        let what = match sign {
            '"' | '\'' | '`' | '\u{2018}'..='\u{201f}' => "a quotation mark",
            '\u{feff}' => "a byte order mark",
            sign if sign.is_control() => "a control character",
            sign if sign.is_whitespace() => "a space",
            '<' | '>' | '{' | '}' | '$' | '\\' => "a character of a placeholder",
            sign if !sign.is_ascii() => "a character that is not ASCII",
            _ => return None,
        };
        Some((what, at))
    });
    if let Some((what, at)) = odd {
        return Err(format!(
            "is no API key: {what} is at its position {at}; put the key into it as IBM Cloud shows it"
        ));
    }
    if key.is_empty() {
        return Err("is empty; put an API key into it".to_owned());
    }
    let make = "make an API key by `ibmcloud iam api-key-create NAME`";
    if key.starts_with("eyJ") && key.matches('.').count() == 2 {
        return Err(format!(
            "is no API key but a token (JWT), which ends soon; {make}"
        ));
    }
    what_else(key).map_or_else(
        || Ok(Secret::new(key)),
        |what| Err(format!("is no API key but {what}; {FORMS}, or {make}")),
    )
}

/// Returns what `key` is if it is surely no API key.
fn what_else(key: &str) -> Option<&'static str> {
    let lower = key.to_ascii_lowercase();
    let is_of = |starts: &[&str]| starts.iter().any(|start| lower.starts_with(start));
    if is_of(&["apikey-"]) && is_uuid(lower.trim_start_matches("apikey-")) {
        // `ibmcloud iam api-keys` shows it.
        return Some("the ID of one, which is no secret");
    }
    if is_of(&["iam-", "serviceid-", "profile-", "ibmid-"])
        && lower
            .get(lower.len().saturating_sub(36)..)
            .is_some_and(is_uuid)
        || is_of(&["crn:v1:"])
    {
        return Some("the ID of a user, a service or a resource");
    }
    if lower.contains("://") {
        return Some("a URL");
    }
    if is_of(&["~/", "./", "../", "@"]) {
        return Some("the name of a file");
    }
    if is_key_name(key) && !key.contains(|sign: char| sign.is_ascii_digit()) {
        return Some("the name of one");
    }
    key.ends_with([',', ';']).then_some("a part of a list")
}

fn is_uuid(text: &str) -> bool {
    let lengths = [8, 4, 4, 4, 12];
    text.split('-').map(str::len).eq(lengths)
        && text
            .chars()
            .all(|sign| sign == '-' || sign.is_ascii_hexdigit())
}

/// The keys in a JSON object, and in its `credentials`.
#[derive(Default)]
struct Found {
    named: Vec<Secret>,
    /// The values of `key`, which count if there are no others.
    plain: Vec<Secret>,
}

impl Found {
    fn add(&mut self, other: Self) {
        self.named.extend(other.named);
        self.plain.extend(other.plain);
    }
}

impl<'de> Deserialize<'de> for Found {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Fields)
    }
}

struct Fields;

impl<'de> Visitor<'de> for Fields {
    type Value = Found;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    /// A field that is `null` or empty is none.
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Found, A::Error> {
        let mut found = Found::default();
        while let Some(name) = map.next_key::<String>()? {
            if is_key_name(&name) || is_plain_key_name(&name) {
                let key = map.next_value::<Option<Secret>>()?;
                let keys = if is_key_name(&name) {
                    &mut found.named
                } else {
                    &mut found.plain
                };
                keys.extend(key.filter(|key| !key.expose().is_empty()));
            } else if name == "credentials" {
                found.add(map.next_value::<Option<Found>>()?.unwrap_or_default());
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_key_is_found_in_each_form() {
        for text in [
            "sesame-ibm-6\n",
            "\u{feff}sesame-ibm-6\r\n",
            " \u{feff} \"sesame-ibm-6\" ",
            "'sesame-ibm-6'\n",
            "IBMCLOUD_API_KEY=sesame-ibm-6",
            "\u{feff}IC_API_KEY = 'sesame-ibm-6'\r\n",
            "export IBMCLOUD_API_KEY=\"sesame-ibm-6\"\n",
            "$env:IBMCLOUD_API_KEY = \"sesame-ibm-6\"\r\n",
            "apikey: sesame-ibm-6\n",
            "apikey=sesame-ibm-6\n",
            "# mine\nSOME_SERVICE_AUTH_TYPE=iam\nSOME_SERVICE_APIKEY=sesame-ibm-6\n",
            "A_APIKEY=\"sesame-ibm-6\"\nB_APIKEY=sesame-ibm-6\n",
            "A_APIKEY=other\nKUBERNETES_SERVICE_API_APIKEY=sesame-ibm-6\n",
            "OTHER_API_KEY=other\nIBMCLOUD_API_KEY=sesame-ibm-6\n",
            "\u{feff}{\"apikey\": \"sesame-ibm-6\"}",
            r#"{"name": "n", "createdAt": "2026", "apikey": "sesame-ibm-6"}"#,
            r#"{"apiKey": "sesame-ibm-6"}"#,
            r#"{"api_key": "sesame-ibm-6", "iam_apikey": "sesame-ibm-6"}"#,
            r#"{"iam_apikey": "sesame-ibm-6", "iam_apikey_name": "n", "iam_apikey_description": "d"}"#,
            r#"[{"credentials": {"apikey": "sesame-ibm-6"}}]"#,
            "TF_VAR_ibmcloud_api_key=sesame-ibm-6",
            "export TF_VAR_ibmcloud_api_key=\"sesame-ibm-6\"\nREGION=us-south",
            "ibmcloud_api_key = \"sesame-ibm-6\"",
            "my_apikey=sesame-ibm-6",
            "my.api-key: sesame-ibm-6",
            "apikey:sesame-ibm-6",
            "--apikey=sesame-ibm-6",
            "key: sesame-ibm-6\n",
            "---\nibm:\n  key: 'sesame-ibm-6'\n",
            "KEY=sesame-ibm-6\n",
            "key=other\napikey=sesame-ibm-6\n",
            "# mine\n; of 2026\nsesame-ibm-6\n// end\n",
            "[default]\nregion = us-south\napikey = sesame-ibm-6\n",
            "# mine\n[ibm]\nkey=sesame-ibm-6\n",
            "[default]\nsesame-ibm-6\n",
            "IBMCLOUD_API_KEY=sesame-ibm-6\nIBMCLOUD_API_KEY='sesame-ibm-6'\n",
            "IAAS_CLASSIC_API_KEY=other\nIBMCLOUD_API_KEY=sesame-ibm-6\n",
            r#"{"apikey": "sesame-ibm-6", "iam_apikey": null, "credentials": null}"#,
            r#"{"apikey": null, "credentials": {"apikey": "sesame-ibm-6", "api_key": ""}}"#,
            r#"{"key": "sesame-ibm-6"}"#,
            r#"{"key": "other", "apikey": "sesame-ibm-6"}"#,
        ] {
            assert_eq!(parse(text).unwrap().expose(), "sesame-ibm-6", "{text}");
        }
        // The control: each sign that is allowed in IBM's keys and in own ones.
        for own in ["aZ09-_.~+/=:@#%", "c2VzYW1l==", "IBMCLOUD_API_KEY=a=b"] {
            assert!(parse(own).is_ok(), "{own}");
        }
    }

    #[test]
    fn what_is_no_key_is_refused_with_the_reason() {
        for (text, says) in [
            (" \n", "is empty"),
            ("\u{feff}", "is empty"),
            ("sesame-ibm-6 and more", "more than an API key"),
            ("sesame-ibm-6\nsesame-ibm-7", "more than an API key"),
            (r#"{"token": "sesame-ibm-6"}"#, "`apikey`"),
            (r#"{"apikey": null}"#, "`apikey`"),
            (r#"{"apikey": 7}"#, "`apikey`"),
            ("{sesame-ibm-6", "`apikey`"),
            (r#"{"apikey": "sesame-ibm-6", "apiKey": "x"}"#, "several"),
            ("A_APIKEY=sesame-ibm-6\nB_APIKEY=x\n", "several API keys"),
            ("IBMCLOUD_API_KEY=\"sesame-ibm-6\nx", "quotation mark"),
            ("\u{201c}sesame-ibm-6\u{201d}", "quotation mark"),
            ("sesame-\u{feff}ibm-6", "byte order mark"),
            ("sesame-ibm-6\u{200b}", "not ASCII"),
            ("sesame-ibm-6\u{7}", "control character"),
            ("<sesame-ibm-6>", "placeholder"),
            ("${IBMCLOUD_API_KEY}", "placeholder"),
            ("eyJ0.e30.sesame-ibm-6", "a token (JWT)"),
            ("region=sesame-ibm-6", "something else"),
            ("TF_VAR_token: sesame-ibm-6", "something else"),
            ("SOFTLAYER_API_KEY=sesame-ibm-6", "something else"),
            ("IBMCLOUD_API_KEY=", "or nothing"),
            ("# sesame-ibm-6\n[default]", "has no API key"),
            ("https://iam.example/sesame-ibm-6", "a URL"),
            ("apikey=https://iam.example/sesame-ibm-6", "a URL"),
            (
                "ApiKey-01234567-89ab-cdef-0123-456789abcdef",
                "the ID of one",
            ),
            (
                "IC_API_KEY=ApiKey-01234567-89ab-cdef-0123-456789abcdef",
                "the ID of one",
            ),
            (
                "ServiceId-01234567-89ab-cdef-0123-456789abcdef",
                "the ID of a user",
            ),
            (
                "crn:v1:bluemix:public:iam::::sesame-ibm-6",
                "the ID of a user",
            ),
            ("~/sesame-ibm-6", "the name of a file"),
            ("IBMCLOUD_API_KEY", "the name of one"),
            ("sesame-ibm-6;", "a part of a list"),
            ("IC_API_KEY=sesame-ibm-6\nIC_API_KEY=x", "twice"),
            ("[a]\napikey=sesame-ibm-6\n[b]\napikey=x", "several"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(says), "{text}: {error}");
            assert!(!error.contains("sesame-ibm-6"), "{error}");
        }
    }
}
