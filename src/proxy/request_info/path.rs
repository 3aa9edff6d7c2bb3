//! The path of a request, decoded, in every reading that a server may give it.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

/// A path that different servers read differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AmbiguousPath {
    /// `*`, or an authority where a path belongs.
    #[error("the path must begin with /")]
    NoPath,
    /// A percent sign without two hexadecimal digits.
    #[error("the path has a % that two hexadecimal digits do not follow")]
    Escape,
    /// A control character, such as `%00` or `%0d%0a`.
    #[error("the path has an encoded control character")]
    Control,
    /// A backslash, which some servers take for a slash.
    #[error("the path has a backslash")]
    Backslash,
    /// An overlong form, such as `%c0%af`, which lax decoders take for ASCII.
    #[error("the path has an overlong UTF-8 sequence")]
    Overlong,
    /// A `..` segment, in whatever spelling.
    #[error("the path has a .. segment; send it resolved")]
    DotDot,
}

/// A decoded path, and the paths that other servers make of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct DecodedPath<'a> {
    /// The path as API servers read it. They keep empty and `.` segments.
    pub(super) text: Cow<'a, str>,
    /// The other readings, of which an ordinary path has none: the path with `//` and `/./` collapsed,
    /// as a proxy in front of an API server may forward it, and the path without `namespaces//`,
    /// which API servers themselves take for all namespaces.
    pub(super) others: Vec<String>,
}

/// Decodes a raw path once, as the API server does (Go's `URL.Path`, in which `%2F` is a
/// slash like any other), so that `%252e` is the text `%2e` and no dot.
///
/// Bytes that are not UTF-8 become U+FFFD: the path behind a service's proxy may hold any, and
/// none of them is part of a name that the guard looks for.
///
/// # Errors
/// The path can be read in two ways. `..` is always refused: resolved or taken literally,
/// it leads to different places, and no client of an API server needs it.
pub(super) fn decode(raw: &str) -> Result<DecodedPath<'_>, AmbiguousPath> {
    if !raw.starts_with('/') {
        return Err(AmbiguousPath::NoPath);
    }
    if has_one_reading(raw) {
        return Ok(DecodedPath {
            text: Cow::Borrowed(raw),
            others: Vec::new(),
        });
    }
    let text = percent_decode(raw)?;
    for byte in text.bytes() {
        match byte {
            0..0x20 | 0x7f => return Err(AmbiguousPath::Control),
            b'\\' => return Err(AmbiguousPath::Backslash),
            _ => {}
        }
    }
    if text.split('/').any(|segment| segment == "..") {
        return Err(AmbiguousPath::DotDot);
    }
    let collapsed = collapse(&text);
    let across = collapsed.as_ref().and_then(|_| across_namespaces(&text));
    let others = collapsed.into_iter().chain(across).collect();
    Ok(DecodedPath { text, others })
}

/// Whether the path is what it decodes to, and has neither empty segments nor ones that begin with
/// a dot. Nearly all paths are so, and one pass over their bytes tells it.
pub(in crate::proxy) fn has_one_reading(raw: &str) -> bool {
    let mut previous = 0;
    raw.bytes().all(|byte| {
        let plain = match byte {
            b'%' | b'\\' | 0..0x20 | 0x7f => false,
            b'/' | b'.' => previous != b'/',
            _ => true,
        };
        previous = byte;
        plain
    })
}

fn percent_decode(raw: &str) -> Result<Cow<'_, str>, AmbiguousPath> {
    if !raw.contains('%') {
        return Ok(Cow::Borrowed(raw));
    }
    if !has_valid_escapes(raw) {
        return Err(AmbiguousPath::Escape);
    }
    let bytes: Vec<u8> = percent_decode_str(raw).collect();
    match String::from_utf8(bytes) {
        Ok(text) => Ok(Cow::Owned(text)),
        Err(error) if is_overlong(error.as_bytes()) => Err(AmbiguousPath::Overlong),
        Err(error) => Ok(Cow::Owned(
            String::from_utf8_lossy(error.as_bytes()).into_owned(),
        )),
    }
}

/// Whether two hexadecimal digits follow each percent sign.
pub(super) fn has_valid_escapes(text: &str) -> bool {
    text.split('%').skip(1).all(|rest| {
        let digits = rest.as_bytes().get(..2);
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    })
}

/// Whether bytes that are not UTF-8 hold a longer form of a shorter character, which RFC 3629
/// section 3 forbids.
fn is_overlong(bytes: &[u8]) -> bool {
    bytes.windows(2).any(|pair| {
        matches!(
            pair,
            [0xC0 | 0xC1, _] | [0xE0, 0x80..0xA0] | [0xF0, 0x80..0x90]
        )
    })
}

