//! Checks the `Host` header, parsed and not matched as text.

use std::borrow::Cow;
use std::net::{Ipv4Addr, Ipv6Addr};

use http::{Request, Uri, header::HOST};

use super::filter::Patterns;
use crate::proxy::{app_origin::AppOrigin, refusal::Refusal};

/// A host and port, as in a `Host` header, a request target or an origin.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Host<'a> {
    /// Lower case; an IPv6 address in its shortest form and in brackets.
    pub(super) name: Cow<'a, str>,
    /// `None` stands for the default port of the scheme.
    pub(super) port: Option<u16>,
}

impl<'a> Host<'a> {
    /// Reads `host[:port]`, stricter than RFC 3986: no userinfo, no escapes, no trailing dot.
    pub(super) fn parse(text: &'a str) -> Result<Self, &'static str> {
        let (name, port) = match text.strip_prefix('[').and_then(|v6| v6.split_once(']')) {
            Some((v6, rest)) => (ipv6(v6)?, rest),
            None => match text.find(':') {
                Some(colon) => (name(&text[..colon])?, &text[colon..]),
                None => (name(text)?, ""),
            },
        };
        let port = match port.strip_prefix(':') {
            Some(digits) => Some(number(digits).ok_or("has a bad port")?),
            None if port.is_empty() => None,
            None => return Err("has text after its address"),
        };
        Ok(Self { name, port })
    }

    /// Whether both are the same host and port, where `default` stands for a missing port.
    pub(super) fn is_same(&self, other: &Host<'_>, default: u16) -> bool {
        self.name == other.name && self.port.unwrap_or(default) == other.port.unwrap_or(default)
    }

    /// Whether it is a loopback name, see [`is_loopback`].
    pub(super) fn is_loopback(&self) -> bool {
        is_loopback(&self.name)
    }

    /// Returns the address inside of the brackets, if it is IPv6.
    fn without_brackets(&self) -> Option<&str> {
        self.name.strip_prefix('[')?.strip_suffix(']')
    }
}

/// Returns the one host of a request: well-formed, accepted, and the same as in the target; and the app,
/// if it is the host of one. Those are accepted always.
///
/// With `accept` of `None` every well-formed host passes (`--disable-filter`).
pub(super) fn check<'a, B>(
    request: &'a Request<B>,
    accept: Option<&Patterns>,
) -> Result<(Host<'a>, Option<AppOrigin>), Refusal> {
    let host = only_host(request)?;
    check_target(request.uri(), &host)?;
    if let Some(app) = AppOrigin::parse(&host.name) {
        return Ok((host, Some(app)));
    }
    match accept {
        Some(patterns) if !is_accepted(&host, patterns) => Err(Refusal::forbidden(
            "--accept-hosts",
            format!(
                "host {:?} is not accepted; --accept-hosts='^{}$' would allow it",
                host.name,
                regex::escape(&host.name)
            ),
        )),
        _ => Ok((host, None)),
    }
}

/// RFC 9112 section 3.2: 400 for a request without a `Host`, with two, or with a bad one. HTTP/1.0 gets
/// no exception: without a `Host` there is nothing to compare a page's origin with.
pub(super) fn only_host<B>(request: &Request<B>) -> Result<Host<'_>, Refusal> {
    let mut hosts = request.headers().get_all(HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else {
        return Err(
            Refusal::malformed("not one Host", "a request needs exactly one Host header")
                .and_close(),
        );
    };
    host.to_str()
        .map_err(|_| "is not text")
        .and_then(Host::parse)
        .map_err(|reason| Refusal::malformed("malformed Host", format!("the Host header {reason}")))
}

/// Refuses a target in absolute form that names another host than the `Host` header, which RFC 9112
/// section 3.2.2 would let it override.
fn check_target(target: &Uri, host: &Host<'_>) -> Result<(), Refusal> {
    let Some(authority) = target.authority() else {
        return Ok(());
    };
    let default = target.scheme_str().and_then(default_port).ok_or_else(|| {
        Refusal::malformed(
            "malformed target",
            "the request target must begin with / or http://",
        )
    })?;
    let named = Host::parse(authority.as_str()).map_err(|reason| {
        Refusal::malformed(
            "malformed target",
            format!("the host in the request target {reason}"),
        )
    })?;
    if named.is_same(host, default) {
        Ok(())
    } else {
        Err(Refusal::malformed(
            "target and Host differ",
            "the request target and the Host header name different hosts",
        ))
    }
}

