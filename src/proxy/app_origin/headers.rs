//! Headers that name an origin, or apply to more than one, in requests and responses of an app.
//!
//! The API server passes its own `Host` on to the app. Apps compare that with `Origin` and `Referer`
//! (Jupyter, Grafana), so these must name the API server's origin too. In responses its origin and the
//! path of the app's proxy are turned back.

use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{ALT_SVC, LOCATION, ORIGIN, REFERER, SET_COOKIE, STRICT_TRANSPORT_SECURITY},
};

use super::app::App;
use crate::proxy::{header_names::remove_where, path_reference};

/// Headers that affect other origins of this proxy too: all of its port, all of a connection, or the
/// cookies of the whole site.
const FOR_OTHER_ORIGINS: [HeaderName; 7] = [
    HeaderName::from_static("clear-site-data"),
    STRICT_TRANSPORT_SECURITY,
    ALT_SVC,
    HeaderName::from_static("accept-ch"),
    HeaderName::from_static("nel"),
    HeaderName::from_static("report-to"),
    HeaderName::from_static("set-login"),
];

const ORIGIN_AGENT_CLUSTER: HeaderName = HeaderName::from_static("origin-agent-cluster");

/// The origins by which one app is known.
pub(super) struct Origins<'a> {
    pub(super) app: &'a App,
    /// The `host[:port]` that the client uses.
    pub(super) own: &'a str,
    /// The API server's `scheme://host:port`.
    pub(super) server: &'a HeaderValue,
}

impl Origins<'_> {
    /// Makes `Origin` and `Referer` those that a page has which the API server itself serves. The
    /// guard has accepted them already.
    pub(super) fn change_request(&self, headers: &mut HeaderMap) {
        if headers.contains_key(ORIGIN) {
            headers.insert(ORIGIN, self.server.clone());
        }
        let Some(referer) = headers.remove(REFERER) else {
            return;
        };
        let Some(path) = referer.to_str().ok().and_then(|page| self.path_of(page)) else {
            return;
        };
        let server = String::from_utf8_lossy(self.server.as_bytes());
        let page = format!("{server}{}{path}", self.app.proxy_path());
        if let Ok(page) = HeaderValue::try_from(page) {
            headers.insert(REFERER, page);
        }
    }

    /// Makes links and cookies of a response those of the app's own origin, and removes what affects
    /// other origins.
    pub(super) fn change_response(&self, headers: &mut HeaderMap) {
        remove_where(headers, |name| FOR_OTHER_ORIGINS.contains(name));
        // Without it a page may leave its origin for the site, if another page does the same
        // (`document.domain`).
        headers.insert(ORIGIN_AGENT_CLUSTER, HeaderValue::from_static("?1"));
        let location = headers.get(LOCATION);
        let location = location.and_then(|location| self.path_of(location.to_str().ok()?));
        if let Some(location) = location.and_then(|path| HeaderValue::try_from(path).ok()) {
            headers.insert(LOCATION, location);
        }
        if headers.contains_key(SET_COOKIE) {
            let cookies: Vec<_> = headers.get_all(SET_COOKIE).iter().cloned().collect();
            headers.remove(SET_COOKIE);
            for cookie in cookies {
                headers.append(SET_COOKIE, self.own_cookie(&cookie));
            }
        }
    }

    /// Returns the path and query of a URL in this app's origin, or in the API server's. `None` for a URL
    /// of another origin, and for a relative one without a leading slash.
    fn path_of(&self, url: &str) -> Option<String> {
        let (authority, path) = if let Some(rest) = url.strip_prefix("//") {
            split_authority(rest)
        } else if url.starts_with('/') {
            (None, url)
        } else {
            let (scheme, rest) = url.split_once("://")?;
            let is_http = ["http", "https"]
                .iter()
                .any(|known| scheme.eq_ignore_ascii_case(known));
            split_authority(is_http.then_some(rest)?)
        };
        if authority.is_some_and(|authority| !self.is_known(authority)) {
            return None;
        }
        let end = path.find(['?', '#']).unwrap_or(path.len());
        let (path, rest) = path.split_at(end);
        let path = self.app.own_path(if path.is_empty() { "/" } else { path });
        Some(format!("{}{rest}", path_reference::to_path(path)))
    }

    fn is_known(&self, authority: &str) -> bool {
        let server = self.server.to_str().unwrap_or_default();
        let server = server
            .split_once("://")
            .map_or("", |(_, authority)| authority);
        // A browser leaves the default port out.
        let without_port = server
            .strip_suffix(":443")
            .or_else(|| server.strip_suffix(":80"));
        authority.eq_ignore_ascii_case(self.own)
            || authority.eq_ignore_ascii_case(server)
            || without_port.is_some_and(|server| authority.eq_ignore_ascii_case(server))
    }

    /// Returns a cookie without its `Domain`, so that no other app gets it, and with the path that a
    /// browser sees.
    fn own_cookie(&self, cookie: &HeaderValue) -> HeaderValue {
        let mut kept = Vec::with_capacity(cookie.len());
        for (index, part) in cookie.as_bytes().split(|byte| *byte == b';').enumerate() {
            let (name, value) = match part.iter().position(|byte| *byte == b'=') {
                Some(at) if index > 0 => (&part[..at], Some(&part[at + 1..])),
                _ => (part, None),
            };
            let name = name.trim_ascii();
            if index > 0 && name.eq_ignore_ascii_case(b"domain") {
                continue;
            }
            if index > 0 {
                kept.push(b';');
            }
            let path = value.filter(|_| name.eq_ignore_ascii_case(b"path"));
            match path.and_then(|path| std::str::from_utf8(path.trim_ascii()).ok()) {
                Some(path) => {
                    kept.extend_from_slice(b" Path=");
                    kept.extend_from_slice(self.app.own_path(path).as_bytes());
                }
                None => kept.extend_from_slice(part),
            }
        }
        // Parts of a header value make a header value.
        HeaderValue::from_bytes(&kept).unwrap_or_else(|_| HeaderValue::from_static(""))
    }
}

