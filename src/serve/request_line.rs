//! [`RequestLine`]: percent-encodes what a client left raw in the target of its request.
//!
//! curl and browsers' address bars send `?query=up{job="a"}>0` as it was typed. A few of these
//! bytes stand in no URI (RFC 3986 section 2), and the `http` crate takes none of them: hyper
//! refuses the request before any code of ours sees it. Go's server takes them, so kubectl proxy
//! does. Here exactly these bytes are encoded and all others stay as they are, before hyper and
//! the guard read the line; so what is judged is what is sent.
//!
//! Spaces and control characters are left for hyper to refuse: they would end the target for
//! another reader (RFC 9112 section 3.2).

/// Reads one request line, in whatever pieces it comes.
#[derive(Debug)]
pub(super) struct RequestLine {
    at: At,
    /// The begin of a character in UTF-8, withheld until the rest of it has come.
    begun: Vec<u8>,
}

/// The part of the line that is read next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// Empty lines, which may come before it (RFC 9112 section 2.2).
    Start,
    Method,
    /// The first byte of the target.
    Target,
    /// An absolute target's scheme and host, up to the third slash.
    Authority(u8),
    Path,
    Query,
    /// The version, and everything behind the line.
    End,
}

/// What becomes of a byte.
#[derive(PartialEq, Eq)]
enum Fate {
    Stays,
    Encoded,
    /// Stays where it is part of a character in UTF-8.
    Unclear,
}

impl RequestLine {
    /// A line of which nothing has been read.
    pub(super) fn new() -> Self {
        Self {
            at: At::Start,
            begun: Vec::new(),
        }
    }

    /// A line that has ended: whatever comes stays as it is.
    pub(super) fn ended() -> Self {
        Self {
            at: At::End,
            begun: Vec::new(),
        }
    }

    /// Whether only empty lines have been read.
    pub(super) fn is_at_start(&self) -> bool {
        self.at == At::Start
    }

    /// Reads `bytes`, the line's next and whatever comes behind it. Returns what they are to be
    /// replaced by, or `None` where they stay as they are. Up to three bytes may be withheld, to
    /// be given with those that come next.
    pub(super) fn read(&mut self, bytes: &[u8]) -> Option<Vec<u8>> {
        let mut replaced = (!self.begun.is_empty()).then(Vec::new);
        for (index, byte) in bytes.iter().enumerate() {
            if self.at == At::End {
                if let Some(replaced) = &mut replaced {
                    replaced.extend_from_slice(&bytes[index..]);
                }
                break;
            }
            let fate = self.step(*byte);
            if fate != Fate::Stays && replaced.is_none() {
                replaced = Some(bytes[..index].to_vec());
            }
            if let Some(replaced) = &mut replaced {
                self.write(*byte, &fate, replaced);
            }
        }
        replaced
    }

    fn step(&mut self, byte: u8) -> Fate {
        let next = match (self.at, byte) {
            (At::Start, b'\r' | b'\n') => At::Start,
            (At::Start | At::Method, b' ') => At::Target,
            (At::End, _) | (_, b'\r' | b'\n' | b' ') => At::End,
            (At::Start | At::Method, _) => At::Method,
            (At::Target | At::Authority(2), b'/') => At::Path,
            (At::Authority(slashes), b'/') => At::Authority(slashes + 1),
            (At::Authority(_) | At::Path, b'?') => At::Query,
            (At::Target, _) => At::Authority(0),
            (at @ At::Authority(_), _) => at,
            (At::Path, _) => return fate(byte, true),
            (At::Query, _) => return fate(byte, false),
        };
        self.at = next;
        Fate::Stays
    }

    /// Writes a byte, behind those that were withheld.
    fn write(&mut self, byte: u8, fate: &Fate, replaced: &mut Vec<u8>) {
        if *fate != Fate::Unclear {
            // A character that is not whole.
            self.begun.drain(..).for_each(|byte| encode(byte, replaced));
            match fate {
                Fate::Encoded => encode(byte, replaced),
                _ => replaced.push(byte),
            }
            return;
        }
        self.begun.push(byte);
        while let Err(error) = std::str::from_utf8(&self.begun) {
            let Some(wrong) = error.error_len() else {
                // The rest is to come.
                return;
            };
            self.begun
                .drain(..wrong)
                .for_each(|byte| encode(byte, replaced));
        }
        replaced.append(&mut self.begun);
    }
}

/// What becomes of a byte of the path or the query: by what `http::Uri` takes there.
fn fate(byte: u8, in_path: bool) -> Fate {
    match byte {
        b'<' | b'>' => Fate::Encoded,
        b'`' if in_path => Fate::Encoded,
        b'"' if !in_path => Fate::Encoded,
        0x80.. => Fate::Unclear,
        _ => Fate::Stays,
    }
}

