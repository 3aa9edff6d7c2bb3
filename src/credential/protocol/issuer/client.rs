//! The HTTP client for calls to issuers.

use std::sync::Arc;

use bytes::Bytes;
use http::{
    HeaderValue, Request, StatusCode, Uri,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, USER_AGENT},
};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::Client,
    rt::{TokioExecutor, TokioTimer},
};
use rustls::sign::CertifiedKey;

use super::{
    CallPolicy, IssuerError, Response, StreamingResponse,
    call_policy::BusyPauses,
    form::encoded,
    response::retry_after,
    url::{address, without_query},
};
use crate::{
    credential::Error,
    dial::{self, Dialer, Environment, Offer, Tcp},
    kubeconfig::{Cluster, ProxyUrl},
    tls::{self, Trust},
};

/// The kinds of servers, as errors name them.
pub(in crate::credential) const ISSUER: &str = "the issuer";
pub(in crate::credential) const API_SERVER: &str = "the API server";
pub(in crate::credential) const IBM_CLOUD: &str = "IBM Cloud";

/// A client for an issuer, or for an API server that is asked for tokens.
pub struct Issuer {
    trust: Trust,
    environment: Environment,
    /// Takes precedence over the environment.
    proxy: Option<ProxyUrl>,
    /// Sent as SNI and verified in place of the URL's host.
    server_name: Option<String>,
    server: &'static str,
    policy: CallPolicy,
    /// Whether a credential may travel over plain http.
    plain_http: bool,
}

impl Issuer {
    /// A client for hosts that `trust` accepts, through the proxy of `environment`.
    #[must_use]
    pub fn new(trust: Trust, environment: Environment) -> Self {
        Self {
            trust,
            environment,
            proxy: None,
            server_name: None,
            server: ISSUER,
            policy: CallPolicy::of_process(),
            plain_http: false,
        }
    }

    /// The same client with another name of the server in errors.
    #[must_use]
    pub(in crate::credential) fn named(self, server: &'static str) -> Self {
        Self { server, ..self }
    }

    /// The same client, which sends a credential over plain http too. Only for a service whose
    /// connections do not leave this machine.
    #[must_use]
    pub(in crate::credential) fn over_plain_http(self) -> Self {
        Self {
            plain_http: true,
            ..self
        }
    }

    /// The same client through `proxy`, if that is given, in place of the environment's.
    #[must_use]
    pub fn through(self, proxy: Option<ProxyUrl>) -> Self {
        Self { proxy, ..self }
    }

    /// A client for the API server of `cluster`.
    ///
    /// # Errors
    /// Its certificate authority cannot be read.
    pub fn of_cluster(cluster: &Cluster, environment: Environment) -> Result<Self, Error> {
        let trust =
            Trust::of_cluster(cluster).map_err(|error| Error::Certificate(Arc::new(error)))?;
        Ok(Self {
            trust,
            environment,
            proxy: cluster.proxy_url.clone(),
            server_name: cluster.tls_server_name.clone(),
            server: API_SERVER,
            policy: CallPolicy::of_process(),
            plain_http: false,
        })
    }

    /// Fetches a document. `authorization` is sent if it is given. A redirect is an error.
    ///
    /// # Errors
    /// No response within the timeout of the process's [`CallPolicy`].
    pub async fn get(
        &self,
        url: &Uri,
        authorization: Option<HeaderValue>,
    ) -> Result<Response, Error> {
        let mut request = Request::get(url);
        if let Some(value) = authorization {
            request = request.header(AUTHORIZATION, value);
        }
        no_redirect(
            self.send(self.built(url, request, Bytes::new())?, None)
                .await?,
        )
    }

    /// Posts a form. `authorization` is sent if it is given. A redirect is an error.
    ///
    /// # Errors
    /// No response within the timeout of the process's [`CallPolicy`].
    pub async fn post(
        &self,
        url: &Uri,
        form: &[(&str, &str)],
        authorization: Option<HeaderValue>,
    ) -> Result<Response, Error> {
        let request = self.form(url, form, authorization)?;
        no_redirect(self.send(request, None).await?)
    }

    /// Posts a form as [`Issuer::post`] does, but returns the response of a server that is busy: its error
    /// says when the caller is to send the form again.
    ///
    /// # Errors
    /// No response within the timeout of the process's [`CallPolicy`].
    pub(in crate::credential) async fn post_once(
        &self,
        url: &Uri,
        form: &[(&str, &str)],
        authorization: Option<HeaderValue>,
    ) -> Result<Response, Error> {
        let request = self.form(url, form, authorization)?;
        let response = self.open_after(request, None, BusyPauses::none()).await?;
        no_redirect(response.whole().await?)
    }

