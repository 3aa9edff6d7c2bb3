//! Checks requests that a page in a browser sent. A page of any site can reach localhost, and needs no
//! permission to send plain GETs and open a WebSocket. So the headers that browsers add, and scripts
//! cannot forge, decide for every method and every upgrade.

use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{ACCEPT_LANGUAGE, ORIGIN, REFERER, USER_AGENT},
};

use super::{
    error::Error,
    host::{Host, default_port},
};
use crate::proxy::{app_origin::AppOrigin, refusal::Refusal};

const SEC_FETCH_SITE: &str = "sec-fetch-site";

/// The rule that refuses requests without an `Origin` by pages of other sites.
pub const FOREIGN_SITE: &str = "foreign site";

/// The origins of `--allow-origin`, each as a browser writes it.
#[derive(Debug)]
pub(super) struct AllowedOrigins(Vec<HeaderValue>);

impl AllowedOrigins {
    pub(super) fn new(origins: &[String]) -> Result<Self, Error> {
        let read = |origin: &String| {
            canonical(origin).map_err(|reason| Error::Origin {
                origin: origin.clone(),
                reason,
            })
        };
        origins.iter().map(read).collect::<Result<_, _>>().map(Self)
    }

    pub(super) fn as_slice(&self) -> &[HeaderValue] {
        &self.0
    }
}

/// What sent a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller {
    /// A browser, which names the page.
    Browser,
    /// A program: the request names no page.
    Program,
}

/// Refuses requests of foreign pages. `host` is accepted already.
pub(super) fn check(
    headers: &HeaderMap,
    host: &Host<'_>,
    allowed: &AllowedOrigins,
) -> Result<Caller, Refusal> {
    let mut origins = headers.get_all(ORIGIN).iter();
    match (origins.next(), origins.next()) {
        (None, _) => check_site(headers, host),
        (Some(origin), None) if is_own(origin, host) || allowed.0.contains(origin) => {
            Ok(Caller::Browser)
        }
        (Some(origin), None) => Err(foreign(origin)),
        (Some(_), Some(_)) => Err(Refusal::forbidden(
            "several Origin headers",
            "the request has more than one Origin header; send one",
        )),
    }
}

/// Checks a request without an `Origin` (navigation, images, scripts), where only `Sec-Fetch-Site` shows
/// that a page of another site sent it. Of its four values the two harmless ones pass.
fn check_site(headers: &HeaderMap, host: &Host<'_>) -> Result<Caller, Refusal> {
    let mut sites = headers.get_all(SEC_FETCH_SITE).iter().peekable();
    if sites.peek().is_none() {
        if !host.is_loopback() {
            check_unmarked(headers, host)?;
        }
        return Ok(Caller::Program);
    }
    match sites.find(|site| *site != "same-origin" && *site != "none") {
        None => Ok(Caller::Browser),
        Some(site) => Err(Refusal::forbidden(
            FOREIGN_SITE,
            format!(
                "a page of another site sent this request (Sec-Fetch-Site: {}); open the address directly",
                String::from_utf8_lossy(site.as_bytes())
            ),
        )),
    }
}

/// Refuses requests of browsers that have no `Sec-Fetch-*` header. Over plain http, browsers send these
/// only to loopback names (Fetch Metadata, section 2: to potentially trustworthy URLs); elsewhere any
/// page could have sent the request.
fn check_unmarked(headers: &HeaderMap, host: &Host<'_>) -> Result<(), Refusal> {
    if is_browser(headers) {
        return Ok(());
    }
    let sign = if headers.get_all(USER_AGENT).iter().any(is_browsers_agent) {
        USER_AGENT
    } else if headers
        .get_all(REFERER)
        .iter()
        .any(|page| !is_page_of(page, host))
    {
        REFERER
    } else if headers.contains_key(ACCEPT_LANGUAGE) {
        // Pages can change the agent and omit the referrer, but not this header.
        ACCEPT_LANGUAGE
    } else {
        return Ok(());
    };
    Err(Refusal::forbidden(
        "browser without Sec-Fetch-Site",
        format!(
            "a browser sent this request (it has the header {sign}, and neither Sec-Fetch-Site nor \
         Origin): over plain http, browsers send Sec-Fetch-Site only to loopback names, and {:?} is not \
         one; use http://localhost, or put https in front of this proxy",
            host.name
        ),
    ))
}

