//! Flags and environment: text becomes types here, and a bad value is reported by its flag.

mod ibm;
mod login;
mod oidc;
mod path_prefix;
mod patterns;
mod service_account;
mod upstream;

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

use clap::{
    Args, ValueEnum, ValueHint,
    builder::{OsStringValueParser, TypedValueParser},
};

pub use ibm::{IbmEndpoint, IbmFlags, IbmTargetFlags};
pub use login::{Login, OpenshiftFiles, OpenshiftFlags};
pub use oidc::OidcFlags;
pub use patterns::Patterns;
pub use service_account::{Namespaced, ServiceAccountFlags};
pub use upstream::UpstreamFlags;

use crate::{kubeconfig::Overrides, secret::Secret};

/// As kubectl proxy.
pub const DEFAULT_PORT: u16 = 8001;

/// kubectl's global flags: which cluster, and as whom.
#[allow(clippy::doc_markdown)]
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Cluster and user (as kubectl)")]
pub struct ConnectionFlags {
    /// Kubeconfig file; else the KUBECONFIG list, else ~/.kube/config, else the pod's service account
    #[arg(long, global = true, value_name = "FILE", value_hint = ValueHint::FilePath,
          value_parser = any_path())]
    pub kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig to use
    #[arg(long, global = true, value_name = "NAME")]
    pub context: Option<String>,
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
    /// File with the certificates of the authorities to trust
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
    /// Do not verify the API server's certificate: anybody on the way can read and change all
    #[arg(long, global = true, value_name = "BOOL", value_parser = go_bool, num_args = 0..=1,
          require_equals = true, default_missing_value = "true")]
    pub insecure_skip_tls_verify: Option<bool>,
    /// Name to ask for and to check in the API server's certificate
    #[arg(long, global = true, value_name = "NAME")]
    pub tls_server_name: Option<String>,
    /// Proxy to reach the API server through: http, https or socks5
    // As a secret, for it may hold a password.
    #[arg(long, global = true, value_name = "URL")]
    pub proxy_url: Option<Secret>,
    /// Do not ask for compressed answers
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
    /// How long a command waits for one answer of an API server or issuer, such as 30, 30s or 1m;
    /// 0 for no end. The proxy waits so long where it asks for a credential (30s at most for 0);
    /// requests that it passes on are not limited
    #[arg(long, global = true, value_name = "DURATION", default_value = "30s",
          value_parser = duration)]
    pub request_timeout: Duration,
    /// How long an exec plugin may take, which may be waiting for your login elsewhere; 0 for no
    /// end [default: 3m, and 5m where the plugin has the terminal]
    #[arg(long, global = true, value_name = "DURATION", value_parser = duration)]
    pub exec_timeout: Option<Duration>,
    /// Verbosity: 0 warnings and news, 2 a line for each request, 4 how it is served, 6 all (never a secret)
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

/// kubectl's flags that mean nothing here: accepted, so that a command line can be taken over.
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
    /// The names of those given.
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
    /// `--request-timeout`; `None` is without end.
    #[must_use]
    pub fn request_timeout(&self) -> Option<Duration> {
        (!self.request_timeout.is_zero()).then_some(self.request_timeout)
    }

    /// `--kubeconfig`
    #[must_use]
    pub fn kubeconfig(&self) -> Option<&Path> {
        path_given(self.kubeconfig.as_ref())
    }
}

/// As in kubectl, an empty value is as good as none: `--context "$CONTEXT"`.
impl From<&ConnectionFlags> for Overrides {
    fn from(flags: &ConnectionFlags) -> Self {
        let mut impersonate_extra = BTreeMap::<String, Vec<String>>::new();
        for (key, value) in &flags.impersonate_extra {
            let values = impersonate_extra.entry(key.clone()).or_default();
            values.push(value.clone());
        }
        let groups = flags.impersonate_groups.iter().filter(|g| !g.is_empty());
        Self {
            context: text_given(flags.context.as_ref()),
            cluster: text_given(flags.cluster.as_ref()),
            user: text_given(flags.user.as_ref()),
            namespace: text_given(flags.namespace.as_ref()),
            server: text_given(flags.server.as_ref()),
            certificate_authority: path_given(flags.certificate_authority.as_ref())
                .map(Path::to_owned),
            insecure_skip_tls_verify: flags.insecure_skip_tls_verify,
            tls_server_name: text_given(flags.tls_server_name.as_ref()),
            proxy_url: secret_given(flags.proxy_url.as_ref()),
            disable_compression: flags.disable_compression,
            token: secret_given(flags.token.as_ref()),
            username: text_given(flags.username.as_ref()),
            password: secret_given(flags.password.as_ref()),
            client_certificate: path_given(flags.client_certificate.as_ref()).map(Path::to_owned),
            client_key: path_given(flags.client_key.as_ref()).map(Path::to_owned),
            impersonate_user: text_given(flags.impersonate_user.as_ref()),
            impersonate_uid: text_given(flags.impersonate_uid.as_ref()),
            impersonate_groups: groups.cloned().collect(),
            impersonate_extra,
        }
    }
}

