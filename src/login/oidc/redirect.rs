//! The redirect URI of a client.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use http::Uri;

/// The URL that the issuer redirects the browser to. The issuer has to know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Redirect {
    pub(super) address: SocketAddr,
    pub(super) host: String,
    pub(super) path: String,
    /// The whole URL, if the issuer knows another than that of the address.
    pub(super) url: Option<String>,
}

impl Redirect {
    /// Returns the defaults of kubelogin, so that its clients need no change: port 8000, then 18000.
    #[must_use]
    fn defaults() -> Vec<Self> {
        let at = |port| Self {
            address: (Ipv4Addr::LOCALHOST, port).into(),
            host: "localhost".to_owned(),
            path: String::new(),
            url: None,
        };
        vec![at(8000), at(18_000)]
    }

    /// Returns the redirects for a URL and addresses to listen on; the defaults without both.
    ///
    /// # Errors
    /// What is wrong with the URL.
    pub(super) fn chosen(
        url: Option<&str>,
        addresses: &[SocketAddr],
    ) -> Result<Vec<Self>, &'static str> {
        match url {
            _ if !addresses.is_empty() => Self::at(addresses, url),
            Some(url) => Ok(vec![Self::parse(url)?]),
            None => Ok(Self::defaults()),
        }
    }

    /// Returns the port to listen on; 0 for any free one.
    pub(super) fn port(&self) -> u16 {
        self.address.port()
    }

    /// Returns the URI, if the port is not 0.
    pub(super) fn uri(&self) -> String {
        let own = || format!("http://{}:{}{}", self.host, self.port(), self.path);
        self.url.clone().unwrap_or_else(own)
    }

    /// Returns one redirect for each of the `addresses` to listen on. `url` is what the issuer knows,
    /// which may name a proxy in front of this machine; without it, `localhost` at the port.
    ///
    /// # Errors
    /// What is wrong with the URL.
    fn at(addresses: &[SocketAddr], url: Option<&str>) -> Result<Vec<Self>, &'static str> {
        let path = match url {
            Some(url) => {
                let parsed: Uri = url.parse().map_err(|_| "is not a URL")?;
                if !matches!(parsed.scheme_str(), Some("http" | "https")) {
                    return Err("must be http:// or https://");
                }
                parsed.path().to_owned()
            }
            None => String::new(),
        };
        let at = |address: &SocketAddr| Self {
            address: *address,
            host: "localhost".to_owned(),
            path: path.clone(),
            url: url.map(str::to_owned),
        };
        Ok(addresses.iter().map(at).collect())
    }

    /// Parses `http://HOST:PORT/PATH`, whose host has to be this machine. Port 0 takes any free port.
    ///
    /// # Errors
    /// What is wrong with the URL.
    fn parse(text: &str) -> Result<Self, &'static str> {
        let url: Uri = text.parse().map_err(|_| "is not a URL")?;
        let host = url.host().unwrap_or_default();
        let ip = match host {
            "localhost" | "127.0.0.1" => Ipv4Addr::LOCALHOST.into(),
            "[::1]" => Ipv6Addr::LOCALHOST.into(),
            _ => return Err("must name this machine: localhost, 127.0.0.1 or [::1]"),
        };
        if url.scheme_str() != Some("http") || url.query().is_some() {
            return Err("must be http://, and have no query");
        }
        let port = url.port_u16().ok_or("must have a port")?;
        // `Uri` adds a slash to a URL without a path, and issuers compare the text.
        let path = if text.ends_with('/') || url.path() != "/" {
            url.path()
        } else {
            ""
        };
        Ok(Self {
            address: SocketAddr::new(ip, port),
            host: host.to_owned(),
            path: path.to_owned(),
            url: None,
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_redirect_is_on_this_machine() {
        let redirect = Redirect::parse("http://localhost:8000").unwrap();
        assert_eq!(redirect, Redirect::defaults()[0]);
        assert_eq!(redirect.uri(), "http://localhost:8000");
        let redirect = Redirect::parse("http://[::1]:0/cb").unwrap();
        assert_eq!(
            (redirect.path.as_str(), redirect.address.to_string()),
            ("/cb", "[::1]:0".to_owned())
        );
        assert_eq!(Redirect::parse("http://127.0.0.1:1/").unwrap().path, "/");
        for text in [
            "http://example.com:80/",
            "https://localhost:1",
            "http://localhost",
            "x y",
            "http://localhost:1/?a",
        ] {
            assert!(Redirect::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_address_to_listen_on_may_differ_from_the_url_that_the_issuer_knows() {
        let addresses = ["0.0.0.0:8000".parse().unwrap(), "[::1]:0".parse().unwrap()];
        let redirects = Redirect::at(&addresses, None).unwrap();
        assert_eq!(redirects.len(), 2);
        assert_eq!(redirects[0].address, addresses[0]);
        let (host, path) = (&redirects[1].host, &redirects[1].path);
        assert_eq!((host.as_str(), path.as_str()), ("localhost", ""));
        let url = "https://workspace.example/callback";
        let redirects = Redirect::at(&addresses[..1], Some(url)).unwrap();
        assert_eq!(redirects[0].path, "/callback");
        assert_eq!(redirects[0].url.as_deref(), Some(url));
        assert!(Redirect::at(&addresses, Some("urn:ietf:wg:oauth:2.0:oob")).is_err());
    }
}
