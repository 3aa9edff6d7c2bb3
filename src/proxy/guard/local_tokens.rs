//! [`LocalTokens`]: tokens by which clients prove to this proxy that they may use it.
//!
//! A token is known by its SHA-256 hash alone.

use std::{collections::HashMap, fmt, sync::Arc};

use aws_lc_rs::constant_time::verify_slices_are_equal;

use super::secret_hash::{Hash, hash};
use crate::printable::printable;

/// What begins the hash of a token in the file.
const HASH: &str = "sha256:";
/// The shortest token, in characters. A shorter one could be guessed.
const MIN_LENGTH: usize = 16;

/// The tokens of `--require-token-file`: the clients' names by the hashes of their tokens. How long it takes
/// to find a hash says nothing of a token, since nobody can choose a token by its hash.
#[derive(Default, PartialEq, Eq)]
pub struct LocalTokens {
    clients: HashMap<Hash, Arc<str>>,
    are_in_words: bool,
}

/// Shows the names alone.
impl fmt::Debug for LocalTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut clients: Vec<_> = self.clients.values().collect();
        clients.sort();
        f.debug_tuple("LocalTokens").field(&clients).finish()
    }
}

/// A line of the file that cannot be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}; write `NAME TOKEN` or `NAME sha256:HEX`")]
pub struct BadLine {
    line: usize,
    problem: &'static str,
}

impl LocalTokens {
    /// Parses lines of a name and a token, or the SHA-256 hash of one in hexadecimal digits. Empty
    /// lines and those that begin with `#` are skipped. A name may have several tokens.
    ///
    /// # Errors
    /// A line of another form, by its number.
    pub fn parse(text: &str) -> Result<Self, BadLine> {
        let mut clients = HashMap::new();
        let mut are_in_words = false;
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            are_in_words |= !line.contains(HASH);
            let read = read(line).and_then(|(client, hash)| {
                let earlier = clients.insert(hash, client);
                earlier.map_or(Ok(()), |_| Err("the token stands on an earlier line too"))
            });
            read.map_err(|problem| BadLine {
                line: index + 1,
                problem,
            })?;
        }
        Ok(Self {
            clients,
            are_in_words,
        })
    }

    /// Whether the file has a token itself, and not only hashes.
    #[must_use]
    pub fn are_in_words(&self) -> bool {
        self.are_in_words
    }

    /// How many tokens there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.clients.len()
    }

    /// Whether no token is accepted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.clients.is_empty()
    }

    /// Returns the name of the client whose token has this hash.
    pub(super) fn client(&self, hash: &Hash) -> Option<&Arc<str>> {
        let (found, client) = self.clients.get_key_value(hash)?;
        let is_same = verify_slices_are_equal(found, hash).is_ok();
        is_same.then_some(client)
    }
}

/// Reads a line: the name of a client and the hash of its token.
fn read(line: &str) -> Result<(Arc<str>, Hash), &'static str> {
    let mut words = line.split_ascii_whitespace();
    let (Some(client), Some(token), None) = (words.next(), words.next(), words.next()) else {
        return Err("not a name and a token");
    };
    if printable(client) != client {
        return Err("the name has a character that cannot be shown");
    }
    let hash = match token.strip_prefix(HASH) {
        Some(digits) => hash_of_digits(digits).ok_or("not 64 hexadecimal digits")?,
        None => hash_of_token(token)?,
    };
    Ok((client.into(), hash))
}

fn hash_of_token(token: &str) -> Result<Hash, &'static str> {
    if token.len() < MIN_LENGTH {
        return Err("the token has fewer than 16 characters and could be guessed");
    }
    // RFC 6750, section 2.1. Clients cannot send others.
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
    if !token.bytes().all(is_allowed) {
        return Err("the token has a character that no bearer token may have");
    }
    Ok(hash(token.as_bytes()))
}

fn hash_of_digits(digits: &str) -> Option<Hash> {
    let mut hash = Hash::default();
    if digits.len() != 2 * hash.len() || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    for (index, byte) in hash.iter_mut().enumerate() {
        *byte = u8::from_str_radix(digits.get(2 * index..2 * index + 2)?, 16).ok()?;
    }
    Some(hash)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_bad_line_is_named_by_its_number_alone() {
        for (text, line, problem) in [
            ("alice", 1, "not a name and a token"),
            ("\nalice 0123456789abcdef x", 2, "not a name and a token"),
            ("alice hunter2", 1, "fewer than 16"),
            ("alice sha256:abc", 1, "64 hexadecimal digits"),
            ("alice hunter2\u{e9}hunter2hunter2", 1, "no bearer token"),
            ("a 0123456789abcdef\nb 0123456789abcdef", 2, "earlier line"),
        ] {
            let error = LocalTokens::parse(text).unwrap_err().to_string();
            assert!(error.contains(&format!("line {line}: ")), "{error}");
            assert!(error.contains(problem), "{error}");
            assert!(
                !error.contains("hunter2") && !error.contains("0123"),
                "{error}"
            );
        }
    }

    #[test]
    fn debug_output_has_no_token() {
        let tokens = LocalTokens::parse("alice 0123456789abcdef\nbob fedcba9876543210").unwrap();
        assert_eq!(format!("{tokens:?}"), r#"LocalTokens(["alice", "bob"])"#);
        assert_eq!(tokens.len(), 2);
    }
}
