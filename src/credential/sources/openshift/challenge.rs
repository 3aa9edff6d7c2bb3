//! Login with user name and password, as `oc login -u USER -p PASSWORD` does it. The authorize endpoint,
//! or a proxy of an identity provider that it redirects to, sends a Basic challenge (RFC 7617). The end
//! is a redirect with a code to a page that is not opened.

use std::time::SystemTime;

use http::{
    HeaderMap, HeaderValue, StatusCode,
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
            issuer::Response,
            oauth::{OauthError, form_value},
        },
    },
    secret::Secret,
};

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
        let redirect_uri = self.redirect_uri();
        let mut url = self.authorize_url(pkce.as_ref(), &redirect_uri)?;
        let asked_at = SystemTime::now();
        let mut response = self.follow(&mut url, &redirect_uri).await?;
        if response.status == StatusCode::UNAUTHORIZED {
            if !offers(&response.headers, "basic") {
                return Err(self.no_challenge(&response));
            }
            let proof = basic_credentials(user, password)?;
            response = self.ask(&url, Some(&proof)).await?;
            if let Some(mut next) = redirect_target(&response, &url, &redirect_uri)? {
                response = self.follow(&mut next, &redirect_uri).await?;
                if response.status == StatusCode::UNAUTHORIZED {
                    return Err(response.error(
                        "it asks for a password again after another server has accepted it; log \
                         in with --web",
                    ));
                }
            }
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
