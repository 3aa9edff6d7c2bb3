//! `OpenShift`: sessions at a cluster's own OAuth server.
//!
//! | file | does |
//! |---|---|
//! | `access` | how a cluster is reached |
//! | `discovery` | asks the API server where its OAuth server is |
//! | `challenge` | user name and password become a code, or at old servers a session |
//! | `web` | the address at which a browser logs in |
//! | `grant` | a code becomes a session |
//! | `session_expiry` | when a session ends of which only the token is known |
//! | `saved` | the source for a session that a human began |
//! | `user_requests` | how a session is ended, and what it may see |
//! | `password_file_session` | the source that begins sessions with user name and password from files |
//! | `login` | the source for a login of our own |
//!
//! A session cannot be renewed, only followed by another: there are no refresh tokens.

mod access;
mod challenge;
mod discovery;
mod grant;
mod login;
mod password_file_session;
mod saved;
mod session_expiry;
mod user_requests;
mod web;

pub use access::{Access, TOKEN_PREFIX};
pub use discovery::Oauth;
pub use grant::{Session, SessionEnd};
pub(in crate::credential) use login::source;
pub(in crate::credential) use saved::SavedSession;
pub use session_expiry::{SessionExpiry, object_name};
pub use web::WebLogin;
