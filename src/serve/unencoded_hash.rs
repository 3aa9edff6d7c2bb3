//! [`UnencodedHash`]: finds lines that may be request lines with a raw `#`.

/// What follows the target in every request line.
const VERSION: &[u8] = b"HTTP/1.";

/// Searches a stream, read in pieces of any size, for a line with a `#` and a version after it.
#[derive(Debug, Default)]
pub(super) struct UnencodedHash {
    /// Whether the current line has a `#`.
    in_line: bool,
    /// How many of the last bytes are the start of [`VERSION`].
    matched: usize,
}

impl UnencodedHash {
    /// Reads the next `bytes`. Returns whether such a line was found in them.
    pub(super) fn find(&mut self, mut bytes: &[u8]) -> bool {
        let mut found = false;
        loop {
            if !self.in_line {
                // Bytes without a `#` are searched fast.
                if !bytes.contains(&b'#') {
                    return found;
                }
                let hash = bytes.iter().position(|byte| *byte == b'#');
                bytes = &bytes[hash.unwrap_or_default()..];
                (self.in_line, self.matched) = (true, 0);
            }
            let end = bytes.iter().position(|byte| *byte == b'\n');
            let (line, rest) = bytes.split_at(end.unwrap_or(bytes.len()));
            for byte in line {
                self.matched = match VERSION.get(self.matched) {
                    Some(next) if next == byte => self.matched + 1,
                    _ => usize::from(*byte == VERSION[0]),
                };
                found |= self.matched == VERSION.len();
            }
            if end.is_none() {
                return found;
            }
            (self.in_line, bytes) = (false, rest);
        }
    }
}

#[cfg(test)]
mod tests {
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
                let pieces = text.as_bytes().chunks(size);
                let found = pieces.filter(|piece| hash.find(piece)).count() > 0;
                assert_eq!(found, expected, "{text:?} {size}");
            }
        }
    }
}
