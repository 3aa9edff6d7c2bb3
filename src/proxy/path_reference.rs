//! References to a path of the same origin, as in a link or a `Location`.

use std::borrow::Cow;

/// What a browser takes for a slash (URL Standard, section 4.4).
const SLASHES: [char; 2] = ['/', '\\'];

/// Whether a browser reads a path as the name of another host: it begins with two slashes.
pub(super) fn is_authority(path: &str) -> bool {
    let rest = path.strip_prefix(SLASHES);
    rest.is_some_and(|rest| rest.starts_with(SLASHES))
}

/// Returns a reference that leads to `path` at the same origin, whatever it begins with.
pub(super) fn to_path(path: &str) -> Cow<'_, str> {
    if is_authority(path) {
        Cow::Owned(format!("/.{path}"))
    } else if path.starts_with(SLASHES) {
        Cow::Borrowed(path)
    } else {
        // A target in absolute form may omit the path.
        Cow::Owned(format!("/{path}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_never_leads_to_another_host() {
        for (path, reference) in [
            ("/", "/"),
            ("/a//b?c=//d", "/a//b?c=//d"),
            ("//evil.example", "/.//evil.example"),
            ("/\\evil.example", "/./\\evil.example"),
            ("\\/evil.example", "/.\\/evil.example"),
            ("\\evil.example", "\\evil.example"),
            ("", "/"),
            ("?a", "/?a"),
        ] {
            assert_eq!(to_path(path), reference, "{path}");
        }
    }
}
