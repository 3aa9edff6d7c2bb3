//! Whether a browser opens a page in a tab or window of its own, by the headers that no script can set.

use http::{
    HeaderMap, HeaderName, Method, Request,
    header::{ORIGIN, UPGRADE},
};

/// Headers that a browser does not add when a person opens a page: that of a WebSocket, of the script
/// of a service worker, and of pages that are fetched before anybody asks for them.
const OTHER_USES: [HeaderName; 5] = [
    ORIGIN,
    UPGRADE,
    HeaderName::from_static("service-worker"),
    HeaderName::from_static("sec-purpose"),
    HeaderName::from_static("purpose"),
];

const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
const SEC_FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Whether a request is a navigation of a whole tab or window by GET (Fetch Metadata, sections 2.1 and
/// 2.2). The page that caused it, if any, gets nothing of the response.
pub(super) fn is_top_level<B>(request: &Request<B>) -> bool {
    let headers = request.headers();
    request.method() == Method::GET
        && is_only(headers, &SEC_FETCH_MODE, "navigate")
        && is_only(headers, &SEC_FETCH_DEST, "document")
        && !OTHER_USES.iter().any(|name| headers.contains_key(name))
}

/// Whether a page of another site, or of another origin of this one, caused a request.
pub(super) fn is_from_elsewhere(headers: &HeaderMap) -> bool {
    let mut sites = headers.get_all(SEC_FETCH_SITE).iter();
    sites.any(|site| site != "same-origin" && site != "none")
}

fn is_only(headers: &HeaderMap, name: &HeaderName, value: &str) -> bool {
    let mut values = headers.get_all(name).iter();
    values.next().is_some_and(|first| first == value) && values.next().is_none()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn only_a_page_opened_in_a_tab_by_get_is_one() {
        let opened = [
            ("sec-fetch-mode", "navigate"),
            ("sec-fetch-dest", "document"),
        ];
        let is = |method: &str, headers: &[(&str, &str)]| {
            let mut request = Request::builder().method(method);
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            is_top_level(&request.body(()).unwrap())
        };
        assert!(is("GET", &opened));
        for method in ["HEAD", "POST", "DELETE", "OPTIONS"] {
            assert!(!is(method, &opened), "{method}");
        }
        for more in [
            ("sec-fetch-mode", "navigate"),
            ("sec-fetch-dest", "iframe"),
            ("origin", "null"),
            ("upgrade", "websocket"),
            ("service-worker", "script"),
            ("sec-purpose", "prefetch;prerender"),
        ] {
            assert!(!is("GET", &[opened[0], opened[1], more]), "{more:?}");
        }
        for other in [
            ("sec-fetch-dest", "iframe"),
            ("sec-fetch-dest", "frame"),
            ("sec-fetch-dest", "object"),
            ("sec-fetch-dest", "empty"),
        ] {
            assert!(!is("GET", &[opened[0], other]), "{other:?}");
        }
        assert!(!is("GET", &[("sec-fetch-mode", "no-cors"), opened[1]]));
        assert!(!is("GET", &[]));
    }
}
