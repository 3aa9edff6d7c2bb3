//! [`UnencodedHash`]: finds lines that may be request lines with a raw `#`. [`CutLines`]: tells whether
//! a request was parsed from such a line, up to the `#`.

use http::Uri;

/// What follows the target in every request line.
const VERSION: &[u8] = b"HTTP/1.";

/// How many bytes before a `#` are compared with a target.
const COMPARED: usize = 256;

/// How many lines are remembered.
const REMEMBERED: usize = 16;

/// Searches a stream, read in pieces of any size, for a line with a `#` and a version after it.
#[derive(Debug)]
pub(super) struct UnencodedHash {
    /// Whether the current line has a `#`.
    in_line: bool,
    /// How many of the last bytes are the start of [`VERSION`].
    matched: usize,
    /// Whether the next byte is the first of a line.
    at_start: bool,
    /// The bytes before the `#`, as far as they are known and compared: from the line break on.
    before: Vec<u8>,
}

/// The lines that were found: what is before their `#`.
#[derive(Debug, Default)]
pub(super) struct CutLines {
    before: Vec<Vec<u8>>,
    /// Whether there are too many to compare.
    any: bool,
}

impl Default for UnencodedHash {
    fn default() -> Self {
        Self {
            in_line: false,
            matched: 0,
            at_start: true,
            before: Vec::new(),
        }
    }
}

impl UnencodedHash {
    /// Reads the next `bytes`, and passes what is before the `#` of each such line to `found`.
    pub(super) fn find(&mut self, bytes: &[u8], mut found: impl FnMut(&[u8])) {
        let mut rest = bytes;
        loop {
            if !self.in_line {
                // Bytes without a `#` are searched fast.
                if !rest.contains(&b'#') {
                    break;
                }
                let hash = rest.iter().position(|byte| *byte == b'#');
                rest = &rest[hash.unwrap_or_default()..];
                self.start_line(&bytes[..bytes.len() - rest.len()]);
            }
            let end = rest.iter().position(|byte| *byte == b'\n');
            let (line, after) = rest.split_at(end.unwrap_or(rest.len()));
            for byte in line {
                self.matched = match VERSION.get(self.matched) {
                    Some(next) if next == byte => self.matched + 1,
                    _ => usize::from(*byte == VERSION[0]),
                };
                if self.matched == VERSION.len() {
                    found(&self.before);
                }
            }
            if end.is_none() {
                break;
            }
            (self.in_line, rest) = (false, after);
        }
        self.at_start = bytes.last().map_or(self.at_start, |last| *last == b'\n');
    }

    /// A `#` follows `before`, the bytes of this read.
    fn start_line(&mut self, before: &[u8]) {
        (self.in_line, self.matched) = (true, 0);
        let line_break = before.iter().rposition(|byte| *byte == b'\n');
        let start = before.len().saturating_sub(COMPARED);
        self.before.clear();
        if line_break.is_none() && start == 0 && self.at_start {
            self.before.push(b'\n');
        }
        let start = line_break.map_or(start, |at| at.max(start));
        self.before.extend_from_slice(&before[start..]);
    }
}

impl CutLines {
    /// Remembers the bytes before the `#` of a line.
    pub(super) fn add(&mut self, before: &[u8]) {
        if self.before.iter().any(|known| known == before) {
            return;
        }
        self.any |= self.before.len() >= REMEMBERED;
        if !self.any {
            self.before.push(before.to_vec());
        }
    }

    /// Returns whether one of them may be the line of a request that was parsed with this target.
    pub(super) fn may_be_of(&self, target: &Uri) -> bool {
        if self.any || self.before.is_empty() {
            return self.any;
        }
        let is_path = target.scheme().is_none() && target.authority().is_none();
        let Some(path) = target.path_and_query().filter(|_| is_path) else {
            return true;
        };
        let path = path.as_str().as_bytes();
        let ends_with_path = |before: &Vec<u8>| before.ends_with(path) || path.ends_with(before);
        self.before.iter().any(ends_with_path)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_request_line_with_a_hash_is_found_in_any_pieces() {
        for (text, expected) in [
            ("GET /#a HTTP/1.1\r\n", true),
            ("GET /#HHTTP/1.0", true),
            ("x#y\nz\r\nGET /?a#HTTP/HTTP/1.1\n", true),
            ("#HTTP/1.#\n", true),
            ("# comment\nGET /a HTTP/1.1\r\n", false),
            ("GET /a HTTP/1.1 #\r\nA: #\r\n", false),
            ("#HTTP/\n1.1", false),
            ("", false),
        ] {
            for size in [1, 2, 3, 1000] {
                let mut hash = UnencodedHash::default();
                let mut found = false;
                for piece in text.as_bytes().chunks(size) {
                    hash.find(piece, |_| found = true);
                }
                assert_eq!(found, expected, "{text:?} {size}");
            }
        }
    }

    #[test]
    fn only_the_request_whose_target_ends_at_the_hash_may_be_cut() {
        let long = format!("/{}", "a".repeat(2 * COMPARED));
        for (text, target, expected) in [
            ("0\r\n\r\nDELETE /a/#b HTTP/1.1\r\n", "/a/", true),
            ("helloGET /a?b#c HTTP/1.1\r\n", "/a?b", true),
            ("GET /# HTTP/1.1\r\n", "/", true),
            ("GET http://h/a#b HTTP/1.1\r\n", "http://h/a", true),
            (&format!("x\nGET {long}#b HTTP/1.1\r\n"), &long, true),
            ("# see HTTP/1.1\r\n", "/a", false),
            ("a\n# see HTTP/1.1\n", "/a", false),
            ("5\r\nsee /b#c HTTP/1.1\r\n0\r\n\r\n", "/a", false),
            ("DELETE /a/b#c HTTP/1.1\r\n", "/a/", false),
        ] {
            let target: Uri = target.parse().unwrap();
            for size in [1, 7, 1000] {
                let (mut hash, mut lines) = (UnencodedHash::default(), CutLines::default());
                for piece in text.as_bytes().chunks(size) {
                    hash.find(piece, |before| lines.add(before));
                }
                let may_be = lines.may_be_of(&target);
                // In small pieces, less is known of the line.
                assert!(
                    may_be == expected || may_be && size < 1000,
                    "{text:?} {size}"
                );
            }
        }
    }

    #[test]
    fn too_many_lines_to_remember_may_be_of_any_request() {
        let (mut lines, target) = (CutLines::default(), Uri::from_static("/a"));
        for number in 0..=REMEMBERED {
            assert!(!lines.may_be_of(&target));
            lines.add(format!("\n{number}").as_bytes());
            lines.add(b"\n0");
        }
        assert!(lines.may_be_of(&target));
    }
}
