//! [`Rules`]: what the flags say about the guard.

/// What the flags say about the guard. Pattern lists are already split at commas; patterns
/// are not anchored, as in kubectl.
// Independent flags; every combination is possible.
#[allow(clippy::struct_excessive_bools)]
#[derive(Clone, Debug)]
pub struct Rules {
    /// `--accept-hosts`: patterns for the Host, lower-cased and without its port.
    pub accept_hosts: Vec<String>,
    /// `--accept-paths`: patterns of which each path must match one.
    pub accept_paths: Vec<String>,
    /// `--reject-paths`, if it is given. It then allows what runs commands, since it replaces
    /// kubectl's default.
    pub reject_paths: Option<Vec<String>>,
    /// `--reject-methods`: patterns for the method.
    pub reject_methods: Vec<String>,
    /// `--disable-filter`: turns off all of the above and allows what runs commands. The checks of
    /// browser requests and malformed ones stay, and so does `read_only`.
    pub disable_filter: bool,
    /// `--allow-origin`: web origins, `scheme://host[:port]`, that may call.
    pub allow_origins: Vec<String>,
    /// `--allow-exec`: allows what runs commands.
    pub allow_exec: bool,
    /// `--read-only`: only get, list, watch and access reviews pass.
    pub read_only: bool,
    /// `--allow-proxy`: with `read_only`, a plain GET of an app behind a proxy passes too.
    pub allow_proxy: bool,
    /// `--trust-proxied-pages`: untrusted content is not sandboxed.
    pub trust_proxied_pages: bool,
}

impl Default for Rules {
    /// kubectl proxy's defaults.
    fn default() -> Self {
        let hosts = ["^localhost$", r"^127\.0\.0\.1$", r"^\[::1\]$"];
        Self {
            accept_hosts: hosts.map(String::from).to_vec(),
            accept_paths: vec!["^.*".into()],
            reject_paths: None,
            reject_methods: vec!["^$".into()],
            disable_filter: false,
            allow_origins: Vec::new(),
            allow_exec: false,
            read_only: false,
            allow_proxy: false,
            trust_proxied_pages: false,
        }
    }
}
