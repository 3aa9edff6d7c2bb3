//! Verifies a server's certificate chain against a set of trusted certificates.
//!
//! webpki builds and verifies the chain. Checked in addition: the validity, extensions and path length
//! of the trusted certificates themselves, and the key usage of the intermediates. Accepted in addition:
//! a server certificate that is itself trusted, one that is a CA certificate (`CA:TRUE`), and a wildcard
//! directly below a top-level name. In all of this kubectl, which means Go's `crypto/x509`, is the model.

mod explain;
mod presented;
mod store;
mod verify;

pub(super) use self::{presented::Presented, store::Roots, verify::verify};
