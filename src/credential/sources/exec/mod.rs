//! `exec`: a client-go credential plugin, `client.authentication.k8s.io/v1` and `v1beta1`.
//!
//! Rules:
//! <https://kubernetes.io/docs/reference/access-authn-authz/authentication/#client-go-credential-plugins>
//! and client-go's `plugin/pkg/client/auth/exec`.

mod descendants;
mod error;
mod exec_info;
mod expiration;
mod plugin;
mod process;
mod program;
mod recursion;
mod redact;
mod shutdown;
mod status;
mod stderr;
mod stderr_lines;
mod stderr_log;
mod terminal;
mod timeouts;

pub use error::PluginError;
pub(in crate::credential) use plugin::Exec;
pub use program::find as find_program;
pub use shutdown::end_plugins;
