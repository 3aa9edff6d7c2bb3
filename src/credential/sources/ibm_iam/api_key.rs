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

/// Returns the key in `text`: the key alone, also in quotes; a line `NAME=key`; a credentials file of
/// IBM's SDKs; or JSON with a field such as `apikey`.
///
/// # Errors
/// A clause that follows the name of the text: there is no key in it, there are several, or it has
/// characters that no key has. It shows no part of the text.
pub(super) fn parse(text: &str) -> Result<Secret, String> {
    let text = text.trim().trim_start_matches('\u{feff}').trim();
    if text.is_empty() {
        return Err("is empty; put an API key into it".to_owned());
    }
    if text.starts_with('{') || text.starts_with('[') {
        return of_json(text);
    }
    let named = settings_file::entries(text).filter(|(name, _)| is_key_name(name));
    let named: Vec<_> = named.collect();
    let own = OWN_NAMES
        .iter()
        .find_map(|own| named.iter().find(|(name, _)| name == own));
    if let Some((_, key)) = own {
        return checked(key);
    }
    let keys: Vec<&str> = named.into_iter().map(|(_, key)| key).collect();
    if !keys.is_empty() {
        return checked(only(keys).ok_or(format!(
            "has the API keys of several services; add {OWN_SERVICE} to say which counts"
        ))?);
    }
    let key = settings_file::unquoted(text);
    if key.contains(char::is_whitespace) {
        return Err(
            "holds more than an API key; put the key alone into it, or IBM's JSON".to_owned(),
        );
    }
    checked(key)
}

fn of_json(text: &str) -> Result<Secret, String> {
    // The parser's error is dropped, since it may quote the key.
    let found: Found = serde_json::from_str(text)
        .or_else(|_| {
            // `ibmcloud resource service-key --output json` writes a list.
            let all: Vec<Found> = serde_json::from_str(text)?;
            let keys = all.into_iter().flat_map(|one| one.0).collect();
            Ok::<_, serde_json::Error>(Found(keys))
        })
        .map_err(|_| "is JSON without the text field `apikey`")?;
    let keys: Vec<&str> = found.0.iter().map(Secret::expose).collect();
    match keys[..] {
        [] => Err("is JSON without the text field `apikey`".to_owned()),
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

/// Whether a field or variable holds an API key: `apikey`, `apiKey`, `api_key`, `iam_apikey`, and
/// with a prefix in capitals `SERVICE_APIKEY`, `IBMCLOUD_API_KEY`.
fn is_key_name(name: &str) -> bool {
    let plain: String = name
        .chars()
        .filter(|sign| !matches!(sign, '_' | '-'))
        .collect();
    let plain = plain.to_ascii_lowercase();
    let is_variable = !name.contains(|sign: char| sign.is_ascii_lowercase());
    matches!(plain.as_str(), "apikey" | "iamapikey" | "ibmcloudapikey")
        || (is_variable && plain.ends_with("apikey"))
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
    if key.starts_with("eyJ") && key.matches('.').count() == 2 {
        return Err(
            "is no API key but a token (JWT), which ends soon; make an API key by `ibmcloud iam \
             api-key-create NAME`"
                .to_owned(),
        );
    }
    if key.is_empty() {
        return Err("is empty; put an API key into it".to_owned());
    }
    Ok(Secret::new(key))
}

/// The keys in a JSON object, and in its `credentials`.
struct Found(Vec<Secret>);

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

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Found, A::Error> {
        let mut keys = Vec::new();
        while let Some(name) = map.next_key::<String>()? {
            if is_key_name(&name) {
                keys.push(map.next_value::<Secret>()?);
            } else if name == "credentials" {
                keys.append(&mut map.next_value::<Found>()?.0);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(Found(keys))
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
        ] {
            assert_eq!(parse(text).unwrap().expose(), "sesame-ibm-6", "{text}");
        }
        // The control: each sign that is allowed in IBM's keys and in own ones.
        assert!(parse("aZ09-_.~+/=:@#%").is_ok());
    }

    #[test]
    fn what_is_no_key_is_refused_with_the_reason() {
        for (text, says) in [
            (" \n", "is empty"),
            ("\u{feff}", "is empty"),
            ("sesame-ibm-6 and more", "more than an API key"),
            ("sesame-ibm-6\nsesame-ibm-7", "more than an API key"),
            (r#"{"key": "sesame-ibm-6"}"#, "`apikey`"),
            (r#"{"apikey": 7}"#, "`apikey`"),
            ("{sesame-ibm-6", "`apikey`"),
            (r#"{"apikey": "sesame-ibm-6", "apiKey": "x"}"#, "several"),
            ("A_APIKEY=sesame-ibm-6\nB_APIKEY=x\n", "several services"),
            ("IBMCLOUD_API_KEY=\"sesame-ibm-6\nx", "quotation mark"),
            ("\u{201c}sesame-ibm-6\u{201d}", "quotation mark"),
            ("sesame-\u{feff}ibm-6", "byte order mark"),
            ("sesame-ibm-6\u{200b}", "not ASCII"),
            ("sesame-ibm-6\u{7}", "control character"),
            ("<sesame-ibm-6>", "placeholder"),
            ("${IBMCLOUD_API_KEY}", "placeholder"),
            ("eyJ0.e30.sesame-ibm-6", "a token (JWT)"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(says), "{text}: {error}");
            assert!(!error.contains("sesame-ibm-6"), "{error}");
        }
    }
}
