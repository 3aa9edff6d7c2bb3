//! Login with user name and password, as `oc login -u USER -p PASSWORD` does it. The authorize endpoint
//! sends a Basic challenge (RFC 7617), and then redirects with a code to a page that is not opened.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Request, StatusCode, Uri,
    header::{AUTHORIZATION, LINK, LOCATION, WARNING, WWW_AUTHENTICATE},
};

use super::{
    Access, Oauth, Session,
    grant::{self, Client},
};
use crate::{
    credential::{
        Error, Pkce,
        protocol::{
            authorization,
            issuer::{IssuerError, Response, form_encoded},
            oauth::{error_of, form_value, known_error},
        },
    },
    secret::Secret,
};

/// How often the request is tried if the response is a page instead of a redirect, which some servers
/// behind a load balancer send now and then.
const MAX_TRIES: u32 = 3;
const PAUSE: Duration = Duration::from_millis(200);

/// The words of `oc`.
pub(super) const WRONG_PASSWORD: &str = "Login failed (401 Unauthorized)";

/// The result of the redirect.
enum Redirected {
    Code(Secret),
    Session(Session),
}

impl Access {
    /// Starts a session with a user name and a password.
    ///
    /// # Errors
    /// As for [`Access::discover`] and [`Oauth::challenge_login`].
    pub async fn challenge_login(&self, user: &str, password: &Secret) -> Result<Session, Error> {
        self.discover().await?.challenge_login(user, password).await
    }
}

impl Oauth {
    /// Starts a session with a user name and a password, which are sent after the server's challenge.
    ///
    /// # Errors
    /// [`Error::LoginNeeded`] if the password is wrong or only a browser can log in. Another error if
    /// the server's response is invalid.
    pub async fn challenge_login(&self, user: &str, password: &Secret) -> Result<Session, Error> {
        // RFC 7617, section 2: the first colon ends the name.
        if user.contains(':') {
            return Err(self.login_needed(
                format!("the user name {user:?} has a colon, which cannot be sent"),
                "give another, or log in with a browser",
            ));
        }
        let pkce = self.pkce_if_supported()?;
        let redirect_uri = format!("{}/oauth/token/implicit", self.issuer);
        let url = self.authorize_url(pkce.as_ref(), &redirect_uri)?;
        let asked_at = SystemTime::now();
        let mut response = self.ask(&url, None).await?;
        if response.status == StatusCode::UNAUTHORIZED {
            if !is_challenge(&response.headers) {
                return Err(self.no_challenge(&response));
            }
            response = self
                .ask(&url, Some(&basic_credentials(user, password)?))
                .await?;
        }
        match self.evaluate(&response, &redirect_uri, asked_at)? {
            Redirected::Session(session) => Ok(session),
            Redirected::Code(code) => {
                let client = Client::Challenging;
                grant::redeem(self, client, &code, pkce.as_ref(), &redirect_uri).await
            }
        }
    }

    /// Checks that the server asks for a user name and a password.
    ///
    /// # Errors
    /// [`Error::LoginNeeded`] if it does not, with what to do instead.
    pub async fn challenges(&self) -> Result<(), Error> {
        let redirect_uri = format!("{}/oauth/token/implicit", self.issuer);
        let pkce = self.pkce_if_supported()?;
        let url = self.authorize_url(pkce.as_ref(), &redirect_uri)?;
        let response = self.ask(&url, None).await?;
        match response.status {
            StatusCode::UNAUTHORIZED if is_challenge(&response.headers) => Ok(()),
            StatusCode::UNAUTHORIZED => Err(self.no_challenge(&response)),
            _ => self
                .evaluate(&response, &redirect_uri, SystemTime::now())
                .map(drop),
        }
    }

    /// Returns a PKCE verifier if the server supports codes and PKCE.
    fn pkce_if_supported(&self) -> Result<Option<Pkce>, Error> {
        (self.codes && self.pkce).then(Pkce::new).transpose()
    }

    fn authorize_url(&self, pkce: Option<&Pkce>, redirect_uri: &str) -> Result<Uri, Error> {
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
        format!("{}?{query}", self.authorize).parse().map_err(|_| {
            Error::Issuer(IssuerError::Url {
                what: self.authorize.to_string(),
                problem: "is too long for a login",
            })
        })
    }

