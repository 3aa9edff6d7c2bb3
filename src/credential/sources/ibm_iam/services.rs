//! Calls to IBM Cloud's services other than IAM, with an access token. What passes by itself is
//! tried again a few times: these calls are made at start, where no cache stands behind.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{
    Method, Request, Uri,
    header::{AUTHORIZATION, CONTENT_TYPE},
};

use super::Endpoints;
use super::error::VENDOR;
use crate::credential::protocol::issuer::IssuerError;
use crate::{
    credential::{
        Error,
        protocol::{
            authorization,
            issuer::{Issuer, Response},
        },
    },
    secret::Secret,
};

/// How often a call is made.
const TRIES: u32 = 4;
/// After so long in all, an error is told.
const LONG: Duration = Duration::from_secs(15);
/// The pause after the first try; it doubles.
const PAUSE: Duration = Duration::from_millis(500);
/// The longest pause that a service can ask for.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// The services, as one user sees them.
pub(super) struct Services {
    issuer: Arc<Issuer>,
    pub(super) endpoints: Endpoints,
    token: Secret,
}

impl Services {
    pub(super) fn new(issuer: Arc<Issuer>, endpoints: Endpoints, token: Secret) -> Self {
        Self {
            issuer,
            endpoints,
            token,
        }
    }

    pub(super) async fn get(&self, url: &Uri) -> Result<Response, Error> {
        self.call(&Method::GET, url, &Bytes::new()).await
    }

    pub(super) async fn post(
        &self,
        url: &Uri,
        json: &serde_json::Value,
    ) -> Result<Response, Error> {
        self.call(&Method::POST, url, &json.to_string().into())
            .await
    }

    /// Any answer that will not pass by itself.
    async fn call(&self, method: &Method, url: &Uri, body: &Bytes) -> Result<Response, Error> {
        patiently(|| self.once(method, url, body)).await
    }

    async fn once(&self, method: &Method, url: &Uri, body: &Bytes) -> Result<Response, Error> {
        let bearer = authorization::bearer(self.token.expose())?;
        let mut request = Request::builder()
            .method(method)
            .uri(url)
            .header(AUTHORIZATION, bearer);
        if method == Method::POST {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let request = request.body(body.clone()).map_err(|_| {
            Error::Issuer(IssuerError::Url {
                what: url.to_string(),
                problem: "cannot be asked for",
            })
        })?;
        let response = self.issuer.send(request, None).await?;
        if response.status.is_redirection() {
            return Err(problem(
                &response,
                "it redirects elsewhere, which is not followed; check the endpoint's URL",
            ));
        }
        let error = problem(&response, &format!("it answered {}", response.status));
        if error.is_transient() {
            return Err(error);
        }
        Ok(response)
    }
}

/// Makes a call again, a few times, where its error may pass by itself; not where that took so long
/// that another try would be one wait too many.
pub(super) async fn patiently<T, F: Future<Output = Result<T, Error>>>(
    call: impl Fn() -> F,
) -> Result<T, Error> {
    let mut pause = PAUSE;
    let began = Instant::now();
    for _ in 1..TRIES {
        let error = match call().await {
            Err(error @ Error::Issuer(IssuerError::TimedOut { .. })) => return Err(error),
            Err(error) if error.is_transient() && began.elapsed() < LONG => error,
            other => return other,
        };
        let asked = error.retry_after().unwrap_or_default();
        {
            let error = &error as &dyn std::error::Error;
            tracing::debug!(error, "trying again");
        }
        tokio::time::sleep(pause.max(asked).min(LONGEST_PAUSE)).await;
        pause *= 2;
    }
    call().await
}

/// An error about an answer of a service.
pub(super) fn problem(response: &Response, problem: &str) -> Error {
    let Error::Issuer(IssuerError::Response {
        transient,
        retry_after,
        ..
    }) = response.error("")
    else {
        return response.error(problem);
    };
    Error::Vendor {
        vendor: VENDOR,
        problem: format!("{}: {problem}", response.url),
        transient,
        retry_after,
    }
}