fn text_given(value: Option<&String>) -> Option<String> {
    value.filter(|text| !text.is_empty()).cloned()
}

fn secret_given(value: Option<&Secret>) -> Option<Secret> {
    value.filter(|secret| !secret.expose().is_empty()).cloned()
}

fn path_given(value: Option<&PathBuf>) -> Option<&Path> {
    value
        .map(PathBuf::as_path)
        .filter(|p| !p.as_os_str().is_empty())
}

/// The flags of `kubectl proxy`, and ours.
// The doc comments are the help's text, where backticks and angle brackets would stand as they are.
#[allow(
    clippy::doc_markdown,
    rustdoc::bare_urls,
    clippy::struct_excessive_bools
)]
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Proxy")]
pub struct ProxyFlags {
    /// Port to listen on; 0 takes a free one
    #[arg(short, long, value_name = "PORT", default_value_t = DEFAULT_PORT)]
    pub port: u16,
    /// IP address to listen on
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1", value_parser = address)]
    pub address: IpAddr,
    /// Unix socket to listen on in place of a port
    #[arg(short, long, value_name = "PATH", value_hint = ValueHint::FilePath, value_parser = any_path())]
    pub unix_socket: Option<PathBuf>,
    /// Also serve the files of this folder; of a folder in it the index.html, no listing
    #[arg(short, long, value_name = "FOLDER", value_hint = ValueHint::DirPath, value_parser = any_path())]
    pub www: Option<PathBuf>,
    /// Path under which the files of --www are served
    #[arg(short = 'P', long, value_name = "PATH", default_value = "/static/",
          value_parser = path_prefix::parse)]
    pub www_prefix: String,
    /// Also serve what symlinks in the folder of --www lead to outside of it
    #[arg(long, value_name = "BOOL", value_parser = go_bool, num_args = 0..=1,
          require_equals = true, default_value = "false", default_missing_value = "true")]
    pub www_follow_symlinks: bool,
    /// Also serve files and folders of --www whose names begin with a dot
    #[arg(long, value_name = "BOOL", value_parser = go_bool, num_args = 0..=1,
          require_equals = true, default_value = "false", default_missing_value = "true")]
    pub www_dotfiles: bool,
    /// Path under which the API is served
    #[arg(long, value_name = "PATH", default_value = "/", value_parser = path_prefix::parse)]
    pub api_prefix: String,
    /// Hosts that requests may name: regular expressions, separated by commas
    /// [default: ^localhost$,^127\.0\.0\.1$,^\[::1\]$]
    #[arg(long, value_name = "PATTERNS")]
    pub accept_hosts: Option<Patterns>,
    /// Paths that may be asked for: regular expressions, separated by commas [default: ^.*]
    #[arg(long, value_name = "PATTERNS")]
    pub accept_paths: Option<Patterns>,
    /// Paths that may not be asked for; given explicitly, it also decides alone about exec and
    /// attach, as in kubectl [default: none, but see --allow-exec]
    #[arg(long, value_name = "PATTERNS")]
    pub reject_paths: Option<Patterns>,
    /// Methods that may not be used: regular expressions, separated by commas [default: ^$]
    #[arg(long, value_name = "PATTERNS")]
    pub reject_methods: Option<Patterns>,
    /// Turn off the filter of hosts, paths and methods (web pages stay out)
    #[arg(long, value_name = "BOOL", value_parser = go_bool, num_args = 0..=1,
          require_equals = true, default_value = "false", default_missing_value = "true")]
    pub disable_filter: bool,
    /// Allow what runs commands: exec, attach, ephemeral containers, the nodes' own API
    #[arg(long, value_name = "BOOL", value_parser = go_bool, num_args = 0..=1,
          require_equals = true, default_value = "false", default_missing_value = "true")]
    pub allow_exec: bool,
    /// Let get, list, watch and access reviews pass and nothing else; see --allow-proxy
    #[arg(long, value_name = "BOOL", value_parser = go_bool, num_args = 0..=1,
          require_equals = true, default_value = "false", default_missing_value = "true")]
    pub read_only: bool,
    /// With --read-only, let GETs of apps behind */proxy pass too
    #[arg(long, value_name = "BOOL", value_parser = go_bool, num_args = 0..=1,
          require_equals = true, default_value = "false", default_missing_value = "true")]
    pub allow_proxy: bool,
    /// Let pages behind */proxy and logs run in this proxy's own origin, where they can use your
    /// credential for everything
    #[arg(long, value_name = "BOOL", value_parser = go_bool, num_args = 0..=1,
          require_equals = true, default_value = "false", default_missing_value = "true")]
    pub trust_proxied_pages: bool,
    /// Web origins whose pages may use this proxy, such as https://dashboard.example
    #[arg(long, value_name = "ORIGINS", value_delimiter = ',')]
    pub allow_origin: Vec<String>,
    /// Go along when the kubeconfig's current-context changes; without it, the context that was
    /// current at the start stays
    #[arg(long, value_name = "BOOL", value_parser = go_bool, num_args = 0..=1,
          require_equals = true, default_value = "false", default_missing_value = "true")]
    pub follow_current_context: bool,
    /// What becomes of a credential that a client brings itself
    #[arg(long, value_name = "WHAT", value_enum, default_value_t)]
    pub client_credentials: ClientCredentials,
    /// Idle time before TCP keep-alive probes to the API server; 0 for none
    /// [default: half of --upstream-silence-timeout]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub keepalive: Option<Duration>,
    /// Put the path of the server's URL before every request's
    #[arg(long, value_name = "BOOL", value_parser = go_bool, num_args = 0..=1,
          require_equals = true, default_value = "true", default_missing_value = "true")]
    pub append_server_path: bool,
    /// A cluster of IBM Cloud
    #[command(flatten)]
    pub ibm: IbmTargetFlags,
    /// How long requests may go on after SIGTERM
    #[arg(long, value_name = "DURATION", default_value = "25s", value_parser = duration)]
    pub drain_timeout: Duration,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub upstream: UpstreamFlags,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub service_account: ServiceAccountFlags,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub openshift: OpenshiftFiles,
}

