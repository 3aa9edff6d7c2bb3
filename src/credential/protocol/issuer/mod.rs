//! Calls to token endpoints: HTTPS alone, with the issuer's own trust, through the proxy that
//! the environment names, bounded in time and size. What an issuer answers is never shown.

mod answer;
mod patience;

use std::sync::Arc;

use bytes::Bytes;
use http::{
    HeaderValue, Request, Response, Uri,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST},
};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::Client,
    rt::{TokioExecutor, TokioTimer},
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use rustls::sign::CertifiedKey;
use zeroize::Zeroizing;

pub use answer::Answer;
pub(in crate::credential) use answer::Opened;
pub use patience::{Patience, set_patience, told};

use crate::{
    credential::Error,
    dial::{self, Dialer, Environment, Offer, Tcp},
    kubeconfig::{self, Cluster, ProxyUrl},
    tls::{self, Trust},
};

/// Who is asked, as errors name them.
pub(in crate::credential) const ISSUER: &str = "the issuer";
pub(in crate::credential) const API_SERVER: &str = "the API server";
pub(in crate::credential) const IBM_CLOUD: &str = "IBM Cloud";

/// What `application/x-www-form-urlencoded` leaves as it is.
const FORM: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'*');

/// How issuers, and an API server that is asked for tokens, are reached.
pub struct Issuer {
    trust: Trust,
    environment: Environment,
    /// Wins over the environment.
    proxy: Option<ProxyUrl>,
    /// Sent as SNI and checked in place of the URL's host.
    server_name: Option<String>,
    who: &'static str,
    patience: Patience,
}

impl Issuer {
    /// For hosts that `trust` accepts, through the proxy that `environment` names.
    #[must_use]
    pub fn new(trust: Trust, environment: Environment) -> Self {
        Self {
            trust,
            environment,
            proxy: None,
            server_name: None,
            who: ISSUER,
            patience: Patience::of_process(),
        }
    }

    /// Named `who` in errors.
    #[must_use]
    pub(in crate::credential) fn named(self, who: &'static str) -> Self {
        Self { who, ..self }
    }

    /// Reached through `proxy`, where one is given, whatever the environment says.
    #[must_use]
    pub fn through(self, proxy: Option<ProxyUrl>) -> Self {
        Self { proxy, ..self }
    }

    /// For an API server as its kubeconfig describes it.
    ///
    /// # Errors
    /// Where its authority cannot be read.
    pub fn of_cluster(cluster: &Cluster, environment: Environment) -> Result<Self, Error> {
        let trust =
            Trust::of_cluster(cluster).map_err(|error| Error::Certificate(Arc::new(error)))?;
        Ok(Self {
            trust,
            environment,
            proxy: cluster.proxy_url.clone(),
            server_name: cluster.tls_server_name.clone(),
            who: API_SERVER,
            patience: Patience::of_process(),
        })
    }

    /// Fetches a document. `authorization` is sent where it is given. A redirect is an error.
    ///
    /// # Errors
    /// No answer, within the process's [`Patience`].
    pub async fn get(
        &self,
        url: &Uri,
        authorization: Option<HeaderValue>,
    ) -> Result<Answer, Error> {
        let mut request = Request::get(url);
        if let Some(value) = authorization {
            request = request.header(AUTHORIZATION, value);
        }
        no_redirect(
            self.send(self.built(url, request, Bytes::new())?, None)
                .await?,
        )
    }

    /// Posts a form. `authorization` is sent where it is given. A redirect is an error.
    ///
    /// # Errors
    /// No answer, within the process's [`Patience`].
    pub async fn post(
        &self,
        url: &Uri,
        form: &[(&str, &str)],
        authorization: Option<HeaderValue>,
    ) -> Result<Answer, Error> {
        let mut request =
            Request::post(url).header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        if let Some(value) = authorization {
            request = request.header(AUTHORIZATION, value);
        }
        // Wiped when the last part of the connection is done with it.
        let body = Bytes::from_owner(encoded(form));
        no_redirect(self.send(self.built(url, request, body)?, None).await?)
    }

    /// Sends any request, over a connection made with `certificate` or with none. Redirects are
    /// never followed: their target would get the secrets of the request.
    ///
    /// # Errors
    /// No answer, within the process's [`Patience`]; a header that proves an identity, over plain http.
    pub async fn send(
        &self,
        request: Request<Bytes>,
        certificate: Option<&Arc<CertifiedKey>>,
    ) -> Result<Answer, Error> {
        self.open(request, certificate).await?.whole().await
    }

    /// As [`Issuer::send`], but returns with the head of the answer: its body may go on for as
    /// long as it likes.
    pub(in crate::credential) async fn open(
        &self,
        request: Request<Bytes>,
        certificate: Option<&Arc<CertifiedKey>>,
    ) -> Result<Opened, Error> {
        let url = without_query(request.uri());
        if url.scheme_str() != Some("https") && request.headers().contains_key(AUTHORIZATION) {
            return Err(Error::IssuerUrl {
                what: url.to_string(),
                problem: "is no https:// URL: a credential would travel in plain text",
            });
        }
        let wait = self.patience.begin(self.who, &url);
        let exchange = self.exchange(&url, request, certificate);
        let (head, incoming) = wait.bounded(exchange).await?.into_parts();
        Ok(Opened {
            url,
            head,
            incoming,
            wait,
        })
    }

    fn built(
        &self,
        url: &Uri,
        request: http::request::Builder,
        body: Bytes,
    ) -> Result<Request<Bytes>, Error> {
        request
            .body(body)
            .map_err(|e| broken(self.who, url, e.into()))
    }

