//! The authorization code flow with PKCE, in the browser (RFC 8252).

use std::ffi::OsString;

use super::{issuer::Issuer, redirect::Redirect};
use crate::{
    credential::{
        Pkce,
        oidc::{AuthorizationRequest, Granted},
        random_text,
    },
    login::{
        Error,
        browser::{self, Callback},
    },
    secret::Secret,
    settings::BrowserFlags,
};

/// How the browser is used.
pub(super) struct BrowserFlow<'a> {
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
    issuer: &Issuer<'_>,
    flow: &BrowserFlow<'_>,
    env: &dyn Fn(&str) -> Option<OsString>,
) -> Result<Granted, Error> {
    let Issuer {
        client,
        metadata,
        secret,
        flags,
    } = *issuer;
    let callback = listen(flow.redirects).await?;
    let (redirect_uri, state) = (
        callback.redirect_uri().to_owned(),
        callback.state().to_owned(),
    );
    let nonce = random_text()?;
    let request = AuthorizationRequest {
        redirect_uri: &redirect_uri,
        state: &state,
        nonce: &nonce,
        pkce: &Pkce::new()?,
        extra_scopes: &flags.oidc_extra_scope,
        extra_params: &flags.oidc_auth_request_extra_params,
    };
    let url = client.login_url(metadata, &request)?;
    browser::open(&url, flow.browser, env);
    let redeem = async |code: Secret| -> Result<Granted, Error> {
        Ok(client.redeem(metadata, secret, &code, &request).await?)
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
