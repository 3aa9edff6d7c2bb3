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
mod saved_login;
pub mod secret_file;
mod source;
mod sources;
mod status;
pub mod store;
mod whoami;

pub use cache::Cache;
pub use error::{Error, Failing};
pub use expiry_warning::Announcement;
pub use from_user::{as_service_account, from_user, is_same_source};
pub use protocol::{
    authorization::bearer,
    exec_credential, issuer, oauth,
    pkce::{Pkce, random_text},
};
pub use saved_login::{place as place_of_login, source as of_login};
pub use source::{Credential, Fetch, Pace, Source};
pub use sources::{exec::end_plugins, ibm_iam, oidc, openshift};
pub use status::{End, Outlook};
pub use whoami::{Identity, bearing, whoami};
