//! Chooses how the user logs in at the issuer, and does that.

use std::ffi::OsString;

use super::{
    authorization::{self, BrowserFlow},
    device,
    issuer::Issuer,
    keyboard,
    redirect::Redirect,
    request::LoginRequest,
};
use crate::{
    console,
    credential::{
        oidc::{self, Granted, TypedPassword},
        store::Store,
    },
    kubeconfig::OidcTokens,
    login::{Error, browser, terminal},
    secret::Secret,
    settings::{BrowserFlags, GrantFlags, GrantType},
};

/// A way to log in, and what it needs.
enum Way {
    Browser(Vec<Redirect>),
    /// The URI that the issuer redirects to.
    Keyboard(String),
    Device,
    Password,
    Machine,
}

/// Checks the flags of the grant, before anything is sent.
///
/// # Errors
/// A flag that the grant needs is missing, or a redirect URL that a browser cannot come back to.
pub(super) fn check(grant: &GrantFlags) -> Result<(), Error> {
    match grant.chosen() {
        GrantType::TokenExchange if grant.machine().is_none() => Err(Error::GrantNeeds {
            grant: "token-exchange",
            needs: "--oidc-subject-token-file FILE",
        }),
        GrantType::Auto | GrantType::Authcode => redirects(grant).map(drop),
        _ => Ok(()),
    }
}

/// Obtains tokens by the grant that the flags choose.
///
/// # Errors
/// A flag that the grant needs is missing; a file that cannot be read; no login in time; a refusal by
/// the issuer.
pub(super) async fn obtain(
    issuer: &Issuer<'_>,
    request: &LoginRequest,
    store: &Store,
    env: &dyn Fn(&str) -> Option<OsString>,
) -> Result<Granted, Error> {
    match way(issuer, &request.browser, env)? {
        Way::Browser(redirects) => {
            let flow = BrowserFlow {
                redirects: &redirects,
                browser: &request.browser,
            };
            authorization::authorize(issuer, &flow, env).await
        }
        Way::Keyboard(redirect_uri) => keyboard::log_in(issuer, &redirect_uri).await,
        Way::Device => device::log_in(issuer, &request.browser, env).await,
        Way::Password => {
            let typed = typed_password(request)?;
            let Issuer { client, flags, .. } = issuer;
            let scopes = &flags.oidc_extra_scope;
            let params = flags.extra_pairs();
            let granted =
                client.redeem_password(issuer.metadata, issuer.secret, &typed, scopes, &params);
            let granted = granted.await?;
            // Those of files may be sent again: the account works.
            let realm = client.password_realm();
            if let Err(error) = store.forget_refused_passwords(&realm, &typed.username) {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, "cannot forget which passwords were refused");
            }
            Ok(granted)
        }
        Way::Machine => {
            let Issuer { client, flags, .. } = issuer;
            let token =
                oidc::machine_token(client, issuer.metadata, issuer.secret, flags, store).await?;
            Ok(Granted {
                tokens: OidcTokens {
                    id_token: Some(token.token().clone()),
                    refresh_token: None,
                },
                scope: None,
                machine: Some(token),
            })
        }
    }
}

/// Returns how to log in. On a terminal without a browser, `auto` takes a way that needs none, and says
/// so.
fn way(
    issuer: &Issuer<'_>,
    browser: &BrowserFlags,
    env: &dyn Fn(&str) -> Option<OsString>,
) -> Result<Way, Error> {
    let grant = &issuer.flags.grant;
    let url = grant.oidc_redirect_url.as_deref();
    let redirects = || redirects(grant);
    if grant.machine().is_some() {
        return Ok(Way::Machine);
    }
    Ok(match grant.chosen() {
        GrantType::Authcode => Way::Browser(redirects()?),
        GrantType::AuthcodeKeyboard => {
            Way::Keyboard(url.unwrap_or(keyboard::OUT_OF_BAND).to_owned())
        }
        GrantType::DeviceCode => Way::Device,
        GrantType::Password => Way::Password,
        // Those without their files were refused.
        GrantType::ClientCredentials | GrantType::TokenExchange => Way::Machine,
        GrantType::Auto => {
            let redirects = redirects()?;
            let opens = browser.no_browser || browser::is_available(browser, env);
            match redirects.first() {
                _ if opens || !terminal::is_there() => Way::Browser(redirects),
                _ if issuer.metadata.has_device_logins() => {
                    announce("device-code");
                    Way::Device
                }
                Some(redirect) if redirect.port() != 0 => {
                    announce("authcode-keyboard");
                    Way::Keyboard(redirect.uri())
                }
                _ => Way::Browser(redirects),
            }
        }
    })
}

fn redirects(grant: &GrantFlags) -> Result<Vec<Redirect>, Error> {
    let redirects = Redirect::chosen(grant.oidc_redirect_url.as_deref(), &grant.listen_address);
    redirects.map_err(|problem| Error::RedirectUrl { problem })
}

fn announce(grant: &str) {
    console::eprint(&format!(
        "There is no browser on this machine, so this is a login by {grant} (--grant-type authcode \
         waits for a browser all the same, --browser-command opens one).\n"
    ));
}

/// Returns the user name and the password of the flags, and asks for what is missing.
fn typed_password(request: &LoginRequest) -> Result<TypedPassword, Error> {
    let instead = "give --oidc-username-file and --oidc-password-file";
    let username = match &request.username {
        Some(username) => username.clone(),
        None => terminal::ask("Username: ", "user name", instead)?.to_string(),
    };
    let password = if let Some(password) = &request.password {
        password.clone()
    } else {
        Secret::new(terminal::ask_hidden("Password: ", "password", instead)?.as_str())
    };
    Ok(TypedPassword { username, password })
}
