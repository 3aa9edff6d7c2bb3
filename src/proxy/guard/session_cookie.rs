//! The cookie by which a browser shows that it may use this proxy.
//!
//! Browsers keep cookies by host, whatever the port (RFC 6265, section 8.5), so the port is part of the
//! name: several proxies of one host then do not replace each other's cookie.

use http::{HeaderMap, HeaderValue, header::COOKIE};

use super::{browser_sessions::SESSION_TTL, host::Host};
use crate::secret::Secret;

/// The beginning of the cookie's name, of this proxy and of others on the same host.
const NAME: &str = "kubegate";
/// The prefix of the name under TLS: browsers accept such a cookie from an https page of this host alone
/// (RFC 6265bis, section 4.1.3.2).
const HOST_PREFIX: &str = "__Host-";
/// How many cookies of the same name are looked at. A page of another port can set more.
const MAX_SAME: usize = 4;

/// Returns the value of `Set-Cookie` for a browser that came to `host`.
pub(super) fn set(cookie: &Secret, host: &Host<'_>, is_tls: bool) -> Option<HeaderValue> {
    let (prefix, secure) = if is_tls {
        (HOST_PREFIX, "; Secure")
    } else {
        ("", "")
    };
    let (name, value, lifetime) = (name(host), cookie.expose(), SESSION_TTL.as_secs());
    let text = format!(
        "{prefix}{name}={value}; Path=/; Max-Age={lifetime}; HttpOnly; SameSite=Strict{secure}"
    );
    let mut value = HeaderValue::try_from(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// Returns the values of the cookies for `host`.
pub(super) fn find<'a>(headers: &'a HeaderMap, host: &Host<'_>) -> impl Iterator<Item = &'a [u8]> {
    let expected = headers.contains_key(COOKIE).then(|| name(host));
    let cookies = cookies(headers).filter_map(move |cookie| {
        let (name, value) = name_and_value(cookie)?;
        let name = name.strip_prefix(HOST_PREFIX.as_bytes()).unwrap_or(name);
        (name == expected.as_deref()?.as_bytes()).then_some(value)
    });
    cookies.take(MAX_SAME)
}

/// Removes the cookies of every kubegate on this host, and keeps the others.
pub(super) fn remove(headers: &mut HeaderMap) {
    if !cookies(headers).any(is_own) {
        return;
    }
    let kept: Vec<&[u8]> = cookies(headers).filter(|cookie| !is_own(cookie)).collect();
    // Parts of a header value make a header value; if not, none is better than the cookie.
    let value = HeaderValue::from_bytes(&kept.join(&b"; "[..])).ok();
    headers.remove(COOKIE);
    if let Some(mut value) = value.filter(|value| !value.is_empty()) {
        value.set_sensitive(true);
        headers.insert(COOKIE, value);
    }
}

fn name(host: &Host<'_>) -> String {
    match host.port {
        Some(port) => format!("{NAME}-{port}"),
        None => NAME.to_owned(),
    }
}

fn is_own(cookie: &[u8]) -> bool {
    let name = name_and_value(cookie).map_or(cookie, |(name, _)| name);
    let name = name.strip_prefix(HOST_PREFIX.as_bytes()).unwrap_or(name);
    let rest = name.strip_prefix(NAME.as_bytes());
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(b"-"))
}

/// Returns the `NAME=VALUE` of each cookie.
fn cookies(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    headers
        .get_all(COOKIE)
        .into_iter()
        .flat_map(|line| line.as_bytes().split(|byte| *byte == b';'))
        .map(<[u8]>::trim_ascii)
        .filter(|cookie| !cookie.is_empty())
}

fn name_and_value(cookie: &[u8]) -> Option<(&[u8], &[u8])> {
    let equals = cookie.iter().position(|byte| *byte == b'=')?;
    let (name, value) = cookie.split_at(equals);
    Some((name.trim_ascii(), value.get(1..)?.trim_ascii()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn headers(lines: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(COOKIE, HeaderValue::from_str(line).unwrap());
        }
        headers
    }

    fn found(lines: &[&str], host: &str) -> Vec<String> {
        let headers = headers(lines);
        let host = Host::parse(host).unwrap();
        let values = find(&headers, &host).map(|value| String::from_utf8(value.to_vec()).unwrap());
        values.collect()
    }

    #[test]
    fn the_cookie_is_for_this_origin_and_no_script() {
        let host = Host::parse("localhost:8001").unwrap();
        let plain = set(&Secret::new("v"), &host, false).unwrap();
        assert_eq!(
            plain,
            "kubegate-8001=v; Path=/; Max-Age=43200; HttpOnly; SameSite=Strict"
        );
        assert!(plain.is_sensitive());
        let host = Host::parse("app.ns.svc.localhost").unwrap();
        let secure = set(&Secret::new("v"), &host, true).unwrap();
        let text = "__Host-kubegate=v; Path=/; Max-Age=43200; HttpOnly; SameSite=Strict; Secure";
        assert_eq!(secure, text);
    }

    #[test]
    fn the_cookie_of_this_port_is_found_among_others() {
        for (lines, host, expected) in [
            (&["kubegate-8001=a"][..], "localhost:8001", &["a"][..]),
            (&["x=1; kubegate-8001=a;y=2"], "localhost:8001", &["a"]),
            (&["x=1", "kubegate-8001 = a"], "localhost:8001", &["a"]),
            (&["kubegate-8002=b; kubegate=c"], "localhost:8001", &[]),
            (&["__Host-kubegate=a"], "localhost", &["a"]),
            (&["kubegate-8001"], "localhost:8001", &[]),
            (&["Kubegate-8001=a"], "localhost:8001", &[]),
            (
                &["kubegate-8001=bad; kubegate-8001=good"],
                "localhost:8001",
                &["bad", "good"],
            ),
            (&[], "localhost:8001", &[]),
        ] {
            assert_eq!(found(lines, host), expected, "{lines:?}");
        }
        let many = ["kubegate=x; "; 100].concat();
        assert_eq!(found(&[&many], "localhost").len(), MAX_SAME);
    }

    #[test]
    fn every_cookie_of_a_kubegate_is_removed_and_no_other() {
        for (lines, kept) in [
            (&["kubegate-8001=a"][..], None),
            (
                &["x=1; kubegate-8001=a; __Host-kubegate-1=b ;y=2"],
                Some("x=1; y=2"),
            ),
            (&["x=1", "kubegate=a;;", "y=2"], Some("x=1; y=2")),
            (&["kubegate"], None),
            (
                &["kubegates=1; my-kubegate=2"],
                Some("kubegates=1; my-kubegate=2"),
            ),
            (&["grafana=\"kubegate=\""], Some("grafana=\"kubegate=\"")),
        ] {
            let mut headers = headers(lines);
            remove(&mut headers);
            let left = headers.get(COOKIE).map(|value| value.to_str().unwrap());
            assert_eq!(left, kept, "{lines:?}");
            assert!(headers.len() <= 1, "{lines:?}");
        }
    }
}
