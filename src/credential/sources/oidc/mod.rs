//! An ID token, renewed at its issuer by the refresh token beside it. Both rest in the
//! `auth-provider: oidc` of a kubeconfig, where kubectl uses them too, or in a login of our own.
//!
//! An issuer may rotate refresh tokens, so that each works once. Hence one kubegate at a time
//! re-reads, renews and writes; who comes second finds the new tokens there.

mod client;
mod issuer_config;
mod source;
mod token_storage;

pub use client::{Client, Metadata, Renewal};
pub(in crate::credential) use source::Oidc;