    async fn exchange(
        &self,
        url: &Uri,
        mut request: Request<Bytes>,
        certificate: Option<&Arc<CertifiedKey>>,
    ) -> Result<Response<Incoming>, Error> {
        let (host, authority) = address(url)?;
        let authority =
            HeaderValue::from_str(authority).map_err(|e| broken(self.who, url, e.into()))?;
        request.headers_mut().insert(HOST, authority);
        let accept = HeaderValue::from_static("application/json");
        request.headers_mut().entry(ACCEPT).or_insert(accept);
        let dial = |error| Error::Dial(Arc::new(error));
        let dialer = Dialer::to(url, self.proxy.as_ref(), &self.environment, Tcp::default())
            .map_err(dial)?;
        let tls = tls::client_config(&self.trust, certificate.cloned());
        let name = self.server_name.as_deref().unwrap_or(host);
        let connector = dial::connector(dialer, tls, name, Offer::Http1).map_err(dial)?;
        // Minutes or hours pass between two calls: no connection is kept.
        let client = Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_max_idle_per_host(0)
            .build(connector);
        let response = client.request(request.map(Full::new)).await;
        response.map_err(|e| broken(self.who, url, e.into()))
    }
}

fn broken(who: &'static str, url: &Uri, source: Box<dyn std::error::Error + Send + Sync>) -> Error {
    // In its own words, which those around it hide.
    let refusal = tls::refusal(source.as_ref()).cloned();
    Error::IssuerUnreachable {
        who,
        url: url.to_string(),
        source: match refusal {
            Some(refusal) => Arc::new(refusal),
            None => tls::readable(source.into()),
        },
    }
}

fn no_redirect(answer: Answer) -> Result<Answer, Error> {
    if answer.status.is_redirection() {
        return Err(
            answer.error("it redirects elsewhere, which is not followed; check the issuer's URL")
        );
    }
    Ok(answer)
}

/// What may be shown: a query may hold a code or a state.
fn without_query(url: &Uri) -> Uri {
    let mut parts = url.clone().into_parts();
    // The name of an OpenShift session's object looks like its token.
    let path = url.path().split("sha256~").next().unwrap_or_default();
    parts.path_and_query = path.parse().ok();
    Uri::from_parts(parts).unwrap_or_default()
}

/// Parses the URL of an issuer or of one of its endpoints; `what` names it.
///
/// # Errors
/// Where it is no https URL, or has user info or a query.
pub fn https(what: &str, url: &str) -> Result<Uri, Error> {
    let bad = |problem| Error::IssuerUrl {
        what: what.to_owned(),
        problem,
    };
    let uri: Uri = url.parse().map_err(|_| bad("is not a URL"))?;
    if uri.scheme_str() != Some("https") {
        return Err(bad(
            "must begin with https://: over anything else tokens would travel in plain text",
        ));
    }
    // User info would end up in errors.
    if uri.authority().is_none_or(|a| a.as_str().contains('@')) || uri.query().is_some() {
        return Err(bad("must have a host, and no user info and no query"));
    }
    Ok(uri)
}

fn address(url: &Uri) -> Result<(&str, &str), Error> {
    let authority = url.authority().ok_or_else(|| Error::IssuerUrl {
        what: url.to_string(),
        problem: "has no host",
    })?;
    Ok((kubeconfig::host(url), authority.as_str()))
}

/// Text as a form carries it (RFC 6749, appendix B).
#[must_use]
pub fn form_encoded(text: &str) -> Zeroizing<String> {
    Zeroizing::new(utf8_percent_encode(text, FORM).to_string())
}

fn encoded(form: &[(&str, &str)]) -> Zeroizing<Vec<u8>> {
    let room = form
        .iter()
        .map(|(key, value)| 3 * (key.len() + value.len()) + 2);
    let mut body = Zeroizing::new(Vec::with_capacity(room.sum()));
    for (key, value) in form {
        if !body.is_empty() {
            body.push(b'&');
        }
        body.extend_from_slice(form_encoded(key).as_bytes());
        body.push(b'=');
        body.extend_from_slice(form_encoded(value).as_bytes());
    }
    body
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_refused_certificate_is_told_in_its_own_words() {
        let refusal = tls::Refusal::NoSystemRoots {
            reason: "none".to_owned(),
        };
        let hidden = std::io::Error::other(rustls::Error::from(refusal.clone()));
        let error = broken(ISSUER, &Uri::from_static("https://a/"), hidden.into());
        let source = std::error::Error::source(&error).unwrap();
        assert_eq!(source.to_string(), refusal.to_string());
        assert_eq!(tls::refusal(&error), Some(&refusal));
    }

    #[test]
    fn a_form_keeps_its_values_whole() {
        let body = encoded(&[
            ("grant_type", "refresh_token"),
            ("client_secret", "a&b=ü +"),
        ]);
        let expected = "grant_type=refresh_token&client_secret=a%26b%3D%C3%BC%20%2B";
        assert_eq!(std::str::from_utf8(&body).unwrap(), expected);
    }

    #[test]
    fn only_https_is_spoken() {
        assert!(https("x", "https://issuer.example:8443/realm").is_ok());
        for url in [
            "http://127.0.0.1:1/",
            "issuer.example",
            "https://",
            "https://user:hunter2@issuer.example",
            "https://issuer.example/?hunter2",
        ] {
            let error = https("idp-issuer-url", url).unwrap_err().to_string();
            assert!(error.contains("idp-issuer-url"), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
