//! [`Services`]: requests to IBM Cloud's services other than IAM, with an access token. Transient
//! errors are retried here, because these requests are made at the start, without the retries of the
//! credential cache.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{
    Method, Request, Uri,
    header::{AUTHORIZATION, CONTENT_TYPE},
};

use super::{Endpoints, error::VENDOR};
use crate::{
    credential::{
        Error,
        protocol::{
            authorization,
            issuer::{Issuer, IssuerError, Response},
        },
    },
    secret::Secret,
};

/// How often a request is tried.
const MAX_TRIES: u32 = 4;
/// No request is retried after this time.
const RETRY_PERIOD: Duration = Duration::from_secs(15);
/// The pause after the first try. It doubles each time.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// The longest pause, also if a service asks for more.
const MAX_PAUSE: Duration = Duration::from_secs(10);

/// See the module.
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

    /// Returns a response of any status that is not transient.
    async fn call(&self, method: &Method, url: &Uri, body: &Bytes) -> Result<Response, Error> {
        with_retries(|| self.send(method, url, body)).await
    }

    async fn send(&self, method: &Method, url: &Uri, body: &Bytes) -> Result<Response, Error> {
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
                problem: "cannot be requested",
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

/// Calls again after a transient error, unless the call timed out or [`RETRY_PERIOD`] is over.
pub(super) async fn with_retries<T, F: Future<Output = Result<T, Error>>>(
    call: impl Fn() -> F,
) -> Result<T, Error> {
    let mut pause = FIRST_PAUSE;
    let started = Instant::now();
    for _ in 1..MAX_TRIES {
        let error = match call().await {
            Err(error @ Error::Issuer(IssuerError::TimedOut { .. })) => return Err(error),
            Err(error) if error.is_transient() && started.elapsed() < RETRY_PERIOD => error,
            other => return other,
        };
        let retry_after = error.retry_after().unwrap_or_default();
        {
            let error = &error as &dyn std::error::Error;
            tracing::debug!(error, "trying again");
        }
        tokio::time::sleep(pause.max(retry_after).min(MAX_PAUSE)).await;
        pause *= 2;
    }
    call().await
}

/// Returns an error about the response of a service.
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
