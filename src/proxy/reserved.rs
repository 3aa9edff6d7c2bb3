//! Answers requests below the reserved path `/.kubegate/`, which never reach an API server or an app.
//!
//! | request | response |
//! |---|---|
//! | `POST /.kubegate/open?host=HOST&path=PATH`, with a token of `--require-token-file` | JSON with the path of a one-use address, see [`Opened`] |
//! | `GET /.kubegate/enter?code=CODE` | sets the cookie and sends the browser on |
//! | any other | 404 |
//!
//! `kubegate open` makes the first request, and a browser the second. `host` is the host and port at which
//! the browser will open the address: this proxy's own by default, or that of an app's origin. There the
//! address sets a cookie of that origin. Both requests pass the checks of `Host` and `Origin` before.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! use std::sync::Arc;
//!
//! use http::{Request, Response};
//! use kubegate::proxy::{Body, Error, guard::LocalAccess, reserved::ReservedLayer};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! let service = ServiceBuilder::new()
//!     .layer(ReservedLayer::new(Arc::new(LocalAccess::default())))
//!     .service(service_fn(async |_: Request<()>| {
//!         Ok::<_, Error>(Response::new(Body::Empty))
//!     }));
//! let pods = Request::get("/api/v1/pods").body(()).unwrap();
//! assert!(service.clone().oneshot(pods).await.is_ok());
//! let own = Request::get("/.kubegate/secrets").body(()).unwrap();
//! assert!(matches!(service.oneshot(own).await, Err(Error::Refused(_))));
//! # }
//! ```

use std::{
    future::{Ready, ready},
    sync::Arc,
    task::{Context, Poll},
};

use futures_util::future::Either;
use http::{
    HeaderValue, Method, Request, Response, StatusCode,
    header::{
        CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, LOCATION, REFERRER_POLICY,
        SET_COOKIE, X_CONTENT_TYPE_OPTIONS,
    },
};
use percent_encoding::percent_decode_str;
use serde::{Deserialize, Serialize};
use tower::{Layer, Service};

use super::{
    body::Body,
    error::Error,
    guard::{LocalAccess, OwnedHost},
    interstitial::escaped,
    navigation, path_reference,
    refusal::Refusal,
};

/// The first segment of the reserved path.
const RESERVED: &str = ".kubegate";
/// Where `kubegate open` asks for an address.
pub const OPEN: &str = "/.kubegate/open";
/// The path of a one-use address.
const ENTER: &str = "/.kubegate/enter";
/// The longest path to go on to, in bytes.
const MAX_PATH: usize = 4096;

/// The response to `kubegate open`.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Opened {
    /// The path and query to open in a browser at the host that was named. Without
    /// `--require-token-file` it is the path that was asked for.
    pub path: String,
    /// Whether the path is good once, and for a minute.
    pub one_use: bool,
}

impl Opened {
    /// Whether the path may be opened in a browser that is to go to `asked`: it is that of a one-use address,
    /// or `asked` itself, and leads to no other host.
    #[must_use]
    pub fn leads_to(&self, asked: &str) -> bool {
        let is_expected = if self.one_use {
            let code = self.path.strip_prefix(ENTER);
            code.is_some_and(|code| code.starts_with("?code="))
        } else {
            self.path == asked
        };
        is_expected && is_path(&self.path)
    }
}

/// Answers what is below the reserved path, and passes everything else on.
#[derive(Debug)]
pub struct ReservedLayer(Arc<LocalAccess>);

impl ReservedLayer {
    /// Lets browsers in on behalf of tokens of `access`.
    #[must_use]
    pub fn new(access: Arc<LocalAccess>) -> Self {
        Self(access)
    }
}

impl<S> Layer<S> for ReservedLayer {
    type Service = Reserved<S>;

    fn layer(&self, inner: S) -> Reserved<S> {
        let access = self.0.clone();
        Reserved { access, inner }
    }
}

/// See [`ReservedLayer`].
#[derive(Clone, Debug)]
pub struct Reserved<S> {
    access: Arc<LocalAccess>,
    inner: S,
}

