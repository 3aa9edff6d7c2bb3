//! The guard: decides whether a request may pass, before anything is done for it.
//!
//! Two checks, both pure and synchronous. [`Guard::check_origin`] looks at who is calling (method,
//! framing, Host, Origin) and comes before everything else, CORS preflights and static files
//! included. [`Guard::check_request`] looks at what is asked, as [`RequestInfo`] has it.
//!
//! | concern | file |
//! |---|---|
//! | the user of this machine that connects | `local_users` |
//! | client certificates, and the tokens of `--require-token-file` | `local_access`, `local_tokens` |
//! | browsers that show a cookie in place of a token | `browser_sessions`, `session_cookie` |
//! | the hashes by which tokens and cookies are known | `secret_hash` |
//! | message framing that is open to two readings | `framing` |
//! | the Host and absolute-form targets | `host` |
//! | pages in a browser | `origin` |
//! | kubectl's patterns | `filter` |
//! | what a request gives access to beyond the API's objects | `capabilities` |
//! | `--read-only` | `read_only` |
//! | both checks as layers | `layer` |

mod browser_sessions;
mod capabilities;
mod error;
mod filter;
mod framing;
mod host;
mod layer;
mod local_access;
mod local_tokens;
mod local_users;
mod origin;
mod read_only;
mod rules;
mod secret_hash;
mod session_cookie;

use http::{HeaderMap, HeaderValue, Method, Request};

pub use super::refusal::Refusal;
use super::{
    app_origin::AppOrigin,
    header_names::canonical,
    hop_by_hop, navigation,
    request_info::{Reading, RequestInfo},
};
pub use capabilities::Capabilities;
pub use error::Error;
pub use filter::PatternError;
use filter::{Filter, Patterns};
pub(super) use host::loopback_port_suffix;
use origin::AllowedOrigins;
pub use origin::{Caller, FOREIGN_SITE};
pub use rules::Rules;

pub use browser_sessions::{INVITATION_TTL, OwnedHost, SESSION_TTL};
pub use layer::{CheckOrigin, CheckRequest, CutTarget, origin_layer, request_layer, token_layer};
pub use local_access::{Admitted, CheckLocalAccess, LocalAccess, TOKEN_RULE};
pub use local_tokens::{BadLine, LocalTokens};
pub use local_users::{LocalUsers, UnknownOwner};

