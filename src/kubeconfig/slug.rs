//! [`Slug`]: the name of a context in addresses.

use std::{fmt, sync::Arc};

use super::own_writes::sha256;
use crate::hex;

/// The longest DNS label (RFC 1035 section 2.3.4).
const LONGEST: usize = 63;
/// How many bytes of the name's hash are shown.
const HASH_BYTES: usize = 4;
/// What stands for a name without a letter or digit.
const NAMELESS: &str = "context";

/// The name of a context in paths and host names: a DNS label, which needs no escaping in either.
///
/// A name that is a DNS label is its own slug. Any other becomes a readable label with a hash of the
/// name, which is the same in every run.
///
/// ```
/// use kubegate::kubeconfig::Slug;
///
/// assert_eq!(Slug::of_context("staging").as_str(), "staging");
/// let long = Slug::of_context("shop/api-example:6443/Kube:Admin");
/// assert_eq!(long.as_str(), "shop-api-example-6443-kube-admin-3588c392");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Slug(Arc<str>);

impl Slug {
    /// Returns the slug of the context of this name.
    #[must_use]
    pub fn of_context(name: &str) -> Self {
        if is_dns_label(name) {
            return Self(name.into());
        }
        let hash = hex::encode(&sha256(name.as_bytes())[..HASH_BYTES]);
        let readable = readable(name, LONGEST - hash.len() - 1);
        Self(format!("{readable}-{hash}").into())
    }

    /// Reads a slug in a host name, where letters of both cases are the same; `None` for what is no
    /// DNS label.
    #[must_use]
    pub fn from_label(label: &str) -> Option<Self> {
        let label = label.to_ascii_lowercase();
        is_dns_label(&label).then(|| Self(label.into()))
    }

    /// The label.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Slug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether a text is a DNS label in lower case (RFC 1123 section 2.1).
#[must_use]
pub fn is_dns_label(text: &str) -> bool {
    let is_inner = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
    (1..=LONGEST).contains(&text.len())
        && text.bytes().all(is_inner)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// Returns the letters and digits of a name, with one dash in place of all between them.
fn readable(name: &str, longest: usize) -> String {
    let mut label = String::new();
    for character in name.chars() {
        match character.to_ascii_lowercase() {
            letter @ ('a'..='z' | '0'..='9') => label.push(letter),
            _ if label.ends_with('-') || label.is_empty() => {}
            _ => label.push('-'),
        }
        if label.len() == longest {
            break;
        }
    }
    match label.trim_end_matches('-') {
        "" => NAMELESS.to_owned(),
        label => label.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_dns_label_is_its_own_slug() {
        let longest = "a".repeat(LONGEST);
        for name in ["a", "0", "staging", "eu-1", "a--b", longest.as_str()] {
            assert_eq!(Slug::of_context(name).as_str(), name);
        }
    }

    #[test]
    fn any_other_name_gets_a_readable_label_with_a_hash() {
        for (name, readable) in [
            (
                "default/c100-e-eu.example:30000/IAM#jane@x.org",
                "default-c100-e-eu-example-30000-iam-jane-x-org",
            ),
            ("Staging", "staging"),
            ("kind_local", "kind-local"),
            ("-a", "a"),
            ("a-", "a"),
            ("", NAMELESS),
            ("日本", NAMELESS),
            ("..", NAMELESS),
        ] {
            let slug = Slug::of_context(name);
            let (label, hash) = slug.as_str().rsplit_once('-').unwrap_or_default();
            assert_eq!(label, readable, "{name}");
            assert!(hash.len() == 8 && is_dns_label(slug.as_str()), "{slug}");
            assert_eq!(slug, Slug::of_context(name));
        }
        let names = [
            "ab",
            "a_b",
            "a.b",
            "A-B",
            "a/b",
            "a b",
            &"a".repeat(64),
            &"a".repeat(65),
        ];
        let slugs: HashSet<_> = names.map(Slug::of_context).into_iter().collect();
        assert_eq!(slugs.len(), names.len());
        for slug in slugs {
            assert!(slug.as_str().len() <= LONGEST, "{slug}");
        }
    }

    #[test]
    fn a_label_of_a_host_is_read_in_either_case() {
        assert_eq!(
            Slug::from_label("Staging"),
            Some(Slug::of_context("staging"))
        );
        for text in ["", "-a", "a.b", "a/b", "a%62"] {
            assert_eq!(Slug::from_label(text), None, "{text}");
        }
    }
}
