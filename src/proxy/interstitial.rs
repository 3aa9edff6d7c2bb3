//! The page that a person sees who follows a link of another site to this proxy.
//!
//! The guard refuses such a request. Where it is a person's, and not a script's, the refusal is a page
//! with a link to the same address: a click on it sends the request from this proxy's own origin.
//! The page that had the link gets nothing of this one. It cannot frame it, and is no longer its
//! opener.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! use std::sync::Arc;
//!
//! use http::{Request, Response, StatusCode};
//! use kubegate::proxy::{Body, Error, guard::{self, Guard, Rules}, interstitial::InterstitialLayer};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! let guard = Arc::new(Guard::new(&Rules::default()).unwrap());
//! let service = ServiceBuilder::new()
//!     .layer(InterstitialLayer)
//!     .layer(guard::origin_layer(guard))
//!     .service(service_fn(async |_: Request<()>| {
//!         Ok::<_, Error>(Response::new(Body::text("secret")))
//!     }));
//! let followed = Request::get("/api/v1/secrets")
//!     .header("host", "localhost:8001")
//!     .header("sec-fetch-site", "cross-site")
//!     .header("sec-fetch-mode", "navigate")
//!     .header("sec-fetch-dest", "document");
//! let response = service.oneshot(followed.body(()).unwrap()).await.unwrap();
//! assert_eq!(response.status(), StatusCode::FORBIDDEN);
//! assert_eq!(response.headers()["x-frame-options"], "DENY");
//! # }
//! ```

use std::{
    fmt::Write as _,
    future::Future,
    pin::Pin,
    sync::LazyLock,
    task::{Context, Poll},
};

use aws_lc_rs::digest::{SHA256, digest};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use futures_util::future::Either;
use http::{
    HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, Uri,
    header::{
        CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY,
        X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
    },
};
use percent_encoding::percent_decode_str;
use tower::{Layer, Service};

use super::{
    body::Body,
    error::Error,
    guard::{FOREIGN_SITE, TOKEN_RULE},
    navigation, path_reference,
};
use crate::printable::excerpt;

/// How much of the address is shown, in characters.
const SHOWN: usize = 300;

/// Answers refused navigations from other sites with a page. Belongs right outside of the guard's
/// origin layer, whose refusals it shows; and of its token layer, since a browser keeps the cookie of a
/// proxy (SameSite=Strict) from such a navigation.
#[derive(Clone, Copy, Debug)]
pub struct InterstitialLayer;

impl<S> Layer<S> for InterstitialLayer {
    type Service = Interstitial<S>;

    fn layer(&self, inner: S) -> Interstitial<S> {
        Interstitial { inner }
    }
}

/// See [`InterstitialLayer`].
#[derive(Clone, Debug)]
pub struct Interstitial<S> {
    inner: S,
}

impl<S, B> Service<Request<B>> for Interstitial<S>
where
    S: Service<Request<B>, Response = Response<Body>, Error = Error>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = Error;
    type Future = Either<S::Future, PageFuture>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        if !navigation::is_top_level(&request) {
            return Either::Left(self.inner.call(request));
        }
        let target = request.uri().clone();
        let is_from_elsewhere = navigation::is_from_elsewhere(request.headers());
        let outcome = self.inner.call(request);
        Either::Right(Box::pin(async move {
            match outcome.await {
                Err(Error::Refused(refusal))
                    if refusal.rule == FOREIGN_SITE
                        || (refusal.rule == TOKEN_RULE && is_from_elsewhere) =>
                {
                    Ok(page(&target))
                }
                outcome => outcome,
            }
        }))
    }
}

type PageFuture = Pin<Box<dyn Future<Output = Result<Response<Body>, Error>> + Send>>;

