//! [`ConnectionFlags`]: which cluster to use, and as which user.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use clap::{Args, ValueHint};

use super::values::{any_path, duration, go_bool, key_value, non_empty_path};
use crate::{kubeconfig::Overrides, secret::Secret};

/// kubectl's global flags, which every command takes.
#[allow(clippy::doc_markdown)]
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Cluster and user (as kubectl)")]
pub struct ConnectionFlags {
    /// Settings file of the proxy, in place of config.toml and conf.d/*.toml in
    /// $XDG_CONFIG_HOME/kubegate (~/.config/kubegate); its keys are the flags without their dashes
    #[arg(long, global = true, value_name = "FILE", value_hint = ValueHint::FilePath,
          value_parser = any_path())]
    pub config: Option<PathBuf>,
    /// Kubeconfig file [default: the files of KUBECONFIG, else ~/.kube/config, else the service
    /// account of the pod]
    #[arg(long, global = true, value_name = "FILE", value_hint = ValueHint::FilePath,
          value_parser = any_path())]
    pub kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig to use; the proxy takes several
    // Several, of which all other commands use the last, as kubectl does.
    #[arg(long, global = true, value_name = "NAME")]
    pub context: Vec<String>,
    /// Cluster entry to use in place of the context's
    #[arg(long, global = true, value_name = "NAME")]
    pub cluster: Option<String>,
    /// User entry to use in place of the context's
    #[arg(long, global = true, value_name = "NAME")]
    pub user: Option<String>,
    /// Namespace of the context
    #[arg(short, long, global = true, value_name = "NAME")]
    pub namespace: Option<String>,
    /// URL of the API server
    #[arg(short, long, global = true, value_name = "URL")]
    pub server: Option<String>,
    /// Bearer token; visible to other users of this machine, so prefer a kubeconfig or file
    #[arg(long, global = true, value_name = "TOKEN", allow_hyphen_values = true)]
    pub token: Option<Secret>,
    /// User name for basic authentication
    #[arg(long, global = true, value_name = "NAME")]
    pub username: Option<String>,
    /// Password for basic authentication; visible to other users of this machine
    #[arg(
        long,
        global = true,
        value_name = "PASSWORD",
        allow_hyphen_values = true
    )]
    pub password: Option<Secret>,
    /// File with the CA certificates to trust
    #[arg(long, global = true, value_name = "FILE", value_hint = ValueHint::FilePath,
          value_parser = any_path())]
    pub certificate_authority: Option<PathBuf>,
    /// Client certificate file
    #[arg(long, global = true, value_name = "FILE", value_hint = ValueHint::FilePath,
          value_parser = any_path())]
    pub client_certificate: Option<PathBuf>,
    /// Key file of the client certificate
    #[arg(long, global = true, value_name = "FILE", value_hint = ValueHint::FilePath,
          value_parser = any_path())]
    pub client_key: Option<PathBuf>,
    /// Do not verify the API server's certificate: others on the network can then read and change
    /// everything
    #[arg(long, global = true, value_name = "BOOL", value_parser = go_bool, num_args = 0..=1,
          require_equals = true, default_missing_value = "true")]
    pub insecure_skip_tls_verify: Option<bool>,
    /// Server name to send (SNI) and to expect in the API server's certificate
    #[arg(long, global = true, value_name = "NAME")]
    pub tls_server_name: Option<String>,
    /// Proxy to reach the API server through: http, https or socks5
    // The URL may hold a password.
    #[arg(long, global = true, value_name = "URL")]
    pub proxy_url: Option<Secret>,
    /// Do not request compressed responses
    #[arg(long, global = true, value_name = "BOOL", value_parser = go_bool, num_args = 0..=1,
          require_equals = true, default_missing_value = "true")]
    pub disable_compression: Option<bool>,
    /// User to act as
    #[arg(long = "as", global = true, value_name = "USER")]
    pub impersonate_user: Option<String>,
    /// Group to act with; may be repeated
    #[arg(long = "as-group", global = true, value_name = "GROUP")]
    pub impersonate_groups: Vec<String>,
    /// UID to act as
    #[arg(long = "as-uid", global = true, value_name = "UID")]
    pub impersonate_uid: Option<String>,
    /// Extra field to act with; may be repeated
    #[arg(long = "as-user-extra", global = true, value_name = "KEY=VALUE", value_parser = key_value)]
    pub impersonate_extra: Vec<(String, String)>,
    /// How long a command waits for a response of the API server or an issuer, such as 30, 30s or
    /// 1m; 0 for no limit. The proxy applies it to requests for a credential (30s for 0); proxied
    /// requests are not limited
    #[arg(long, global = true, value_name = "DURATION", default_value = "30s",
          value_parser = duration)]
    pub request_timeout: Duration,
    /// How long an exec plugin may run, for example while it waits for a login in a browser; 0 for
    /// no limit [default: 3m, or 5m if the plugin has the terminal]
    #[arg(long, global = true, value_name = "DURATION", value_parser = duration)]
    pub exec_timeout: Option<Duration>,
    /// Log level: 0 warnings and changes of state, 2 also a line for each request, 4 also how it is
    /// served, 6 everything (never a secret)
    #[arg(
        short,
        long = "v",
        global = true,
        value_name = "LEVEL",
        default_value_t = 0
    )]
    pub verbosity: u8,
    #[command(flatten)]
    pub(crate) ignored: IgnoredFlags,
}

