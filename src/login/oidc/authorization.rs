//! The authorization code flow with PKCE, in the browser (RFC 8252).

use std::ffi::OsString;

use super::redirect::Redirect;
use crate::{
    credential::{
        Pkce,
        oidc::{Client, Metadata},
    },
    kubeconfig::OidcTokens,
    login::{
        Error,
        browser::{self, Callback},
    },
    secret::Secret,
    settings::BrowserFlags,
};

/// How the browser is used.
pub(super) struct BrowserFlow<'a> {
    /// The scopes to request besides `openid`.
    pub(super) extra_scopes: &'a [String],
    /// The first whose port is free is used.
    pub(super) redirects: &'a [Redirect],
    /// How the browser is opened, and how long to wait for it.
    pub(super) browser: &'a BrowserFlags,
}

/// Has the user log in at the issuer, and returns the tokens.
///
/// # Errors
/// No free port, no login within the limit, a refusal by the issuer.
pub(super) async fn authorize(
    client: &Client,
    metadata: &Metadata,
    secret: Option<&Secret>,
    flow: &BrowserFlow<'_>,
    env: &dyn Fn(&str) -> Option<OsString>,
) -> Result<OidcTokens, Error> {
    let callback = listen(flow.redirects).await?;
    let redirect_uri = callback.redirect_uri().to_owned();
    let pkce = Pkce::new()?;
    let url = client.login_url(
        metadata,
        &redirect_uri,
        callback.state(),
        &pkce,
        flow.extra_scopes,
    )?;
    browser::open(&url, flow.browser, env);
    let redeem = async |code: Secret| -> Result<OidcTokens, Error> {
        let tokens = client
            .redeem(metadata, secret, &code, &redirect_uri, &pkce)
            .await;
        Ok(tokens?)
    };
    callback
        .complete(browser::limit(flow.browser), redeem)
        .await
}

async fn listen(redirects: &[Redirect]) -> Result<Callback, Error> {
    let mut last = None;
    for redirect in redirects {
        match Callback::listen_on(redirect.address, &redirect.host, &redirect.path).await {
            Ok(callback) => {
                return Ok(match &redirect.url {
                    Some(url) => callback.known_as(url),
                    None => callback,
                });
            }
            Err(error) => last = Some(error),
        }
    }
    match last {
        Some(error) => Err(error),
        None => Callback::listen().await,
    }
}
