//! `application/x-www-form-urlencoded`: the form of queries and of bodies.

use std::fmt::Write as _;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// The bytes that Go's `url.QueryEscape` encodes. It turns a space into `+`.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b' ');

/// Names and values, decoded, in the order sent.
#[derive(Debug, Default)]
pub(crate) struct Form(Vec<(String, String)>);

impl Form {
    pub(crate) fn parse(raw: Option<&str>) -> Self {
        let pairs = raw.unwrap_or_default().split('&');
        Self(
            pairs
                .filter(|pair| !pair.is_empty())
                .map(|pair| {
                    let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                    (decode(name), decode(value))
                })
                .collect(),
        )
    }

    /// The first value of that name; `None` if there is none or it is empty.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.all(name).next().filter(|value| !value.is_empty())
    }

    /// Every value of that name, in the order sent.
    pub(crate) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        let pairs = self.0.iter().filter(move |(key, _)| key == name);
        pairs.map(|(_, value)| value.as_str())
    }

    /// A boolean by apimachinery's rule (`Convert_Slice_string_To_bool`): absent, `0` and
    /// `false` are false, anything else is true, even the empty string.
    pub(crate) fn flag(&self, name: &str) -> bool {
        self.all(name)
            .next()
            .is_some_and(|value| !value.eq_ignore_ascii_case("false") && value != "0")
    }

    /// A whole number; `None` if it is absent or not one.
    pub(crate) fn number(&self, name: &str) -> Option<u64> {
        self.get(name)?.parse().ok()
    }
}

/// Encodes pairs as Go's `url.Values.Encode` does, but in the order given.
pub(crate) fn encode(pairs: &[(&str, &str)]) -> String {
    let mut form = String::new();
    for (name, value) in pairs {
        let separator = if form.is_empty() { "" } else { "&" };
        // Writing to a string does not fail.
        let _ = write!(form, "{separator}{name}={}", encode_value(value));
    }
    form
}

/// Adds pairs to the query of a URI.
pub(crate) fn add_query(uri: &str, pairs: &[(&str, &str)]) -> String {
    let separator = if uri.contains('?') { '&' } else { '?' };
    format!("{uri}{separator}{}", encode(pairs))
}

pub(crate) fn decode(text: &str) -> String {
    let spaced = text.replace('+', " ");
    percent_decode_str(&spaced).decode_utf8_lossy().into_owned()
}

fn encode_value(value: &str) -> String {
    let encoded = utf8_percent_encode(value, ESCAPED).to_string();
    encoded.replace(' ', "+")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flag_is_false_only_when_absent_zero_or_false() {
        let form = Form::parse(Some("a=1&b=true&c=&d=0&e=False&f"));
        let set: Vec<_> = ["a", "b", "c", "d", "e", "f", "g"]
            .into_iter()
            .filter(|name| form.flag(name))
            .collect();
        assert_eq!(set, ["a", "b", "c", "f"]);
    }

    #[test]
    fn pairs_are_split_before_they_are_decoded_and_keep_their_order() {
        let form = Form::parse(Some("labelSelector=a%3Db%26c&x=1+2&x=3"));
        assert_eq!(form.get("labelSelector"), Some("a=b&c"));
        assert_eq!(form.get("x"), Some("1 2"));
        assert_eq!(form.all("x").collect::<Vec<_>>(), ["1 2", "3"]);
    }

    #[test]
    fn an_empty_value_counts_as_absent() {
        assert_eq!(Form::parse(Some("container=")).get("container"), None);
        let form = Form::parse(Some("container=x"));
        assert_eq!(form.get("container"), Some("x"));
    }

    #[test]
    fn forms_are_encoded_as_by_go() {
        let error = "[0]: Invalid value: \"user:nope\": no scope handler found";
        assert_eq!(
            encode(&[("error", "invalid_scope"), ("error_description", error)]),
            "error=invalid_scope&error_description=%5B0%5D%3A+Invalid+value%3A+%22user%3Anope%22\
             %3A+no+scope+handler+found"
        );
        let uri = add_query("https://x/?a=1", &[("code", "sha256~a-_."), ("state", "")]);
        assert_eq!(uri, "https://x/?a=1&code=sha256~a-_.&state=");
    }
}
