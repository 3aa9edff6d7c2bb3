//! `OpenShift`: sessions at a cluster's own OAuth server.
//!
//! | file | does |
//! |---|---|
//! | `access` | how a cluster is reached |
//! | `discovery` | asks the API server where its OAuth server is |
//! | `challenge` | user name and password become a code, or at old servers a session |
//! | `web` | the address at which a browser logs in |
//! | `grant` | a code becomes a session |
//! | `expiry` | when a session ends of which only the token is known |
//! | `saved` | the source for a session that a human began |
//! | `account` | how a session is ended, and what it may see |
//! | `unattended` | the source that begins sessions with user name and password from files |
//! | `login` | the source for a login of our own |
//!
//! A session cannot be renewed, only followed by another: there are no refresh tokens.

mod access;
mod account;
mod challenge;
mod discovery;
mod expiry;
mod grant;
mod login;
mod saved;
mod unattended;
mod web;

pub use access::{Access, TOKEN_PREFIX};
pub use discovery::Oauth;
pub use expiry::{Finding, object_name};
pub use grant::{Ends, Session};
pub(in crate::credential) use login::source;
pub(in crate::credential) use saved::SavedSession;
pub use web::WebLogin;
