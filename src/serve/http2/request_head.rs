//! Brings the head of an HTTP/2 request into the form that it would have over HTTP/1.1.

use http::{
    HeaderValue, Method, Request,
    header::{COOKIE, HOST},
};

/// Returns whether a request has a `:path`, without which it is malformed (RFC 9113 section 8.3.1). h2
/// refuses it only where there is an `:authority`. CONNECT has none.
pub(super) fn has_path<B>(request: &Request<B>) -> bool {
    !request.uri().path().is_empty() || request.method() == Method::CONNECT
}

/// Makes a `Host` of `:authority`, which then is judged like one. A request that has both keeps them: the
/// guard refuses it if they differ (RFC 9113 section 8.3.1). Joins the lines of a cookie (section 8.2.3).
pub(super) fn normalise<B>(request: &mut Request<B>) {
    let host = request
        .uri()
        .authority()
        .and_then(|authority| HeaderValue::from_str(authority.as_str()).ok());
    let headers = request.headers_mut();
    if let Some(host) = host
        && !headers.contains_key(HOST)
    {
        headers.insert(HOST, host);
    }
    let mut cookies = headers.get_all(COOKIE).iter();
    if cookies.next().is_some() && cookies.next().is_some() {
        let crumbs: Vec<_> = headers.get_all(COOKIE).iter().collect();
        let joined = crumbs
            .iter()
            .map(|crumb| crumb.as_bytes())
            .collect::<Vec<_>>()
            .join(&b"; "[..]);
        // The parts were valid, and so is the whole.
        if let Ok(mut cookie) = HeaderValue::from_bytes(&joined) {
            cookie.set_sensitive(true);
            headers.insert(COOKIE, cookie);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn normalised(uri: &str, headers: &[(&str, &str)]) -> Request<()> {
        let mut builder = Request::get(uri);
        for (name, value) in headers {
            builder = builder.header(*name, *value);
        }
        let mut request = builder.body(()).unwrap();
        normalise(&mut request);
        request
    }

    #[test]
    fn the_authority_becomes_the_host_unless_there_is_one() {
        let request = normalised("https://localhost:8001/x", &[]);
        assert_eq!(request.headers()[HOST], "localhost:8001");
        let request = normalised("https://localhost:8001/x", &[("host", "other")]);
        assert_eq!(request.headers()[HOST], "other");
        assert!(!normalised("/x", &[]).headers().contains_key(HOST));
    }

    #[test]
    fn crumbs_of_a_cookie_are_joined() {
        let request = normalised("/", &[("cookie", "a=1"), ("cookie", "b=2; c=3")]);
        let cookies: Vec<_> = request.headers().get_all(COOKIE).iter().collect();
        assert_eq!(cookies, ["a=1; b=2; c=3"]);
        let request = normalised("/", &[("cookie", "a=1")]);
        assert_eq!(request.headers()[COOKIE], "a=1");
    }
}
