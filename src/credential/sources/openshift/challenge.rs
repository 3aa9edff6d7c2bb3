//! Login with user name and password, as `oc login -u USER -p PASSWORD` does it. The authorize endpoint,
//! or a proxy of an identity provider that it redirects to, sends a Basic challenge (RFC 7617). The end
//! is a redirect with a code to a page that is not opened.

use std::time::SystemTime;

use http::{
    HeaderMap, HeaderValue, StatusCode, Uri,
    header::{LINK, LOCATION, WARNING, WWW_AUTHENTICATE},
};

use super::{
    Access, Oauth, Session,
    authorize::redirect_target,
    grant::{self, Client},
};
use crate::{
    credential::{
        Error,
        protocol::{
            authorization,
            issuer::{IssuerError, Response},
            oauth::{OauthError, form_value},
        },
    },
    secret::Secret,
};

/// The words of `oc`.
const WRONG_PASSWORD: &str = "Login failed (401 Unauthorized)";
/// What a login form answers to a wrong password.
const PAGE: &str = "Login failed: the OAuth server answered the password with a page (200 OK)";

/// Why a login with a password began no session.
pub(super) enum ChallengeError {
    /// The password was not sent, or the response says nothing about it.
    NotJudged(Error),
    /// The password was sent, and there was no response in time.
    Unanswered(Error),
    /// The server did not accept the password. Not every server says so by a 401: proxies and login forms
    /// answer with a page, with a redirect to one, with 400 or 403.
    Refused(Error),
}

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
        match self.judged_challenge_login(user, password).await {
            Ok(session) => Ok(session),
            Err(
                ChallengeError::NotJudged(error)
                | ChallengeError::Unanswered(error)
                | ChallengeError::Refused(error),
            ) => Err(error),
        }
    }

    /// As [`Oauth::challenge_login`]; the error tells whether the password was refused.
    pub(super) async fn judged_challenge_login(
        &self,
        user: &str,
        password: &Secret,
    ) -> Result<Session, ChallengeError> {
        let not_judged = ChallengeError::NotJudged;
        // RFC 7617, section 2: the first colon ends the name.
        if user.contains(':') {
            return Err(not_judged(self.login_needed(
                format!("the user name {user:?} has a colon, which cannot be sent"),
                "give another, or log in with a browser",
            )));
        }
        let pkce = self.pkce_if_supported().map_err(not_judged)?;
        let redirect_uri = self.redirect_uri();
        let url = self.authorize_url(pkce.as_ref(), &redirect_uri);
        let mut url = url.map_err(not_judged)?;
        let asked_at = SystemTime::now();
        let first = self.follow(&mut url, &redirect_uri).await;
        let mut response = first.map_err(not_judged)?;
        let is_challenge = response.status == StatusCode::UNAUTHORIZED;
        if is_challenge {
            let proof = self.proof(&response, user, password).map_err(not_judged)?;
            response = self.answer_challenge(&url, &proof, &redirect_uri).await?;
        }
        match self.evaluate(&response, &redirect_uri, asked_at) {
            Ok(Redirected::Session(session)) => Ok(session),
            Ok(Redirected::Code(code)) => {
                let client = Client::Challenging;
                let session = grant::redeem(self, client, &code, pkce.as_ref(), &redirect_uri);
                session.await.map_err(not_judged)
            }
            Err(error) if is_challenge && !is_failure_of_server(&response) => {
                let page = response.status == StatusCode::OK;
                Err(self.refused(if page { Err(PAGE) } else { Ok(error) }))
            }
            Err(error) => Err(not_judged(error)),
        }
    }

    /// Returns the header that answers the challenge in `response`.
    fn proof(
        &self,
        response: &Response,
        user: &str,
        password: &Secret,
    ) -> Result<HeaderValue, Error> {
        if !offers(&response.headers, "basic") {
            return Err(self.no_challenge(response));
        }
        basic_credentials(user, password)
    }

    /// Sends the password, once, and follows redirects of the response without it.
    async fn answer_challenge(
        &self,
        url: &Uri,
        proof: &HeaderValue,
        redirect_uri: &str,
    ) -> Result<Response, ChallengeError> {
        let response = match self.ask(url, Some(proof)).await {
            Ok(response) => response,
            Err(error @ Error::Issuer(IssuerError::TimedOut { .. })) => {
                return Err(ChallengeError::Unanswered(error));
            }
            // Its answer is too long, so it is a page.
            Err(error @ Error::Issuer(IssuerError::Response { .. })) if !error.is_transient() => {
                return Err(self.refused(Ok(error)));
            }
            Err(error) => return Err(ChallengeError::NotJudged(error)),
        };
        let next = redirect_target(&response, url, redirect_uri);
        let Some(mut next) = next.map_err(|error| self.refused(Ok(error)))? else {
            return Ok(response);
        };
        match self.follow(&mut next, redirect_uri).await {
            Ok(last) if last.status == StatusCode::UNAUTHORIZED => Err(self.refused(Ok(last
                .error(
                    "it asks for a password again after another server has accepted it; log in \
                     with --web",
                )))),
            Ok(last) => Ok(last),
            // The redirect may lead to a login form, or on with an accepted password.
            Err(error) if error.is_transient() => Err(ChallengeError::Unanswered(error)),
            Err(error) => Err(self.refused(Ok(error))),
        }
    }

    /// Returns the error for a response to the password that brings no session, by the error about the
    /// response or by other words.
    fn refused(&self, why: Result<Error, &str>) -> ChallengeError {
        let problem = match why {
            Ok(error @ Error::LoginNeeded { .. }) => return ChallengeError::Refused(error),
            Ok(error) => format!("Login failed: {error}"),
            Err(words) => words.to_owned(),
        };
        ChallengeError::Refused(self.login_needed(
            problem,
            "verify you have provided the correct credentials, or log in with a browser (--web)",
        ))
    }

    /// Checks that the server asks for a user name and a password.
    ///
    /// # Errors
    /// [`Error::LoginNeeded`] if it does not, with what to do instead.
    pub async fn challenges(&self) -> Result<(), Error> {
        let redirect_uri = self.redirect_uri();
        let pkce = self.pkce_if_supported()?;
        let mut url = self.authorize_url(pkce.as_ref(), &redirect_uri)?;
        let response = self.follow(&mut url, &redirect_uri).await?;
        match response.status {
            StatusCode::UNAUTHORIZED if offers(&response.headers, "basic") => Ok(()),
            StatusCode::UNAUTHORIZED => Err(self.no_challenge(&response)),
            _ => self
                .evaluate(&response, &redirect_uri, SystemTime::now())
                .map(drop),
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
                 in with a browser (--web)",
            )),
            StatusCode::BAD_REQUEST => {
                let error = OauthError::of_response(response, &[]);
                let error = error.map_or_else(|| "400".to_owned(), |error| error.to_string());
                Err(response.error(format!("it refused to give a code: {error}")))
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
        if let Some(error) = OauthError::of_redirect(result) {
            return Err(self.login_needed(
                format!("the OAuth server refused the login: {error}"),
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
        } else if offers(&response.headers, "negotiate") {
            "the OAuth server asks for a Kerberos ticket (Negotiate), and for no password"
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

/// Whether a response to a password says nothing about it, because the server is overloaded or fails.
fn is_failure_of_server(response: &Response) -> bool {
    let is_failure = response.status.is_server_error()
        || matches!(
            response.status,
            StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT
        );
    let location = response.headers.get(LOCATION).and_then(|l| l.to_str().ok());
    let results = location
        .into_iter()
        .flat_map(|location| location.split(['?', '#']).skip(1));
    let mut errors = results
        .filter_map(OauthError::of_redirect)
        .chain(OauthError::of_response(response, &[]));
    // RFC 6749, section 4.1.2.1
    is_failure
        || errors.any(|error| matches!(error.code(), "server_error" | "temporarily_unavailable"))
}

fn basic_credentials(user: &str, password: &Secret) -> Result<HeaderValue, Error> {
    authorization::basic(user, password.expose(), || {
        "user name and password".to_owned()
    })
}

/// Returns whether one of the challenges (RFC 9110, section 11.6.1) has this scheme.
fn offers(headers: &HeaderMap, wanted: &str) -> bool {
    let lines = headers.get_all(WWW_AUTHENTICATE).into_iter();
    let mut parts = lines
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','));
    parts.any(|part| {
        let scheme = part.split_whitespace().next().unwrap_or_default();
        scheme.eq_ignore_ascii_case(wanted)
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
            assert!(offers(&headers(lines), "basic"), "{lines:?}");
        }
        for lines in [&[][..], &["Negotiate"], &["Bearer realm=\"basic\""]] {
            assert!(!offers(&headers(lines), "basic"), "{lines:?}");
        }
    }
}
