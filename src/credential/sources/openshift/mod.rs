//! Sessions at the OAuth server of an `OpenShift` cluster.
//!
//! | file | does |
//! |---|---|
//! | `access` | connects to the API server and the OAuth server of a cluster |
//! | `discovery` | asks the API server for its OAuth server |
//! | `authorize` | requests the authorize endpoint, and follows its redirects to a challenge |
//! | `challenge` | logs in with user name and password |
//! | `web` | logs in through a browser |
//! | `grant` | redeems an authorization code for a session |
//! | `session_expiry` | finds out when a session or a JWT ends of which only the token is known |
//! | `session_check` | asks whether a saved session was revoked, for a command that hands it out |
//! | `user_requests` | ends a session |
//! | `projects` | finds the project that a user starts in |
//! | `password_login` | logs in with user name and password from files |
//! | `saved` | the source for a session that a user started |
//! | `password_file_session` | the source for sessions with user name and password from files |
//! | `login` | the source for a kubegate login |
//!
//! There are no refresh tokens: a session is not renewed, but followed by another login.

mod access;
mod authorize;
mod challenge;
mod discovery;
mod grant;
mod login;
mod password_file_session;
mod password_login;
mod projects;
mod saved;
mod session_check;
mod session_expiry;
mod user_requests;
mod web;

pub use access::{Access, TOKEN_PREFIX};
pub use discovery::Oauth;
pub use grant::{Session, SessionEnd};
pub(in crate::credential) use login::source;
pub use password_login::session_from_files;
pub(in crate::credential) use saved::SavedSession;
pub use session_expiry::{SessionExpiry, object_name};
pub use web::WebLogin;