impl<S, B> Service<Request<B>> for Reserved<S>
where
    S: Service<Request<B>, Response = Response<Body>, Error = Error>,
{
    type Response = Response<Body>;
    type Error = Error;
    type Future = Either<S::Future, Ready<Result<Response<Body>, Error>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        if !is_reserved(request.uri().path()) {
            return Either::Left(self.inner.call(request));
        }
        let response = respond(&self.access, &mut request);
        Either::Right(ready(response.map_err(Error::from)))
    }
}

/// Whether a path is below the reserved one, in any spelling.
fn is_reserved(path: &str) -> bool {
    let path = path.trim_start_matches('/');
    // Nearly every other path ends here.
    if !path.starts_with(['.', '%']) {
        return false;
    }
    let path = percent_decode_str(path).collect::<Vec<_>>();
    let mut segments = path.split(|byte| *byte == b'/' || *byte == b'\\');
    let first = segments.find(|segment| !segment.is_empty() && *segment != b".");
    first.is_some_and(|first| first.eq_ignore_ascii_case(RESERVED.as_bytes()))
}

fn respond<B>(access: &LocalAccess, request: &mut Request<B>) -> Result<Response<Body>, Refusal> {
    match request.uri().path() {
        OPEN if request.method() == Method::POST => open(access, request),
        ENTER if request.method() == Method::GET => enter(access, request),
        OPEN => Err(wrong_method("POST")),
        ENTER => Err(wrong_method("GET")),
        _ => {
            access.check(request)?;
            let message = "this path is reserved for kubegate itself, and nothing is served at it";
            Err(Refusal::not_found("reserved path", message))
        }
    }
}

fn wrong_method(allowed: &str) -> Refusal {
    Refusal::method("reserved path", format!("this path takes only {allowed}"))
}

/// Hands out a one-use address.
fn open<B>(access: &LocalAccess, request: &Request<B>) -> Result<Response<Body>, Refusal> {
    let own = request.headers().get(HOST);
    let own = own.and_then(|host| host.to_str().ok()).unwrap_or_default();
    let host = parameter(request, "host").unwrap_or_else(|| own.to_owned());
    let host = OwnedHost::parse(&host)
        .map_err(|problem| Refusal::malformed("malformed host", format!("host {problem}")))?;
    let path = parameter(request, "path").unwrap_or_else(|| "/".to_owned());
    if !is_path(&path) {
        let message = "path must begin with one / and have no space and no character beyond ASCII";
        return Err(Refusal::malformed("malformed path", message));
    }
    let code = access.invite(request, host, path.clone())?;
    let opened = match &code {
        Some(code) => Opened {
            path: format!("{ENTER}?code={}", code.expose()),
            one_use: true,
        },
        None => Opened {
            path,
            one_use: false,
        },
    };
    let json = serde_json::to_string(&opened).unwrap_or_default();
    let mut response = Response::new(Body::text(json));
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    Ok(unstored(response))
}

/// Sets the cookie of a browser that opens a one-use address, and sends it on.
fn enter<B>(access: &LocalAccess, request: &Request<B>) -> Result<Response<Body>, Refusal> {
    let code = parameter(request, "code").unwrap_or_default();
    let admitted = access.enter(request, code.as_bytes())?;
    let mut response = if navigation::is_from_elsewhere(request.headers()) {
        page_to(&admitted.path)
    } else {
        let location = HeaderValue::try_from(admitted.path);
        let location = location.map_err(|e| Refusal::malformed("malformed path", e.to_string()))?;
        let mut response = Response::new(Body::Empty);
        *response.status_mut() = StatusCode::SEE_OTHER;
        response.headers_mut().insert(LOCATION, location);
        response
    };
    response
        .headers_mut()
        .insert(SET_COOKIE, admitted.set_cookie);
    Ok(unstored(response))
}

/// Returns the path of a one-use address at `host` for a navigation that has proved a token, which is to go
/// on to `path` there; `None` if it needed none.
pub(super) fn one_use_path<B>(
    access: &LocalAccess,
    request: &Request<B>,
    host: &str,
    path: &str,
) -> Option<String> {
    let host = OwnedHost::parse(host).ok().filter(|_| is_path(path))?;
    let code = access.hand_over(request, host, path)?;
    Some(format!("{ENTER}?code={}", code.expose()))
}

