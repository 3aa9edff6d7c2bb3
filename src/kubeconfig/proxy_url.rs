//! [`ProxyUrl`]: the parsed `proxy-url` of a cluster, or proxy of the environment.

use std::net::Ipv6Addr;

use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::{kubeconfig::Error, secret::Secret};

/// A proxy to connect through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyUrl {
    /// How to speak to it.
    pub scheme: ProxyScheme,
    /// Host name or IP address, IPv6 without brackets.
    pub host: String,
    /// Port; the scheme's default (80, 443, 1080) if the URL has none.
    pub port: u16,
    /// User name and password, percent-decoded.
    pub credentials: Option<(String, Secret)>,
}

/// The protocol of a proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyScheme {
    /// CONNECT over plain TCP.
    Http,
    /// CONNECT over TLS, verified with the system's CAs.
    Https,
    /// SOCKS 5; the proxy resolves names (`socks5h` is the same).
    Socks5,
}

impl ProxyUrl {
    /// Parses `scheme://[user[:password]@]host[:port]` with the scheme `http`, `https`, `socks5` or
    /// `socks5h`. A path, query or fragment is ignored.
    ///
    /// # Errors
    /// [`Error::ProxyUrl`], which does not repeat the text.
    pub fn parse(text: &str) -> Result<Self, Error> {
        Self::read(text).map_err(Error::ProxyUrl)
    }

    /// `host:port` as in URLs, with IPv6 in brackets.
    #[must_use]
    pub fn address(&self) -> String {
        let Self { host, port, .. } = self;
        if host.contains(':') {
            format!("[{host}]:{port}")
        } else {
            format!("{host}:{port}")
        }
    }

    /// The URL, including its password.
    #[must_use]
    pub fn to_text(&self) -> String {
        let encode = |text| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let login = match &self.credentials {
            Some((user, password)) => format!("{}:{}@", encode(user), encode(password.expose())),
            None => String::new(),
        };
        format!("{}://{login}{}", self.scheme.as_str(), self.address())
    }

    /// As [`parse`](Self::parse), for callers that name the source of the URL themselves.
    pub(super) fn read(text: &str) -> Result<Self, &'static str> {
        let (scheme, rest) = text
            .split_once("://")
            .ok_or("must start with http://, https:// or socks5://")?;
        let (scheme, default_port) = match scheme.to_ascii_lowercase().as_str() {
            "http" => (ProxyScheme::Http, 80),
            "https" => (ProxyScheme::Https, 443),
            "socks5" | "socks5h" => (ProxyScheme::Socks5, 1080),
            _ => return Err("has a scheme other than http, https and socks5"),
        };
        // As in Go, everything behind the address is ignored. An `@` in it means that a character of
        // the password was taken for the end of the address.
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        if path.contains('@') {
            return Err(
                "has an @ behind its path, query or fragment (percent-encode such characters in a password)",
            );
        }
        let (login, address) = match authority.rsplit_once('@') {
            Some((login, address)) => (Some(login), address),
            None => (None, authority),
        };
        // As in Go's dialer, an address without a host is on this machine.
        let (host, port) = match address.strip_prefix(':') {
            Some(port) if !port.is_empty() => {
                ("localhost", host_and_port(&format!("_{address}"))?.1)
            }
            _ => host_and_port(address)?,
        };
        Ok(Self {
            scheme,
            host: host.to_owned(),
            port: port.unwrap_or(default_port),
            credentials: login.map(credentials).transpose()?,
        })
    }
}

impl ProxyScheme {
    /// The scheme in URLs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
            Self::Socks5 => "socks5",
        }
    }
}

fn credentials(login: &str) -> Result<(String, Secret), &'static str> {
    let decode = |text| {
        let decoded = percent_decode_str(text).decode_utf8();
        decoded.map_err(|_| "has a user name or password that is not UTF-8 text")
    };
    let (user, password) = login.split_once(':').unwrap_or((login, ""));
    Ok((decode(user)?.into_owned(), Secret::new(decode(password)?)))
}

