//! The URLs of issuers.

use http::Uri;

use super::IssuerError;
use crate::{credential::Error, kubeconfig};

/// Parses the URL of an issuer; `what` names it.
///
/// # Errors
/// The URL is not https, or has user info or a query.
pub fn https(what: &str, url: &str) -> Result<Uri, Error> {
    let uri = endpoint(what, url)?;
    if uri.query().is_some() {
        return Err(Error::Issuer(IssuerError::Url {
            what: what.to_owned(),
            problem: "must have no query",
        }));
    }
    Ok(uri)
}

/// Parses the URL of an issuer's endpoint, whose query is kept (RFC 6749, sections 3.1 and 3.2);
/// `what` names it.
///
/// # Errors
/// The URL is not https, or has user info.
pub fn endpoint(what: &str, url: &str) -> Result<Uri, Error> {
    let bad = |problem| {
        Error::Issuer(IssuerError::Url {
            what: what.to_owned(),
            problem,
        })
    };
    let uri: Uri = url.parse().map_err(|_| bad("is not a URL"))?;
    if uri.scheme_str() != Some("https") {
        return Err(bad(
            "must begin with https://: over anything else tokens would travel in plain text",
        ));
    }
    // Errors would show the user info.
    if uri.authority().is_none_or(|a| a.as_str().contains('@')) {
        return Err(bad("must have a host, and no user info"));
    }
    Ok(uri)
}

/// Returns an endpoint's URL with `query` behind the query that it has already.
#[must_use]
pub fn with_query(endpoint: &Uri, query: &str) -> String {
    let separator = match endpoint.query() {
        None => "?",
        Some(kept) if kept.is_empty() || kept.ends_with('&') => "",
        Some(_) => "&",
    };
    format!("{endpoint}{separator}{query}")
}

/// The host and the authority of `url`.
pub(super) fn address(url: &Uri) -> Result<(&str, &str), Error> {
    let authority = url.authority().ok_or_else(|| {
        Error::Issuer(IssuerError::Url {
            what: url.to_string(),
            problem: "has no host",
        })
    })?;
    Ok((kubeconfig::host(url), authority.as_str()))
}

/// The part of `url` that may be shown: a query may contain a code or a state.
pub(super) fn without_query(url: &Uri) -> Uri {
    let mut parts = url.clone().into_parts();
    // The name of an OpenShift session's object looks like its token, so it is removed too.
    let path = url.path().split("sha256~").next().unwrap_or_default();
    parts.path_and_query = path.parse().ok();
    Uri::from_parts(parts).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn only_an_endpoint_may_have_a_query() {
        let url = "https://issuer.example/token?p=b2c_1";
        assert_eq!(endpoint("x", url).unwrap().query(), Some("p=b2c_1"));
        assert!(https("x", url).is_err());
        for url in ["http://issuer.example/?p", "https://a:b@issuer.example/?p"] {
            assert!(endpoint("x", url).is_err(), "{url}");
        }
    }

    #[test]
    fn only_https_is_accepted() {
        assert!(https("x", "https://issuer.example:8443/realm").is_ok());
        for url in [
            "http://127.0.0.1:1/",
            "issuer.example",
            "https://",
            "https://user:hunter2@issuer.example",
            "https://issuer.example/?hunter2",
        ] {
            let error = https("idp-issuer-url", url).unwrap_err().to_string();
            assert!(error.contains("idp-issuer-url"), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
