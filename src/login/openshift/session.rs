//! How a session begins.

use std::{ffi::OsString, net::Ipv4Addr, time::SystemTime};

use crate::{
    credential::{
        self,
        openshift::{Access, Oauth, Session, SessionExpiry},
    },
    login::{
        Error,
        browser::{self, Callback},
        terminal,
    },
    secret::Secret,
    settings::BrowserFlags,
};

/// Begins a session with a user name and a password, and asks for what is missing. Returns the user name
/// too.
pub(super) async fn with_password(
    oauth: &Oauth,
    user: Option<String>,
    password: Option<Secret>,
) -> Result<(Session, String), Error> {
    // First, since nothing has to be typed if only a browser can log in.
    oauth.challenges().await?;
    let user = match user {
        Some(user) => user,
        None => terminal::ask("Username: ", "user name", "give it by -u")?.to_string(),
    };
    let password = if let Some(password) = password {
        password
    } else {
        let instead = "give it by --password-stdin, or log in with --web";
        let typed = terminal::ask_hidden("Password: ", "password", instead)?;
        Secret::new(typed.as_str())
    };
    let session = oauth.challenge_login(&user, &password).await?;
    Ok((session, user))
}

/// Begins a session in the browser.
pub(super) async fn in_browser(
    oauth: Oauth,
    flags: &BrowserFlags,
    port: u16,
    env: &dyn Fn(&str) -> Option<OsString>,
) -> Result<Session, Error> {
    // The OAuth server knows the client by this URL, with any port.
    let address = (Ipv4Addr::LOCALHOST, port).into();
    let callback = Callback::listen_on(address, "127.0.0.1", "/callback").await?;
    let login = oauth.web_login(callback.redirect_uri(), callback.state())?;
    browser::open(&login.url, flags, env);
    let redeem = async |code| Ok(login.redeem(&code).await?);
    callback.complete(browser::limit(flags), redeem).await
}

/// Takes over a token: the session that it belongs to, whose end it asks the cluster for, or a JWT such as
/// that of a service account.
pub(super) async fn of_token(access: &Access, token: Secret) -> Result<Session, Error> {
    let expiry = access.expiry(&token).await?;
    if let SessionExpiry::Ended(why) = expiry {
        return Err(credential::Error::LoginNeeded {
            subject: format!("the token for {}", access.server()),
            problem: why.into(),
            remedy: "give another, or log in with a password or --web".to_owned(),
        }
        .into());
    }
    Ok(Session {
        token,
        issued_at: SystemTime::now(),
        ends: expiry.session_end(),
    })
}
