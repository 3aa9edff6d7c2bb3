//! Kubeconfig files: finding, merging and editing them, and resolving a context to a [`Target`].
//!
//! This module uses neither the network nor the clock. `load` reads and merges the files, `select`
//! builds a [`Target`] from a context and the flags, `in_cluster` builds one from a pod's service
//! account, and [`resolve`] picks between them. All other modules work on a [`Target`].
//!
//! Fields are taken from the parsed document one by one (`fields`) instead of deriving a type for the
//! file: serde's errors quote the offending value, which may be a token, and do not name the entry.

mod block;
mod cluster;
mod contexts;
mod document;
pub mod edit;
mod error;
mod exec;
mod exec_info;
mod fields;
pub mod fingerprint;
mod in_cluster;
mod load;
mod oidc;
mod overrides;
pub mod own_writes;
mod ownership;
mod pem;
mod proxy_url;
mod read;
pub mod replacement;
mod resolve;
mod select;
mod server_url;
mod slug;
mod syntax;
mod target;
pub mod text;
mod user;

pub use block::yaml;
pub use contexts::{Context, Names, contexts, exec_users, names};
pub use edit::file_to_edit;
pub use error::Error;
pub use exec::ExecApiVersion;
pub use exec_info::{EXEC_INFO, ExecInfo};
pub(crate) use load::warn_once;
pub use oidc::{METADATA_PATH, OidcConfig, OidcTokens, issuer_name};
pub use overrides::Overrides;
pub use ownership::{foreign_readers, foreign_writers};
pub use pem::Pem;
pub use proxy_url::{ProxyScheme, ProxyUrl};
pub(crate) use read::read_bounded;
pub use resolve::{AllContexts, Pin, Resolved, resolve, resolve_contexts, resolve_pinned};
pub use server_url::{host, port};
pub use slug::{Slug, is_dns_label};
pub use target::{
    Cluster, ContextRef, ExecConfig, Impersonation, InteractiveMode, KeyPair, Login, Target, User,
};
