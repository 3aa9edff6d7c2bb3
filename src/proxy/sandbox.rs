//! Keeps pages that others wrote out of this proxy's origin.
//!
//! What a pod or service serves below `.../proxy/`, and what is in a log, reaches a browser in the
//! origin of the whole API, where a script could use the credential as the user does. So such
//! responses are sandboxed: a page runs in an opaque origin, from which no request gets in (the guard
//! refuses `Origin: null`), and headers that affect the whole origin are removed.
//!
//! Responses of an aggregated API server are told apart by their media type: a browser gets data as it
//! is, and everything else sandboxed.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! use std::sync::Arc;
//!
//! use http::{Request, Response};
//! use kubegate::proxy::{Body, Error, guard::{self, Guard, Rules}, request_info, sandbox::SandboxLayer};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! let guard = Arc::new(Guard::new(&Rules::default()).unwrap());
//! let service = ServiceBuilder::new()
//!     .layer(request_info::layer())
//!     .layer(guard::request_layer(guard))
//!     .layer(SandboxLayer)
//!     .service(service_fn(async |_: Request<()>| {
//!         Ok::<_, Error>(Response::new(Body::text("<script>")))
//!     }));
//! let page = Request::get("/api/v1/namespaces/x/services/web/proxy/").body(()).unwrap();
//! let response = service.oneshot(page).await.unwrap();
//! let policy = response.headers()["content-security-policy"].to_str().unwrap();
//! assert!(policy.starts_with("sandbox"));
//! # }
//! ```

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

use super::{
    body::Body, error::Error, header_names::remove_where, respond,
    untrusted_content::UntrustedContent,
};

/// An opaque origin with scripts, forms and popups (Content Security Policy, section 6.3.2). A browser
/// applies it beside a policy that the response brings: what either forbids is forbidden.
const POLICY: HeaderValue =
    HeaderValue::from_static("sandbox allow-scripts allow-forms allow-popups");

/// Headers that affect more than their own response: the origin, or the host.
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

/// Sandboxes the responses to requests that the guard marked as untrusted content.
#[derive(Clone, Copy, Debug)]
pub struct SandboxLayer;

impl<S> Layer<S> for SandboxLayer {
    type Service = Sandbox<S>;

    fn layer(&self, inner: S) -> Sandbox<S> {
        Sandbox { inner }
    }
}

/// See [`SandboxLayer`].
#[derive(Clone, Debug)]
pub struct Sandbox<S> {
    inner: S,
}

type Outcome = Result<Response<Body>, Error>;

impl<S, B> Service<Request<B>> for Sandbox<S>
where
    S: Service<Request<B>, Response = Response<Body>, Error = Error>,
{
    type Response = Response<Body>;
    type Error = Error;
    type Future = Either<S::Future, Map<S::Future, fn(Outcome) -> Outcome>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let content = request.extensions().get::<UntrustedContent>().copied();
        let outcome = self.inner.call(request);
        match content {
            Some(content) if !content.trusted => Either::Right(outcome.map(change_for(content))),
            _ => Either::Left(outcome),
        }
    }
}

fn change_for(content: UntrustedContent) -> fn(Outcome) -> Outcome {
    match content {
        UntrustedContent { certain: false, .. } => unless_data,
        UntrustedContent { browser: true, .. } => for_browser,
        _ => for_program,
    }
}

fn unless_data(outcome: Outcome) -> Outcome {
    match outcome {
        Ok(response) if !is_data(response.headers()) => for_browser(Ok(response)),
        other => other,
    }
}

/// Whether a browser makes no page of the response, by the media types that API servers send. Without
/// a type a browser guesses one, and of several it takes the last (Fetch, "extract a MIME type").
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

fn for_browser(outcome: Outcome) -> Outcome {
    let mut response = for_program(outcome)?;
    // A cookie belongs to the host, whatever the port and path: other apps would get it.
    response.headers_mut().remove(SET_COOKIE);
    Ok(response)
}

// All three have one signature.
#[allow(clippy::unnecessary_wraps)]
fn for_program(outcome: Outcome) -> Outcome {
    // An error of ours repeats text of the request, so it is sandboxed like the app's response.
    let mut response = outcome.unwrap_or_else(|error| respond::respond(&error));
    sandbox(response.headers_mut());
    Ok(response)
}

fn sandbox(headers: &mut HeaderMap) {
    let is_wider =
        |name: &HeaderName| WIDER.contains(name) || name.as_str().starts_with("access-control-");
    remove_where(headers, is_wider);
    headers.append(CONTENT_SECURITY_POLICY, POLICY);
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn data_has_the_media_types_of_api_servers() {
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
    fn headers_that_affect_the_origin_are_removed_and_the_rest_stays() {
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
