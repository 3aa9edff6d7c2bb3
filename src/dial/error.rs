//! [`Error`]: why a host cannot be dialled as configured.

use crate::kubeconfig;

/// Why a host cannot be dialled as configured.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A variable such as `HTTPS_PROXY` holds no usable URL.
    #[error("environment variable {variable}")]
    Environment {
        /// The variable's name.
        variable: &'static str,
        /// What is wrong with it.
        source: Box<kubeconfig::Error>,
    },
    /// The name cannot be sent or verified in a TLS handshake.
    #[error("{name:?} is not a name a TLS certificate can be checked for; set tls-server-name")]
    ServerName {
        /// The name.
        name: String,
    },
}
