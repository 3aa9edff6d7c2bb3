//! How a session begins.

use std::{ffi::OsString, time::SystemTime};

use crate::{
    credential::{
        self, exec_credential,
        openshift::{Access, Oauth, Session, SessionEnd, SessionExpiry},
    },
    kubeconfig::Cluster,
    login::{Error, browser, terminal},
    secret::Secret,
    settings::{BrowserFlags, Login, OpenshiftFiles, OpenshiftFlags},
};

/// Begins a session with a user name and a password, and asks for what is missing.
pub(super) async fn with_password(
    oauth: &Oauth,
    user: Option<String>,
    password: Option<Secret>,
) -> Result<Session, Error> {
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
    Ok(oauth.challenge_login(&user, &password).await?)
}

/// Begins a session in the browser.
pub(super) async fn in_browser(
    oauth: Oauth,
    env: &dyn Fn(&str) -> Option<OsString>,
) -> Result<Session, Error> {
    let callback = browser::Callback::listen().await?;
    let login = oauth.web_login(callback.redirect_uri(), callback.state())?;
    let flags = BrowserFlags::default();
    browser::open(&login.url, &flags, env);
    let redeem = async |code| Ok(login.redeem(&code).await?);
    callback.complete(browser::limit(&flags), redeem).await
}

/// Takes over the session of a token, whose end it asks the cluster for.
pub(super) async fn of_token(access: &Access, token: Secret) -> Result<Session, Error> {
    let ends = match access.expiry(&token).await? {
        SessionExpiry::Valid {
            ends_at: Some(end),
            by_inactivity: false,
            ..
        } => SessionEnd::At(end),
        SessionExpiry::Valid { .. } => SessionEnd::Never,
        SessionExpiry::Unknown => SessionEnd::Unknown,
        SessionExpiry::Ended(why) => {
            return Err(credential::Error::LoginNeeded {
                subject: format!("the token for {}", access.server()),
                problem: why.into(),
                remedy: "give another, or log in with a password or --web".to_owned(),
            }
            .into());
        }
    };
    Ok(Session {
        token,
        issued_at: SystemTime::now(),
        ends,
    })
}

/// Begins the first session of a login that reads user name and password from files.
pub(super) async fn from_files(
    files: &OpenshiftFiles,
    cluster: &Cluster,
) -> Result<Session, Error> {
    let login = Login::Openshift(OpenshiftFlags {
        login: None,
        files: files.clone(),
    });
    let source = credential::saved_login::source(&login, cluster)?;
    let begun = source.fetch().await?;
    Ok(Session {
        token: exec_credential::token(&begun, &source.subject())?,
        issued_at: begun.issued_at.unwrap_or_else(SystemTime::now),
        ends: begun.expires_at.map_or(SessionEnd::Unknown, SessionEnd::At),
    })
}