/// The rules, compiled.
// Independent flags, except that `read_only` implies `checks_methods`.
#[allow(clippy::struct_excessive_bools)]
#[derive(Debug)]
pub struct Guard {
    /// `None` with `--disable-filter`.
    accept_hosts: Option<Patterns>,
    /// `None` with `--disable-filter`.
    filter: Option<Filter>,
    origins: AllowedOrigins,
    allow_commands: bool,
    read_only: bool,
    allow_proxy: bool,
    trust_proxied_pages: bool,
    /// Whether a rule depends on the method, so that no header may name another.
    checks_methods: bool,
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
            allow_commands: rules.allow_exec
                || rules.disable_filter
                || rules.reject_paths.is_some(),
            read_only: rules.read_only,
            allow_proxy: rules.allow_proxy,
            trust_proxied_pages: rules.trust_proxied_pages,
            checks_methods: rules.read_only || refuses_methods,
        })
    }

    /// The origins of `--allow-origin` as browsers send them, for the CORS response headers.
    #[must_use]
    pub fn origins(&self) -> &[HeaderValue] {
        self.origins.as_slice()
    }

    /// Whether requests for this host, in lower case, pass.
    #[must_use]
    pub fn serves_host(&self, name: &str) -> bool {
        let accept = self.accept_hosts.as_ref();
        accept.is_none_or(|hosts| hosts.accept(name)) || AppOrigin::parse(name).is_some()
    }

    /// Whether any host passes: then a page gets in by DNS rebinding.
    #[must_use]
    pub fn accepts_any_host(&self) -> bool {
        self.accept_hosts
            .as_ref()
            .is_none_or(|hosts| hosts.accept("rebound.attacker.example"))
    }

    /// Whether hosts may pass that are not loopback names. Browsers add no `Sec-Fetch-*` headers to
    /// requests to them over plain http.
    #[must_use]
    pub fn accepts_beyond_loopback(&self) -> bool {
        let beyond = |hosts: &Patterns| !hosts.are_all(host::is_loopback);
        self.accept_hosts.as_ref().is_none_or(beyond)
    }

    /// Whether what pods and services serve is trusted with this proxy's own origin.
    #[must_use]
    pub fn trusts_proxied_pages(&self) -> bool {
        self.trust_proxied_pages
    }

    /// Checks who is calling, and returns it. Comes first, whatever the request is for.
    ///
    /// # Errors
    /// 405 for CONNECT and TRACE; 400 for framing, a Host or a target of unclear meaning;
    /// 403 for a Host that is not accepted and for a page of a foreign origin.
    pub fn check_origin<B>(&self, request: &Request<B>) -> Result<Caller, Refusal> {
        self.check_caller(request).map(|(caller, _)| caller)
    }

    /// Does the same, and returns the app if the request came to the origin of one.
    fn check_caller<B>(
        &self,
        request: &Request<B>,
    ) -> Result<(Caller, Option<AppOrigin>), Refusal> {
        let method = request.method();
        if method == Method::CONNECT || method == Method::TRACE {
            let message = format!("{method} is never served by this proxy");
            return Err(Refusal::method("CONNECT or TRACE", message).and_close());
        }
        framing::check(request.headers())?;
        let (host, app) = host::check(request, self.accept_hosts.as_ref())?;
        // Any site may open an app, as every web app. It gets nothing of the response.
        if app.is_some() && navigation::is_top_level(request) {
            return Ok((Caller::Browser, app));
        }
        // After the Host: under DNS rebinding, Origin and Host agree and both are foreign.
        let caller = origin::check(request.headers(), &host, &self.origins)?;
        Ok((caller, app))
    }

    /// Checks what is asked, and returns what it gives access to. Only what every reading of the
    /// path allows passes.
    ///
    /// # Errors
    /// 403 for what the filter, `--read-only` or the rules against commands, method overrides and
    /// service workers refuse.
    pub fn check_request(
        &self,
        info: &RequestInfo,
        headers: &HeaderMap,
    ) -> Result<Capabilities, Refusal> {
        self.check_request_at(None, info, headers)
    }

    /// Does the same at the origin of `app`, or of the API.
    fn check_request_at(
        &self,
        app: Option<&AppOrigin>,
        info: &RequestInfo,
        headers: &HeaderMap,
    ) -> Result<Capabilities, Refusal> {
        let upgrades = hop_by_hop::names_upgrade(headers);
        let mut capabilities = Capabilities::default();
        for reading in info.readings() {
            let of_reading = self.check_reading(info.method(), upgrades, reading)?;
            capabilities = capabilities.or(of_reading);
        }
        if self.checks_methods {
            refuse_method_overrides(headers)?;
        }
        // Wherever the script comes from: an aggregated API server may answer with one, too.
        if !self.trust_proxied_pages {
            origin::refuse_service_worker(headers, app)?;
        }
        Ok(capabilities)
    }

    fn check_reading(
        &self,
        method: &Method,
        upgrades: bool,
        reading: Reading<'_>,
    ) -> Result<Capabilities, Refusal> {
        if let Some(filter) = &self.filter {
            filter.check(method, reading)?;
        }
        let capabilities = Capabilities::of(method, upgrades, reading);
        if self.read_only {
            read_only::check(method, upgrades, reading, &capabilities, self.allow_proxy)?;
        }
        match capabilities.commands.filter(|_| !self.allow_commands) {
            Some(what) => Err(Refusal::forbidden(
                what,
                format!(
                    "{what} can run commands and is refused by default; --allow-exec allows it"
                ),
            )),
            None => Ok(capabilities),
        }
    }
}

/// The API server ignores such a header, but an app behind its proxy may follow it.
fn refuse_method_overrides(headers: &HeaderMap) -> Result<(), Refusal> {
    const OVERRIDES: [&str; 3] = [
        "x-http-method-override",
        "x-http-method",
        "x-method-override",
    ];
    let mut names = headers.keys();
    match names.find(|name| OVERRIDES.contains(&canonical(name).as_ref())) {
        None => Ok(()),
        Some(name) => Err(Refusal::forbidden(
            "method override",
            format!(
                "the header {name} may name another method than the request's, which --read-only and \
             --reject-methods judge; leave it out"
            ),
        )),
    }
}

#[cfg(test)]
mod tests;
