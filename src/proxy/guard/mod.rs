//! Who may do what: the one place that judges a request before anything is done for it.
//!
//! Two judgements, both pure and synchronous. [`Guard::judge_origin`] asks who is calling
//! (method, framing, Host, Origin) and stands before everything else, answers to CORS
//! preflights and static files included. [`Guard::judge_request`] asks what is wanted and
//! sees the path as the API server will see it, after `--api-prefix` is stripped.
//!
//! | concern | file |
//! |---|---|
//! | message framing that is open to two readings | `framing` |
//! | the Host and absolute-form targets | `host` |
//! | pages in a browser | `origin` |
//! | the path, decoded and normalised for judging | [`path`] |
//! | kubectl's patterns | `filter` |
//! | the path as verb, resource and subresource | [`attributes`] |
//! | what a request reaches beyond the API's objects | `reach` |
//! | `--read-only` | `read_only` |
//! | what the judgement leaves to the layers within | `layer` |

pub mod attributes;
mod capabilities;
mod filter;
mod framing;
mod host;
mod layer;
mod origin;
pub mod path;
mod read_only;

use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, header::UPGRADE};

use super::hop_by_hop::canonical;
pub use capabilities::Capabilities;
pub use filter::PatternError;
use filter::{Filter, Patterns};
use origin::{AllowedOrigins, Caller};

pub(super) use layer::{UntrustedContent, origin_layer, request_layer};

/// What the flags say about the guard. Pattern lists are already split on commas; patterns
/// are unanchored searches, as kubectl's.
// Each is a fact of its own, not a state.
#[allow(clippy::struct_excessive_bools)]
#[derive(Clone, Debug)]
pub struct Rules {
    /// `--accept-hosts`: patterns for the Host, lower-cased and without its port.
    pub accept_hosts: Vec<String>,
    /// `--accept-paths`: patterns of which each path must match one.
    pub accept_paths: Vec<String>,
    /// `--reject-paths`, if it was given. Giving it opens what runs commands, as kubectl's
    /// own default is then replaced.
    pub reject_paths: Option<Vec<String>>,
    /// `--reject-methods`: patterns for the method.
    pub reject_methods: Vec<String>,
    /// `--disable-filter`: turns off all of the above and opens what runs commands. The
    /// judgement of browser requests, of malformed ones and `read_only` stay.
    pub disable_filter: bool,
    /// `--allow-origin`: web origins, `scheme://host[:port]`, that may call.
    pub allow_origins: Vec<String>,
    /// `--allow-exec`: opens what runs commands.
    pub allow_exec: bool,
    /// `--read-only`: only get, list, watch and access reviews pass.
    pub read_only: bool,
    /// `--allow-proxy`: with `read_only`, a plain GET of an app behind a proxy passes too.
    pub allow_proxy: bool,
    /// `--trust-proxied-pages`: what others wrote is answered as if the API server had.
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

/// A flag that cannot be obeyed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A pattern is not a regular expression.
    #[error(
        "{flag}: {pattern:?} is not a regular expression of Go's, as kubectl takes them (lists \
         are split at commas that are not in {{n,m}}, brackets or \\Q..\\E)"
    )]
    Pattern {
        /// The flag that holds it.
        flag: &'static str,
        /// The pattern as given.
        pattern: String,
        /// What is wrong with it.
        source: PatternError,
    },
    /// An origin that no browser would send, or one that would let everybody in.
    #[error("--allow-origin: {origin:?} {reason}")]
    Origin {
        /// The origin as given.
        origin: String,
        /// What is wrong and what to write instead.
        reason: &'static str,
    },
}

/// Why a request goes no further.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// What a client did, as a rule: 4xx.
    pub status: StatusCode,
    /// The reason and, where there is one, the flag that would allow it.
    pub message: String,
    /// Whether the connection must close, since what follows on it cannot be trusted.
    pub close: bool,
}

impl Refusal {
    /// 400: the request has no single meaning.
    pub fn malformed(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    /// 403: understood, and not allowed.
    pub fn forbidden(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, message)
    }

    /// 404: nothing is served there.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, message)
    }

    /// 405: a method this proxy never serves.
    pub fn method(message: impl Into<String>) -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, message)
    }

    /// The same refusal, and the connection closes after it.
    #[must_use]
    pub fn and_close(self) -> Self {
        Self {
            close: true,
            ..self
        }
    }

    fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
            close: false,
        }
    }
}

/// The rules, ready to judge by.
// Each is a fact of its own, not a state.
#[allow(clippy::struct_excessive_bools)]
#[derive(Debug)]
pub struct Guard {
    /// `None` with `--disable-filter`.
    accept_hosts: Option<Patterns>,
    /// `None` with `--disable-filter`.
    filter: Option<Filter>,
    origins: AllowedOrigins,
    commands_open: bool,
    read_only: bool,
    allow_proxy: bool,
    trust_proxied_pages: bool,
    /// Whether the method decides, so that no header may name another.
    judges_methods: bool,
}

