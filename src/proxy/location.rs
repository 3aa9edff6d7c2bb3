//! Keeps redirects of an API server at the address of its context.

use http::{
    HeaderMap, HeaderValue,
    header::{CONTENT_LOCATION, LOCATION},
};

use super::{contexts::CLUSTERS, path_reference::is_authority};
use crate::kubeconfig::Slug;

/// Puts the address of a context before the paths that a response leads to. The server knows nothing of
/// that address: a client that followed its path as it is would send its next request, perhaps with a
/// password in the body, to another cluster. References to other hosts stay.
pub(super) fn put_below(slug: &Slug, headers: &mut HeaderMap) {
    for name in [LOCATION, CONTENT_LOCATION] {
        if let Some(value) = headers.get_mut(name)
            && let Some(below) = below(slug, value)
        {
            *value = below;
        }
    }
}

fn below(slug: &Slug, location: &HeaderValue) -> Option<HeaderValue> {
    let path = location.to_str().ok()?;
    if !path.starts_with(['/', '\\']) || is_authority(path) {
        return None;
    }
    let path = path.trim_start_matches(['/', '\\']);
    HeaderValue::try_from(format!("{CLUSTERS}/{slug}/{path}")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_leads_to_the_same_context_and_a_reference_to_a_host_stays() {
        let slug = Slug::of_context("two");
        for (location, expected) in [
            (
                "/api/v1/pods?watch=1#a",
                "/clusters/two/api/v1/pods?watch=1#a",
            ),
            ("/", "/clusters/two/"),
            ("\\api", "/clusters/two/api"),
            ("//elsewhere.example/api", "//elsewhere.example/api"),
            ("/\\elsewhere.example", "/\\elsewhere.example"),
            (
                "https://elsewhere.example/api",
                "https://elsewhere.example/api",
            ),
            ("login", "login"),
            ("?a=b", "?a=b"),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(LOCATION, HeaderValue::from_static(location));
            put_below(&slug, &mut headers);
            assert_eq!(headers[LOCATION], expected);
        }
    }
}
