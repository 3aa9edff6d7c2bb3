//! [`WebLogin`]: a login in a browser, as `oc login --web` does it, but with a `state`.

use http::Uri;

use super::{
    Oauth, Session,
    grant::{self, Client},
};
use crate::{
    credential::{
        Error, Pkce,
        protocol::issuer::{form_encoded, with_query},
    },
    secret::Secret,
};

/// A login that is to be done in a browser.
pub struct WebLogin {
    /// The URL to open.
    pub url: String,
    oauth: Oauth,
    pkce: Pkce,
    redirect_uri: String,
}

impl Oauth {
    /// Prepares a login whose code is sent to `redirect_uri` (a loopback IP address, any port,
    /// `/callback`) with `state`.
    ///
    /// # Errors
    /// The server supports no codes or no PKCE, or the system gives no random bytes.
    pub fn web_login(self, redirect_uri: &str, state: &str) -> Result<WebLogin, Error> {
        if !(self.codes && self.pkce) {
            return Err(Error::LoginNeeded {
                subject: format!("OpenShift OAuth server {}", self.issuer),
                problem: "it is too old for a login in a browser".into(),
                remedy: format!(
                    "obtain an API token by visiting {}/request, and give it by --token-stdin",
                    self.token
                ),
            });
        }
        let pkce = Pkce::new()?;
        let query = format!(
            "client_id={}&code_challenge={}&code_challenge_method={}&redirect_uri={}\
             &response_type=code&state={}",
            Client::Cli.id(),
            pkce.challenge(),
            Pkce::METHOD,
            *form_encoded(redirect_uri),
            *form_encoded(state),
        );
        Ok(WebLogin {
            url: with_query(&self.authorize, &query),
            oauth: self,
            pkce,
            redirect_uri: redirect_uri.to_owned(),
        })
    }

    /// Returns the token endpoint. The page that shows a token to a user is below it.
    #[must_use]
    pub fn token_endpoint(&self) -> &Uri {
        &self.token
    }
}

impl WebLogin {
    /// Redeems the code that the browser was redirected with.
    ///
    /// # Errors
    /// The token endpoint refuses it.
    pub async fn redeem(&self, code: &Secret) -> Result<Session, Error> {
        let (pkce, uri) = (Some(&self.pkce), &self.redirect_uri);
        grant::redeem(&self.oauth, Client::Cli, code, pkce, uri).await
    }
}