/// Whether a browser sent the request and names the page.
pub(super) fn is_browser(headers: &HeaderMap) -> bool {
    let marks = |name: &HeaderName| *name == ORIGIN || name.as_str().starts_with("sec-fetch-");
    headers.keys().any(marks)
}

/// Whether an agent is a browser's: they all begin with Mozilla. So does PowerShell, which runs no pages.
fn is_browsers_agent(agent: &HeaderValue) -> bool {
    let agent = agent.as_bytes();
    let powershell =
        |word: &[u8]| word.starts_with(b"PowerShell/") || word.starts_with(b"WindowsPowerShell/");
    agent
        .get(..8)
        .is_some_and(|name| name.eq_ignore_ascii_case(b"mozilla/"))
        && !agent.split(|byte| *byte == b' ').any(powershell)
}

fn is_page_of(page: &HeaderValue, host: &Host<'_>) -> bool {
    let text = page.to_str().unwrap_or_default();
    let Some((scheme, rest)) = text.split_once("://") else {
        return false;
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    is_authority_of(scheme, authority, host)
}

/// Refuses the script of a service worker: it would control every page of this origin in its scope,
/// and outlive the page that registered it. Browsers mark such a request with `Service-Worker: script`
/// (Service Workers, section "Service-Worker"). An app may have one where its origin names the context:
/// without that, the same origin may belong to another cluster's app tomorrow.
pub(super) fn refuse_service_worker(
    headers: &HeaderMap,
    app: Option<&AppOrigin>,
) -> Result<(), Refusal> {
    let mut uses = headers.get_all("sec-fetch-dest").iter();
    if !headers.contains_key("service-worker") && !uses.any(|to| to == "serviceworker") {
        return Ok(());
    }
    let message = match app {
        Some(app) if app.slug.is_some() => return Ok(()),
        Some(_) => {
            "an app may install a service worker only at an address that names the context, such as \
             NAME.NAMESPACE.svc.CONTEXT.localhost"
        }
        None => {
            "no page may install a service worker in this proxy's origin; --trust-proxied-pages would \
             allow it"
        }
    };
    Err(Refusal::forbidden("service worker", message))
}

/// Whether an origin is this proxy's own: the authority that the request was sent to.
fn is_own(origin: &HeaderValue, host: &Host<'_>) -> bool {
    let Some((scheme, authority)) = origin.to_str().ok().and_then(|text| text.split_once("://"))
    else {
        return false;
    };
    is_authority_of(scheme, authority, host)
}

fn is_authority_of(scheme: &str, authority: &str, host: &Host<'_>) -> bool {
    default_port(scheme)
        .zip(Host::parse(authority).ok())
        .is_some_and(|(default, own)| own.is_same(host, default))
}

fn foreign(origin: &HeaderValue) -> Refusal {
    let text = String::from_utf8_lossy(origin.as_bytes());
    Refusal::forbidden(
        "--allow-origin",
        match canonical(&text) {
            Ok(_) => format!(
                "pages of the origin {text:?} may not call this proxy; --allow-origin={text} would allow them"
            ),
            Err(_) => format!("pages of the origin {text:?} may not call this proxy"),
        },
    )
}

/// Returns `scheme://host[:port]` as RFC 6454 section 6.2 serialises it: lower case, no default port.
fn canonical(origin: &str) -> Result<HeaderValue, &'static str> {
    const FORM: &str = "is not an origin; write scheme://host[:port] without a path";
    if origin == "*" {
        return Err("would let any web page use your credentials; name each origin");
    }
    if origin == "null" {
        return Err("is what many unrelated pages send; name a real origin");
    }
    let (scheme, authority) = origin.split_once("://").ok_or(FORM)?;
    let usual = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
    if !scheme.starts_with(|first: char| first.is_ascii_alphabetic()) || !scheme.bytes().all(usual)
    {
        return Err(FORM);
    }
    let scheme = scheme.to_ascii_lowercase();
    let host = Host::parse(authority).map_err(|_| FORM)?;
    let port = host
        .port
        .filter(|port| default_port(&scheme) != Some(*port));
    let port = port.map_or_else(String::new, |port| format!(":{port}"));
    HeaderValue::try_from(format!("{scheme}://{}{port}", host.name)).map_err(|_| FORM)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(host: &str, headers: &[(&'static str, &'static str)]) -> Result<(), Refusal> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_static(value));
        }
        let allowed = AllowedOrigins::new(&["https://UI.example:443".into()]).expect("an origin");
        check(&map, &Host::parse(host).expect("a host"), &allowed).map(|_| ())
    }

    #[test]
    fn a_request_without_browser_headers_passes() {
        assert_eq!(checked("localhost:8001", &[]), Ok(()));
    }

    #[test]
    fn our_own_and_allowed_origins_pass() {
        for (host, origin) in [
            ("localhost:8001", "http://localhost:8001"),
            ("localhost:8001", "https://localhost:8001"),
            ("localhost", "http://localhost"),
            ("localhost:80", "http://localhost"),
            ("localhost", "https://localhost:443"),
            ("[::1]:8001", "http://[::1]:8001"),
            ("localhost:8001", "https://ui.example"),
        ] {
            assert_eq!(
                checked(host, &[("origin", origin)]),
                Ok(()),
                "{host} {origin}"
            );
        }
    }

    #[test]
    fn foreign_origins_are_403() {
        for (host, origin) in [
            ("localhost:8001", "https://evil.example"),
            ("localhost:8001", "null"),
            ("localhost:8001", ""),
            ("localhost:8001", "localhost:8001"),
            ("localhost:8001", "http://localhost"),
            ("localhost:8001", "http://localhost:8002"),
            ("localhost:8001", "http://127.0.0.1:8001"),
            ("localhost:8001", "http://localhost:8001/"),
            (
                "localhost:8001",
                "http://localhost:8001 http://localhost:8001",
            ),
            ("localhost:8001", "http://user@localhost:8001"),
            ("localhost:8001", "http://localhost.:8001"),
            ("localhost:8001", "file://localhost:8001"),
            ("localhost:443", "http://localhost"),
            ("localhost:8001", "http://ui.example"),
            ("localhost:8001", "https://ui.example:8443"),
            ("localhost:8001", "https://ui.example.evil"),
        ] {
            let refusal = checked(host, &[("origin", origin)]).expect_err(origin);
            assert_eq!(refusal.status, http::StatusCode::FORBIDDEN, "{origin}");
        }
        let two = [
            ("origin", "http://localhost:8001"),
            ("origin", "http://localhost:8001"),
        ];
        assert!(checked("localhost:8001", &two).is_err());
    }

    #[test]
    fn a_foreign_site_without_origin_is_403() {
        for site in ["cross-site", "same-site", "cross-site, none", ""] {
            assert!(
                checked("localhost", &[("sec-fetch-site", site)]).is_err(),
                "{site:?}"
            );
        }
        for site in ["same-origin", "none"] {
            assert_eq!(
                checked("localhost", &[("sec-fetch-site", site)]),
                Ok(()),
                "{site:?}"
            );
        }
        let two = [("sec-fetch-site", "none"), ("sec-fetch-site", "cross-site")];
        assert!(checked("localhost", &two).is_err());
    }

    #[test]
    fn an_allowed_origin_passes_although_its_site_is_foreign() {
        let headers = [
            ("origin", "https://ui.example"),
            ("sec-fetch-site", "cross-site"),
        ];
        assert_eq!(checked("localhost", &headers), Ok(()));
    }

    #[test]
    fn the_refusal_names_the_flag_where_there_is_one() {
        let refusal = checked("localhost", &[("origin", "https://evil.example")]).expect_err("403");
        assert!(
            refusal
                .message
                .contains("--allow-origin=https://evil.example"),
            "{refusal}"
        );
        let refusal = checked("localhost", &[("origin", "null")]).expect_err("403");
        assert!(!refusal.message.contains("--allow-origin"), "{refusal}");
    }

    #[test]
    fn only_whole_origins_can_be_allowed() {
        for (given, sent) in [
            ("https://ui.example", "https://ui.example"),
            ("HTTP://UI.example:80", "http://ui.example"),
            ("http://[0::1]:3000", "http://[::1]:3000"),
            ("vscode-webview://0abc", "vscode-webview://0abc"),
        ] {
            assert_eq!(canonical(given).expect(given), sent);
        }
        for given in [
            "*",
            "null",
            "",
            "ui.example",
            "https://ui.example/",
            "https://ui.example/app",
            "https://*.example",
            "https://",
            "://ui.example",
            "1http://ui.example",
            "https://u@x",
        ] {
            let error = AllowedOrigins::new(&[given.into()]).expect_err(given);
            assert!(error.to_string().starts_with("--allow-origin: "), "{error}");
        }
    }
}
