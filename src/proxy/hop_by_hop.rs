//! Removes headers that belong to one connection (RFC 9110 section 7.6.1), and those that only a
//! trusted front proxy may send.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! use http::{Request, Response};
//! use kubegate::proxy::{Body, Error, hop_by_hop};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! let service = ServiceBuilder::new()
//!     .layer(hop_by_hop::layer())
//!     .service(service_fn(async |request: Request<()>| {
//!         assert!(!request.headers().contains_key("connection"));
//!         assert!(!request.headers().contains_key("x-remote-user"));
//!         Ok::<_, Error>(Response::new(Body::Empty))
//!     }));
//! let request = Request::get("/").header("connection", "close").header("x-remote-user", "admin");
//! assert!(service.oneshot(request.body(()).unwrap()).await.is_ok());
//! # }
//! ```

use http::{
    HeaderMap, HeaderName, Request, Version,
    header::{
        AUTHORIZATION, CONNECTION, CONTENT_LENGTH, COOKIE, EXPECT, HOST, ORIGIN,
        PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRANSFER_ENCODING, UPGRADE,
    },
};

use super::{
    head_filter::{HeadFilter, HeadFilterLayer},
    header_names::{canonical, remove_where},
    refusal::Refusal,
    untrusted_content::UntrustedContent,
};

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
const HTTP2_SETTINGS: HeaderName = HeaderName::from_static("http2-settings");

/// The protocols that a connection may be upgraded to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    /// RFC 6455
    WebSocket,
    /// The framing of kubectl's older remote commands.
    Spdy31,
}

impl Protocol {
    /// The token in `Upgrade`.
    pub(super) fn token(self) -> &'static str {
        match self {
            Self::WebSocket => "websocket",
            Self::Spdy31 => "SPDY/3.1",
        }
    }

    /// Returns the protocol of a token. Tokens compare without case (RFC 9110 section 7.8).
    pub(super) fn of_token(token: &[u8]) -> Option<Self> {
        [Self::WebSocket, Self::Spdy31]
            .into_iter()
            .find(|protocol| token.eq_ignore_ascii_case(protocol.token().as_bytes()))
    }
}

/// Removes what belongs to the downstream connection. A request that may upgrade has its `Protocol`
/// among its extensions from here on; any other `Upgrade` is ignored, as a server may.
#[must_use]
pub fn layer() -> HeadFilterLayer<HopByHop> {
    HeadFilterLayer::new(HopByHop)
}

/// See [`layer`].
#[derive(Debug)]
pub struct HopByHop;

impl HeadFilter for HopByHop {
    fn filter<B>(&self, request: &mut Request<B>) -> Result<(), Refusal> {
        let named = named_in_connection(request.headers())?;
        if let Some(protocol) = upgrade(request, &named) {
            request.extensions_mut().insert(protocol);
        }
        let rest: &[HeaderName] = match request.extensions().get::<UntrustedContent>() {
            Some(foreign) if foreign.takes_cookies() => &[PROXY_AUTHORIZATION, HTTP2_SETTINGS],
            _ => &[PROXY_AUTHORIZATION, HTTP2_SETTINGS, COOKIE],
        };
        let headers = request.headers_mut();
        strip(headers, &named);
        remove_all(headers, rest);
        strip_identities(headers);
        Ok(())
    }
}

/// Removes from a response what belongs to the upstream connection.
pub fn strip_response(headers: &mut HeaderMap) {
    // A server that names protected headers harms only its own response.
    let named = named_in_connection(headers).unwrap_or_default();
    // The body was read by its chunks, and its length may differ (RFC 9112 section 6.3).
    if headers.contains_key(TRANSFER_ENCODING) {
        headers.remove(CONTENT_LENGTH);
    }
    strip(headers, &named);
    headers.remove(PROXY_AUTHENTICATE);
}

/// Removes from a request's trailers what may not follow a body (RFC 9110 section 6.5.1): a server
/// that merges trailers into headers would serve another user.
pub(super) fn strip_trailers(trailers: &mut HeaderMap) {
    remove_where(trailers, |name| {
        is_protected(name) || is_identity(name) || *name == PROXY_AUTHORIZATION
    });
    strip(trailers, &[]);
}

