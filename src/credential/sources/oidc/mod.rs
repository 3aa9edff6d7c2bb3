//! ID tokens of an OIDC issuer, renewed with a refresh token. Both are stored in the
//! `auth-provider: oidc` of a kubeconfig, which kubectl uses too, or in a kubegate login.
//!
//! An issuer may rotate refresh tokens, so that each works only once. A renewal therefore holds a lock
//! while it reads, renews and writes; a process that waited for the lock finds the new tokens.

mod authorization_request;
mod client;
mod issuer_config;
mod metadata;
mod source;
mod token_response;
mod token_storage;

pub use authorization_request::AuthorizationRequest;
pub use client::Client;
pub use metadata::Metadata;
pub(in crate::credential) use source::Oidc;
pub use token_response::{Granted, Refusal, Renewal};
