//! [`Iam`]: IAM's token endpoint.
//!
//! The tokens depend on the client: `bx` gets refresh tokens that can be delegated, and `kube` gets
//! the tokens that a cluster accepts.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use http::{HeaderValue, StatusCode, Uri};
use serde::Deserialize;

use super::{Endpoints, refusal::Refusal};
use crate::{
    credential::{
        Error,
        protocol::{
            issuer::{Issuer, Response},
            jwt,
            oauth::Number,
        },
    },
    secret::Secret,
};

/// The value of `refresh_token` if the client gets none.
const NOT_SUPPORTED: &str = "not_supported";
/// The longest lifetime of an access token. A longer one in a response is treated as this.
const MAX_LIFETIME: Duration = Duration::from_secs(30 * 86_400);
/// How long a delegated refresh token is valid, in seconds.
const DELEGATED_EXPIRY: &str = "600";

/// The OAuth client, whose password is its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Client {
    Bx,
    Kube,
}

impl Client {
    fn authorization(self) -> HeaderValue {
        // Not secrets: these passwords are public.
        HeaderValue::from_static(match self {
            Self::Bx => "Basic Yng6Yng=",
            Self::Kube => "Basic a3ViZTprdWJl",
        })
    }
}

/// What tokens are requested with.
pub(super) enum Grant<'a> {
    ApiKey(&'a Secret),
    Passcode(&'a Secret),
    Password {
        user: &'a str,
        password: &'a Secret,
    },
    ComputeResource {
        token: &'a Secret,
        /// `profile_id`, `profile_name` or `profile_crn`, and its value.
        profile: (&'static str, &'a str),
    },
    Refresh {
        token: &'a Secret,
        /// Moves the session to this account.
        account: Option<&'a str>,
    },
    Delegated(&'a Secret),
}

/// The tokens that IAM grants.
pub(super) struct Tokens {
    pub(super) access: Secret,
    /// `None` if the client gets none.
    pub(super) refresh: Option<Secret>,
    pub(super) id: Option<Secret>,
    /// When four fifths of the access token's lifetime are over.
    pub(super) renew_at: SystemTime,
}

/// Why there are no tokens.
#[derive(Debug)]
pub(super) enum Failure {
    /// IAM refused the grant.
    Refused(Refusal),
    /// The request failed before IAM decided about the grant.
    Other(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Other(error)
    }
}

/// The user of a token.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Holder {
    pub(super) iam_id: Option<String>,
    pub(super) email: Option<String>,
    pub(super) sub: Option<String>,
    pub(super) account: HolderAccount,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct HolderAccount {
    pub(super) bss: Option<String>,
}

impl Tokens {
    /// Returns the user that the access token names.
    pub(super) fn holder(&self) -> Holder {
        jwt::payload(self.access.expose()).unwrap_or_default()
    }
}

/// The token endpoint.
#[derive(Clone)]
pub(super) struct Iam {
    issuer: Arc<Issuer>,
    token: Uri,
}

impl Iam {
    pub(super) fn new(issuer: Arc<Issuer>, endpoints: &Endpoints) -> Result<Self, Error> {
        Ok(Self {
            issuer,
            token: endpoints.token()?,
        })
    }

    /// Requests tokens.
    pub(super) async fn grant(&self, client: Client, grant: &Grant<'_>) -> Result<Tokens, Failure> {
        #[derive(Deserialize)]
        struct Granted {
            access_token: Option<Secret>,
            refresh_token: Option<Secret>,
            id_token: Option<Secret>,
            expires_in: Option<Number>,
        }
        let response = self.ask(client, &form(grant)).await?;
        let granted: Granted = parsed(&response)?;
        let given = |token: Option<Secret>| token.filter(|token| !token.expose().is_empty());
        let access = given(granted.access_token)
            .ok_or_else(|| response.error("its answer has no access_token"))?;
        let seconds = granted
            .expires_in
            .map(|seconds| seconds.into_text().parse::<f64>())
            .transpose();
        let seconds = seconds
            .ok()
            .filter(|seconds| !seconds.is_some_and(f64::is_nan))
            .ok_or_else(|| response.error("its expires_in is not a number of seconds"))?;
        Ok(Tokens {
            access,
            refresh: given(granted.refresh_token).filter(|t| t.expose() != NOT_SUPPORTED),
            id: given(granted.id_token),
            renew_at: renew_at(&response, seconds)?,
        })
    }

    /// Exchanges a refresh token of `bx` for one that `kube` can redeem once.
    pub(super) async fn delegate(&self, refresh: &Secret) -> Result<Secret, Failure> {
        #[derive(Deserialize)]
        struct Issued {
            delegated_refresh_token: Option<Secret>,
        }
        let form = [
            ("grant_type", "refresh_token"),
            ("refresh_token", refresh.expose()),
            ("response_type", "delegated_refresh_token"),
            ("receiver_client_ids", "kube"),
            ("delegated_refresh_token_expiry", DELEGATED_EXPIRY),
        ];
        let response = self.ask(Client::Bx, &form).await?;
        let issued: Issued = parsed(&response)?;
        let token = issued.delegated_refresh_token;
        let missing = || {
            response
                .error("its answer has no delegated_refresh_token")
                .into()
        };
        token.ok_or_else(missing)
    }

    async fn ask(&self, client: Client, form: &[(&str, &str)]) -> Result<Response, Failure> {
        let authorization = Some(client.authorization());
        let response = self.issuer.post(&self.token, form, authorization).await?;
        if response.status == StatusCode::OK {
            return Ok(response);
        }
        match Refusal::of(&response) {
            Some(refusal) => Err(Failure::Refused(refusal)),
            None => Err(response
                .error(format!("it answered {}", response.status))
                .into()),
        }
    }
}

fn form<'a>(grant: &Grant<'a>) -> Vec<(&'static str, &'a str)> {
    match grant {
        Grant::ApiKey(key) => vec![
            ("grant_type", "urn:ibm:params:oauth:grant-type:apikey"),
            ("apikey", key.expose()),
        ],
        Grant::Passcode(passcode) => vec![
            ("grant_type", "urn:ibm:params:oauth:grant-type:passcode"),
            ("passcode", passcode.expose()),
        ],
        Grant::Password { user, password } => vec![
            ("grant_type", "password"),
            ("username", user),
            ("password", password.expose()),
        ],
        Grant::ComputeResource { token, profile } => vec![
            ("grant_type", "urn:ibm:params:oauth:grant-type:cr-token"),
            ("cr_token", token.expose()),
            *profile,
        ],
        Grant::Refresh { token, account } => {
            let mut form = vec![
                ("grant_type", "refresh_token"),
                ("refresh_token", token.expose()),
            ];
            form.extend(account.map(|account| ("bss_account", account)));
            form
        }
        Grant::Delegated(token) => vec![
            (
                "grant_type",
                "urn:ibm:params:oauth:grant-type:delegated-refresh-token",
            ),
            ("refresh_token", token.expose()),
        ],
    }
}

/// Parses a response. The parser's own error is dropped, since it may quote a token.
fn parsed<'a, T: Deserialize<'a>>(response: &'a Response) -> Result<T, Error> {
    serde_json::from_slice(&response.body).map_err(|_| {
        response.error(
            "its answer is not the JSON that IBM Cloud IAM answers with; check the IAM endpoint \
             (IBMCLOUD_IAM_API_ENDPOINT) and any proxy on the way",
        )
    })
}

/// Returns when to renew an access token: at once if its lifetime is not given.
pub(super) fn renew_at(response: &Response, expires_in: Option<f64>) -> Result<SystemTime, Error> {
    let now = SystemTime::now();
    let Some(seconds) = expires_in else {
        return Ok(now);
    };
    if seconds <= 0.0 {
        return Err(response.error(
            "its token had ended when it came (expires_in is not above 0); try again, and check \
             that the IAM endpoint is IBM Cloud's",
        ));
    }
    let life = Duration::try_from_secs_f64(seconds).unwrap_or(MAX_LIFETIME);
    Ok(now + life.min(MAX_LIFETIME).mul_f64(0.8))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn response(body: &str) -> Response {
        Response {
            server: "IBM Cloud",
            url: "https://iam.example/identity/token".parse().unwrap(),
            status: StatusCode::OK,
            headers: http::HeaderMap::new(),
            retry_after: None,
            body: body.as_bytes().to_vec().into(),
        }
    }

    #[test]
    fn lifetimes_are_limited() {
        let response = response("");
        for (seconds, at_least, at_most) in [
            (Some(3600.0), 2870, 2880),
            (Some(900.0), 710, 720),
            (Some(1e300), 30 * 86_400 * 8 / 10 - 10, 30 * 86_400),
            (None, 0, 0),
        ] {
            let from = SystemTime::now();
            let at = renew_at(&response, seconds).unwrap();
            let after = at.duration_since(from).unwrap().as_secs();
            assert!((at_least..=at_most).contains(&after), "{seconds:?} {after}");
        }
        for seconds in [0.0, -1.0, -1e300] {
            let error = renew_at(&response, Some(seconds)).unwrap_err().to_string();
            assert!(error.contains("expires_in"), "{error}");
        }
    }

    #[test]
    fn an_unexpected_response_is_not_shown() {
        let error = parsed::<Vec<String>>(&response("<html>sesame-ibm-1")).unwrap_err();
        let shown = format!("{error} {error:?}");
        assert!(
            shown.contains("IBMCLOUD_IAM_API_ENDPOINT") && shown.contains("iam.example"),
            "{shown}"
        );
        assert!(!shown.contains("sesame-ibm-1"), "{shown}");
    }
}
