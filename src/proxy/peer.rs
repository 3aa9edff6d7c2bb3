//! [`Peer`]: the client of a downstream connection, whose address is sent to the API server.

use std::net::IpAddr;

use http::{HeaderMap, HeaderName, HeaderValue};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");

/// The client of a downstream connection, whose address is sent to the API server.
#[derive(Clone, Debug)]
pub struct Peer(Option<HeaderValue>);

impl Peer {
    /// Takes the IP address; `None` for a unix socket. Made once for a connection.
    #[must_use]
    pub fn new(address: Option<IpAddr>) -> Self {
        // An IPv4 client of an IPv6 listener has an IPv4 address.
        let text = address.map(|address| address.to_canonical().to_string());
        Self(text.and_then(|text| HeaderValue::try_from(text).ok()))
    }

    /// Sets `X-Forwarded-For` to the peer's address, and drops the addresses that the client claims:
    /// the API server writes them into its audit log (`SourceIPs` in
    /// k8s.io/apimachinery/pkg/util/net).
    pub fn set_forwarded_headers(&self, headers: &mut HeaderMap) {
        headers.remove(X_REAL_IP);
        match &self.0 {
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
    fn a_unix_socket_has_no_address() {
        let mut headers = HeaderMap::new();
        headers.append(X_FORWARDED_FOR, HeaderValue::from_static("10.0.0.1"));
        Peer::new(None).set_forwarded_headers(&mut headers);
        assert!(headers.is_empty());
    }
}
