//! Requests to the authorize endpoint for a login with a password, and the redirects that lead from it to
//! the server that asks for the password.
//!
//! With a request-header identity provider the OAuth server redirects to a proxy, which asks for the
//! password and requests the code. Redirects are followed over https alone and without the password.

use std::time::Duration;

use bytes::Bytes;
use http::{
    HeaderValue, Request, StatusCode, Uri,
    header::{AUTHORIZATION, LOCATION},
};

use super::{Oauth, grant::Client};
use crate::{
    credential::{
        Error, Pkce,
        protocol::{
            issuer::{IssuerError, Response, form_encoded, with_query},
            oauth::form_value,
        },
    },
    printable::printable,
};

/// How often a request without a password is tried if the response is a page instead of a redirect, which
/// some servers behind a load balancer send now and then.
const MAX_TRIES: u32 = 3;
const PAUSE: Duration = Duration::from_millis(200);

/// Redirects that are followed, one after another.
const MAX_REDIRECTS: usize = 10;

impl Oauth {
    /// Returns where the code of a login with a password is sent.
    pub(super) fn redirect_uri(&self) -> String {
        format!("{}/oauth/token/implicit", self.issuer)
    }

    /// Returns a PKCE verifier if the server supports codes and PKCE.
    pub(super) fn pkce_if_supported(&self) -> Result<Option<Pkce>, Error> {
        (self.codes && self.pkce).then(Pkce::new).transpose()
    }

    pub(super) fn authorize_url(
        &self,
        pkce: Option<&Pkce>,
        redirect_uri: &str,
    ) -> Result<Uri, Error> {
        let client = Client::Challenging.id();
        let redirect = form_encoded(redirect_uri);
        let query = match (self.codes, pkce) {
            (true, Some(pkce)) => format!(
                "client_id={client}&code_challenge={}&code_challenge_method={}&redirect_uri={}\
                 &response_type=code",
                pkce.challenge(),
                Pkce::METHOD,
                *redirect,
            ),
            (true, None) => {
                format!(
                    "client_id={client}&redirect_uri={}&response_type=code",
                    *redirect
                )
            }
            (false, _) => format!("response_type=token&client_id={client}"),
        };
        with_query(&self.authorize, &query).parse().map_err(|_| {
            Error::Issuer(IssuerError::Url {
                what: self.authorize.to_string(),
                problem: "is too long for a login",
            })
        })
    }

    /// Requests `url` without a password and follows redirects, until a response is no redirect or leads
    /// to `redirect_uri`. Then `url` is where that response came from.
    pub(super) async fn follow(
        &self,
        url: &mut Uri,
        redirect_uri: &str,
    ) -> Result<Response, Error> {
        let mut response = self.ask(url, None).await?;
        for _ in 0..MAX_REDIRECTS {
            let Some(next) = redirect_target(&response, url, redirect_uri)? else {
                return Ok(response);
            };
            let host = next.host().unwrap_or_default();
            tracing::info!("the OAuth server leads the login to {}", printable(host));
            *url = next;
            response = self.ask(url, None).await?;
        }
        Err(response.error(format!(
            "it redirects the login more than {MAX_REDIRECTS} times; log in with --web"
        )))
    }

