//! [`Presented`]: the certificates of a handshake, with what they are verified for.

use rustls::pki_types::{CertificateDer, ServerName, UnixTime};

/// The chain that a server presented, the name that it is verified for, and the time.
pub(in crate::tls) struct Presented<'a> {
    pub(in crate::tls) leaf: &'a CertificateDer<'a>,
    pub(in crate::tls) intermediates: &'a [CertificateDer<'a>],
    pub(in crate::tls) server_name: &'a ServerName<'a>,
    pub(in crate::tls) now: UnixTime,
}

impl Presented<'_> {
    /// The time in seconds since 1970, as in the validity of certificates.
    pub(super) fn seconds(&self) -> i64 {
        i64::try_from(self.now.as_secs()).unwrap_or(i64::MAX)
    }
}