/// kubectl's flags that have no effect here. They are accepted so that a kubectl command line can be
/// reused.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct IgnoredFlags {
    #[arg(long, global = true, hide = true)]
    cache_dir: Option<String>,
    #[arg(long, global = true, hide = true)]
    kuberc: Option<String>,
    #[arg(long, global = true, hide = true, num_args = 0..=1, require_equals = true,
          default_missing_value = "true")]
    match_server_version: Option<String>,
    #[arg(long, global = true, hide = true, num_args = 0..=1, require_equals = true,
          default_missing_value = "true")]
    warnings_as_errors: Option<String>,
    #[arg(long, global = true, hide = true)]
    vmodule: Option<String>,
    #[arg(long, global = true, hide = true)]
    log_flush_frequency: Option<String>,
    #[arg(long, global = true, hide = true)]
    profile: Option<String>,
    #[arg(long, global = true, hide = true)]
    profile_output: Option<String>,
}

impl IgnoredFlags {
    /// Returns the names of those given.
    pub(crate) fn given(&self) -> Vec<&'static str> {
        [
            ("--cache-dir", &self.cache_dir),
            ("--kuberc", &self.kuberc),
            ("--match-server-version", &self.match_server_version),
            ("--warnings-as-errors", &self.warnings_as_errors),
            ("--vmodule", &self.vmodule),
            ("--log-flush-frequency", &self.log_flush_frequency),
            ("--profile", &self.profile),
            ("--profile-output", &self.profile_output),
        ]
        .into_iter()
        .filter_map(|(name, value)| value.is_some().then_some(name))
        .collect()
    }
}

impl ConnectionFlags {
    /// `--request-timeout`; `None` is no limit.
    #[must_use]
    pub fn request_timeout(&self) -> Option<Duration> {
        (!self.request_timeout.is_zero()).then_some(self.request_timeout)
    }

    /// `--context`: all that are given. As in kubectl, an empty value means that the flag is not given.
    #[must_use]
    pub fn contexts(&self) -> Vec<&str> {
        let names = self.context.iter().map(String::as_str);
        names.filter(|name| !name.is_empty()).collect()
    }

    /// `--config`
    #[must_use]
    pub fn config(&self) -> Option<&Path> {
        non_empty_path(self.config.as_ref())
    }

    /// `--kubeconfig`
    #[must_use]
    pub fn kubeconfig(&self) -> Option<&Path> {
        non_empty_path(self.kubeconfig.as_ref())
    }
}

/// As in kubectl, an empty value means that the flag is not given: `--context "$CONTEXT"`.
impl From<&ConnectionFlags> for Overrides {
    fn from(flags: &ConnectionFlags) -> Self {
        let mut impersonate_extra = BTreeMap::<String, Vec<String>>::new();
        for (key, value) in &flags.impersonate_extra {
            let values = impersonate_extra.entry(key.clone()).or_default();
            values.push(value.clone());
        }
        let groups = flags.impersonate_groups.iter().filter(|g| !g.is_empty());
        Self {
            context: flags.contexts().last().map(|name| (*name).to_owned()),
            cluster: non_empty(flags.cluster.as_ref()),
            user: non_empty(flags.user.as_ref()),
            namespace: non_empty(flags.namespace.as_ref()),
            server: non_empty(flags.server.as_ref()),
            certificate_authority: non_empty_path(flags.certificate_authority.as_ref())
                .map(Path::to_owned),
            insecure_skip_tls_verify: flags.insecure_skip_tls_verify,
            tls_server_name: non_empty(flags.tls_server_name.as_ref()),
            proxy_url: non_empty_secret(flags.proxy_url.as_ref()),
            disable_compression: flags.disable_compression,
            token: non_empty_secret(flags.token.as_ref()),
            username: non_empty(flags.username.as_ref()),
            password: non_empty_secret(flags.password.as_ref()),
            client_certificate: non_empty_path(flags.client_certificate.as_ref())
                .map(Path::to_owned),
            client_key: non_empty_path(flags.client_key.as_ref()).map(Path::to_owned),
            impersonate_user: non_empty(flags.impersonate_user.as_ref()),
            impersonate_uid: non_empty(flags.impersonate_uid.as_ref()),
            impersonate_groups: groups.cloned().collect(),
            impersonate_extra,
        }
    }
}

fn non_empty(value: Option<&String>) -> Option<String> {
    value.filter(|text| !text.is_empty()).cloned()
}

fn non_empty_secret(value: Option<&Secret>) -> Option<Secret> {
    value.filter(|secret| !secret.expose().is_empty()).cloned()
}
