//! [`Environment`]: `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY`, read as Go's
//! `http.ProxyFromEnvironment` reads them, which kubectl uses.

use std::net::IpAddr;

use http::Uri;

use super::{error::Error, punycode};
use crate::kubeconfig::{self, ProxyUrl};

/// The proxy variables of the process. It has no `Debug`, since their URLs may hold passwords.
#[derive(Clone, Default)]
pub struct Environment {
    https: Option<(&'static str, String)>,
    http: Option<(&'static str, String)>,
    no: String,
}

impl Environment {
    /// Reads the variables through `get`. Upper case takes precedence over lower case, as in Go.
    pub fn read(get: impl Fn(&str) -> Option<String>) -> Self {
        let is_set = |(_, value): &(&str, String)| !value.is_empty();
        let first = |names: [&'static str; 2]| {
            names
                .into_iter()
                .find_map(|name| Some((name, get(name)?.trim().to_owned())).filter(is_set))
        };
        Self {
            https: first(["HTTPS_PROXY", "https_proxy"]),
            http: first(["HTTP_PROXY", "http_proxy"]),
            no: first(["NO_PROXY", "no_proxy"]).map_or_else(String::new, |(_, v)| v),
        }
    }

    /// The proxy through which `server` is reached, if any. Loopback addresses have none.
    pub fn proxy_for(&self, server: &Uri) -> Result<Option<ProxyUrl>, Error> {
        let https = server.scheme_str() == Some("https");
        let variable = if https { &self.https } else { &self.http };
        let Some((variable, value)) = variable else {
            return Ok(None);
        };
        if is_loopback(server) || self.excludes(server) {
            return Ok(None);
        }
        // Go takes a bare `host:port` for an http proxy.
        let url = if value.contains("://") {
            value.clone()
        } else {
            format!("http://{value}")
        };
        ProxyUrl::parse(&url)
            .map(Some)
            .map_err(|source| Error::Environment {
                variable,
                source: Box::new(source),
            })
    }

    /// Whether `NO_PROXY` says that `server` is reached without a proxy.
    fn excludes(&self, server: &Uri) -> bool {
        let host = kubeconfig::host(server).to_ascii_lowercase();
        let (address, port) = (host.parse().ok(), kubeconfig::port(server));
        let mut entries = self.no.split(',').map(str::trim);
        entries.any(|entry| entry == "*" || matches(entry, &host, address, port))
    }
}

/// Whether an entry of `NO_PROXY` matches a host, as `config.init` and the matchers of
/// golang.org/x/net/http/httpproxy decide it.
fn matches(entry: &str, host: &str, address: Option<IpAddr>, port: u16) -> bool {
    let entry = entry.to_lowercase();
    if let Some((network, bits)) = entry.split_once('/')
        && let (Ok(network), Ok(bits)) = (network.parse(), bits.parse())
    {
        return address.is_some_and(|address| is_within(address, network, bits));
    }
    let (name, of_port) = host_and_port(&entry);
    if of_port.is_some_and(|of_port| of_port != port.to_string()) {
        return false;
    }
    if let Ok(named) = name.parse::<IpAddr>() {
        return address.is_some_and(|address| address.to_canonical() == named.to_canonical());
    }
    // A name, or the suffix of one, never matches an address.
    if address.is_some() {
        return false;
    }
    // `example.com` matches the host and its subdomains, `.example.com` and `*.example.com` only the
    // latter.
    let name = name
        .strip_prefix('*')
        .filter(|rest| rest.starts_with('.'))
        .unwrap_or(name);
    let ascii = punycode::to_ascii(name);
    let name = ascii.as_deref().unwrap_or(name);
    match host.strip_suffix(name) {
        _ if name.is_empty() => false,
        Some(below) => name.starts_with('.') || below.is_empty() || below.ends_with('.'),
        None => false,
    }
}

/// Go's `net.SplitHostPort`, where a failure means that all of the entry is the host. An IPv6
/// address may be in brackets without a port too.
fn host_and_port(entry: &str) -> (&str, Option<&str>) {
    if let Some((host, rest)) = entry
        .strip_prefix('[')
        .and_then(|rest| rest.split_once(']'))
    {
        return match rest.strip_prefix(':') {
            Some(port) => (host, any_port(port)),
            None if rest.is_empty() => (host, None),
            None => (entry, None),
        };
    }
    match entry.split_once(':') {
        Some((host, port)) if !port.contains(':') => (host, any_port(port)),
        _ => (entry, None),
    }
}

fn any_port(port: &str) -> Option<&str> {
    Some(port).filter(|port| !port.is_empty())
}

/// Whether an address is in `network/bits`. An IPv4-mapped IPv6 address counts as IPv4.
fn is_within(address: IpAddr, network: IpAddr, bits: u32) -> bool {
    match (address.to_canonical(), network) {
        (IpAddr::V4(address), IpAddr::V4(network)) if bits <= 32 => {
            let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
            (address.to_bits() ^ network.to_bits()) & mask == 0
        }
        (IpAddr::V6(address), IpAddr::V6(network)) if bits <= 128 => {
            let mask = u128::MAX.checked_shl(128 - bits).unwrap_or(0);
            (address.to_bits() ^ network.to_bits()) & mask == 0
        }
        _ => false,
    }
}

fn is_loopback(server: &Uri) -> bool {
    let host = kubeconfig::host(server);
    let address = host.parse::<IpAddr>();
    host.eq_ignore_ascii_case("localhost")
        || address.is_ok_and(|address| address.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::kubeconfig::ProxyScheme;

    fn proxied(no: &str, server: &str) -> bool {
        let environment = Environment::read(|name| match name {
            "HTTPS_PROXY" => Some("proxy.example:3128".into()),
            "NO_PROXY" => Some(no.into()),
            _ => None,
        });
        let proxy = environment.proxy_for(&server.parse().unwrap()).unwrap();
        if let Some(proxy) = &proxy {
            assert_eq!((proxy.host.as_str(), proxy.port), ("proxy.example", 3128));
        }
        proxy.is_some()
    }

    #[test]
    fn https_proxy_applies_to_https_alone() {
        assert!(proxied("", "https://api.example:6443"));
        assert!(!proxied("", "http://api.example:8080"));
    }

    #[test]
    fn loopback_addresses_are_never_proxied() {
        for server in [
            "https://localhost:1",
            "https://127.0.0.9:1",
            "https://[::1]:1",
            "https://[::ffff:127.0.0.1]:1",
            "https://LocalHost",
        ] {
            assert!(!proxied("", server), "{server}");
        }
    }

    /// The rules of golang.org/x/net/http/httpproxy; some rows are from its tests.
    #[test]
    fn no_proxy_is_read_as_go_reads_it() {
        const DIRECT: bool = true;
        for (no, server, direct) in [
            // A name matches the host and its subdomains.
            ("example.com", "https://example.com", DIRECT),
            ("example.com", "https://api.example.com:6443", DIRECT),
            ("example.com", "https://a.b.example.com", DIRECT),
            ("example.com", "https://myexample.com", !DIRECT),
            ("example.com", "https://example.com.evil", !DIRECT),
            ("example.com", "https://com", !DIRECT),
            // After a dot or `*.`, only its subdomains.
            (".corp.example", "https://api.corp.example:6443", DIRECT),
            (".corp.example", "https://corp.example", !DIRECT),
            ("*.corp.example", "https://api.corp.example:6443", DIRECT),
            ("*.corp.example", "https://a.b.corp.example", DIRECT),
            ("*.corp.example", "https://corp.example", !DIRECT),
            ("*.corp.example", "https://notcorp.example", !DIRECT),
            (
                "*.corp.example:6443",
                "https://api.corp.example:6443",
                DIRECT,
            ),
            (
                "*.corp.example:443",
                "https://api.corp.example:6443",
                !DIRECT,
            ),
            // Other wildcards have no meaning.
            ("*corp.example", "https://api.corp.example", !DIRECT),
            ("api.*.example", "https://api.corp.example", !DIRECT),
            ("**", "https://api.corp.example", !DIRECT),
            // An entry `*` matches everything.
            ("*", "https://api.example", DIRECT),
            ("*", "https://10.1.2.3", DIRECT),
            ("other, * ", "https://api.example", DIRECT),
            // With a port, only that port; an empty port matches any.
            ("api.example:6443", "https://api.example:6443", DIRECT),
            ("api.example:6443", "https://api.example", !DIRECT),
            ("api.example:443", "https://api.example", DIRECT),
            ("api.example:", "https://api.example:6443", DIRECT),
            ("api.example:x", "https://api.example", !DIRECT),
            (":443", "https://api.example", !DIRECT),
            ("10.1.2.3:6443", "https://10.1.2.3:6443", DIRECT),
            ("10.1.2.3:6443", "https://10.1.2.3", !DIRECT),
            ("[2001:db8::1]:443", "https://[2001:db8::1]", DIRECT),
            ("[2001:db8::1]:444", "https://[2001:db8::1]", !DIRECT),
            // Networks and addresses.
            ("10.0.0.0/8", "https://10.1.2.3", DIRECT),
            ("10.9.9.9/8", "https://10.1.2.3", DIRECT),
            ("10.0.0.0/8", "https://11.1.2.3", !DIRECT),
            ("10.0.0.0/8", "https://10.example", !DIRECT),
            ("0.0.0.0/0", "https://11.1.2.3", DIRECT),
            ("10.1.2.3/32", "https://10.1.2.3", DIRECT),
            ("10.1.2.3/33", "https://10.1.2.3", !DIRECT),
            ("10.1.2.3", "https://10.1.2.3:6443", DIRECT),
            ("10.1.2.3", "https://10.1.2.30", !DIRECT),
            ("10.1.2", "https://10.1.2.3", !DIRECT),
            ("2.3", "https://10.1.2.3", !DIRECT), // a name does not match an address
            (".3", "https://10.1.2.3", !DIRECT),
            ("*.2.3", "https://10.1.2.3", !DIRECT),
            ("2001:db8::/32", "https://[2001:db8::1]", DIRECT),
            ("2001:db8::/32", "https://[2001:db9::1]", !DIRECT),
            ("::/0", "https://[2001:db8::1]", DIRECT),
            ("::/0", "https://10.1.2.3", !DIRECT),
            ("2001:DB8:0::1", "https://[2001:db8::1]", DIRECT),
            ("[2001:db8::1]", "https://[2001:db8::1]", DIRECT), // differs from Go, which reads a name
            ("10.1.2.3", "https://[::ffff:10.1.2.3]", DIRECT),
            ("10.0.0.0/8", "https://[::ffff:10.1.2.3]", DIRECT),
            ("fe80::1%eth0", "https://[fe80::1]", !DIRECT),
            // Case, spaces and separators.
            ("API.Example", "https://api.eXample", DIRECT),
            (" other ,\tapi.example ", "https://api.example", DIRECT),
            ("other api.example", "https://api.example", !DIRECT),
            ("other;api.example", "https://api.example", !DIRECT),
            (",,", "https://api.example", !DIRECT),
            ("https://api.example", "https://api.example", !DIRECT),
            ("api.example.", "https://api.example", !DIRECT),
            // Names beyond ASCII.
            (
                "bücher.example",
                "https://api.xn--bcher-kva.example",
                DIRECT,
            ),
            (
                "*.BÜCHER.example",
                "https://api.xn--bcher-kva.example",
                DIRECT,
            ),
            (
                "bucher.example",
                "https://api.xn--bcher-kva.example",
                !DIRECT,
            ),
        ] {
            assert_eq!(proxied(no, server), !direct, "NO_PROXY={no} {server}");
        }
    }

    #[test]
    fn upper_case_takes_precedence_unless_it_is_empty() {
        let environment = |set: &'static [(&str, &str)]| {
            let get = |name: &str| {
                let found = set.iter().find(|(key, _)| *key == name);
                found.map(|(_, value)| (*value).to_owned())
            };
            let proxy = Environment::read(get).proxy_for(&"https://a.example".parse().unwrap());
            proxy.unwrap().map(|proxy| proxy.host)
        };
        for (set, host) in [
            (
                &[("HTTPS_PROXY", "up"), ("https_proxy", "low")][..],
                Some("up"),
            ),
            (&[("HTTPS_PROXY", ""), ("https_proxy", "low")], Some("low")),
            (
                &[("HTTPS_PROXY", " "), ("https_proxy", "low\n")],
                Some("low"),
            ),
            (&[("https_proxy", "low"), ("no_proxy", "a.example")], None),
            (
                &[
                    ("https_proxy", "low"),
                    ("NO_PROXY", "b"),
                    ("no_proxy", "a.example"),
                ],
                Some("low"),
            ),
            (
                &[
                    ("https_proxy", "low"),
                    ("NO_PROXY", ""),
                    ("no_proxy", "a.example"),
                ],
                None,
            ),
            // Variables of other programs, and that of CGI, have no effect.
            (&[("ALL_PROXY", "all"), ("HTTP_PROXY", "http")], None),
            (
                &[("https_proxy", "low"), ("REQUEST_METHOD", "GET")],
                Some("low"),
            ),
        ] {
            assert_eq!(environment(set).as_deref(), host, "{set:?}");
        }
    }

    #[test]
    fn a_proxy_variable_is_a_url_or_an_address() {
        for (value, scheme, address) in [
            ("proxy:3128", ProxyScheme::Http, "proxy:3128"),
            ("proxy", ProxyScheme::Http, "proxy:80"),
            (":5000", ProxyScheme::Http, "localhost:5000"),
            ("127.0.0.1:5000", ProxyScheme::Http, "127.0.0.1:5000"),
            ("[::1]:5000", ProxyScheme::Http, "[::1]:5000"),
            ("u:p@proxy:3128", ProxyScheme::Http, "proxy:3128"),
            ("proxy:3128/path", ProxyScheme::Http, "proxy:3128"),
            (
                "http://proxy:3128/path?a#b",
                ProxyScheme::Http,
                "proxy:3128",
            ),
            ("https://proxy", ProxyScheme::Https, "proxy:443"),
            ("socks5://proxy", ProxyScheme::Socks5, "proxy:1080"),
            ("SOCKS5H://proxy:1/", ProxyScheme::Socks5, "proxy:1"),
        ] {
            let environment =
                Environment::read(|name| (name == "https_proxy").then(|| value.into()));
            let proxy = environment.proxy_for(&"https://a.example".parse().unwrap());
            let proxy = proxy.unwrap().unwrap();
            assert_eq!(
                (proxy.scheme, proxy.address().as_str()),
                (scheme, address),
                "{value}"
            );
        }
    }

    #[test]
    fn a_bad_proxy_variable_is_named() {
        let environment =
            Environment::read(|n| (n == "https_proxy").then(|| "ftp://u:hunter2@p".into()));
        let error = environment
            .proxy_for(&"https://api.example".parse().unwrap())
            .unwrap_err()
            .to_string();
        assert!(error.contains("https_proxy"), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
}
