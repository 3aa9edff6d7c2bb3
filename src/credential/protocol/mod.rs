//! What the sources send to issuers and API servers, and what kubectl reads.

pub(super) mod api_server;
pub(super) mod authorization;
pub mod exec_credential;
pub mod issuer;
pub(super) mod jwt;
pub mod oauth;
pub(super) mod pkce;
