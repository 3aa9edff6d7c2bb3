//! Parses the `server` of a cluster as a [`Uri`].

use http::{Uri, uri::Scheme};

use crate::kubeconfig::proxy_url::host_and_port;

/// Parses `[scheme://]host[:port][/path]`. The default scheme is `http`, as in kubectl (client-go's
/// `DefaultServerURL`); without a scheme there can be no path.
///
/// The error does not repeat the text, which may contain a password.
pub(super) fn parse(text: &str) -> Result<Uri, &'static str> {
    let (scheme, rest) = match text.split_once("://") {
        Some((scheme, rest)) => (scheme.to_ascii_lowercase(), rest),
        None if text.trim_end_matches('/').contains('/') => {
            return Err("must be a URL (https://host:port/path) or host:port");
        }
        None => ("http".to_owned(), text),
    };
    if scheme != "http" && scheme != "https" {
        return Err("has a scheme other than http and https");
    }
    if rest.contains(['?', '#']) {
        return Err("must not have a query or fragment");
    }
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    if authority.contains('@') {
        return Err("must not hold a user name or password; put them into the user's entry");
    }
    host_and_port(authority)?;
    Uri::builder()
        .scheme(scheme.as_str())
        .authority(authority.trim_end_matches(':'))
        .path_and_query(if path.is_empty() { "/" } else { path })
        .build()
        .map_err(|_| "is not a valid URL")
}

/// The host of an API server's URL, without the brackets of IPv6.
#[must_use]
pub fn host(server: &Uri) -> &str {
    let host = server.host().unwrap_or_default();
    host.trim_start_matches('[').trim_end_matches(']')
}

/// The port of an API server's URL; the scheme's default, 80 or 443, if it has none.
#[must_use]
pub fn port(server: &Uri) -> u16 {
    let https = server.scheme() == Some(&Scheme::HTTPS);
    server.port_u16().unwrap_or(if https { 443 } else { 80 })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_server_has_a_host_without_brackets_and_always_a_port() {
        for (text, address) in [
            ("https://a", ("a", 443)),
            ("http://a/path", ("a", 80)),
            ("https://[::1]:6443", ("::1", 6443)),
        ] {
            let server = parse(text).unwrap();
            assert_eq!((host(&server), port(&server)), address, "{text}");
        }
    }

    #[test]
    fn urls_and_bare_hosts_are_read() {
        for (text, uri) in [
            ("https://a", "https://a/"),
            ("HTTPS://a:6443", "https://a:6443/"),
            ("https://a:", "https://a/"),
            ("http://127.0.0.1:8080/", "http://127.0.0.1:8080/"),
            (
                "https://[::1]:6443/k8s/clusters/c-1",
                "https://[::1]:6443/k8s/clusters/c-1",
            ),
            ("https://a/b%2Fc/", "https://a/b%2Fc/"),
            ("localhost:8080", "http://localhost:8080/"),
            ("localhost", "http://localhost/"),
            ("localhost/", "http://localhost/"),
        ] {
            assert_eq!(parse(text).unwrap().to_string(), uri, "{text}");
        }
    }

    #[test]
    fn an_invalid_url_is_refused_without_showing_it() {
        for (text, why) in [
            ("ftp://hunter2", "scheme"),
            ("https://u:hunter2@a", "user name"),
            ("https://hunter2/?a=b", "query"),
            ("https://hunter2#f", "fragment"),
            ("https://", "no host"),
            ("https://:6443", "no host"),
            ("https://hunter2:0", "between 1 and 65535"),
            ("https://hunter2:65536", "between 1 and 65535"),
            ("https://hunter2:-1", "not a number"),
            ("https://hunter2 a", "host names"),
            ("https://a/hunter2 x", "valid URL"),
            ("https://::1:6443", "brackets"),
            ("hunter2/path", "host:port"),
        ] {
            let problem = parse(text).unwrap_err();
            assert!(problem.contains(why), "{text}: {problem}");
            assert!(!problem.contains("hunter2"), "{problem}");
        }
    }
}
