//! How a user becomes a credential.
//!
//! A [`Source`] obtains a [`Credential`]; each kind of source has a file or folder in `sources`,
//! and [`from_user`] chooses among them by the kubeconfig. One [`Cache`] over all kinds is
//! responsible for expiry, single flight and the last good value. `protocol` has what the sources
//! send to issuers and API servers, [`store`] the state folder with the saved logins.
//!
//! A new kind of credential is a new file in `sources` that implements [`Source`], and a case in
//! [`from_user`]; `docs/architecture.md` lists the other places that know each kind.

mod blocking;
mod cache;
mod error;
mod expiry_warning;
mod from_user;
mod login_command;
mod protocol;
mod renewals;
pub mod saved_login;
pub mod secret_file;
mod source;
mod sources;
mod status;
pub mod store;
mod timestamp;
mod whoami;

pub use cache::Cache;
pub use error::{Backoff, Error};
pub use expiry_warning::ExpiryWarning;
pub use from_user::{as_service_account, from_user, is_same_source, of_ibm_cloud};
pub use login_command::CommandContext;
pub use protocol::{
    authorization::bearer,
    exec_credential, issuer, oauth,
    pkce::{Pkce, random_text},
};
pub use renewals::renewals_stored;
pub use source::{Credential, Fetch, Need, RefreshPolicy, Source};
pub use sources::{
    exec::{PluginError, end_plugins, find_program},
    ibm_iam, oidc, openshift,
};
pub use status::{CredentialStatus, Expiry};
pub use whoami::{Identity, from_token, whoami};
