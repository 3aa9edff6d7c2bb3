//! The API server as an issuer: requests with the credential of the context's own user, for the
//! token of a service account.

use std::sync::Arc;

use bytes::Bytes;
use http::{
    Method, Request, StatusCode, Uri,
    header::{AUTHORIZATION, CONTENT_TYPE},
    uri::Scheme,
};

use super::issuer::{Issuer, Response, StreamingResponse};
use crate::credential::protocol::issuer::IssuerError;
use crate::{
    credential::{Cache, Credential, Error},
    dial::Environment,
    kubeconfig::Cluster,
};

/// An API server, and the credential of the user who sends the requests.
pub(in crate::credential) struct ApiServer {
    issuer: Issuer,
    server: Uri,
    base: Arc<Cache>,
}

impl ApiServer {
    pub(in crate::credential) fn new(cluster: &Cluster, base: Arc<Cache>) -> Result<Self, Error> {
        if cluster.server.scheme() != Some(&Scheme::HTTPS) {
            return Err(Error::Issuer(IssuerError::Url {
                what: format!("the cluster's server {}", cluster.server),
                problem: "must begin with https:// to be asked: over plain http the credential \
                          could be read on the way",
            }));
        }
        let environment = Environment::read(|name| std::env::var(name).ok());
        Ok(Self {
            issuer: Issuer::of_cluster(cluster, environment)?,
            server: cluster.server.clone(),
            base,
        })
    }

    /// The credential of the user who sends the requests.
    pub(in crate::credential) fn base(&self) -> &Arc<Cache> {
        &self.base
    }

    /// The URL of `path`, which may have a query, on this server.
    pub(in crate::credential) fn url(&self, path: &str) -> Result<Uri, Error> {
        let whole = format!("{}{path}", self.server.path().trim_end_matches('/'));
        let mut parts = self.server.clone().into_parts();
        parts.path_and_query = whole.parse().ok();
        Uri::from_parts(parts).map_err(|_| {
            Error::Issuer(IssuerError::Url {
                what: whole,
                problem: "is no path of a URL",
            })
        })
    }

    /// Sends a request, and reads the whole response.
    pub(in crate::credential) async fn send(
        &self,
        method: &Method,
        url: &Uri,
        body: Bytes,
    ) -> Result<Response, Error> {
        self.open(method, url, body).await?.whole().await
    }

    /// Sends a request, and returns when the head of the response has arrived. If the server
    /// rejects the credential (401), it is renewed and the request sent once more.
    pub(in crate::credential) async fn open(
        &self,
        method: &Method,
        url: &Uri,
        body: Bytes,
    ) -> Result<StreamingResponse, Error> {
        let credential = self.base.get().await?;
        let opened = self
            .send_with(method, url, body.clone(), &credential)
            .await?;
        if opened.status() != StatusCode::UNAUTHORIZED {
            return Ok(opened);
        }
        match self.base.replace_refused(&credential).await {
            Some(fresh) => self.send_with(method, url, body, &fresh).await,
            None => Ok(opened),
        }
    }

    async fn send_with(
        &self,
        method: &Method,
        url: &Uri,
        body: Bytes,
        credential: &Credential,
    ) -> Result<StreamingResponse, Error> {
        let mut request = Request::new(body);
        *request.method_mut() = method.clone();
        *request.uri_mut() = url.clone();
        let headers = request.headers_mut();
        headers.insert(
            CONTENT_TYPE,
            http::HeaderValue::from_static("application/json"),
        );
        if let Some(authorization) = &credential.authorization {
            headers.insert(AUTHORIZATION, authorization.clone());
        }
        self.issuer
            .open(request, credential.certificate.as_ref())
            .await
    }
}

/// The error for a refusal that does not depend on what was requested.
pub(in crate::credential) fn refusal(response: &Response) -> Error {
    response.error(match response.status {
        StatusCode::UNAUTHORIZED => "it refuses the credential of the kubeconfig's user, who \
            asks for the service account's (401); log in again as that user"
            .to_owned(),
        status if status.is_redirection() => "it redirects elsewhere, which is not followed; \
            check the cluster's server in the kubeconfig"
            .to_owned(),
        status => format!("it answered {status}"),
    })
}