fn encode(byte: u8, into: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let (high, low) = (byte >> 4, byte & 0x0F);
    into.extend([b'%', DIGITS[usize::from(high)], DIGITS[usize::from(low)]]);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use http::Uri;
    use proptest::prelude::*;

    use super::*;

    /// What becomes of bytes that come in pieces of `size`.
    fn read(bytes: &[u8], size: usize) -> Vec<u8> {
        let mut line = RequestLine::new();
        let pieces = bytes.chunks(size.max(1));
        let read = pieces.map(|piece| line.read(piece).unwrap_or_else(|| piece.to_vec()));
        read.collect::<Vec<_>>().concat()
    }

    #[test]
    fn what_a_uri_has_no_place_for_is_encoded_and_all_else_stays() {
        for (line, becomes) in [
            (
                r#"GET /api?query=up{job="a"}>0 HTTP/1.1"#,
                "GET /api?query=up{job=%22a%22}%3E0 HTTP/1.1",
            ),
            ("GET /a<b>`#\" HTTP/1.1", "GET /a%3Cb%3E%60#\" HTTP/1.1"),
            ("GET /?a<b>`#\\^|{}", "GET /?a%3Cb%3E`#\\^|{}"),
            (
                "GET /a\\b^{|}[]%2f%zz~' HTTP/1.1",
                "GET /a\\b^{|}[]%2f%zz~' HTTP/1.1",
            ),
            ("GET /?a?\"/\"", "GET /?a?%22/%22"),
            (
                "\r\n\n\r\nGET /\"?\" HTTP/1.1",
                "\r\n\n\r\nGET /\"?%22 HTTP/1.1",
            ),
            ("\" <\" \">\"", "\" <\" \">\""),
            ("GET /\u{e9}?\u{e9} HTTP", "GET /\u{e9}?\u{e9} HTTP"),
            (
                "GET http://a<b\"/c<?\" HTTP",
                "GET http://a<b\"/c%3C?%22 HTTP",
            ),
            ("GET http://a?<\" HTTP", "GET http://a?%3C%22 HTTP"),
            ("OPTIONS * HTTP/1.1\r\n<>", "OPTIONS * HTTP/1.1\r\n<>"),
            (
                "GET /< HTTP/1.1\r\nA: /<\"\r\n\r\n/<",
                "GET /%3C HTTP/1.1\r\nA: /<\"\r\n\r\n/<",
            ),
            ("GET /<\nA: /<", "GET /%3C\nA: /<"),
            ("GET /< <", "GET /%3C <"),
            ("GET\r\n/<", "GET\r\n/<"),
        ] {
            for size in [1, 2, 3, 7, 1000] {
                let got = read(line.as_bytes(), size);
                assert_eq!(String::from_utf8_lossy(&got), becomes, "{size}");
            }
        }
    }

    #[test]
    fn bytes_that_are_no_utf_8_are_encoded_and_their_neighbours_stay() {
        for (target, becomes) in [
            (&b"/caf\xe9"[..], &b"/caf%E9"[..]),
            (b"/?\xff\xfe", b"/?%FF%FE"),
            (b"/\xc3\xa9\xe9\xc3\xa9", b"/\xc3\xa9%E9\xc3\xa9"),
            (b"/\xc3\xc3\xa9", b"/%C3\xc3\xa9"),
            (b"/\xe2\x82x\xe2\x82\xac", b"/%E2%82x\xe2\x82\xac"),
            (
                b"/\xf0\x9f\x98\x80\xf0\x9f\x98",
                b"/\xf0\x9f\x98\x80%F0%9F%98",
            ),
            (b"/\xc0\xaf\xed\xa0\x80", b"/%C0%AF%ED%A0%80"),
            (b"/\xe2\x82<\xe2", b"/%E2%82%3C%E2"),
        ] {
            let line = [b"GET ", target, b" HTTP/1.1\r\n\xff: \xff"].concat();
            let becomes = [b"GET ", becomes, b" HTTP/1.1\r\n\xff: \xff"].concat();
            for size in [1, 2, 3, 1000] {
                assert_eq!(read(&line, size), becomes, "{size} {target:?}");
            }
        }
    }

    #[test]
    fn a_line_with_nothing_to_encode_is_not_copied() {
        let mut line = RequestLine::new();
        assert_eq!(
            line.read(b"\r\nGET /api/v1/pods?watch=1&a=%22 HTTP/1.1\r\nA: <"),
            None
        );
        assert_eq!(line.read(b"/<"), None);
        assert_eq!(RequestLine::ended().read(b"GET /<"), None);
    }

    proptest! {
        /// A target without spaces and control characters is one that `http::Uri` takes whole,
        /// and each byte of it is what it was or is encoded because it would not be taken.
        #[test]
        fn any_target_becomes_one_that_is_taken(
            rest in proptest::collection::vec((0x21_u8..=0xff).prop_filter("no fragment", |b| !b"\x7f#".contains(b)), 0..60),
            size in 1_usize..9,
        ) {
            let line = [b"GET /", &rest[..], b" HTTP/1.1\r\n"].concat();
            let got = read(&line, size);
            let target = got.strip_prefix(b"GET ").unwrap().strip_suffix(b" HTTP/1.1\r\n").unwrap();
            let uri = Uri::try_from(target).unwrap();
            let taken = uri.to_string();
            prop_assert_eq!(taken.as_bytes(), target);
            let mut left = target.iter().copied();
            prop_assert_eq!(left.next(), Some(b'/'));
            let mut query = false;
            for (index, byte) in rest.iter().enumerate() {
                let got = left.next();
                if got == Some(*byte) {
                    query |= *byte == b'?';
                    continue;
                }
                prop_assert_eq!(got, Some(b'%'));
                let digits = [left.next().unwrap(), left.next().unwrap()];
                prop_assert_eq!(std::str::from_utf8(&digits).unwrap(), format!("{byte:02X}"));
                let alone = if query { [b"/?", &[*byte][..]].concat() } else { vec![b'/', *byte] };
                let taken = Uri::try_from(&alone[..]).is_ok_and(|uri| uri.to_string().as_bytes() == alone);
                prop_assert!(!taken, "{} {}", index, byte);
            }
            prop_assert_eq!(left.next(), None);
        }

        #[test]
        fn pieces_do_not_matter(bytes in proptest::collection::vec(any::<u8>(), 0..80), size in 1_usize..9) {
            let line = [b"GET /", &bytes[..], b" HTTP/1.1\r\n"].concat();
            prop_assert_eq!(read(&line, size), read(&line, 1000));
        }
    }
}
