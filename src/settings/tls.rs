//! [`TlsFlags`]: TLS of the proxy's own listener.

use std::path::{Path, PathBuf};

use clap::{Args, ValueHint};

use super::values::{any_path, go_bool, non_empty_path};

/// TLS of the proxy's own listener, and the certificates of its clients.
// The doc comments are the help texts.
#[allow(clippy::doc_markdown)]
#[derive(Args, Clone, Debug)]
pub struct TlsFlags {
    /// Serve https with the certificates of this file, the server's own first, and the key of --tls-key;
    /// both are read again when they change
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, value_parser = any_path())]
    pub tls_cert: Option<PathBuf>,
    /// Private key of --tls-cert
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, value_parser = any_path())]
    pub tls_key: Option<PathBuf>,
    /// Serve https with certificates of a local CA, which is made in the state folder and is good for
    /// loopback names alone; clients are given its certificate (curl --cacert)
    #[arg(long, value_name = "BOOL", value_parser = go_bool, num_args = 0..=1,
          require_equals = true, default_value = "false", default_missing_value = "true")]
    pub tls_self_signed: bool,
    /// Over https, require clients to show a certificate that an authority of this file has signed, or a
    /// token of --require-token-file; it is read again when it changes
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, value_parser = any_path())]
    pub client_ca: Option<PathBuf>,
}

impl TlsFlags {
    /// `--tls-cert`
    #[must_use]
    pub fn tls_cert(&self) -> Option<&Path> {
        non_empty_path(self.tls_cert.as_ref())
    }

    /// `--tls-key`
    #[must_use]
    pub fn tls_key(&self) -> Option<&Path> {
        non_empty_path(self.tls_key.as_ref())
    }

    /// `--client-ca`
    #[must_use]
    pub fn client_ca(&self) -> Option<&Path> {
        non_empty_path(self.client_ca.as_ref())
    }

    /// Whether the listener speaks TLS.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.tls_self_signed || self.tls_cert().is_some() || self.tls_key().is_some()
    }
}
