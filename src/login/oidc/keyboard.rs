//! The authorization code flow without a browser on this machine: the user opens the URL in any browser,
//! and types the code here, or the whole URL that the browser was redirected to.

use super::issuer::Issuer;
use crate::{
    credential::{
        Pkce,
        oauth::{OauthError, form_value},
        oidc::{AuthorizationRequest, Granted},
        random_text,
    },
    login::{Error, terminal},
    printable::printable,
    secret::Secret,
};

/// The redirect URI with which an issuer shows the code on a page of its own.
pub(super) const OUT_OF_BAND: &str = "urn:ietf:wg:oauth:2.0:oob";

const WHAT: &str = "code";

/// Has the user log in in any browser, and returns the tokens.
///
/// # Errors
/// No terminal; Ctrl-C; a code of another login; a refusal by the issuer.
pub(super) async fn log_in(issuer: &Issuer<'_>, redirect_uri: &str) -> Result<Granted, Error> {
    let (state, nonce) = (random_text()?, random_text()?);
    let request = AuthorizationRequest {
        redirect_uri,
        state: &state,
        nonce: &nonce,
        pkce: &Pkce::new()?,
        extra_scopes: &issuer.flags.oidc_extra_scope,
        extra_params: &issuer.flags.oidc_auth_request_extra_params,
    };
    let url = issuer.client.login_url(issuer.metadata, &request)?;
    let prompt = format!(
        "Log in here, in any browser:\n\n  {}\n\nThen paste the code that it shows, or the whole URL of \
         the page where it ends, even if that page cannot be shown.\nCode or URL (hidden): ",
        printable(&url)
    );
    let instead = "choose --grant-type device-code or one without a person";
    let typed = terminal::ask_pasted(&prompt, WHAT, instead)?;
    let code = code_of(&typed, &state)?;
    let redeemed = issuer
        .client
        .redeem(issuer.metadata, issuer.secret, &code, &request);
    Ok(redeemed.await?)
}

/// Returns the code in what was typed: the code itself, or the URL of a redirect with `state`.
fn code_of(typed: &str, state: &str) -> Result<Secret, Error> {
    let typed = typed.trim();
    let is_url = typed.contains("://") || typed.starts_with(['?', '#']);
    if !is_url && !typed.starts_with("code=") && !typed.contains("&code=") {
        return Ok(Secret::new(typed));
    }
    let (_, query) = typed.split_once(['?', '#']).unwrap_or(("", typed));
    let query = query.split('#').next().unwrap_or_default();
    if let Some(error) = OauthError::of_redirect(query) {
        return Err(Error::Browser {
            problem: format!("the issuer says {error}"),
        });
    }
    let code = form_value(query, "code").filter(|code| !code.is_empty());
    let code = code.ok_or(Error::BadInput {
        what: WHAT,
        problem: "is a URL without a code; paste that of the page where the login ends",
    })?;
    if form_value(query, "state").is_none_or(|other| other.as_str() != state) {
        return Err(Error::Browser {
            problem: "the state in the URL is not the one sent, so the code may be of another \
                      login; run the command again"
                .to_owned(),
        });
    }
    Ok(Secret::new(code.as_str()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_code_may_be_typed_alone_or_in_its_url() {
        for typed in [
            "4/0Ab~c=",
            " 4/0Ab~c= ",
            "http://localhost:8000/?state=s&code=4%2F0Ab~c%3D",
            "https://proxy.example/cb?code=4/0Ab~c%3D&state=s#_=_",
            "http://localhost#code=4/0Ab~c%3D&state=s",
            "?code=4/0Ab~c%3D&state=s",
            "code=4/0Ab~c%3D&state=s",
            "state=s&code=4/0Ab~c%3D",
        ] {
            assert_eq!(code_of(typed, "s").unwrap().expose(), "4/0Ab~c=", "{typed}");
        }
    }

    #[test]
    fn a_url_of_another_login_or_with_an_error_is_refused() {
        for (typed, says) in [
            (
                "http://localhost:8000/?code=hunter2&state=t",
                "another login",
            ),
            ("http://localhost:8000/?code=hunter2", "another login"),
            ("http://localhost:8000/?state=s", "URL without a code"),
            ("http://localhost:8000", "URL without a code"),
            (
                "http://localhost:8000/?error=access_denied&error_description=no+group&state=s",
                "access_denied (no group)",
            ),
        ] {
            let error = code_of(typed, "s").unwrap_err().to_string();
            assert!(
                error.contains(says) && !error.contains("hunter2"),
                "{typed}: {error}"
            );
        }
    }
}
