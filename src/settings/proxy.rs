//! [`ProxyFlags`]: how the proxy listens, what it lets through, and how it reaches the API server.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

use clap::{Args, ValueEnum, ValueHint};

use super::{
    file::ContextSettings,
    ibm::IbmTargetFlags,
    login::{Login, OpenshiftFiles, OpenshiftFlags},
    path_prefix,
    patterns::Patterns,
    route::Route,
    service_account::ServiceAccountFlags,
    tls::TlsFlags,
    upstream::UpstreamFlags,
    upstream_header::UpstreamHeader,
    values::{address, any_path, duration, go_bool, non_empty_path},
};

/// The default of `--port`, as in kubectl proxy.
pub const DEFAULT_PORT: u16 = 8001;

/// The flags of `kubectl proxy`, and kubegate's own.
// The doc comments are the help texts, which show backticks and angle brackets as they are.
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
    /// Unix socket to listen on in place of a port; without PATH one in a private folder,
    /// $XDG_RUNTIME_DIR/kubegate/proxy.sock
    #[arg(short, long, value_name = "PATH", value_hint = ValueHint::FilePath, value_parser = any_path(),
          num_args = 0..=1)]
    pub unix_socket: Option<Option<PathBuf>>,
    /// Also serve the files of this folder; for a folder in it its index.html, never a listing
    #[arg(short, long, value_name = "FOLDER", value_hint = ValueHint::DirPath, value_parser = any_path())]
    pub www: Option<PathBuf>,
    /// Path under which the files of --www are served
    #[arg(short = 'P', long, value_name = "PATH", default_value = "/static/",
          value_parser = path_prefix::parse)]
    pub www_prefix: String,
    /// Also serve files outside of the folder of --www that symlinks in it lead to
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
    /// Hosts to accept in requests: regular expressions, separated by commas
    /// [default: ^localhost$,^127\.0\.0\.1$,^\[::1\]$]
    #[arg(long, value_name = "PATTERNS")]
    pub accept_hosts: Option<Patterns>,
    /// Paths to accept: regular expressions, separated by commas [default: ^.*]
    #[arg(long, value_name = "PATTERNS")]
    pub accept_paths: Option<Patterns>,
    /// Paths to reject: regular expressions, separated by commas; if given, it alone decides about
    /// exec and attach, as in kubectl [default: none, but see --allow-exec]
    #[arg(long, value_name = "PATTERNS")]
    pub reject_paths: Option<Patterns>,
    /// Methods to reject: regular expressions, separated by commas [default: ^$]
    #[arg(long, value_name = "PATTERNS")]
    pub reject_methods: Option<Patterns>,
    /// Turn off the filters of hosts, paths and methods; web pages of other origins are still refused,
    /// except through DNS rebinding
    #[arg(long, value_name = "BOOL", value_parser = go_bool, num_args = 0..=1,
          require_equals = true, default_value = "false", default_missing_value = "true")]
    pub disable_filter: bool,
    /// Allow requests that run commands: exec, attach, ephemeral containers, the kubelet's API
    #[arg(long, value_name = "BOOL", value_parser = go_bool, num_args = 0..=1,
          require_equals = true, default_value = "false", default_missing_value = "true")]
    pub allow_exec: bool,
    /// Allow only get, list, watch and access reviews; see --allow-proxy
    #[arg(long, value_name = "BOOL", value_parser = go_bool, num_args = 0..=1,
          require_equals = true, default_value = "false", default_missing_value = "true")]
    pub read_only: bool,
    /// With --read-only, also allow GET requests to apps behind */proxy
    #[arg(long, value_name = "BOOL", value_parser = go_bool, num_args = 0..=1,
          require_equals = true, default_value = "false", default_missing_value = "true")]
    pub allow_proxy: bool,
    /// Let pages behind */proxy and in logs run in the origin of this proxy, where they can use your
    /// credential for everything
    #[arg(long, value_name = "BOOL", value_parser = go_bool, num_args = 0..=1,
          require_equals = true, default_value = "false", default_missing_value = "true")]
    pub trust_proxied_pages: bool,
    /// Users of this machine that may connect besides you and root: names or uids, separated by commas.
    /// Needed for a reverse proxy or an app that runs as another user
    #[arg(long, value_name = "USERS", value_delimiter = ',')]
    pub allow_uid: Vec<String>,
    /// Allow every user of this machine to connect, and so to act in the cluster with your credential
    #[arg(long, value_name = "BOOL", value_parser = go_bool, num_args = 0..=1,
          require_equals = true, default_value = "false", default_missing_value = "true")]
    pub allow_any_uid: bool,
    /// Require clients to send a token of this file, whose lines are NAME TOKEN or NAME sha256:HEX; it
    /// is read again when it changes
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, value_parser = any_path())]
    pub require_token_file: Option<PathBuf>,
    /// Listen beyond loopback although clients need not use TLS and prove who they are: in a container
    /// whose port is published to trusted clients alone, or in a private network
    #[arg(long, value_name = "BOOL", value_parser = go_bool, num_args = 0..=1,
          require_equals = true, default_value = "false", default_missing_value = "true")]
    pub unsafe_listen: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub tls: TlsFlags,
    /// Web origins whose pages may use this proxy, such as https://dashboard.example
    #[arg(long, value_name = "ORIGINS", value_delimiter = ',')]
    pub allow_origin: Vec<String>,
    /// Change the context when the kubeconfig's current-context changes; otherwise the context that
    /// was current at the start is kept
    #[arg(long, value_name = "BOOL", value_parser = go_bool, num_args = 0..=1,
          require_equals = true, default_value = "false", default_missing_value = "true")]
    pub follow_current_context: bool,
    /// Serve all contexts of the kubeconfig, each below /clusters/SLUG/; /clusters lists them
    #[arg(long, value_name = "BOOL", value_parser = go_bool, num_args = 0..=1,
          require_equals = true, default_value = "false", default_missing_value = "true")]
    pub all_contexts: bool,
    /// With several contexts, the one that is served at / too; a client that drops /clusters/SLUG/ from
    /// a path then reaches it
    #[arg(long, value_name = "NAME")]
    pub default_context: Option<String>,
    /// What to do with a credential that a client sends itself
    #[arg(long, value_name = "WHAT", value_enum, default_value_t)]
    pub client_credentials: ClientCredentials,
    /// Idle time before TCP keep-alive probes to the API server; 0 for none
    /// [default: half of --upstream-silence-timeout]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub keepalive: Option<Duration>,
    /// Put the path of the server's URL before the path of every request
    #[arg(long, value_name = "BOOL", value_parser = go_bool, num_args = 0..=1,
          require_equals = true, default_value = "true", default_missing_value = "true")]
    pub append_server_path: bool,
    /// Header that requests to the API server get, in place of the client's, for a front such as Cloudflare
    /// Access: NAME: @FILE, whose only line is the value; the file is read again when it changes. May be
    /// repeated
    #[arg(long, value_name = "HEADER")]
    pub upstream_header: Vec<UpstreamHeader>,
    /// Path that leads to another server, which gets the credential of the context: PATH=URL, such as
    /// /ibm/=https://containers.cloud.ibm.com. May be repeated
    #[arg(long, value_name = "ROUTE")]
    pub route: Vec<Route>,
    /// What the settings file says of further routes.
    #[arg(skip)]
    pub routes: Vec<Route>,
    /// What the settings file sets for contexts, by their names.
    #[arg(skip)]
    pub contexts: BTreeMap<String, ContextSettings>,
    /// A cluster of IBM Cloud
    #[command(flatten)]
    pub ibm: IbmTargetFlags,
    /// How long requests may continue after SIGTERM
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
    /// Returns the kubegate login that replaces the context's user, if there is one.
    #[must_use]
    pub fn login(&self) -> Option<Login> {
        self.openshift.username_and_password()?;
        Some(Login::Openshift(OpenshiftFlags {
            login: None,
            files: self.openshift.clone(),
        }))
    }

    /// `--default-context`
    #[must_use]
    pub fn default_context(&self) -> Option<&str> {
        let name = self.default_context.as_deref();
        name.filter(|name| !name.is_empty())
    }

    /// `--unix-socket`
    #[must_use]
    pub fn unix_socket(&self) -> Option<UnixSocket<'_>> {
        UnixSocket::of_flag(self.unix_socket.as_ref())
    }

    /// `--www`
    #[must_use]
    pub fn www(&self) -> Option<&Path> {
        non_empty_path(self.www.as_ref())
    }

    /// `--require-token-file`
    #[must_use]
    pub fn require_token_file(&self) -> Option<&Path> {
        non_empty_path(self.require_token_file.as_ref())
    }

    /// Where to listen over TCP.
    #[must_use]
    pub fn tcp_address(&self) -> SocketAddr {
        SocketAddr::new(self.address, self.port)
    }
}

/// `--unix-socket`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnixSocket<'a> {
    /// The one in the user's private folder.
    Default,
    /// The one at a path.
    At(&'a Path),
}

impl<'a> UnixSocket<'a> {
    /// Reads the flag. An empty path means none, as in kubectl.
    pub(super) fn of_flag(flag: Option<&'a Option<PathBuf>>) -> Option<Self> {
        match flag? {
            None => Some(Self::Default),
            Some(path) => non_empty_path(Some(path)).map(Self::At),
        }
    }
}

/// What to do with a credential that a client sends itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ClientCredentials {
    /// Send it to the API server in place of your own, as kubectl proxy does
    #[default]
    Forward,
    /// Replace it by your own
    Replace,
    /// Refuse the request
    Refuse,
}