/// Returns a page that goes on to a path by itself. A redirect would leave the new cookie out where a page of
/// another site has begun the navigation (SameSite=Strict); this page begins another one.
fn page_to(path: &str) -> Response<Body> {
    let path = escaped(path);
    let page = format!(
        "<!doctype html>\n<meta charset=utf-8>\n<title>kubegate</title>\n\
         <meta http-equiv=refresh content=\"0; url={path}\">\n"
    );
    let mut response = Response::new(Body::text(page));
    for (name, value) in [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (
            CONTENT_SECURITY_POLICY,
            "default-src 'none'; frame-ancestors 'none'",
        ),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ] {
        let value = HeaderValue::from_static(value);
        response.headers_mut().insert(name, value);
    }
    response
}

/// Keeps a response out of caches, and its address out of the `Referer` of the next request.
fn unstored(mut response: Response<Body>) -> Response<Body> {
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

/// Whether a text is a path that can stand in a `Location`, and leads to the same origin.
fn is_path(path: &str) -> bool {
    let is_visible = |byte: u8| byte.is_ascii_graphic() && byte != b'\\';
    path.len() <= MAX_PATH
        && path.bytes().all(is_visible)
        && path.starts_with('/')
        && !path_reference::is_authority(path)
}

/// Returns the first value of a parameter of the query.
fn parameter<B>(request: &Request<B>, name: &str) -> Option<String> {
    let pairs = request.uri().query()?.split('&');
    let mut pairs = pairs.filter_map(|pair| pair.split_once('='));
    let (_, value) = pairs.find(|(key, _)| *key == name)?;
    let value = percent_decode_str(value).decode_utf8().ok()?;
    Some(value.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reserved_path_is_known_in_every_spelling() {
        for path in [
            "/.kubegate/",
            "/.kubegate",
            "/.kubegate/open",
            "//.kubegate/open",
            "/%2ekubegate/open",
            "/.Kubegate/x",
            "/.kubegat%65%2fopen",
            "/./.kubegate/x",
            "/%2f.kubegate/x",
        ] {
            assert!(is_reserved(path), "{path}");
        }
        for path in [
            "/",
            "/api/v1/pods",
            "/.kubegates/",
            "/.well-known/openid-configuration",
            "/%61pi/v1",
            "/api/.kubegate/",
            "/.",
        ] {
            assert!(!is_reserved(path), "{path}");
        }
    }

    #[test]
    fn only_a_one_use_address_or_the_path_that_was_asked_for_is_opened() {
        for (path, one_use, is_opened) in [
            ("/.kubegate/enter?code=abc", true, true),
            ("/api?watch=1", false, true),
            ("/", false, false),
            ("/.kubegate/enter?code=abc", false, false),
            ("/api?watch=1", true, false),
            ("@evil.example/login", true, false),
            ("@evil.example/login", false, false),
            (".evil.example/.kubegate/enter?code=abc", true, false),
            ("//evil.example/.kubegate/enter?code=abc", true, false),
            ("/.kubegate/enter?code=a\n", true, false),
            ("/.kubegate/enter@evil.example?code=a", true, false),
        ] {
            let path = path.to_owned();
            let opened = Opened { path, one_use };
            assert_eq!(opened.leads_to("/api?watch=1"), is_opened, "{opened:?}");
        }
        for asked in ["@evil.example", "//evil.example"] {
            let path = asked.to_owned();
            let one_use = false;
            assert!(!Opened { path, one_use }.leads_to(asked), "{asked}");
        }
    }

    #[test]
    fn a_browser_is_sent_on_to_a_path_of_the_same_origin_alone() {
        for path in ["/", "/a?b=c#d", "/a//b"] {
            assert!(is_path(path), "{path}");
        }
        let long = format!("/{}", "a".repeat(MAX_PATH));
        for path in [
            "",
            "a",
            "//evil.example",
            "/\\evil.example",
            "https://evil.example",
            "/a\r\nX: y",
            "/a b",
            "/\u{e9}",
            &long,
        ] {
            assert!(!is_path(path), "{path}");
        }
    }
}