    /// Requests `url`, with a password if `proof` is given. Follows no redirect. A password is sent only
    /// once: directories count each wrong one.
    pub(super) async fn ask(
        &self,
        url: &Uri,
        proof: Option<&HeaderValue>,
    ) -> Result<Response, Error> {
        let mut tries = 1;
        loop {
            // The server requires this header so that a web page cannot make a browser prompt for the
            // password.
            let mut request = Request::get(url).header("X-CSRF-Token", "1");
            if let Some(proof) = proof {
                request = request.header(AUTHORIZATION, proof);
            }
            let request = request.body(Bytes::new()).map_err(|_| {
                Error::Issuer(IssuerError::Url {
                    what: self.authorize.to_string(),
                    problem: "cannot be requested",
                })
            })?;
            let response = self.client.send(request, None).await?;
            let is_final = response.status != StatusCode::OK || proof.is_some();
            if is_final || tries == MAX_TRIES {
                return Ok(response);
            }
            tries += 1;
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// Returns the URL that a response to a request for `from` redirects to, if it is to be followed. A redirect
/// to `redirect_uri`, or one that brings a code, a token or an error, is the end of the login.
pub(super) fn redirect_target(
    response: &Response,
    from: &Uri,
    redirect_uri: &str,
) -> Result<Option<Uri>, Error> {
    let location = response.headers.get(LOCATION).and_then(|l| l.to_str().ok());
    let Some(location) = location.filter(|_| is_redirect(response.status)) else {
        return Ok(None);
    };
    if is_end(location, redirect_uri) {
        return Ok(None);
    }
    resolved(location, from).map(Some).ok_or_else(|| {
        response.error(
            "it redirects elsewhere, and not to an https:// URL, which is not followed; log in \
             with --web",
        )
    })
}

/// The redirects that are followed by a GET (RFC 9110, section 15.4).
fn is_redirect(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::MOVED_PERMANENTLY
            | StatusCode::FOUND
            | StatusCode::SEE_OTHER
            | StatusCode::TEMPORARY_REDIRECT
            | StatusCode::PERMANENT_REDIRECT
    )
}

fn is_end(location: &str, redirect_uri: &str) -> bool {
    let rest = location.strip_prefix(redirect_uri);
    if rest.is_some_and(|rest| rest.starts_with(['?', '#'])) {
        return true;
    }
    let (url, fragment) = location.split_once('#').unwrap_or((location, ""));
    let query = url.split_once('?').map_or("", |(_, query)| query);
    ["code", "access_token", "error"]
        .iter()
        .any(|name| form_value(query, name).is_some() || form_value(fragment, name).is_some())
}

/// Returns `location` as an https URL without user info; relative to `from` (RFC 3986, section 5).
fn resolved(location: &str, from: &Uri) -> Option<Uri> {
    let location = location.split('#').next().unwrap_or_default();
    let authority = from.authority()?;
    let url = if location.starts_with("//") {
        format!("https:{location}")
    } else if location.starts_with('/') {
        format!("https://{authority}{location}")
    } else {
        location.to_owned()
    };
    let url: Uri = url.parse().ok()?;
    let is_plain = |authority: &http::uri::Authority| !authority.as_str().contains('@');
    (url.scheme_str() == Some("https") && url.authority().is_some_and(is_plain)).then_some(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    const REDIRECT_URI: &str = "https://oauth.example/oauth/token/implicit";

    #[test]
    fn redirects_are_followed_over_https_alone() {
        let from = Uri::from_static("https://oauth.example:8443/oauth/authorize?a=b");
        for (location, target) in [
            (
                "https://proxy.example/login?x=y",
                Some("https://proxy.example/login?x=y"),
            ),
            ("https://proxy.example#x", Some("https://proxy.example/")),
            (
                "/login?then=x",
                Some("https://oauth.example:8443/login?then=x"),
            ),
            ("//proxy.example/login", Some("https://proxy.example/login")),
            ("http://proxy.example/login", None),
            ("https://alice:hunter2@proxy.example/", None),
            ("javascript:alert(1)", None),
            ("", None),
        ] {
            let found = resolved(location, &from).map(|url| url.to_string());
            assert_eq!(found.as_deref(), target, "{location}");
        }
    }

    #[test]
    fn a_redirect_with_a_result_is_the_end_wherever_it_leads() {
        for (location, end) in [
            ("https://oauth.example/oauth/token/implicit?code=x", true),
            ("https://oauth.example/oauth/token/implicit?nothing=x", true),
            (
                "https://oauth.example/oauth/token/implicit#access_token=x",
                true,
            ),
            ("https://evil.example/?code=x", true),
            ("https://evil.example/#access_token=x", true),
            ("https://evil.example/?a=b&error=x", true),
            (
                "https://proxy.example/?response_type=code&client_id=x",
                false,
            ),
            ("https://oauth.example/oauth/token/implicit.evil", false),
        ] {
            assert_eq!(is_end(location, REDIRECT_URI), end, "{location}");
        }
    }
}