    fn form(
        &self,
        url: &Uri,
        form: &[(&str, &str)],
        authorization: Option<HeaderValue>,
    ) -> Result<Request<Bytes>, Error> {
        let mut request =
            Request::post(url).header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        if let Some(value) = authorization {
            request = request.header(AUTHORIZATION, value);
        }
        // The body is wiped when the connection has dropped its last part.
        let body = Bytes::from_owner(encoded(form));
        self.built(url, request, body)
    }

    /// Sends a request over a new connection, with the client certificate if one is given.
    /// Redirects are never followed: their target would get the secrets of the request.
    ///
    /// # Errors
    /// No response within the timeout of the process's [`CallPolicy`]; an `Authorization` header
    /// over plain http.
    pub async fn send(
        &self,
        request: Request<Bytes>,
        certificate: Option<&Arc<CertifiedKey>>,
    ) -> Result<Response, Error> {
        self.open(request, certificate).await?.whole().await
    }

    /// Sends a request as [`Issuer::send`] does, but returns when the head of the response has
    /// arrived. Its body has no time limit. A command sends the request again if the server did
    /// nothing with it because it is busy (429, RFC 6585 section 4).
    pub(in crate::credential) async fn open(
        &self,
        request: Request<Bytes>,
        certificate: Option<&Arc<CertifiedKey>>,
    ) -> Result<StreamingResponse, Error> {
        let pauses = self.policy.busy_pauses();
        self.open_after(request, certificate, pauses).await
    }

    /// Sends a request, and again after each of `pauses` while the server is busy.
    async fn open_after(
        &self,
        request: Request<Bytes>,
        certificate: Option<&Arc<CertifiedKey>>,
        mut pauses: BusyPauses,
    ) -> Result<StreamingResponse, Error> {
        let url = without_query(request.uri());
        let is_plain = url.scheme_str() != Some("https") && !self.plain_http;
        if is_plain && request.headers().contains_key(AUTHORIZATION) {
            return Err(Error::Issuer(IssuerError::Url {
                what: url.to_string(),
                problem: "is no https:// URL: a credential would travel in plain text",
            }));
        }
        loop {
            let call = self.policy.begin(self.server, &url);
            let exchange = self.exchange(&url, request.clone(), certificate);
            let (head, incoming) = call.bounded(exchange).await?.into_parts();
            if head.status == StatusCode::TOO_MANY_REQUESTS
                && let Some(pause) = pauses.next(retry_after(&head.headers))
            {
                call.log_busy(pause);
                tokio::time::sleep(pause).await;
                continue;
            }
            return Ok(StreamingResponse {
                url,
                head,
                incoming,
                call,
            });
        }
    }

    fn built(
        &self,
        url: &Uri,
        request: http::request::Builder,
        body: Bytes,
    ) -> Result<Request<Bytes>, Error> {
        request
            .body(body)
            .map_err(|e| IssuerError::unreachable(self.server, url, e.into()).into())
    }

    async fn exchange(
        &self,
        url: &Uri,
        mut request: Request<Bytes>,
        certificate: Option<&Arc<CertifiedKey>>,
    ) -> Result<http::Response<Incoming>, Error> {
        let (host, authority) = address(url)?;
        let authority = HeaderValue::from_str(authority)
            .map_err(|e| IssuerError::unreachable(self.server, url, e.into()))?;
        request.headers_mut().insert(HOST, authority);
        let accept = HeaderValue::from_static("application/json");
        let headers = request.headers_mut();
        headers.entry(ACCEPT).or_insert(accept);
        // Audit logs name a request's sender by this.
        headers.entry(USER_AGENT).or_insert(dial::USER_AGENT);
        let dial = |error| Error::from(IssuerError::Dial(Arc::new(error)));
        let dialer = Dialer::to(url, self.proxy.as_ref(), &self.environment, Tcp::default())
            .map_err(dial)?;
        let tls = tls::client_config(&self.trust, certificate.cloned());
        let name = self.server_name.as_deref().unwrap_or(host);
        let connector = dial::connector(dialer, tls, name, Offer::Http1).map_err(dial)?;
        // Calls are minutes or hours apart, so no connection is kept.
        let client = Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_max_idle_per_host(0)
            .build(connector);
        let response = client.request(request.map(Full::new)).await;
        response.map_err(|e| IssuerError::unreachable(self.server, url, e.into()).into())
    }
}

fn no_redirect(response: Response) -> Result<Response, Error> {
    if response.status.is_redirection() {
        return Err(
            response.error("it redirects elsewhere, which is not followed; check the issuer's URL")
        );
    }
    Ok(response)
}