/// Splits `host[:port]`. The brackets around an IPv6 address are removed.
pub(super) fn host_and_port(address: &str) -> Result<(&str, Option<u16>), &'static str> {
    let (host, port) = if let Some(rest) = address.strip_prefix('[') {
        let (host, after) = rest.split_once(']').ok_or("has a '[' without its ']'")?;
        if host.parse::<Ipv6Addr>().is_err() {
            return Err("has brackets around something other than an IPv6 address");
        }
        match after.strip_prefix(':') {
            Some(port) => (host, port),
            None if after.is_empty() => (host, ""),
            None => return Err("has something between ']' and the port"),
        }
    } else {
        let (host, port) = address.split_once(':').unwrap_or((address, ""));
        if port.contains(':') {
            return Err("has more than one ':' after the host (an IPv6 address needs brackets)");
        }
        if !host
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
        {
            return Err("has a character in its host that host names cannot have");
        }
        (host, port)
    };
    if host.is_empty() {
        return Err("has no host");
    }
    let port = match port {
        "" => None,
        digits if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            let port = digits.parse().ok().filter(|port| *port != 0);
            Some(port.ok_or("has a port that is not between 1 and 65535")?)
        }
        _ => return Err("has a port that is not a number"),
    };
    Ok((host, port))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn each_scheme_has_its_default_port() {
        for (text, scheme, port) in [
            ("http://p", ProxyScheme::Http, 80),
            ("HTTPS://p/", ProxyScheme::Https, 443),
            ("socks5://p", ProxyScheme::Socks5, 1080),
            ("socks5h://p:", ProxyScheme::Socks5, 1080),
            ("http://p:3128", ProxyScheme::Http, 3128),
        ] {
            let url = ProxyUrl::parse(text).unwrap();
            assert_eq!(
                (url.scheme, url.host.as_str(), url.port),
                (scheme, "p", port),
                "{text}"
            );
            assert_eq!(url.credentials, None);
        }
    }

    #[test]
    fn everything_behind_the_address_is_ignored() {
        for text in [
            "http://p:3128/",
            "http://p:3128/path/x",
            "http://p:3128?a=b",
            "http://p:3128/#f",
        ] {
            assert_eq!(ProxyUrl::parse(text).unwrap().address(), "p:3128", "{text}");
        }
    }

    #[test]
    fn an_address_without_a_host_is_on_this_machine() {
        for text in ["http://:5000", "http://:5000/", "http://u:p@:5000"] {
            let url = ProxyUrl::parse(text).unwrap();
            assert_eq!(url.address(), "localhost:5000", "{text}");
        }
    }

    #[test]
    fn an_ipv6_host_loses_its_brackets() {
        let url = ProxyUrl::parse("http://[::1]:8080").unwrap();
        assert_eq!((url.host.as_str(), url.port), ("::1", 8080));
        assert_eq!(url.address(), "[::1]:8080");
    }

    #[test]
    fn credentials_are_percent_decoded() {
        let url = ProxyUrl::parse("http://us%40er:p%3Aa%2Fs@s@proxy:1").unwrap();
        let (user, password) = url.credentials.unwrap();
        assert_eq!((user.as_str(), password.expose()), ("us@er", "p:a/s@s"));
        assert_eq!(url.host, "proxy");
        let (user, password) = ProxyUrl::parse("http://u@p").unwrap().credentials.unwrap();
        assert_eq!((user.as_str(), password.expose()), ("u", ""));
    }

    #[test]
    fn an_invalid_proxy_url_is_refused_without_showing_it() {
        for text in [
            "u:hunter2@proxy:1",
            "ftp://u:hunter2@proxy",
            "http://u:hunter2@",
            "http://u:hunter2@:",
            "http://u:hunter2@:x",
            "http://u:hunter2@:0",
            "http://u:hunter2@p:0",
            "http://u:hunter2@p:65536",
            "http://u:hunter2@p:+1",
            "http://u:hunter2@p:x",
            "http://u:hun/ter2@p",
            "http://u:1/ter2@p",
            "http://u:1?hun@p",
            "http://u:1#hun@p",
            "http://u:hunter2@::1",
            "http://u:hunter2@[::1",
            "http://u:hunter2@[p]",
            "http://u:hunter2@[::1]1",
            "http://u:hunter2@p q",
            "http://u:hunter2%ff@p",
        ] {
            let error = ProxyUrl::parse(text).unwrap_err().to_string();
            assert!(error.starts_with("the proxy URL "), "{error}");
            assert!(!error.contains("hun"), "{error}");
        }
        assert!(ProxyUrl::parse("http://u:hunter2@p:65535/").is_ok());
    }
}
