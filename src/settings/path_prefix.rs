//! `--api-prefix` and `--www-prefix`: paths that a request's path can begin with.

/// Takes what a request can bring as the begin of its path (RFC 3986 section 3.3).
///
/// # Errors
/// A `%` without two hexadecimal digits, a `?` or `#`, or a blank or control character, none of
/// which the path of a request has.
pub(super) fn parse(text: &str) -> Result<String, String> {
    if !text.split('%').skip(1).all(begins_with_two_digits) {
        return Err("the path has a % that two hexadecimal digits do not follow".to_owned());
    }
    let ends_a_path = |c: char| matches!(c, '?' | '#') || c.is_whitespace() || c.is_control();
    if text.contains(ends_a_path) {
        return Err("give a path without ?, #, blanks and control characters".to_owned());
    }
    Ok(text.to_owned())
}

fn begins_with_two_digits(text: &str) -> bool {
    let digits = text.as_bytes().get(..2);
    digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn a_prefix_is_the_begin_of_a_path() {
        for path in ["", "/", "/k8s", "k8s/", "/a%2Fb/", "/%c3%a9", "/a;b=c,d"] {
            assert_eq!(parse(path).as_deref(), Ok(path));
        }
    }

    #[test]
    fn what_no_path_begins_with_is_an_error() {
        for path in [
            "/a%zz", "/a%", "/a%2", "/%%20", "/a?b", "/a#b", "/a b", "/a\n",
        ] {
            assert!(parse(path).is_err(), "{path:?}");
        }
    }
}
