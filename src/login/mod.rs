//! Interactive logins: the flows that need the person who runs the command.
//!
//! | file | job |
//! |---|---|
//! | [`openshift`], [`ibm`], [`oidc`] | one flow each, from the request to the context in the kubeconfig |
//! | [`terminal`] | prompts on the terminal; reads one secret line from standard input |
//! | `browser` | opens the issuer's page, and receives the code that the browser brings back |
//! | `trust` | shows the certificates of a server with an unknown authority; finds one by its fingerprint |
//! | `confirm` | asks whether the current context's server is meant |
//! | `login_name` | chooses the name of a saved login |
//! | `login_users` | finds and notes the kubeconfigs that use a saved login |
//! | `new_context` | builds the context that a login writes |
//! | `own_program` | the command by which kubectl runs this program |
//! | `save` | saves a login and writes its context, or leaves both as they were |
//! | `uninterrupted` | writes that a signal does not cut off |
//!
//! A login ends as a [`crate::credential`] in the state folder, which the proxy then uses. The proxy
//! never imports this module, since nothing can be asked while it serves.

mod browser;
mod confirm;
mod error;
pub mod ibm;
mod login_name;
mod login_users;
mod new_context;
pub mod oidc;
pub mod openshift;
mod own_program;
mod save;
pub mod terminal;
mod trust;
mod uninterrupted;

pub use browser::{is_available as has_browser, start as start_browser};
pub use error::Error;
pub use login_users::{
    LoginContext, LoginUser, context_of, contexts_of, note_use, note_use_by_kubectl, users_of,
};
pub use uninterrupted::uninterrupted;