/// The link is out of reach for a second, so that a click meant for the page before does not hit it.
const STYLE: &str = "\
:root{color-scheme:light dark}\
body{font:1rem/1.5 system-ui,sans-serif;max-width:40rem;margin:12vh auto;padding:0 1.5rem}\
h1{font-size:1.4rem}\
code{display:block;padding:.8rem 1rem;border:1px solid #8886;border-radius:.4rem;\
overflow-wrap:anywhere;white-space:pre-wrap}\
a{display:inline-block;margin-top:1rem;padding:.6rem 1.4rem;border-radius:.4rem;\
background:#1a56c4;color:#fff;text-decoration:none;animation:show 0s 1s both}\
a:focus-visible{outline:3px solid #f90;outline-offset:2px}\
@keyframes show{from{visibility:hidden}to{visibility:visible}}";

/// Nothing but the style above, and no frame around it. No `sandbox`: the link must come from this
/// origin.
static POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
    let hash = STANDARD.encode(digest(&SHA256, STYLE.as_bytes()));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'none'"
    );
    HeaderValue::try_from(policy).unwrap_or(HeaderValue::from_static("default-src 'none'"))
});

fn page(target: &Uri) -> Response<Body> {
    let path = target.path_and_query().map_or("/", |path| path.as_str());
    let shown = percent_decode_str(path).decode_utf8_lossy();
    let shown = escaped(&excerpt(&shown, SHOWN));
    let href = escaped(&path_reference::to_path(path));
    let page = format!(
        "<!doctype html>\n<html lang=en>\n<meta charset=utf-8>\n\
         <meta name=viewport content=\"width=device-width\">\n<title>kubegate</title>\n\
         <style>{STYLE}</style>\n\
         <h1>Another site opens this address of kubegate</h1>\n\
         <p>kubegate acts in your cluster with your credentials. Go on only if you expected this \
         link:</p>\n<code>{shown}</code>\n<p><a href=\"{href}\">Go on</a></p>\n"
    );
    let mut response = Response::new(Body::text(page));
    *response.status_mut() = StatusCode::FORBIDDEN;
    set_headers(response.headers_mut());
    response
}

fn set_headers(headers: &mut HeaderMap) {
    for (name, value) in [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CACHE_CONTROL, "no-store"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
        // An address may hold a code of a login.
        (REFERRER_POLICY, "no-referrer"),
        // The page that opened this one in a window loses its hold on it.
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        ),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.insert(CONTENT_SECURITY_POLICY, POLICY.clone());
}

/// Escapes a text for HTML, in an attribute too.
pub(super) fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' | '<' | '>' | '"' | '\'' => {
                let _ = write!(escaped, "&#{};", u32::from(c));
            }
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use http_body_util::BodyExt as _;

    use super::*;

    async fn text(path: &str) -> String {
        let body = page(&path.parse().unwrap()).into_body();
        let bytes = body.collect().await.unwrap().to_bytes();
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    #[tokio::test]
    async fn the_address_is_shown_decoded_printable_escaped_and_cut() {
        let page =
            text("/api/v1/pods?a=%3Cscript%3Ealert(1)%3C/script%3E&b='%22%1b%E2%80%AE").await;
        assert!(page.contains("<code>/api/v1/pods?a=&#60;script&#62;alert(1)&#60;/script&#62;&#38;b=&#39;&#34;\u{fffd}\u{fffd}</code>"), "{page}");
        assert!(
            page.contains("href=\"/api/v1/pods?a=%3Cscript%3E"),
            "{page}"
        );
        assert!(!page.contains("<script"), "{page}");
        let long = text(&format!("/{}", "a".repeat(5000))).await;
        let shown = long.split("<code>").nth(1).unwrap();
        let shown = shown.split("</code>").next().unwrap();
        assert_eq!(shown.chars().count(), SHOWN + 1);
        assert!(long.contains(&format!("href=\"/{}\"", "a".repeat(5000))));
    }

    #[test]
    fn the_policy_allows_the_style_alone() {
        let policy = POLICY.to_str().unwrap();
        assert!(
            policy.starts_with("default-src 'none'; style-src 'sha256-"),
            "{policy}"
        );
        assert!(policy.ends_with("frame-ancestors 'none'"), "{policy}");
        assert!(!policy.contains("unsafe"), "{policy}");
    }
}
