//! WHAT THE FILE SAYS: kubeconfig files, their merging, and the choice of one context.
//!
//! No network and no clock: `load` reads and merges, `select` turns a context and the flags
//! over it into one [`Target`], `in_cluster` makes the same from a pod's service account.
//! Everything further in works on a [`Target`], and [`resolve`] goes the whole way.
//!
//! Fields are taken from the parsed document one by one (`fields`) rather than by a derived
//! type for the file: serde's own errors quote the value they dislike, which may be a token,
//! and cannot name the entry it stands in.

mod block;
mod cluster;
mod contexts;
pub mod edit;
mod error;
mod exec;
mod exec_info;
mod fields;
mod file;
mod in_cluster;
mod load;
mod oidc;
pub mod own_writes;
mod ownership;
mod proxy_url;
pub mod replacement;
mod resolve;
mod select;
mod server_url;
mod syntax;
mod target;
pub mod text;
mod user;

pub use block::yaml;
pub use contexts::{Context, Names, contexts, exec_users, names};
pub use edit::file_to_edit;
pub use error::Error;
pub use exec_info::{EXEC_INFO, ExecInfo};
pub(crate) use load::warn_once;
pub use oidc::{OidcConfig, OidcTokens};
pub use ownership::foreign_writers;
pub use proxy_url::{ProxyScheme, ProxyUrl};
pub use resolve::{Pin, Resolved, resolve, resolve_pinned};
pub use select::Overrides;
pub use server_url::{host, port};
pub use target::{
    Cluster, ExecConfig, Impersonation, InteractiveMode, KeyPair, Login, Pem, Target, User,
};
