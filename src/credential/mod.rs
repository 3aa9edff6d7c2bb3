//! HOW A USER BECOMES A CREDENTIAL.
//!
//! A [`Source`] obtains, a [`Credential`] is what is obtained, and one [`Cache`] over all kinds
//! owns expiry, single flight and the last good value. One file per kind; [`from_user`] picks
//! among them by what the kubeconfig says.

mod blocking;
mod cache;
mod error;
mod expiry_warning;
mod from_user;
mod protocol;
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
pub use from_user::{as_service_account, from_user, is_same_source};
pub use protocol::{
    authorization::bearer,
    exec_credential, issuer, oauth,
    pkce::{Pkce, random_text},
};
pub use source::{Credential, Fetch, RefreshPolicy, Source};
pub use sources::{
    exec::{PluginError, end_plugins},
    ibm_iam, oidc, openshift,
};
pub use status::{CredentialStatus, Expiry};
pub use whoami::{Identity, from_token, whoami};
