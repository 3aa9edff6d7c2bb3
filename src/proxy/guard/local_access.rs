//! [`LocalAccess`]: whether a client may use this proxy, where it must prove that by a token or a
//! certificate.
//!
//! The token or cookie is checked and removed before anything else looks at the request, so that it reaches
//! neither the API server nor a log.

use std::{sync::Arc, time::SystemTime};

use arc_swap::ArcSwap;
use base64::{
    Engine as _, alphabet,
    engine::{
        DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig, general_purpose::URL_SAFE_NO_PAD,
    },
};
use http::{
    HeaderMap, HeaderValue, Request,
    header::{AUTHORIZATION, COOKIE},
};
use zeroize::Zeroizing;

use super::{
    Refusal,
    browser_sessions::{BrowserSessions, OwnedHost},
    host::only_host,
    local_tokens::LocalTokens,
    secret_hash::{Hash, hash},
    session_cookie,
};
use crate::{
    proxy::{
        head_filter::HeadFilter, navigation, peer::Peer, request_record::RequestRecord,
        websocket_token,
    },
    secret::Secret,
};

/// The rule that refuses requests without a good token.
pub const TOKEN_RULE: &str = "--require-token-file";
/// The rule that refuses clients without a certificate.
const CERTIFICATE_RULE: &str = "--client-ca";

/// Decodes whatever the API server may decode: Go's `RawURLEncoding` ignores the trailing bits.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::URL_SAFE,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Lets clients with a certificate or a token of `--require-token-file` in, and browsers with a cookie that
/// counts as a token; every client if nothing is required.
#[derive(Debug, Default)]
pub struct LocalAccess {
    tokens: Option<Arc<ArcSwap<LocalTokens>>>,
    /// Whether clients may prove themselves by a certificate (`--client-ca`).
    certificates: bool,
    sessions: BrowserSessions,
}

/// The token that a navigation has proved, among its extensions.
#[derive(Clone)]
struct ProvenToken(Hash);

/// A browser that has come in by a one-use address.
pub struct Admitted {
    /// The value of `Set-Cookie`.
    pub set_cookie: HeaderValue,
    /// The path that it goes on to.
    pub path: String,
}

impl LocalAccess {
    /// Requires one of `tokens`, if there are any.
    #[must_use]
    pub fn new(tokens: Option<Arc<ArcSwap<LocalTokens>>>) -> Self {
        Self {
            tokens,
            ..Self::default()
        }
    }

    /// With `certificates`, also requires one, or else a token.
    #[must_use]
    pub fn with_certificates(self, certificates: bool) -> Self {
        Self {
            certificates,
            ..self
        }
    }

    /// Decides whether the client may use this proxy: by its certificate, else by its token or cookie. Removes
    /// the token and the cookie.
    ///
    /// # Errors
    /// 401 for a request that proves nothing; 400 for one with several `Authorization` headers.
    pub fn check<B>(&self, request: &mut Request<B>) -> Result<(), Refusal> {
        let client = by_certificate(request).filter(|_| self.certificates);
        if let Some(client) = client {
            self.remove_known_tokens(request.headers_mut());
            note(request, &client);
        } else if self.tokens.is_some() {
            self.check_token(request)?;
        } else if self.certificates {
            return Err(without_certificate());
        }
        session_cookie::remove(request.headers_mut());
        Ok(())
    }

    /// Checks the token of a request, or the cookie that counts as one, and removes the token.
    fn check_token<B>(&self, request: &mut Request<B>) -> Result<(), Refusal> {
        let token = match self.token_of_cookie(request) {
            Some(token) => token,
            None => token_of_headers(request.headers())?,
        };
        self.prove(request, &token)?;
        remove_token(request.headers_mut());
        // Only such a request is sent on to an app, with a cookie for it.
        if navigation::is_top_level(request) {
            request.extensions_mut().insert(ProvenToken(token));
        }
        Ok(())
    }

    /// Removes every token of the file from a request of a client that has shown a certificate: these are
    /// never passed on. Any other credential is the client's own.
    fn remove_known_tokens(&self, headers: &mut HeaderMap) {
        let Some(tokens) = &self.tokens else {
            return;
        };
        let tokens = tokens.load();
        let is_known = |token: &[u8]| tokens.client(&hash(token)).is_some();
        let values = headers.get_all(AUTHORIZATION);
        let kept = values.iter().filter(|value| !names(value, is_known));
        let kept: Vec<_> = kept.cloned().collect();
        if kept.len() < values.iter().count() {
            headers.remove(AUTHORIZATION);
            for value in kept {
                headers.append(AUTHORIZATION, value);
            }
        }
        websocket_token::remove_where(headers, |encoded| {
            let token = LENIENT.decode(encoded).map(Zeroizing::new);
            token.is_ok_and(|token| is_known(&token))
        });
    }

    /// Whether clients must bring a token (`--require-token-file`).
    #[must_use]
    pub fn requires_tokens(&self) -> bool {
        self.tokens.is_some()
    }

    /// Returns the code of a one-use address at `host`, which sends a browser on to `path`; `None` if
    /// no token is required, so that none is needed. Takes a token alone: a page must not get an address
    /// by the cookie of its browser.
    ///
    /// # Errors
    /// 401 without a token; 500 if the system has no random bytes.
    pub fn invite<B>(
        &self,
        request: &Request<B>,
        host: OwnedHost,
        path: String,
    ) -> Result<Option<Secret>, Refusal> {
        if self.tokens.is_none() {
            if self.certificates && by_certificate(request).is_none() {
                return Err(without_certificate());
            }
            return Ok(None);
        }
        let token = token_of_headers(request.headers())?;
        self.prove(request, &token)?;
        let code = self.sessions.invite(token, host, path, SystemTime::now());
        code.map(Some).ok_or_else(no_randomness)
    }

