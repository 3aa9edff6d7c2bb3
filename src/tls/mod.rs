//! TLS to servers and for listeners: trust, verification, client certificates and error messages.
//!
//! [`Trust`] decides which servers are accepted, and [`Refusal`] says why a server was refused and what
//! to do. [`CertificateProbe`] reports the certificates of a server that is not trusted yet.
//! [`identity`] loads certificates with their keys. [`server`] configures listeners, and
//! [`LocalAuthority`] issues certificates for them.

mod algorithms;
mod certificate;
mod certificate_probe;
mod error;
mod error_chain;
pub mod identity;
mod local_authority;
mod messages;
pub mod pem;
mod provider;
mod refusal;
mod roots;
pub mod server;
mod tls_error;
mod trust;
mod verifier;

pub use certificate_probe::{CertificateProbe, PresentedCertificate};
pub use error::Error;
pub use error_chain::{io_error_kind, is_alpn_refusal, is_not_tls, readable, refusal, tls_error};
pub use local_authority::{IssuedIdentity, LocalAuthority};
pub use provider::{provider, warm_up};
pub use refusal::Refusal;
pub use tls_error::TlsError;
pub use trust::{Trust, client_config};

#[cfg(test)]
mod testing;
