//! The kinds of sources: one file or folder for each kind.

pub(super) mod anonymous;
pub(super) mod client_cert;
pub(super) mod exec;
pub mod ibm_iam;
pub mod oidc;
pub mod openshift;
pub(super) mod static_header;
pub(super) mod token_file;
pub(super) mod token_request;
pub(super) mod token_secret;