    /// Returns the code of a one-use address at `host` for a navigation that has proved a token; `None` if
    /// it needed none. The page that caused the navigation does not see the response.
    pub(in crate::proxy) fn hand_over<B>(
        &self,
        request: &Request<B>,
        host: OwnedHost,
        path: &str,
    ) -> Option<Secret> {
        let ProvenToken(token) = request.extensions().get()?;
        let now = SystemTime::now();
        self.sessions.invite(*token, host, path.to_owned(), now)
    }

    /// Lets the browser in that opens a one-use address, if it is good at the request's `Host`.
    ///
    /// # Errors
    /// 403 if it is not; 500 if the system has no random bytes.
    pub fn enter<B>(&self, request: &Request<B>, code: &[u8]) -> Result<Admitted, Refusal> {
        let host = only_host(request)?;
        let entered = self.sessions.enter(code, &host, SystemTime::now());
        let entered = entered.ok_or_else(|| {
            Refusal::forbidden(
                "used address",
                "this address was opened already, is older than a minute, or belongs to another host; \
                 `kubegate open` gives a new one",
            )
        })?;
        let is_tls = request.extensions().get().is_some_and(Peer::is_tls);
        let set_cookie = session_cookie::set(&entered.cookie, &host, is_tls);
        Ok(Admitted {
            set_cookie: set_cookie.ok_or_else(no_randomness)?,
            path: entered.path,
        })
    }

    fn token_of_cookie<B>(&self, request: &Request<B>) -> Option<Hash> {
        // Programs send none.
        if !request.headers().contains_key(COOKIE) {
            return None;
        }
        let host = only_host(request).ok()?;
        let now = SystemTime::now();
        let mut cookies = session_cookie::find(request.headers(), &host);
        cookies.find_map(|cookie| {
            let token = self.sessions.token_of(cookie, &host, now)?;
            // A token that has gone from the file takes its cookies with it.
            let tokens = self.tokens.as_ref()?.load();
            tokens.client(&token).map(|_| token)
        })
    }

    /// Checks that a token is one of the file, and notes its client for the log.
    fn prove<B>(&self, request: &Request<B>, token: &Hash) -> Result<(), Refusal> {
        let client = self.client(token).ok_or_else(|| {
            Refusal::unauthorized(
                TOKEN_RULE,
                "the token of the request is not one of --require-token-file",
            )
        })?;
        note(request, &client);
        Ok(())
    }

    /// Returns the name of the client whose token this is.
    fn client(&self, token: &Hash) -> Option<Arc<str>> {
        let tokens = self.tokens.as_ref()?.load();
        tokens.client(token).cloned()
    }
}

/// Returns the name in the client's certificate.
fn by_certificate<B>(request: &Request<B>) -> Option<Arc<str>> {
    let peer = request.extensions().get::<Peer>()?;
    peer.certificate_name().cloned()
}

fn without_certificate() -> Refusal {
    Refusal::unauthorized(
        CERTIFICATE_RULE,
        "this proxy requires a client certificate (--client-ca): connect with one",
    )
}

/// Notes the client for the log.
fn note<B>(request: &Request<B>, client: &Arc<str>) {
    if let Some(record) = request.extensions().get::<RequestRecord>() {
        record.set_client(Arc::clone(client));
    }
}

/// Whether a value of `Authorization` names a known token: as all that follows the scheme, or as a word,
/// since the API server takes the second word and ignores the others.
fn names(value: &HeaderValue, is_known: impl Fn(&[u8]) -> bool) -> bool {
    let value = value.as_bytes().trim_ascii();
    let mut words = value.split(|byte| byte.is_ascii_whitespace() || *byte == b',');
    let scheme = words.clone().next().unwrap_or_default();
    let rest = value.get(scheme.len()..).unwrap_or_default();
    is_known(rest.trim_ascii()) || words.any(is_known)
}

fn remove_token(headers: &mut HeaderMap) {
    headers.remove(AUTHORIZATION);
    websocket_token::remove(headers);
}

/// See [`super::token_layer`].
#[derive(Debug)]
pub struct CheckLocalAccess(pub(super) Arc<LocalAccess>);

impl HeadFilter for CheckLocalAccess {
    fn filter<B>(&self, request: &mut Request<B>) -> Result<(), Refusal> {
        self.0.check(request)
    }
}

fn no_randomness() -> Refusal {
    Refusal::bug("no random bytes", "the system has no random bytes")
}

/// Returns the hash of the bearer token of a request: of its `Authorization`, or where a browser cannot set that,
/// of a WebSocket subprotocol.
fn token_of_headers(headers: &HeaderMap) -> Result<Hash, Refusal> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (value, more) = (values.next(), values.next());
    if more.is_some() {
        return Err(Refusal::malformed(
            "several Authorization headers",
            "the request has more than one Authorization header; send one",
        ));
    }
    let of_header = || {
        let (scheme, token) = value?.to_str().ok()?.trim().split_once(' ')?;
        let is_bearer = scheme.eq_ignore_ascii_case("bearer");
        is_bearer.then(|| hash(token.trim().as_bytes()))
    };
    let of_subprotocol = || {
        let encoded = websocket_token::find(headers)?;
        let token = Zeroizing::new(URL_SAFE_NO_PAD.decode(encoded).ok()?);
        Some(hash(&token))
    };
    of_header().or_else(of_subprotocol).ok_or_else(|| {
        Refusal::unauthorized(
            TOKEN_RULE,
            "this proxy requires a token of its own (--require-token-file): send it as a \
             bearer token in the Authorization header; `kubegate open` lets a browser in",
        )
    })
}

#[cfg(test)]
mod tests;