/// Splits what follows `//` into authority and the rest.
fn split_authority(text: &str) -> (Option<&str>, &str) {
    let end = text.find(['/', '?', '#', '\\']).unwrap_or(text.len());
    let (authority, rest) = text.split_at(end);
    (Some(authority), rest)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::proxy::app_origin::AppOrigin;

    const OWN: &str = "3000.grafana.m.svc.localhost:8001";
    const BASE: &str = "/api/v1/namespaces/m/services/grafana:3000/proxy";

    fn with<T>(run: impl FnOnce(&Origins<'_>) -> T) -> T {
        let origin = AppOrigin::parse("3000.grafana.m.svc.localhost").unwrap();
        let server = HeaderValue::from_static("https://api.example:6443");
        run(&Origins {
            app: &origin.app,
            own: OWN,
            server: &server,
        })
    }

    fn response(name: &'static str, value: &str) -> String {
        let mut headers = HeaderMap::new();
        headers.insert(name, HeaderValue::from_str(value).unwrap());
        with(|origins| origins.change_response(&mut headers));
        let value = headers.get(name).map(|value| value.to_str().unwrap());
        value.unwrap_or_default().to_owned()
    }

    #[test]
    fn a_location_of_the_app_or_the_api_server_becomes_a_path_of_the_app() {
        for (given, own) in [
            ("/login?next=%2F", "/login?next=%2F"),
            (&format!("{BASE}/login#top"), "/login#top"),
            (BASE, "/"),
            (&format!("{BASE}?a=/b"), "/?a=/b"),
            (&format!("https://api.example:6443{BASE}/login"), "/login"),
            (&format!("http://API.example:6443{BASE}/login"), "/login"),
            (&format!("//api.example:6443{BASE}/login"), "/login"),
            ("https://api.example:6443", "/"),
            ("http://3000.grafana.m.svc.localhost:8001/x", "/x"),
            (&format!("http://{OWN}{BASE}/x"), "/x"),
            (&format!("{BASE}//evil.example/x"), "/.//evil.example/x"),
            (&format!("{BASE}/\\evil.example"), "/./\\evil.example"),
            // Another place, or relative to the page.
            (
                "https://issuer.example/auth?x=/y",
                "https://issuer.example/auth?x=/y",
            ),
            ("//evil.example/x", "//evil.example/x"),
            (
                "https://api.example:6443@evil.example/",
                "https://api.example:6443@evil.example/",
            ),
            ("login", "login"),
            ("../x", "../x"),
            ("?a=b", "?a=b"),
            ("", ""),
            ("mailto:a@b", "mailto:a@b"),
        ] {
            assert_eq!(response("location", given), own, "{given}");
        }
    }

    #[test]
    fn a_cookie_loses_its_domain_and_gets_the_path_that_the_browser_sees() {
        for (given, own) in [
            ("a=b", "a=b"),
            ("a=b; Domain=svc.localhost; HttpOnly", "a=b; HttpOnly"),
            ("a=b;domain = .localhost;Secure;DOMAIN", "a=b;Secure"),
            ("domain=x; SameSite=None", "domain=x; SameSite=None"),
            (
                &format!("a=b; path={BASE}/; Max-Age=1"),
                "a=b; Path=/; Max-Age=1",
            ),
            (&format!("a=b; Path={BASE}"), "a=b; Path=/"),
            (&format!("a=b; Path = {BASE}/app"), "a=b; Path=/app"),
            ("a=b; Path=/grafana", "a=b; Path=/grafana"),
            ("a=\"x;y\"; Path=/", "a=\"x;y\"; Path=/"),
        ] {
            assert_eq!(response("set-cookie", given), own, "{given}");
        }
    }

    #[test]
    fn headers_that_affect_other_origins_are_removed() {
        for name in [
            "clear-site-data",
            "strict-transport-security",
            "alt-svc",
            "report-to",
        ] {
            assert_eq!(response(name, "x"), "", "{name}");
        }
        for name in ["content-security-policy", "x-frame-options", "x-app"] {
            assert_eq!(response(name, "x"), "x", "{name}");
        }
        assert_eq!(response("origin-agent-cluster", "?0"), "?1");
    }

    #[test]
    fn a_request_names_the_origin_that_the_app_sees_as_its_host() {
        let mut headers = HeaderMap::new();
        headers.insert(
            "origin",
            HeaderValue::from_str(&format!("http://{OWN}")).unwrap(),
        );
        let page = format!("http://{OWN}/d/1?a=b");
        headers.insert("referer", HeaderValue::from_str(&page).unwrap());
        with(|origins| origins.change_request(&mut headers));
        assert_eq!(headers["origin"], "https://api.example:6443");
        assert_eq!(
            headers["referer"],
            format!("https://api.example:6443{BASE}/d/1?a=b")
        );
        // That of another page says nothing to the app.
        let other = HeaderValue::from_static("http://other.m.svc.localhost:8001/secret");
        headers.insert("referer", other);
        headers.remove("origin");
        with(|origins| origins.change_request(&mut headers));
        assert!(headers.is_empty(), "{headers:?}");
    }
}
