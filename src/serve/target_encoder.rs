//! [`TargetEncoder`]: percent-encodes the bytes of a request target that no URI may contain.
//!
//! curl and the address bars of browsers send `?query=up{job="a"}>0` as it was typed. Some of these
//! bytes are not allowed in a URI (RFC 3986 section 2), and the `http` crate rejects them, so hyper
//! refuses the request before a layer sees it. Go's server, and so kubectl proxy, accepts them.
//! Exactly the rejected bytes are encoded, before hyper and the guard read the target. The API server
//! therefore gets the target that the guard checked.
//!
//! A `#` is encoded too. The `http` crate takes it for the start of a fragment and drops the rest of
//! the target, so that `DELETE /configmaps/#a` would delete the whole collection. A request target has
//! no fragment (RFC 9112 section 3.2), and kubectl proxy sends `%23`. Before the path, where Go refuses
//! a `#`, the `http` crate refuses the `%23`.
//!
//! Spaces and control characters are left for hyper to refuse: another parser could take them for the
//! end of the target (RFC 9112 section 3.2).

/// Reads one request line in pieces of any size.
#[derive(Debug)]
pub(super) struct TargetEncoder {
    part: Part,
    /// The first bytes of a UTF-8 character, withheld until the rest of it is read.
    partial_char: Vec<u8>,
    /// Whether a `#` came before the path.
    hash_before_path: bool,
}

/// The part of the request line that is read next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// Empty lines, which may precede the request line (RFC 9112 section 2.2).
    Start,
    Method,
    /// The first byte of the target.
    Target,
    /// An absolute target's scheme and host, up to the third slash.
    Authority(u8),
    Path,
    Query,
    /// The version, and everything after the request line.
    End,
}

/// Whether a byte is encoded.
#[derive(PartialEq, Eq)]
enum Encoding {
    Keep,
    Encode,
    /// Kept as part of a UTF-8 character, encoded otherwise.
    KeepInUtf8,
}

impl TargetEncoder {
    /// Creates an encoder at the start of a request line.
    pub(super) fn new() -> Self {
        Self {
            part: Part::Start,
            partial_char: Vec::new(),
            hash_before_path: false,
        }
    }

    /// Creates an encoder behind a request line, which changes nothing.
    pub(super) fn finished() -> Self {
        Self {
            part: Part::End,
            ..Self::new()
        }
    }

    /// Returns whether only empty lines have been read.
    pub(super) fn is_at_start(&self) -> bool {
        self.part == Part::Start
    }

    /// Returns whether the target has a `#` before its path, which makes it invalid.
    pub(super) fn has_hash_before_path(&self) -> bool {
        self.hash_before_path
    }

    /// Reads the next `bytes` of the request line and whatever follows it. Returns the bytes that
    /// replace them, or `None` if they are unchanged. Up to three bytes may be withheld, which are
    /// returned by the next call.
    pub(super) fn encode(&mut self, bytes: &[u8]) -> Option<Vec<u8>> {
        let mut replaced = (!self.partial_char.is_empty()).then(Vec::new);
        let mut index = 0;
        while let Some(byte) = bytes.get(index) {
            let plain = self.count_plain(&bytes[index..]);
            if plain > 0 {
                if let Some(replaced) = &mut replaced {
                    replaced.extend_from_slice(&bytes[index..index + plain]);
                }
                index += plain;
                continue;
            }
            let encoding = self.step(*byte);
            if encoding != Encoding::Keep && replaced.is_none() {
                replaced = Some(bytes[..index].to_vec());
            }
            if let Some(replaced) = &mut replaced {
                self.write(*byte, &encoding, replaced);
            }
            index += 1;
        }
        replaced
    }

    /// Returns how many bytes at the start are kept and leave the part as it is. They are most of a
    /// target and everything after it.
    fn count_plain(&self, bytes: &[u8]) -> usize {
        match self.part {
            Part::End => bytes.len(),
            // Withheld bytes are written before the next one.
            Part::Path | Part::Query if self.partial_char.is_empty() => {
                let special = bytes.iter().position(|byte| is_special(*byte));
                special.unwrap_or(bytes.len())
            }
            _ => 0,
        }
    }

    fn step(&mut self, byte: u8) -> Encoding {
        let next = match (self.part, byte) {
            (Part::Start, b'\r' | b'\n') => Part::Start,
            (Part::Start | Part::Method, b' ') => Part::Target,
            (Part::End, _) | (_, b'\r' | b'\n' | b' ') => Part::End,
            (Part::Start | Part::Method, _) => Part::Method,
            (Part::Target | Part::Authority(2), b'/') => Part::Path,
            (Part::Authority(slashes), b'/') => Part::Authority(slashes + 1),
            (Part::Authority(_) | Part::Path, b'?') => Part::Query,
            (Part::Target | Part::Authority(_), b'#') => {
                self.hash_before_path = true;
                if self.part == Part::Target {
                    self.part = Part::Authority(0);
                }
                return Encoding::Encode;
            }
            (Part::Target, _) => Part::Authority(0),
            (part @ Part::Authority(_), _) => part,
            (Part::Path, _) => return encoding(byte, true),
            (Part::Query, _) => return encoding(byte, false),
        };
        self.part = next;
        Encoding::Keep
    }