/// Removes empty and `.` segments; `None` where there are none.
fn collapse(path: &str) -> Option<String> {
    let is_removed = |segment: &str| segment.is_empty() || segment == ".";
    let inner = path.strip_prefix('/').unwrap_or(path);
    let inner = inner.strip_suffix('/').unwrap_or(inner);
    if path == "/" || !inner.split('/').any(is_removed) {
        return None;
    }
    let mut collapsed = String::with_capacity(path.len());
    for segment in inner.split('/').filter(|segment| !is_removed(segment)) {
        collapsed.push('/');
        collapsed.push_str(segment);
    }
    if collapsed.is_empty() || path.ends_with('/') || path.ends_with("/.") {
        collapsed.push('/');
    }
    Some(collapsed)
}

/// Removes `namespaces//`. The slashes that follow are kept: they shift the meaning of the rest.
fn across_namespaces(path: &str) -> Option<String> {
    const EMPTY_NAMESPACE: &str = "/namespaces//";
    path.contains(EMPTY_NAMESPACE)
        .then(|| path.replace(EMPTY_NAMESPACE, "/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn readings(raw: &str) -> Vec<String> {
        let DecodedPath { text, others } = decode(raw).expect(raw);
        std::iter::once(text.into_owned()).chain(others).collect()
    }

    #[test]
    fn a_clean_path_is_borrowed_and_has_one_reading() {
        for raw in [
            "/",
            "/api/v1/pods",
            "/api/",
            "/a..b/..c/d../...",
            "/a;b=c/{x}/\u{e9}",
        ] {
            let path = decode(raw).expect(raw);
            assert!(matches!(path.text, Cow::Borrowed(_)), "{raw}");
            assert_eq!(readings(raw), [raw]);
        }
    }

    #[test]
    fn a_path_is_decoded_once() {
        for (raw, decoded) in [
            ("/%65xec", "/exec"),
            ("/x%2Fexec", "/x/exec"),
            ("/x%2fexec", "/x/exec"),
            ("/%252e%252e/", "/%2e%2e/"),
            ("/%25", "/%"),
            ("/a%20b", "/a b"),
            ("/%C3%A9", "/\u{e9}"),
            ("/caf%E9", "/caf\u{fffd}"),
            ("/%3Fx%23", "/?x#"),
        ] {
            assert_eq!(readings(raw), [decoded], "{raw}");
        }
    }

    #[test]
    fn empty_and_dot_segments_give_a_second_reading() {
        for (raw, collapsed) in [
            ("//api", "/api"),
            ("/api//v1", "/api/v1"),
            ("/api/./v1", "/api/v1"),
            ("/api/%2e/v1", "/api/v1"),
            ("/api/%2Fv1", "/api/v1"),
            ("/api/v1/.", "/api/v1/"),
            ("/api/v1//", "/api/v1/"),
            ("//", "/"),
            ("/.", "/"),
            ("///.//", "/"),
        ] {
            assert_eq!(
                readings(raw).last().map(String::as_str),
                Some(collapsed),
                "{raw}"
            );
            assert_eq!(readings(raw).len(), 2, "{raw}");
        }
    }

    #[test]
    fn a_namespace_without_a_name_is_read_as_all_namespaces() {
        for (raw, all) in [
            ("/api/v1/namespaces//secrets", "/api/v1/secrets"),
            ("/api/v1/namespaces%2F%2Fsecrets/s", "/api/v1/secrets/s"),
            (
                "/apis/apps/v1/watch/namespaces//deployments",
                "/apis/apps/v1/watch/deployments",
            ),
        ] {
            assert_eq!(readings(raw).last().map(String::as_str), Some(all), "{raw}");
            assert_eq!(readings(raw).len(), 3, "{raw}");
        }
    }

    #[test]
    fn a_path_with_two_meanings_is_refused() {
        for (raw, why) in [
            ("*", AmbiguousPath::NoPath),
            ("", AmbiguousPath::NoPath),
            ("/%", AmbiguousPath::Escape),
            ("/%2", AmbiguousPath::Escape),
            ("/%zz", AmbiguousPath::Escape),
            ("/%+1", AmbiguousPath::Escape),
            ("/%%41", AmbiguousPath::Escape),
            ("/%\u{e9}", AmbiguousPath::Escape),
            ("/%00", AmbiguousPath::Control),
            ("/a%0d%0ab", AmbiguousPath::Control),
            ("/%7F", AmbiguousPath::Control),
            ("/a%09", AmbiguousPath::Control),
            ("/a\\b", AmbiguousPath::Backslash),
            ("/a%5cb", AmbiguousPath::Backslash),
            ("/%c0%af", AmbiguousPath::Overlong),
            ("/%e0%80%af", AmbiguousPath::Overlong),
            ("/%f0%80%80%af", AmbiguousPath::Overlong),
            ("/..", AmbiguousPath::DotDot),
            ("/a/../b", AmbiguousPath::DotDot),
            ("/a/%2e%2E/b", AmbiguousPath::DotDot),
            ("/a/.%2e", AmbiguousPath::DotDot),
            ("/a%2F..%2Fb", AmbiguousPath::DotDot),
            ("/a/./../b", AmbiguousPath::DotDot),
        ] {
            assert_eq!(decode(raw), Err(why), "{raw}");
        }
    }
}
