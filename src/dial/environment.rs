//! `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY`, read as Go's `http.ProxyFromEnvironment` does,
//! which is what kubectl uses.

use std::net::IpAddr;

use http::Uri;
use hyper_util::client::proxy::matcher::Matcher;

use super::Error;
use crate::kubeconfig::{self, ProxyUrl};

/// The proxy variables of the process. `Debug` is left out: their URLs may hold passwords.
#[derive(Clone, Default)]
pub struct Environment {
    https: Option<(&'static str, String)>,
    http: Option<(&'static str, String)>,
    no: String,
}

impl Environment {
    /// Reads the variables through `get`; upper case wins over lower case, as in Go.
    pub fn read(get: impl Fn(&str) -> Option<String>) -> Self {
        let first = |names: [&'static str; 2]| {
            names
                .into_iter()
                .find_map(|name| get(name).filter(|v| !v.is_empty()).map(|v| (name, v)))
        };
        Self {
            https: first(["HTTPS_PROXY", "https_proxy"]),
            http: first(["HTTP_PROXY", "http_proxy"]),
            no: first(["NO_PROXY", "no_proxy"]).map_or_else(String::new, |(_, v)| v),
        }
    }

    /// The proxy that `server` is to be reached through, if any. The loopback is never.
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

    fn excludes(&self, server: &Uri) -> bool {
        let port = kubeconfig::port(server).to_string();
        let entries: Vec<&str> = self
            .no
            .split(',')
            .filter_map(|entry| without_port(entry.trim(), &port))
            .collect();
        let matcher = Matcher::builder()
            .all("http://proxy")
            .no(entries.join(","))
            .build();
        matcher.intercept(server).is_none()
    }
}

/// `host:port` in `NO_PROXY` holds for that port alone; `None` where it is another one.
fn without_port<'a>(entry: &'a str, port: &str) -> Option<&'a str> {
    let bare = entry
        .strip_prefix('[')
        .and_then(|e| e.strip_suffix(']'))
        .unwrap_or(entry);
    match bare.rsplit_once(':') {
        Some((host, p)) if !host.contains(':') || host.ends_with(']') => {
            (p == port).then(|| host.trim_start_matches('[').trim_end_matches(']'))
        }
        _ => Some(bare),
    }
}

fn is_loopback(server: &Uri) -> bool {
    let host = kubeconfig::host(server);
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

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
    fn https_proxy_is_for_https_alone() {
        assert!(proxied("", "https://api.example:6443"));
        assert!(!proxied("", "http://api.example:8080"));
    }

    #[test]
    fn the_loopback_is_never_proxied() {
        for server in [
            "https://localhost:1",
            "https://127.0.0.9:1",
            "https://[::1]:1",
        ] {
            assert!(!proxied("", server), "{server}");
        }
    }

    #[test]
    fn no_proxy_knows_domains_networks_and_ports() {
        assert!(!proxied("other, .example", "https://api.example:6443"));
        assert!(!proxied("api.example:6443", "https://api.example:6443"));
        assert!(proxied("api.example:6443", "https://api.example:443"));
        assert!(!proxied("10.0.0.0/8", "https://10.1.2.3"));
        assert!(proxied("10.0.0.0/8", "https://11.1.2.3"));
        assert!(!proxied("[2001:db8::1]:443", "https://[2001:db8::1]"));
        assert!(!proxied("2001:db8::/32", "https://[2001:db8::1]"));
        assert!(!proxied("*", "https://api.example"));
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