impl ProxyFlags {
    /// The login of our own that is to take the user's place.
    #[must_use]
    pub fn login(&self) -> Option<Login> {
        self.openshift.username_and_password()?;
        Some(Login::Openshift(OpenshiftFlags {
            login: None,
            files: self.openshift.clone(),
        }))
    }

    /// `--unix-socket`
    #[must_use]
    pub fn unix_socket(&self) -> Option<&Path> {
        path_given(self.unix_socket.as_ref())
    }

    /// `--www`
    #[must_use]
    pub fn www(&self) -> Option<&Path> {
        path_given(self.www.as_ref())
    }

    /// Where to listen over TCP.
    #[must_use]
    pub fn tcp_address(&self) -> SocketAddr {
        SocketAddr::new(self.address, self.port)
    }
}

/// What becomes of a credential that the client brings itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ClientCredentials {
    /// It goes upstream in place of ours, as with kubectl proxy
    #[default]
    Forward,
    /// It is taken off and ours is sent
    Replace,
    /// The request is refused
    Refuse,
}

/// Unlike clap's own parser of paths, this one takes an empty value.
fn any_path() -> impl TypedValueParser<Value = PathBuf> {
    OsStringValueParser::new().map(PathBuf::from)
}

/// Go's `strconv.ParseBool`.
pub(crate) fn go_bool(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err("give true or false".to_owned()),
    }
}

fn address(text: &str) -> Result<IpAddr, String> {
    if text == "localhost" {
        return Ok(Ipv4Addr::LOCALHOST.into());
    }
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    bare.parse()
        .map_err(|_| "give an IP address, such as 127.0.0.1 or ::1".to_owned())
}

/// Go's durations, `1m30s`, and bare seconds.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    /// A century: times that lie further ahead cannot be computed with.
    const LONGEST: Duration = Duration::from_secs(100 * 366 * 86_400);
    let explain = || "give a duration such as 30s, 1m30s or 0".to_owned();
    if let Ok(seconds) = text.parse::<u64>() {
        return Ok(Duration::from_secs(seconds).min(LONGEST));
    }
    let parsed: jiff::SignedDuration = text.parse().map_err(|_| explain())?;
    let duration = Duration::try_from(parsed).map_err(|_| explain())?;
    Ok(duration.min(LONGEST))
}

fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("give key=value".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_go_writes_them() {
        assert_eq!(duration("25s"), Ok(Duration::from_secs(25)));
        assert_eq!(duration("1m30s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("300ms"), Ok(Duration::from_millis(300)));
        assert_eq!(duration("0"), Ok(Duration::ZERO));
        assert_eq!(duration("0s"), Ok(Duration::ZERO));
        let now = std::time::Instant::now();
        for endless in ["18446744073709551615", "2562047788015h"] {
            let long = duration(endless).map(|long| now.checked_add(2 * long));
            assert!(matches!(long, Ok(Some(_))), "{endless}");
        }
        assert!(duration("-1s").is_err());
        assert!(duration("soon").is_err());
    }

    #[test]
    fn addresses_are_ip_addresses_or_localhost() {
        assert_eq!(address("localhost"), Ok(Ipv4Addr::LOCALHOST.into()));
        assert_eq!(address("[::1]"), address("::1"));
        assert!(address("example.com").is_err());
    }

    #[test]
    fn an_extra_field_needs_a_key() {
        assert_eq!(key_value("a=b=c"), Ok(("a".into(), "b=c".into())));
        assert!(key_value("=b").is_err());
        assert!(key_value("a").is_err());
    }
}
