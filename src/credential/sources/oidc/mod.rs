//! ID tokens of an OIDC issuer, renewed with a refresh token. Both are stored in the
//! `auth-provider: oidc` of a kubeconfig, which kubectl uses too, or in a kubegate login.
//!
//! An issuer may rotate refresh tokens, so that each works only once. A renewal therefore holds a lock
//! while it reads, renews and writes; a process that waited for the lock finds the new tokens.

mod client;
mod issuer_config;
mod source;
mod token_storage;

pub use client::{Client, Metadata, Renewal};
pub(in crate::credential) use source::Oidc;
