//! [`Prefix`]: the path under which the API, or the files of `--www`, are served.

/// `--api-prefix`. As in kubectl, a prefix that begins with `/api` belongs to the API server's own
/// paths and stays on the request; any other is stripped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prefix {
    /// Begins and ends with a slash.
    prefix: String,
    strip: bool,
}

impl Prefix {
    /// Reads the flag. Adds slashes at both ends where they are missing, as kubectl does.
    #[must_use]
    pub fn new(prefix: &str) -> Self {
        let mut prefix = prefix.to_owned();
        if !prefix.starts_with('/') {
            prefix.insert(0, '/');
        }
        if !prefix.ends_with('/') {
            prefix.push('/');
        }
        let strip = prefix != "/" && !prefix.starts_with("/api");
        Self { prefix, strip }
    }

    /// Whether every path under this prefix is under `other` too.
    #[must_use]
    pub fn is_below(&self, other: &Self) -> bool {
        self.prefix.starts_with(&other.prefix)
    }

    /// The prefix, with slashes at both ends.
    pub(super) fn as_str(&self) -> &str {
        &self.prefix
    }

    /// Returns the API server's path and query, byte for byte; `None` for a path that is not under the
    /// prefix.
    pub(super) fn strip<'a>(&self, path_and_query: &'a str) -> Option<&'a str> {
        if !path_and_query.starts_with(&self.prefix) {
            return None;
        }
        Some(if self.strip {
            &path_and_query[self.prefix.len() - 1..]
        } else {
            path_and_query
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn api_path(prefix: &str, path: &str) -> Option<String> {
        Prefix::new(prefix).strip(path).map(str::to_owned)
    }

    #[test]
    fn a_prefix_is_stripped_byte_for_byte() {
        assert_eq!(
            api_path("/k8s", "/k8s/api//v1/%2F?x=%20"),
            Some("/api//v1/%2F?x=%20".to_owned())
        );
        assert_eq!(api_path("k8s/", "/k8s/"), Some("/".to_owned()));
        assert_eq!(api_path("/k8s", "/k8sx/api"), None);
        assert_eq!(api_path("/k8s", "/api"), None);
    }

    #[test]
    fn a_prefix_that_begins_with_api_stays_on() {
        assert_eq!(
            api_path("/api/v1", "/api/v1/pods"),
            Some("/api/v1/pods".to_owned())
        );
        assert_eq!(
            api_path("/apis", "/apis/apps/v1"),
            Some("/apis/apps/v1".to_owned())
        );
        assert_eq!(api_path("/api/v1", "/version"), None);
    }

    #[test]
    fn the_default_prefix_leaves_every_path_alone() {
        assert_eq!(api_path("/", "//api/../x"), Some("//api/../x".to_owned()));
    }
}
