//! [`Overrides`]: flags that take precedence over the kubeconfig.

use std::{collections::BTreeMap, path::PathBuf};

use crate::secret::Secret;

/// Values of the command line, with kubectl's names and precedence.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// `--context`
    pub context: Option<String>,
    /// `--cluster`
    pub cluster: Option<String>,
    /// `--user`
    pub user: Option<String>,
    /// `--namespace`
    pub namespace: Option<String>,
    /// `--server`
    pub server: Option<String>,
    /// `--certificate-authority`
    pub certificate_authority: Option<PathBuf>,
    /// `--insecure-skip-tls-verify`
    pub insecure_skip_tls_verify: Option<bool>,
    /// `--tls-server-name`
    pub tls_server_name: Option<String>,
    /// `--proxy-url`, which may contain a password
    pub proxy_url: Option<Secret>,
    /// `--disable-compression`
    pub disable_compression: Option<bool>,
    /// `--token`
    pub token: Option<Secret>,
    /// `--username`
    pub username: Option<String>,
    /// `--password`
    pub password: Option<Secret>,
    /// `--client-certificate`
    pub client_certificate: Option<PathBuf>,
    /// `--client-key`
    pub client_key: Option<PathBuf>,
    /// `--as`
    pub impersonate_user: Option<String>,
    /// `--as-uid`
    pub impersonate_uid: Option<String>,
    /// `--as-group`, repeated
    pub impersonate_groups: Vec<String>,
    /// `--as-user-extra key=value`, repeated
    pub impersonate_extra: BTreeMap<String, Vec<String>>,
}
