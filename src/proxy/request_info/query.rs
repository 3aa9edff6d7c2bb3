//! Query parameters as the API server reads them.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use super::path::has_valid_escapes;

/// Whether the `watch` parameter makes a nameless GET a watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WatchParameter {
    Off,
    /// To the API server, which decodes names and values.
    On,
    /// Also to a server that decodes neither.
    PlainlyOn,
}

impl WatchParameter {
    /// Reads the parameter: the first `watch` counts, and each value but `0` and `false` (in any case)
    /// turns it on, the empty one too (`Convert_Slice_string_To_bool` in
    /// k8s.io/apimachinery/pkg/runtime).
    pub(super) fn read(query: Option<&str>) -> Self {
        let mut pairs = pairs(query.unwrap_or_default());
        let plain = pairs.find(|(key, _)| *key == "watch");
        match plain.is_some_and(|(_, value)| is_true(value)) {
            _ if !is_on(query, "watch") => Self::Off,
            true => Self::PlainlyOn,
            false => Self::On,
        }
    }
}

/// Whether a boolean parameter is on.
pub(super) fn is_on(query: Option<&str>, name: &str) -> bool {
    first(query, name).is_some_and(|value| is_true(&value))
}

fn is_true(value: &str) -> bool {
    !value.eq_ignore_ascii_case("false") && value != "0"
}

/// The object that a `fieldSelector` names. If any list option is invalid, the API server looks
/// at none of them but `watch`.
pub(super) fn selected_name(query: Option<&str>) -> Option<String> {
    let selector = first(query, "fieldSelector")?;
    let is_invalid = |name| first(query, name).is_some_and(|value| value.parse::<i64>().is_err());
    if ["limit", "timeoutSeconds"].into_iter().any(is_invalid) {
        return None;
    }
    let name = exact_match(&selector, "metadata.name")?;
    // `IsValidPathSegmentName` in k8s.io/apimachinery/pkg/api/validation/path
    let is_segment = name != "." && name != ".." && !name.contains(['/', '%']);
    is_segment.then_some(name)
}

/// The value that a field selector requires of `field` (`ParseSelector` and `RequiresExactMatch` in
/// k8s.io/apimachinery/pkg/fields); `None` for a selector that does not parse.
fn exact_match(selector: &str, field: &str) -> Option<String> {
    let mut terms = split_terms(selector);
    terms.sort_unstable();
    let mut found = None;
    for term in terms.into_iter().filter(|term| !term.is_empty()) {
        let at = term.find('=')?;
        let negated = term[..at].ends_with('!');
        let key = if negated {
            &term[..at - 1]
        } else {
            &term[..at]
        };
        let value = &term[at + 1..];
        let value = value
            .strip_prefix('=')
            .filter(|_| !negated)
            .unwrap_or(value);
        let value = unescape(value)?;
        if key == field && !negated && found.is_none() {
            found = Some(value);
        }
    }
    found
}

/// Splits at commas without a backslash before them.
fn split_terms(selector: &str) -> Vec<&str> {
    let mut is_escaped = false;
    selector
        .split(|c| {
            let splits = c == ',' && !is_escaped;
            is_escaped = c == '\\' && !is_escaped;
            splits
        })
        .collect()
}

/// Removes backslashes; `None` where one escapes nothing, or a `,` or `=` has none.
fn unescape(value: &str) -> Option<String> {
    let mut text = String::with_capacity(value.len());
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => text.push(chars.next().filter(|c| matches!(c, '\\' | ',' | '='))?),
            ',' | '=' => return None,
            c => text.push(c),
        }
    }
    Some(text)
}

/// The first value of a parameter, as Go's `url.ParseQuery` reads it: names and values are decoded, and
/// a pair that has a `;` or a broken escape is dropped.
fn first<'a>(query: Option<&'a str>, name: &str) -> Option<Cow<'a, str>> {
    pairs(query?)
        .filter(|(key, value)| !key.contains(';') && !value.contains(';'))
        .filter(|(key, _)| decode(key).is_some_and(|key| key == name))
        .find_map(|(_, value)| decode(value))
}

fn pairs(query: &str) -> impl Iterator<Item = (&str, &str)> {
    let pairs = query.split('&');
    pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")))
}

/// Go's `url.QueryUnescape`.
fn decode(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains(['%', '+']) {
        return Some(Cow::Borrowed(text));
    }
    if !has_valid_escapes(text) {
        return None;
    }
    let spaced = text.replace('+', " ");
    let decoded = percent_decode_str(&spaced).decode_utf8_lossy().into_owned();
    Some(Cow::Owned(decoded))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_watch_counts_and_all_but_0_and_false_is_on() {
        for query in [
            "watch=1",
            "watch=true",
            "watch",
            "watch=",
            "watch=f",
            "watch=no",
            "watch=2",
            "watch=+1",
            "watch=%00",
            "%77atch=1",
            "w%61tch",
            "a=b&watch=1",
            "watch=1&watch=0",
            "watch=1&x=%zz",
            "watch=%zz&watch=1",
            "watch=0;a&watch=1",
        ] {
            let read = WatchParameter::read(Some(query));
            assert_ne!(read, WatchParameter::Off, "{query}");
        }
        for query in [
            "",
            "watch=0",
            "watch=false",
            "watch=FALSE",
            "watch=%30",
            "Watch=1",
            "nowatch=1",
            "watch=1;a=b",
            "watch=%zz",
            "watch=0&watch=1",
            "fieldSelector=watch%3D1",
            "wat+ch=1",
        ] {
            let read = WatchParameter::read(Some(query));
            assert_eq!(read, WatchParameter::Off, "{query}");
        }
        assert_eq!(WatchParameter::read(None), WatchParameter::Off);
    }

    #[test]
    fn a_plain_watch_needs_no_decoding() {
        for (query, watch) in [
            ("watch=1", WatchParameter::PlainlyOn),
            ("watch", WatchParameter::PlainlyOn),
            ("%77atch=1", WatchParameter::On),
            ("watch=0", WatchParameter::Off),
            ("watch=1;a=b", WatchParameter::Off),
        ] {
            assert_eq!(WatchParameter::read(Some(query)), watch, "{query}");
        }
    }

    #[test]
    fn a_field_selector_names_an_object() {
        for (query, name) in [
            ("fieldSelector=metadata.name=base", Some("base")),
            ("fieldSelector=metadata.name%3D%3Dbase", Some("base")),
            (
                "fieldSelector=metadata.name=two,metadata.name=one",
                Some("one"),
            ),
            ("fieldSelector=a!=b,metadata.name=x&limit=5", Some("x")),
            (r"fieldSelector=metadata.name=a\,b", Some("a,b")),
            ("fieldSelector=metadata.name=", Some("")),
            ("fieldSelector=metadata.name!=base", None),
            ("fieldSelector=metadata.name=a/b", None),
            ("fieldSelector=metadata.name=..", None),
            ("fieldSelector=metadata.name=x,banana", None),
            (r"fieldSelector=metadata.name=x\y", None),
            ("fieldSelector=metadata.name=x=y", None),
            ("fieldSelector=metadata.name=x&limit=y", None),
            ("fieldSelector=metadata.name=x&timeoutSeconds=", None),
            ("labelSelector=metadata.name=x", None),
        ] {
            assert_eq!(selected_name(Some(query)).as_deref(), name, "{query}");
        }
    }
}
