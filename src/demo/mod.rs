//! An embedded control plane to try kubegate against and to test it against.
//!
//! `kubernetes` is an API server; `openshift` and `ibm` add what these vendors have beside it;
//! `oidc` is an issuer. Issuers and vendors' hosts are servers of `https`, which can be told to
//! fail.

mod certificates;
mod error;
mod form;
pub mod https;
pub mod ibm;
mod jwt;
mod kubernetes;
pub mod oidc;
pub mod openshift;
mod random;
mod request_body;
mod server;

pub use self::{error::Error, kubernetes::ControlPlane};