    /// Appends a byte to `replaced`, after the withheld bytes.
    fn write(&mut self, byte: u8, encoding: &Encoding, replaced: &mut Vec<u8>) {
        if *encoding != Encoding::KeepInUtf8 {
            // The withheld bytes are an incomplete character.
            self.partial_char
                .drain(..)
                .for_each(|byte| percent_encode(byte, replaced));
            match encoding {
                Encoding::Encode => percent_encode(byte, replaced),
                _ => replaced.push(byte),
            }
            return;
        }
        self.partial_char.push(byte);
        while let Err(error) = std::str::from_utf8(&self.partial_char) {
            let Some(invalid) = error.error_len() else {
                // The character may be completed by the next bytes.
                return;
            };
            self.partial_char
                .drain(..invalid)
                .for_each(|byte| percent_encode(byte, replaced));
        }
        replaced.append(&mut self.partial_char);
    }
}

/// Whether a byte may be encoded in a path or a query, or may end it.
fn is_special(byte: u8) -> bool {
    matches!(
        byte,
        b'\r' | b'\n' | b' ' | b'?' | b'<' | b'>' | b'#' | b'`' | b'"' | 0x80..
    )
}

/// Returns whether `http::Uri` accepts and keeps a byte in the path or the query.
fn encoding(byte: u8, in_path: bool) -> Encoding {
    match byte {
        b'<' | b'>' | b'#' => Encoding::Encode,
        b'`' if in_path => Encoding::Encode,
        b'"' if !in_path => Encoding::Encode,
        0x80.. => Encoding::KeepInUtf8,
        _ => Encoding::Keep,
    }
}

fn percent_encode(byte: u8, into: &mut Vec<u8>) {
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

    /// Returns `bytes` as they are encoded in pieces of `size`.
    fn encoded(bytes: &[u8], size: usize) -> Vec<u8> {
        let mut line = TargetEncoder::new();
        let pieces = bytes.chunks(size.max(1));
        let encoded = pieces.map(|piece| line.encode(piece).unwrap_or_else(|| piece.to_vec()));
        encoded.collect::<Vec<_>>().concat()
    }

    #[test]
    fn only_bytes_that_no_uri_may_contain_are_encoded() {
        for (line, becomes) in [
            (
                r#"GET /api?query=up{job="a"}>0 HTTP/1.1"#,
                "GET /api?query=up{job=%22a%22}%3E0 HTTP/1.1",
            ),
            ("GET /a<b>`#\" HTTP/1.1", "GET /a%3Cb%3E%60%23\" HTTP/1.1"),
            ("GET /?a<b>`#\\^|{}", "GET /?a%3Cb%3E`%23\\^|{}"),
            ("DELETE /a/#b HTTP/1.1", "DELETE /a/%23b HTTP/1.1"),
            ("GET /#?#&##/? HTTP/1.1", "GET /%23?%23&%23%23/? HTTP/1.1"),
            ("GET http://a/b#c?d#e HTTP", "GET http://a/b%23c?d%23e HTTP"),
            ("GET http://a?b#c HTTP", "GET http://a?b%23c HTTP"),
            (
                "GET /a HTTP/1.1\r\nA: #\r\n\r\n#",
                "GET /a HTTP/1.1\r\nA: #\r\n\r\n#",
            ),
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
                let got = encoded(line.as_bytes(), size);
                assert_eq!(String::from_utf8_lossy(&got), becomes, "{size}");
            }
        }
    }

    #[test]
    fn a_hash_before_the_path_makes_the_target_invalid() {
        for target in [
            "#",
            "#a",
            "#/a",
            "*#",
            "a#b",
            "http:#",
            "http:/#a",
            "http://#",
            "http://#/a",
            "http://a#",
            "http://a#b",
            "http://a#/b",
            "http://a#?b",
            "http://a:80#b",
            "http://a:#80/b",
        ] {
            let mut line = TargetEncoder::new();
            let line_bytes = format!("GET {target} HTTP/1.1\r\n");
            let got = line.encode(line_bytes.as_bytes()).unwrap();
            assert!(line.has_hash_before_path(), "{target}");
            let got = got.strip_prefix(b"GET ").unwrap();
            let got = got.strip_suffix(b" HTTP/1.1\r\n").unwrap();
            assert!(Uri::try_from(got).is_err(), "{target}");
        }
        for target in ["/#", "/?#", "http://a/#", "http://a?#"] {
            let mut line = TargetEncoder::new();
            line.encode(format!("GET {target} HTTP/1.1\r\n").as_bytes());
            assert!(!line.has_hash_before_path(), "{target}");
        }
    }

    #[test]
    fn bytes_that_are_not_utf_8_are_encoded() {
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
                assert_eq!(encoded(&line, size), becomes, "{size} {target:?}");
            }
        }
    }

    #[test]
    fn a_line_with_nothing_to_encode_is_not_copied() {
        let mut line = TargetEncoder::new();
        assert_eq!(
            line.encode(b"\r\nGET /api/v1/pods?watch=1&a=%22 HTTP/1.1\r\nA: <"),
            None
        );
        assert_eq!(line.encode(b"/<"), None);
        assert_eq!(TargetEncoder::finished().encode(b"GET /<"), None);
    }

    proptest! {
        /// `http::Uri` accepts every encoded target that has no spaces or control characters, and
        /// each byte that was encoded is one that it rejects or drops.
        #[test]
        fn any_target_becomes_one_that_is_accepted(
            rest in proptest::collection::vec((0x21_u8..=0xff).prop_filter("a control character", |b| *b != 0x7f), 0..60),
            size in 1_usize..9,
        ) {
            let line = [b"GET /", &rest[..], b" HTTP/1.1\r\n"].concat();
            let got = encoded(&line, size);
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
        fn the_size_of_pieces_does_not_matter(bytes in proptest::collection::vec(any::<u8>(), 0..80), size in 1_usize..9) {
            let line = [b"GET /", &bytes[..], b" HTTP/1.1\r\n"].concat();
            prop_assert_eq!(encoded(&line, size), encoded(&line, 1000));
        }
    }
}
