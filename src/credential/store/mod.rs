//! The state folder: what `kubegate login` obtained and a kubeconfig must not contain.
//!
//! Each login has one JSON file of mode 0600 in a folder of mode 0700, which is replaced as a
//! whole. The user who logs in chooses the name of the login, and the kubeconfig's `exec` entry has
//! it.

mod account_turn;
mod error;
mod file_name;
mod keyring;
mod kubeconfigs;
mod local_authority;
mod login_binding;
mod login_store;
mod private_file;
mod refused_passwords;
mod refused_refresh_token;
mod registries;
mod saved_login;
mod session_checks;

pub use account_turn::AccountTurn;
pub use error::Error;
pub use login_binding::LoginBinding;
pub use login_store::Store;
pub use refused_passwords::PasswordRefusal;
pub use refused_refresh_token::TokenRefusal;
pub use registries::{Registries, Registry, registry_host};
pub use saved_login::SavedLogin;

#[cfg(test)]
mod tests;
