//! Embedded servers to try kubegate with, and to test it against.
//!
//! `kubernetes` is an API server. `openshift` and `ibm` extend it and add the vendors' own servers.
//! `oidc` is an `OpenID` Connect issuer. All of them but the API server are servers of `https`, into
//! which faults can be injected.

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

pub use self::{
    error::Error,
    kubernetes::{ControlPlane, SelfReviews},
};
