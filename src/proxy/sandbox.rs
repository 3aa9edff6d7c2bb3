//! Pages that others wrote get no hold on this proxy's origin.
//!
//! What a pod or service serves under `.../proxy/`, and what is in a log, reaches a browser in the
//! origin of the whole API: a script in it could use the credential as the user does. So answers of
//! that kind are sandboxed: a page runs in an origin of its own, from which no request gets in
//! (the guard refuses `Origin: null`), and headers that hold for the whole origin are taken off.
//!
//! What an aggregated API server answers is judged by its media type alone: a browser gets data as it
//! is, and all else sandboxed.

use std::task::{Context, Poll};

use futures_util::future::{Either, FutureExt as _, Map};
use http::{
    HeaderMap, HeaderName, HeaderValue, Request, Response,
    header::{
        ALT_SVC, CONTENT_SECURITY_POLICY, CONTENT_TYPE, SET_COOKIE, STRICT_TRANSPORT_SECURITY,
        X_CONTENT_TYPE_OPTIONS,
    },
};
use tower::{Layer, Service};

use super::{Body, Error, respond, untrusted_content::UntrustedContent};

/// An origin of its own, scripts, forms and windows (Content Security Policy, section 6.3.2).
/// Beside a policy that the answer brings: what either forbids is forbidden.
const POLICY: HeaderValue =
    HeaderValue::from_static("sandbox allow-scripts allow-forms allow-popups");

/// By these an answer decides about more than itself: about the origin, or about the host.
const WIDER: [HeaderName; 8] = [
    HeaderName::from_static("service-worker-allowed"),
    HeaderName::from_static("clear-site-data"),
    STRICT_TRANSPORT_SECURITY,
    ALT_SVC,
    HeaderName::from_static("accept-ch"),
    HeaderName::from_static("nel"),
    HeaderName::from_static("report-to"),
    HeaderName::from_static("set-login"),
];

/// Sandboxes the answers to requests that the guard marked as [`UntrustedContent`].
#[derive(Clone, Copy, Debug)]
pub(super) struct SandboxLayer;

impl<S> Layer<S> for SandboxLayer {
    type Service = Sandbox<S>;

    fn layer(&self, inner: S) -> Sandbox<S> {
        Sandbox { inner }
    }
}

/// See [`SandboxLayer`].
#[derive(Clone, Debug)]
pub(super) struct Sandbox<S> {
    inner: S,
}

type Answered = Result<Response<Body>, Error>;

impl<S, B> Service<Request<B>> for Sandbox<S>
where
    S: Service<Request<B>, Response = Response<Body>, Error = Error>,
{
    type Response = Response<Body>;
    type Error = Error;
    type Future = Either<S::Future, Map<S::Future, fn(Answered) -> Answered>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let foreign = request.extensions().get::<UntrustedContent>().copied();
        let answered = self.inner.call(request);
        match foreign {
            Some(foreign) if !foreign.trusted => Either::Right(answered.map(change_for(foreign))),
            _ => Either::Left(answered),
        }
    }
}

fn change_for(foreign: UntrustedContent) -> fn(Answered) -> Answered {
    match foreign {
        UntrustedContent { certain: false, .. } => unless_data,
        UntrustedContent { browser: true, .. } => for_browser,
        _ => for_program,
    }
}

fn unless_data(answered: Answered) -> Answered {
    match answered {
        Ok(response) if !is_data(response.headers()) => for_browser(Ok(response)),
        other => other,
    }
}

/// Whether a browser makes no page of it, by the types that API servers answer with. Without a type
/// it looks for itself, and of several it takes the last (Fetch, "extract a MIME type").
fn is_data(headers: &HeaderMap) -> bool {
    const DATA: [&str; 6] = [
        "application/json",
        "application/vnd.kubernetes.protobuf",
        "application/cbor",
        "application/yaml",
        "application/com.github.proto-openapi",
        "text/plain",
    ];
    let mut kinds = headers.get_all(CONTENT_TYPE).iter();
    let (Some(kind), None) = (kinds.next(), kinds.next()) else {
        return false;
    };
    let kind = kind
        .to_str()
        .map(|kind| kind.trim_start().to_ascii_lowercase());
    kind.is_ok_and(|kind| !kind.contains(',') && DATA.iter().any(|data| kind.starts_with(data)))
}

fn for_browser(answered: Answered) -> Answered {
    let mut response = for_program(answered)?;
    // A cookie is its host's, whatever the port and path: other apps would get it.
    response.headers_mut().remove(SET_COOKIE);
    Ok(response)
}

// All three have one signature.
#[allow(clippy::unnecessary_wraps)]
fn for_program(answered: Answered) -> Answered {
    // An answer of our own repeats what was asked for, so it is sandboxed like one of the app's.
    let mut response = answered.unwrap_or_else(|error| respond::answer(&error));
    sandbox(response.headers_mut());
    Ok(response)
}

fn sandbox(headers: &mut HeaderMap) {
    let wider =
        |name: &HeaderName| WIDER.contains(name) || name.as_str().starts_with("access-control-");
    let gone: Vec<HeaderName> = headers.keys().filter(|name| wider(name)).cloned().collect();
    for name in gone {
        headers.remove(name);
    }
    headers.append(CONTENT_SECURITY_POLICY, POLICY);
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn data_is_known_by_the_types_of_api_servers() {
        for (kind, data) in [
            ("application/json", true),
            ("application/json;stream=watch", true),
            ("Application/JSON", true),
            ("application/vnd.kubernetes.protobuf;stream=watch", true),
            ("application/cbor-seq", true),
            ("text/plain; charset=utf-8", true),
            ("text/html", false),
            ("image/svg+xml", false),
            ("application/xhtml+xml", false),
            ("text/xml", false),
            ("application/json, text/html", false),
            ("", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
            assert_eq!(is_data(&headers), data, "{kind}");
        }
        assert!(!is_data(&HeaderMap::new()));
        let mut twice = HeaderMap::new();
        for kind in ["application/json", "text/html"] {
            twice.append(CONTENT_TYPE, HeaderValue::from_static(kind));
        }
        assert!(!is_data(&twice));
    }

    #[test]
    fn what_holds_for_more_than_the_answer_is_taken_off_and_the_rest_stays() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("content-security-policy", "default-src 'self'"),
            ("x-content-type-options", "sniff"),
            ("access-control-allow-origin", "null"),
            ("access-control-allow-credentials", "true"),
            ("clear-site-data", "\"*\""),
            ("strict-transport-security", "max-age=1"),
            ("service-worker-allowed", "/"),
            ("alt-svc", "h3=\":443\""),
            ("content-type", "text/html"),
            ("x-mine", "1"),
        ] {
            headers.append(name, HeaderValue::from_static(value));
        }
        sandbox(&mut headers);
        let policies: Vec<_> = headers.get_all(CONTENT_SECURITY_POLICY).iter().collect();
        assert_eq!(
            policies,
            [&HeaderValue::from_static("default-src 'self'"), &POLICY]
        );
        assert_eq!(headers[X_CONTENT_TYPE_OPTIONS], "nosniff");
        let mut rest: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        rest.sort_unstable();
        let kept = [
            "content-security-policy",
            "content-type",
            "x-content-type-options",
            "x-mine",
        ];
        assert_eq!(rest, kept);
    }
}
