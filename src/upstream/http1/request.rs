//! A request's head in HTTP/1.1 form.

use http::{
    HeaderValue, Request, Uri, Version,
    header::{HOST, TRANSFER_ENCODING},
};

use crate::upstream::body::RequestBody;

/// Puts path and query alone into the request line, and the server's name into `Host`.
pub(super) fn to_origin_form(request: &mut Request<RequestBody>, uri: &Uri, host: &HeaderValue) {
    let path = uri.path_and_query().cloned().map(Uri::from);
    // `http::Uri` can hold an empty path, which would leave the request line without a target.
    let path = path.filter(|path| !path.path().is_empty());
    *request.uri_mut() = path.unwrap_or(Uri::from_static("/"));
    *request.version_mut() = Version::HTTP_11;
    request.headers_mut().insert(HOST, host.clone());
    // hyper takes a GET whose body has no known length for one without a body.
    let body = request.body();
    if !body.is_end_stream() && body.size_hint().exact().is_none() {
        let chunked = HeaderValue::from_static("chunked");
        request.headers_mut().insert(TRANSFER_ENCODING, chunked);
    }
}

/// A copy of a request that can be sent twice, since it changes nothing and has no body.
pub(super) fn replayable_copy(request: &Request<RequestBody>) -> Option<Request<RequestBody>> {
    if !request.method().is_safe() || !request.body().is_end_stream() {
        return None;
    }
    let mut copy = Request::new(RequestBody::Empty);
    *copy.method_mut() = request.method().clone();
    *copy.headers_mut() = request.headers().clone();
    Some(copy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_line_always_has_a_target() {
        for (uri, sent) in [
            ("http://localhost", "/"),
            ("http://localhost/", "/"),
            ("http://localhost#a", "/"),
            ("http://localhost/a?b", "/a?b"),
            ("http://localhost?b", "/?b"),
        ] {
            let mut request = Request::new(RequestBody::Empty);
            let host = HeaderValue::from_static("localhost");
            to_origin_form(&mut request, &uri.parse().expect(uri), &host);
            assert_eq!(request.uri().to_string(), sent, "{uri}");
        }
    }
}