fn strip(headers: &mut HeaderMap, named: &[HeaderName]) {
    const ALWAYS: [HeaderName; 5] = [
        CONNECTION,
        KEEP_ALIVE,
        PROXY_CONNECTION,
        TRANSFER_ENCODING,
        UPGRADE,
    ];
    if headers.get_all(TE).iter().any(|te| te != "trailers") {
        headers.remove(TE);
    }
    for name in named.iter().filter(|name| **name != TE) {
        headers.remove(name);
    }
    remove_all(headers, &ALWAYS);
}

/// Removes the names. Most messages have none of them, which one pass over the headers finds faster
/// than a lookup of each name.
fn remove_all(headers: &mut HeaderMap, names: &[HeaderName]) {
    if headers.keys().any(|name| names.contains(name)) {
        for name in names {
            headers.remove(name);
        }
    }
}

/// Returns the names in all `Connection` lines.
fn named_in_connection(headers: &HeaderMap) -> Result<Vec<HeaderName>, Refusal> {
    let mut named = Vec::new();
    for line in headers.get_all(CONNECTION) {
        for token in line.as_bytes().split(|b| *b == b',') {
            let token = token.trim_ascii();
            if token.is_empty() {
                continue;
            }
            let name = HeaderName::from_bytes(token).map_err(|_| {
                Refusal::malformed("malformed Connection", "the Connection header is malformed")
            })?;
            if is_protected(&name) {
                return Err(Refusal::malformed(
                    "Connection names a protected header",
                    format!(
                        "the Connection header names {name}, which is not hop-by-hop; leave it out"
                    ),
                ));
            }
            named.push(name);
        }
    }
    Ok(named)
}

/// Whether a header decides who is calling, for whom, or where the request ends. A client that had it
/// dropped by naming it in `Connection` would get another request served than the one that was checked.
fn is_protected(name: &HeaderName) -> bool {
    const EXACT: [HeaderName; 7] = [
        AUTHORIZATION,
        CONTENT_LENGTH,
        COOKIE,
        EXPECT,
        HOST,
        ORIGIN,
        TRANSFER_ENCODING,
    ];
    const PREFIXES: [&str; 5] = [
        "impersonate",
        "x-remote-",
        "x-forwarded-",
        "sec-",
        "content-",
    ];
    let canonical = canonical(name);
    EXACT.contains(name) || PREFIXES.iter().any(|prefix| canonical.starts_with(prefix))
}

/// Removes identities that a front proxy vouches for. The API server trusts `X-Remote-*` of one
/// (`--requestheader-username-headers`); the other names are those of proxies for OAuth.
fn strip_identities(headers: &mut HeaderMap) {
    remove_where(headers, is_identity);
}

fn is_identity(name: &HeaderName) -> bool {
    const EXACT: [&str; 7] = [
        "remote-user",
        "x-forwarded-user",
        "x-forwarded-groups",
        "x-forwarded-email",
        "x-forwarded-preferred-username",
        "x-forwarded-access-token",
        "x-webauth-user",
    ];
    const PREFIXES: [&str; 2] = ["x-remote-", "x-auth-request-"];
    let text = name.as_str();
    if !text.starts_with(['x', 'r']) {
        return false;
    }
    let canonical = canonical(name);
    EXACT.contains(&canonical.as_ref()) || PREFIXES.iter().any(|p| canonical.starts_with(p))
}

/// Whether an `Upgrade` header names a protocol that this layer passes on. It is true of every request
/// that may upgrade, and false where the header is only removed, as `h2c` is.
pub(super) fn names_upgrade(headers: &HeaderMap) -> bool {
    let lines = headers.get_all(UPGRADE).into_iter();
    let mut tokens = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
    tokens.any(|token| Protocol::of_token(token.trim_ascii()).is_some())
}

