//! A login at an OIDC issuer's own pages, with a browser (RFC 8252).

use std::{
    ffi::OsString,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
};

use http::Uri;

use super::{
    Error,
    browser::{self, Callback},
};
use crate::{
    credential::{
        Pkce,
        oidc::{Client, Metadata},
    },
    kubeconfig::OidcTokens,
    secret::Secret,
};

/// Where the browser comes back to: what the issuer knows the client by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redirect {
    address: SocketAddr,
    host: String,
    path: String,
}

impl Redirect {
    /// As kubelogin has it, so that its clients need no change: port 8000, else 18000.
    #[must_use]
    pub fn defaults() -> Vec<Self> {
        let at = |port| Self {
            address: (Ipv4Addr::LOCALHOST, port).into(),
            host: "localhost".to_owned(),
            path: String::new(),
        };
        vec![at(8000), at(18_000)]
    }

    /// Reads `http://HOST:PORT/PATH`, where the host is this machine. Port 0 is any free port.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
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
        // `Uri` has a slash where the text has none, and issuers compare texts.
        let path = if text.ends_with('/') || url.path() != "/" {
            url.path()
        } else {
            ""
        };
        Ok(Self {
            address: SocketAddr::new(ip, port),
            host: host.to_owned(),
            path: path.to_owned(),
        })
    }
}

/// How a login goes.
pub struct Way<'a> {
    /// Scopes beside `openid`.
    pub extra_scopes: &'a [String],
    /// The first whose port is free is used.
    pub redirects: &'a [Redirect],
    /// Whether a browser is opened, or its URL shown alone.
    pub opens_browser: bool,
}

/// Has a human log in; gives the tokens that this brought.
///
/// # Errors
/// No port, nobody in time, a refusal.
pub async fn log_in(
    client: &Client,
    metadata: &Metadata,
    secret: Option<&Secret>,
    way: &Way<'_>,
    env: &dyn Fn(&str) -> Option<OsString>,
) -> Result<OidcTokens, Error> {
    let callback = listen(way.redirects).await?;
    let redirect_uri = callback.redirect_uri().to_owned();
    let pkce = Pkce::new()?;
    let url = client.login_url(
        metadata,
        &redirect_uri,
        callback.state(),
        &pkce,
        way.extra_scopes,
    )?;
    if way.opens_browser {
        browser::open(&url, env);
    } else {
        browser::show(&url);
    }
    let redeem = async |code: Secret| -> Result<OidcTokens, Error> {
        let tokens = client
            .redeem(metadata, secret, &code, &redirect_uri, &pkce)
            .await;
        Ok(tokens?)
    };
    callback.complete(browser::PATIENCE, redeem).await
}

async fn listen(redirects: &[Redirect]) -> Result<Callback, Error> {
    let mut last = None;
    for redirect in redirects {
        match Callback::listen_on(redirect.address, &redirect.host, &redirect.path).await {
            Ok(callback) => return Ok(callback),
            Err(error) => last = Some(error),
        }
    }
    match last {
        Some(error) => Err(error),
        None => Callback::listen().await,
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
}
