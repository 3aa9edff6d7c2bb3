//! The path as it is judged: decoded and normalised. What is forwarded stays raw.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

/// A path that different servers read differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Ambiguous {
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

/// A path in every reading that a server may give it.
#[derive(Debug, PartialEq, Eq)]
pub struct NormalPath<'a> {
    decoded: Cow<'a, str>,
    /// Without empty and `.` segments, if there were any.
    collapsed: Option<String>,
    /// Without `namespaces/` where the namespace's name is empty.
    across: Option<String>,
}

impl NormalPath<'_> {
    /// The decoded path and, where they differ, the one with `//` and `/./` collapsed, and the one
    /// across namespaces. API servers take such segments as they are; a proxy in front of one
    /// may not. `namespaces//secrets` they take for the secrets of all namespaces.
    pub fn readings(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.decoded.as_ref())
            .chain(self.collapsed.as_deref())
            .chain(self.across.as_deref())
    }
}

/// Decodes a raw path once, as the API server does (Go's `URL.Path`, in which `%2F` is a
/// slash like any other), so `%252e` is the text `%2e` and no dot.
///
/// Bytes that are not UTF-8 are judged as U+FFFD: the path behind a service's proxy may
/// hold any, and none of them is part of a name that the guard looks for.
///
/// # Errors
/// The path can be read in two ways. `..` is always refused: resolved or taken literally,
/// it leads to different places, and no client of an API server needs it.
pub fn normalise(raw: &str) -> Result<NormalPath<'_>, Ambiguous> {
    if !raw.starts_with('/') {
        return Err(Ambiguous::NoPath);
    }
    let decoded = decode(raw)?;
    for byte in decoded.bytes() {
        match byte {
            0..0x20 | 0x7f => return Err(Ambiguous::Control),
            b'\\' => return Err(Ambiguous::Backslash),
            _ => {}
        }
    }
    if decoded.split('/').any(|segment| segment == "..") {
        return Err(Ambiguous::DotDot);
    }
    let collapsed = collapse(&decoded);
    let across = collapsed.as_ref().and_then(|_| across(&decoded));
    Ok(NormalPath {
        decoded,
        collapsed,
        across,
    })
}

fn decode(raw: &str) -> Result<Cow<'_, str>, Ambiguous> {
    if !raw.contains('%') {
        return Ok(Cow::Borrowed(raw));
    }
    let is_escape = |rest: &str| {
        rest.as_bytes()
            .get(..2)
            .is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit))
    };
    if !raw.split('%').skip(1).all(is_escape) {
        return Err(Ambiguous::Escape);
    }
    let bytes: Vec<u8> = percent_decode_str(raw).collect();
    match String::from_utf8(bytes) {
        Ok(text) => Ok(Cow::Owned(text)),
        Err(error) if is_overlong(error.as_bytes()) => Err(Ambiguous::Overlong),
        Err(error) => Ok(Cow::Owned(
            String::from_utf8_lossy(error.as_bytes()).into_owned(),
        )),
    }
}

/// Longer spellings of a shorter character (RFC 3629 section 3 forbids them). Asked only
/// of bytes that are not UTF-8.
fn is_overlong(bytes: &[u8]) -> bool {
    bytes.windows(2).any(|pair| {
        matches!(
            pair,
            [0xC0 | 0xC1, _] | [0xE0, 0x80..0xA0] | [0xF0, 0x80..0x90]
        )
    })
}

/// Takes `//` and `/./` out; `None` where there is nothing to take.
fn collapse(path: &str) -> Option<String> {
    let idle = |segment: &str| segment.is_empty() || segment == ".";
    let inner = path.strip_prefix('/').unwrap_or(path);
    let inner = inner.strip_suffix('/').unwrap_or(inner);
    if path == "/" || !inner.split('/').any(idle) {
        return None;
    }
    let mut collapsed = String::with_capacity(path.len());
    for segment in inner.split('/').filter(|segment| !idle(segment)) {
        collapsed.push('/');
        collapsed.push_str(segment);
    }
    if collapsed.is_empty() || path.ends_with('/') || path.ends_with("/.") {
        collapsed.push('/');
    }
    Some(collapsed)
}

/// Takes `namespaces//` out. Slashes behind are kept: they shift what follows, or end the path.
fn across(path: &str) -> Option<String> {
    const NOWHERE: &str = "/namespaces//";
    path.contains(NOWHERE).then(|| path.replace(NOWHERE, "/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn readings(raw: &str) -> Vec<String> {
        normalise(raw)
            .expect(raw)
            .readings()
            .map(String::from)
            .collect()
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
            let path = normalise(raw).expect(raw);
            assert!(matches!(path.decoded, Cow::Borrowed(_)), "{raw}");
            assert_eq!(path.readings().collect::<Vec<_>>(), [raw]);
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
    fn idle_segments_give_a_second_reading() {
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
            ("*", Ambiguous::NoPath),
            ("", Ambiguous::NoPath),
            ("/%", Ambiguous::Escape),
            ("/%2", Ambiguous::Escape),
            ("/%zz", Ambiguous::Escape),
            ("/%+1", Ambiguous::Escape),
            ("/%%41", Ambiguous::Escape),
            ("/%\u{e9}", Ambiguous::Escape),
            ("/%00", Ambiguous::Control),
            ("/a%0d%0ab", Ambiguous::Control),
            ("/%7F", Ambiguous::Control),
            ("/a%09", Ambiguous::Control),
            ("/a\\b", Ambiguous::Backslash),
            ("/a%5cb", Ambiguous::Backslash),
            ("/%c0%af", Ambiguous::Overlong),
            ("/%e0%80%af", Ambiguous::Overlong),
            ("/%f0%80%80%af", Ambiguous::Overlong),
            ("/..", Ambiguous::DotDot),
            ("/a/../b", Ambiguous::DotDot),
            ("/a/%2e%2E/b", Ambiguous::DotDot),
            ("/a/.%2e", Ambiguous::DotDot),
            ("/a%2F..%2Fb", Ambiguous::DotDot),
            ("/a/./../b", Ambiguous::DotDot),
        ] {
            assert_eq!(normalise(raw), Err(why), "{raw}");
        }
    }
}
