//! ID tokens of an OIDC issuer, renewed with a refresh token. Both are stored in the
//! `auth-provider: oidc` of a kubeconfig, which kubectl uses too, or in a kubegate login.
//!
//! An issuer may rotate refresh tokens, so that each works only once. A renewal therefore holds a lock
//! while it reads, renews and writes; a process that waited for the lock finds the new tokens.

mod authorization_request;
mod client;
mod device;
mod issuer_config;
mod machine_grant;
mod machine_login;
mod machine_password;
mod machine_token;
mod metadata;
mod password_grant;
mod source;
mod token_response;
mod token_storage;

use std::sync::Arc;

pub use authorization_request::AuthorizationRequest;
pub use client::Client;
pub use device::{DeviceAuthorization, DevicePoll};
pub use machine_login::machine_token;
pub use machine_token::MachineToken;
pub use metadata::Metadata;
pub use password_grant::TypedPassword;
pub(in crate::credential) use source::Oidc;
pub use token_response::{Granted, Refusal, Renewal};

use self::machine_login::MachineLogin;
use super::super::{CommandContext, Error, Source};
use crate::{kubeconfig::Cluster, settings::OidcFlags};

/// Creates the source for a kubegate login.
pub(in crate::credential) fn source(
    flags: &OidcFlags,
    cluster: &Cluster,
    context: CommandContext,
) -> Result<Arc<dyn Source>, Error> {
    Ok(match flags.grant.machine() {
        Some(_) => Arc::new(MachineLogin::of_login(flags, cluster)?),
        None => Arc::new(Oidc::of_login(flags, cluster, context)?),
    })
}