fn upgrade<B>(request: &Request<B>, named: &[HeaderName]) -> Option<Protocol> {
    if request.version() != Version::HTTP_11 || !named.contains(&UPGRADE) {
        return None;
    }
    let mut tokens = request.headers().get_all(UPGRADE).into_iter();
    match (tokens.next(), tokens.next()) {
        (Some(token), None) => Protocol::of_token(token.as_bytes().trim_ascii()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn filtered(headers: &[(&str, &str)]) -> Result<Request<()>, Refusal> {
        let mut builder = Request::get("/");
        for (name, value) in headers {
            builder = builder.header(*name, *value);
        }
        let mut request = builder.body(()).unwrap();
        HopByHop.filter(&mut request).map(|()| request)
    }

    fn names(request: &Request<()>) -> Vec<&str> {
        request.headers().keys().map(HeaderName::as_str).collect()
    }

    #[test]
    fn headers_that_any_connection_line_names_are_removed() {
        let request = filtered(&[
            ("Connection", "X-One, close"),
            ("Connection", "x-two"),
            ("X-One", "1"),
            ("X-Two", "2"),
            ("X-Three", "3"),
            ("Keep-Alive", "timeout=5"),
            ("TE", "gzip"),
        ])
        .unwrap();
        assert_eq!(names(&request), ["x-three"]);
    }

    #[test]
    fn te_trailers_passes() {
        let request = filtered(&[("Connection", "TE"), ("TE", "trailers")]).unwrap();
        assert_eq!(names(&request), ["te"]);
    }

    #[test]
    fn a_connection_that_names_a_protected_header_is_400() {
        for name in [
            "Authorization",
            "impersonate-user",
            "Impersonate_User",
            "Host",
            "Content-Length",
            "X-Remote-User",
            "sec-websocket-protocol",
        ] {
            let refusal = filtered(&[("Connection", name)]).unwrap_err();
            assert_eq!(refusal.status, 400, "{name}");
            assert!(refusal.message.contains(&name.to_lowercase()), "{name}");
        }
        assert!(filtered(&[("Connection", "x-mine")]).is_ok());
    }

    #[test]
    fn front_proxy_identities_never_pass_in_any_spelling() {
        let request = filtered(&[
            ("X-Remote-User", "admin"),
            ("x_remote_group", "system:masters"),
            ("X-Remote-Extra-Scopes", "all"),
            ("X_Forwarded_User", "admin"),
            ("Remote-User", "admin"),
            ("X-Request-Id", "7"),
        ])
        .unwrap();
        assert_eq!(names(&request), ["x-request-id"]);
    }

    #[test]
    fn cookies_of_programs_go_to_apps_alone() {
        for (proxied, browser, trusted, passes) in [
            (true, false, false, true),
            (true, true, false, false),
            (true, true, true, true),
            (true, false, true, true),
            (false, false, false, false),
            (false, true, true, false),
        ] {
            let mut request = Request::get("/").header(COOKIE, "a=b").body(()).unwrap();
            request.extensions_mut().insert(UntrustedContent {
                proxied,
                browser,
                trusted,
                certain: proxied,
            });
            HopByHop.filter(&mut request).unwrap();
            let case = format!("{proxied} {browser} {trusted}");
            assert_eq!(request.headers().contains_key(COOKIE), passes, "{case}");
        }
        assert!(names(&filtered(&[("Cookie", "a=b")]).unwrap()).is_empty());
    }

    #[test]
    fn only_websocket_and_spdy_upgrade_and_only_alone() {
        let protocol = |connection, upgrade| {
            filtered(&[("Connection", connection), ("Upgrade", upgrade)])
                .unwrap()
                .extensions()
                .get::<Protocol>()
                .copied()
        };
        assert_eq!(protocol("Upgrade", "WebSocket"), Some(Protocol::WebSocket));
        assert_eq!(
            protocol("keep-alive, upgrade", "SPDY/3.1"),
            Some(Protocol::Spdy31)
        );
        assert_eq!(protocol("keep-alive", "websocket"), None);
        assert_eq!(protocol("Upgrade", "h2c"), None);
        assert_eq!(protocol("Upgrade", "websocket, h2c"), None);
    }
}
