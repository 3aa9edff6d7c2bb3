//! [`Peer`]: who is on the other end of a downstream connection.

use std::net::IpAddr;

use http::{HeaderMap, HeaderName, HeaderValue};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");

/// Who is on the other end of a downstream connection, as the API server will be told.
#[derive(Clone, Debug)]
pub struct Peer(Option<HeaderValue>);

impl Peer {
    /// By IP address; `None` on a unix socket. Made once for a connection.
    #[must_use]
    pub fn new(address: Option<IpAddr>) -> Self {
        // An IPv4 client of an IPv6 listener is named by its IPv4 address.
        let text = address.map(|address| address.to_canonical().to_string());
        Self(text.and_then(|text| HeaderValue::try_from(text).ok()))
    }

    /// Says on whose behalf a request comes. What the client claims of addresses is dropped:
    /// the peer's is the only one that we know, and the API server writes both headers into
    /// its audit log (`SourceIPs` in k8s.io/apimachinery/pkg/util/net).
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
    fn the_peers_address_takes_the_place_of_what_the_client_claims() {
        let mut headers = HeaderMap::new();
        headers.append(X_FORWARDED_FOR, HeaderValue::from_static("10.0.0.1"));
        headers.append(X_FORWARDED_FOR, HeaderValue::from_static("10.0.0.2"));
        headers.append(X_REAL_IP, HeaderValue::from_static("10.0.0.3"));
        let peer = Peer::new(Some("::ffff:192.0.2.7".parse().unwrap()));
        peer.set_forwarded_headers(&mut headers);
        let told: Vec<_> = headers.get_all(X_FORWARDED_FOR).iter().collect();
        assert_eq!(told, ["192.0.2.7"]);
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