/// Returns what stands behind the name in a `Host` header that is a loopback name: a colon and the port,
/// or nothing. `None` for every other host.
pub(in crate::proxy) fn loopback_port_suffix(host: &str) -> Option<String> {
    let host = Host::parse(host).ok().filter(Host::is_loopback)?;
    let suffix = host.port.map(|port| format!(":{port}"));
    Some(suffix.unwrap_or_default())
}

/// Returns the default port of `http` and `https`.
pub(super) fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    }
}

/// Whether a host is accepted. kubectl drops the brackets of an IPv6 address that has a port, so
/// patterns for both spellings are in use.
fn is_accepted(host: &Host<'_>, patterns: &Patterns) -> bool {
    patterns.accept(&host.name)
        || host
            .without_brackets()
            .is_some_and(|address| patterns.accept(address))
}

/// Whether a name is a loopback name, whatever a name server says. Browsers trust plain http at such a
/// name (Secure Contexts, section 3.1) and mark their requests to it with `Sec-Fetch-*`.
pub(super) fn is_loopback(name: &str) -> bool {
    name == "localhost"
        || name == "[::1]"
        || name.ends_with(".localhost")
        || (name.starts_with("127.") && name.parse::<Ipv4Addr>().is_ok())
}

fn name(text: &str) -> Result<Cow<'_, str>, &'static str> {
    let usual = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    if text.is_empty() {
        return Err("names no host");
    }
    if !text.bytes().all(usual) {
        return Err("has characters that no host name has");
    }
    if text.ends_with('.') {
        return Err("ends in a dot; leave it out");
    }
    Ok(if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(text.to_ascii_lowercase())
    } else {
        Cow::Borrowed(text)
    })
}

fn ipv6(text: &str) -> Result<Cow<'_, str>, &'static str> {
    let address: Ipv6Addr = text.parse().map_err(|_| "has a bad IPv6 address")?;
    Ok(Cow::Owned(format!("[{address}]")))
}

/// Parses a port from digits: `str::parse` would take a sign too.
fn number(digits: &str) -> Option<u16> {
    let digits = digits
        .bytes()
        .all(|byte| byte.is_ascii_digit())
        .then_some(digits)?;
    digits.parse().ok().filter(|port| *port != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_parsed_into_name_and_port() {
        for (text, name, port) in [
            ("localhost", "localhost", None),
            ("LocalHost:8001", "localhost", Some(8001)),
            ("127.0.0.1:1", "127.0.0.1", Some(1)),
            ("[::1]", "[::1]", None),
            ("[::1]:65535", "[::1]", Some(65535)),
            ("[0:0:0:0:0:0:0:1]:8001", "[::1]", Some(8001)),
            ("[FE80::A]", "[fe80::a]", None),
            ("my_pod.ns-1.svc", "my_pod.ns-1.svc", None),
        ] {
            let host = Host::parse(text).expect(text);
            assert_eq!((host.name.as_ref(), host.port), (name, port), "{text}");
        }
    }

    #[test]
    fn a_host_of_another_form_is_refused() {
        for text in [
            "",
            ":8001",
            "localhost:",
            "localhost:0",
            "localhost:65536",
            "localhost:+80",
            "localhost:80a",
            "localhost:8001:8001",
            "user@localhost",
            "user:pw@localhost:8001",
            "localhost.",
            "localhost.:8001",
            "local host",
            "localhost/",
            "localhost%00",
            "localhost,evil",
            "::1",
            "[::1",
            "[::1]8001",
            "[::1]:",
            "[localhost]",
            "[fe80::1%25eth0]",
            "[::1].evil.example",
            "b\u{fc}cher.example",
        ] {
            assert!(Host::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn loopback_names_are_those_that_browsers_trust_over_http() {
        for name in [
            "localhost",
            "kubegate.localhost",
            "a.b.localhost",
            "127.0.0.1",
            "127.1.2.3",
            "[::1]",
        ] {
            assert!(is_loopback(name), "{name}");
        }
        for name in [
            "localhost.example",
            "notlocalhost",
            "127.0.0.1.example",
            "127.1",
            "127.example",
            "128.0.0.1",
            "0.0.0.0",
            "10.0.0.1",
            "[::]",
            "[::ffff:127.0.0.1]",
            "localhost.localdomain",
        ] {
            assert!(!is_loopback(name), "{name}");
        }
    }

    #[test]
    fn a_clean_host_costs_no_allocation() {
        let host = Host::parse("localhost:8001").expect("a host");
        assert!(matches!(host.name, Cow::Borrowed(_)));
    }
}