    async fn ask(&self, url: &Uri, proof: Option<&HeaderValue>) -> Result<Response, Error> {
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
            if response.status != StatusCode::OK || tries == MAX_TRIES {
                return Ok(response);
            }
            tries += 1;
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Evaluates the last response of the authorize endpoint.
    fn evaluate(
        &self,
        response: &Response,
        redirect_uri: &str,
        asked_at: SystemTime,
    ) -> Result<Redirected, Error> {
        match response.status {
            StatusCode::FOUND => self.read_redirect(response, redirect_uri, asked_at),
            StatusCode::UNAUTHORIZED => Err(self.login_needed(
                WRONG_PASSWORD.to_owned(),
                "verify you have provided the correct credentials",
            )),
            StatusCode::OK => Err(response.error(
                "it showed a page where a redirect with a code was expected; try again, or log \
                 in with a browser",
            )),
            StatusCode::BAD_REQUEST => {
                let code = error_of(response).unwrap_or("400");
                Err(response.error(format!("it refused to give a code ({code})")))
            }
            status if status.is_redirection() => Err(response.error(format!(
                "it redirects with {status}, which is not followed; only 302 is"
            ))),
            status => Err(response.error(format!("it answered {status} to the login"))),
        }
    }

    /// Reads the redirect, which must lead to `redirect_uri`.
    fn read_redirect(
        &self,
        response: &Response,
        redirect_uri: &str,
        asked_at: SystemTime,
    ) -> Result<Redirected, Error> {
        let location = response.headers.get(LOCATION).and_then(|l| l.to_str().ok());
        let target = location.and_then(|location| location.strip_prefix(redirect_uri));
        let target = target.unwrap_or("elsewhere");
        let result = if let Some(query) = target.strip_prefix('?') {
            query.split('#').next().unwrap_or_default()
        } else if let Some(fragment) = target.strip_prefix('#') {
            fragment
        } else {
            return Err(response.error(format!(
                "it redirects elsewhere than to {redirect_uri}, which is not followed"
            )));
        };
        if let Some(error) = form_value(result, "error") {
            let code = known_error(&error).unwrap_or("an error that is not known");
            return Err(self.login_needed(
                format!("the OAuth server refused the login ({code})"),
                "log in with a browser to see why",
            ));
        }
        if let Some(code) = form_value(result, "code").filter(|_| self.codes) {
            return Ok(Redirected::Code(Secret::new(code.as_str())));
        }
        let Some(token) = form_value(result, "access_token").filter(|_| !self.codes) else {
            return Err(response.error("its redirect brings neither code nor token"));
        };
        let seconds = form_value(result, "expires_in");
        let seconds = seconds.as_ref().map(|text| text.as_str());
        grant::session(Secret::new(token.as_str()), seconds, asked_at)
            .map(Redirected::Session)
            .map_err(|what| response.error(what))
    }

    /// Returns the error for a 401 without a challenge: no identity provider of the cluster accepts a
    /// password.
    fn no_challenge(&self, response: &Response) -> Error {
        let says_where =
            response.headers.contains_key(LINK) || response.headers.contains_key(WARNING);
        let problem = if says_where {
            "users of this cluster can only log in with a browser"
        } else {
            "the OAuth server asks for no user name and password (401 without a challenge)"
        };
        self.login_needed(
            problem.to_owned(),
            &format!(
                "log in with --web, or obtain an API token by visiting {}/request",
                self.token
            ),
        )
    }

    fn login_needed(&self, problem: String, remedy: &str) -> Error {
        Error::LoginNeeded {
            subject: format!("OpenShift OAuth server {}", self.issuer),
            problem: problem.into(),
            remedy: remedy.to_owned(),
        }
    }
}

fn basic_credentials(user: &str, password: &Secret) -> Result<HeaderValue, Error> {
    authorization::basic(user, password.expose(), || {
        "user name and password".to_owned()
    })
}

/// Returns whether one of the challenges (RFC 9110, section 11.6.1) is Basic.
fn is_challenge(headers: &HeaderMap) -> bool {
    let lines = headers.get_all(WWW_AUTHENTICATE).into_iter();
    let mut parts = lines
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','));
    parts.any(|part| {
        let scheme = part.split_whitespace().next().unwrap_or_default();
        scheme.eq_ignore_ascii_case("basic")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_basic_challenge_is_found_among_others() {
        let headers = |lines: &[&'static str]| -> HeaderMap {
            let one = |line: &&'static str| (WWW_AUTHENTICATE, HeaderValue::from_static(line));
            lines.iter().map(one).collect()
        };
        for lines in [
            &["Basic realm=\"openshift\""][..],
            &["Negotiate", "basic realm=\"openshift\""],
            &["Negotiate, Basic realm=\"a\""],
        ] {
            assert!(is_challenge(&headers(lines)), "{lines:?}");
        }
        for lines in [&[][..], &["Negotiate"], &["Bearer realm=\"basic\""]] {
            assert!(!is_challenge(&headers(lines)), "{lines:?}");
        }
    }
}
