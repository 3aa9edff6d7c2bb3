//! The values of `--api-prefix` and `--www-prefix`.

/// Parses a prefix that the path of a request can start with (RFC 3986 section 3.3).
///
/// # Errors
/// A `%` without two hexadecimal digits, a `?`, a `#`, a space or a control character.
pub(super) fn parse(text: &str) -> Result<String, String> {
    if !text.split('%').skip(1).all(starts_with_two_digits) {
        return Err("the path has a % without two hexadecimal digits after it".to_owned());
    }
    let ends_a_path = |c: char| matches!(c, '?' | '#') || c.is_whitespace() || c.is_control();
    if text.contains(ends_a_path) {
        return Err("give a path without ?, #, spaces and control characters".to_owned());
    }
    Ok(text.to_owned())
}

fn starts_with_two_digits(text: &str) -> bool {
    let digits = text.as_bytes().get(..2);
    digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn prefixes_of_paths_are_accepted() {
        for path in ["", "/", "/k8s", "k8s/", "/a%2Fb/", "/%c3%a9", "/a;b=c,d"] {
            assert_eq!(parse(path).as_deref(), Ok(path));
        }
    }

    #[test]
    fn prefixes_of_no_path_are_rejected() {
        for path in [
            "/a%zz", "/a%", "/a%2", "/%%20", "/a?b", "/a#b", "/a b", "/a\n",
        ] {
            assert!(parse(path).is_err(), "{path:?}");
        }
    }
}