impl Guard {
    /// Compiles the rules.
    ///
    /// # Errors
    /// A pattern that is not a regular expression, or an origin that is not
    /// `scheme://host[:port]`, by its flag and text.
    pub fn new(rules: &Rules) -> Result<Self, Error> {
        let accept_hosts = Patterns::new("--accept-hosts", &rules.accept_hosts)?;
        let filter = Filter::new(rules)?;
        let refuses_methods = !rules.disable_filter && filter.refuses_methods();
        Ok(Self {
            accept_hosts: (!rules.disable_filter).then_some(accept_hosts),
            filter: (!rules.disable_filter).then_some(filter),
            origins: AllowedOrigins::new(&rules.allow_origins)?,
            commands_open: rules.allow_exec || rules.disable_filter || rules.reject_paths.is_some(),
            read_only: rules.read_only,
            allow_proxy: rules.allow_proxy,
            trust_proxied_pages: rules.trust_proxied_pages,
            judges_methods: rules.read_only || refuses_methods,
        })
    }

    /// The origins of `--allow-origin` as browsers send them, for the CORS answer headers.
    #[must_use]
    pub fn origins(&self) -> &[HeaderValue] {
        self.origins.as_slice()
    }

    /// Whether hosts pass that nobody here chose: then a page under DNS rebinding gets in.
    #[must_use]
    pub fn accepts_any_host(&self) -> bool {
        self.accept_hosts
            .as_ref()
            .is_none_or(|hosts| hosts.accept("rebound.attacker.example"))
    }

    /// Whether hosts may pass that are no loopback names: browsers mark no requests to them.
    #[must_use]
    pub fn accepts_beyond_loopback(&self) -> bool {
        let beyond = |hosts: &Patterns| !hosts.are_all(host::is_loopback);
        self.accept_hosts.as_ref().is_none_or(beyond)
    }

    /// Judges who is calling. To be asked first, whatever the request is for.
    ///
    /// # Errors
    /// 405 for CONNECT and TRACE; 400 for framing, a Host or a target of unclear meaning;
    /// 403 for a Host that is not accepted and for a page of a foreign origin.
    pub fn judge_origin<B>(&self, request: &Request<B>) -> Result<(), Refusal> {
        self.caller(request).map(|_| ())
    }

    /// As [`Self::judge_origin`], and tells who it is.
    fn caller<B>(&self, request: &Request<B>) -> Result<Caller, Refusal> {
        let method = request.method();
        if method == Method::CONNECT || method == Method::TRACE {
            let message = format!("{method} is never served by this proxy");
            return Err(Refusal::method(message).and_close());
        }
        framing::judge(request.headers())?;
        let host = host::judge(request, self.accept_hosts.as_ref())?;
        // Only after the Host: under DNS rebinding, origin and Host agree and both are foreign.
        origin::judge(request.headers(), &host, &self.origins)
    }

    /// Judges what is wanted, and tells what it reaches. The URI is the one that will be
    /// forwarded, `--api-prefix` already stripped.
    ///
    /// # Errors
    /// 400 for an ambiguous path; 403 for what the filter, the refusal of commands,
    /// `--read-only` or the mistrust of what others wrote keep out.
    pub fn judge_request<B>(&self, request: &Request<B>) -> Result<Capabilities, Refusal> {
        let path = path::normalise(request.uri().path())
            .map_err(|ambiguous| Refusal::malformed(ambiguous.to_string()))?;
        let headers = request.headers();
        let wanted = Wanted {
            method: request.method(),
            query: request.uri().query(),
            upgrade: headers.contains_key(UPGRADE),
        };
        // Whoever reads the path after us, only what every reading of it allows may pass.
        let mut reach = Capabilities::default();
        for reading in path.readings() {
            reach = reach.or(self.judge_reading(&wanted, reading)?);
        }
        if self.judges_methods {
            refuse_method_overrides(headers)?;
        }
        // Wherever the script comes from: an aggregated API server may answer with one, too.
        if !self.trust_proxied_pages {
            origin::refuse_service_worker(headers)?;
        }
        Ok(reach)
    }

    fn judge_reading(&self, wanted: &Wanted<'_>, path: &str) -> Result<Capabilities, Refusal> {
        if let Some(filter) = &self.filter {
            filter.judge(wanted.method, path)?;
        }
        let reach = Capabilities::of(wanted, path);
        if self.read_only {
            read_only::judge(wanted, path, &reach, self.allow_proxy)?;
        }
        match reach.commands.filter(|_| !self.commands_open) {
            Some(what) => Err(Refusal::forbidden(format!(
                "{what} can run commands and is refused by default; --allow-exec allows it"
            ))),
            None => Ok(reach),
        }
    }
}

/// The API server heeds no such header, but an app behind its proxy may.
fn refuse_method_overrides(headers: &HeaderMap) -> Result<(), Refusal> {
    const OVERRIDES: [&str; 3] = [
        "x-http-method-override",
        "x-http-method",
        "x-method-override",
    ];
    let mut names = headers.keys();
    match names.find(|name| OVERRIDES.contains(&canonical(name).as_ref())) {
        None => Ok(()),
        Some(name) => Err(Refusal::forbidden(format!(
            "the header {name} may name another method than the request's, which --read-only and \
             --reject-methods judge; leave it out"
        ))),
    }
}

/// What a request asks for, apart from its path.
struct Wanted<'a> {
    method: &'a Method,
    query: Option<&'a str>,
    /// Any `Upgrade` header at all, whether or not the server would follow it.
    upgrade: bool,
}

impl Wanted<'_> {
    fn is_plain_get(&self) -> bool {
        !self.upgrade && (self.method == Method::GET || self.method == Method::HEAD)
    }
}

#[cfg(test)]
mod tests;
