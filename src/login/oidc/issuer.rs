//! The issuer of a login.

use crate::{
    credential::oidc::{Client, Metadata},
    secret::Secret,
    settings::OidcFlags,
};

/// The issuer, and kubegate's client registration there.
#[derive(Clone, Copy)]
pub(super) struct Issuer<'a> {
    pub(super) client: &'a Client,
    pub(super) metadata: &'a Metadata,
    pub(super) secret: Option<&'a Secret>,
    pub(super) flags: &'a OidcFlags,
}
