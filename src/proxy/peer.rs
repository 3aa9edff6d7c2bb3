//! [`Peer`]: the client of a downstream connection, and what is known of it.

use std::{net::IpAddr, sync::Arc};

use http::{HeaderMap, HeaderName, HeaderValue};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// The client of a downstream connection. Its address is sent to the API server. Over TLS it is among the
/// extensions of each request.
#[derive(Clone, Debug)]
pub struct Peer {
    address: Option<HeaderValue>,
    is_tls: bool,
    certificate_name: Option<Arc<str>>,
}

impl Peer {
    /// Takes the IP address; `None` for a unix socket. Made once for a connection.
    #[must_use]
    pub fn new(address: Option<IpAddr>) -> Self {
        // An IPv4 client of an IPv6 listener has an IPv4 address.
        let text = address.map(|address| address.to_canonical().to_string());
        Self {
            address: text.and_then(|text| HeaderValue::try_from(text).ok()),
            is_tls: false,
            certificate_name: None,
        }
    }

    /// The same client over TLS, with the name in its certificate if it has shown one.
    #[must_use]
    pub fn over_tls(self, certificate_name: Option<Arc<str>>) -> Self {
        Self {
            is_tls: true,
            certificate_name,
            ..self
        }
    }

    /// Whether the connection is TLS.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        self.is_tls
    }

    /// The name in the client's certificate, which an authority of `--client-ca` has signed.
    #[must_use]
    pub fn certificate_name(&self) -> Option<&Arc<str>> {
        self.certificate_name.as_ref()
    }

    /// Sets `X-Forwarded-For` to the peer's address, and drops the addresses that the client claims:
    /// the API server writes them into its audit log (`SourceIPs` in
    /// k8s.io/apimachinery/pkg/util/net). Over TLS, `X-Forwarded-Proto` says so.
    pub fn set_forwarded_headers(&self, headers: &mut HeaderMap) {
        headers.remove(X_REAL_IP);
        if self.is_tls {
            headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static("https"));
        }
        match &self.address {
            Some(address) => {
                headers.insert(X_FORWARDED_FOR, address.clone());
            }
            None => {
                headers.remove(X_FORWARDED_FOR);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_peers_address_replaces_those_the_client_claims() {
        let mut headers = HeaderMap::new();
        headers.append(X_FORWARDED_FOR, HeaderValue::from_static("10.0.0.1"));
        headers.append(X_FORWARDED_FOR, HeaderValue::from_static("10.0.0.2"));
        headers.append(X_REAL_IP, HeaderValue::from_static("10.0.0.3"));
        let peer = Peer::new(Some("::ffff:192.0.2.7".parse().unwrap()));
        peer.set_forwarded_headers(&mut headers);
        let sent: Vec<_> = headers.get_all(X_FORWARDED_FOR).iter().collect();
        assert_eq!(sent, ["192.0.2.7"]);
        assert!(!headers.contains_key(X_REAL_IP));
    }

    #[test]
    fn over_tls_the_protocol_is_https_whatever_the_client_claims() {
        let mut headers = HeaderMap::new();
        headers.append(X_FORWARDED_PROTO, HeaderValue::from_static("http"));
        let peer = Peer::new(None).over_tls(Some("alice".into()));
        peer.set_forwarded_headers(&mut headers);
        let sent: Vec<_> = headers.get_all(X_FORWARDED_PROTO).iter().collect();
        assert_eq!(sent, ["https"]);
        assert_eq!(peer.certificate_name().map(|name| &**name), Some("alice"));
    }

    #[test]
    fn a_unix_socket_has_no_address() {
        let mut headers = HeaderMap::new();
        headers.append(X_FORWARDED_FOR, HeaderValue::from_static("10.0.0.1"));
        Peer::new(None).set_forwarded_headers(&mut headers);
        assert!(headers.is_empty());
    }
}
