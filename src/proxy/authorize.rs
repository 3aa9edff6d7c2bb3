//! Sends exactly one credential upstream, and retries once with a fresh one after a 401.
//!
//! There is no example here: the layer needs hyper's `Incoming`, which only a real connection provides.
//! See `tests/it/authorization.rs`.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use http::{HeaderValue, Request, Response, StatusCode, header::AUTHORIZATION, request};
use http_body::Body as _;
use hyper::body::Incoming;
use rustls::sign::CertifiedKey;
use tower::{Layer, Service};

use super::{
    body::Body,
    error::Error,
    expiry_warning::{with_expiry_warning, with_login_warning},
    hop_by_hop::{Protocol, strip_trailers},
    refusal::Refusal,
    request_info::{Reading, RequestInfo, Verb},
    websocket_token,
};
use crate::{
    credential::{Cache, Credential},
    settings::ClientCredentials,
    upstream::{Replay, RequestBody},
};

/// The client certificate that a request's connection must have been made with.
#[derive(Clone)]
pub(super) struct Certificate(pub(super) Arc<CertifiedKey>);

/// Puts our credential on requests that bring none. Where the API server answers 401 and the body can
/// be replayed, sends them once more with a fresh credential.
pub(super) struct AuthorizeLayer {
    config: Arc<Config>,
}

struct Config {
    credentials: Arc<Cache>,
    client: ClientCredentials,
    receiver: Receiver,
}

/// Who gets the credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Receiver {
    /// The API server.
    ApiServer {
        /// It is reached over plain http, where our credential is not sent.
        is_plaintext: bool,
    },
    /// The server of a route, which no client certificate is shown to.
    Route {
        /// The credential is for that server alone.
        has_own_credential: bool,
    },
}

impl Receiver {
    fn is_plaintext(self) -> bool {
        self == Self::ApiServer { is_plaintext: true }
    }

    /// Whether a 401 says something about the credential. Another server than the API server may answer
    /// so to every credential of the cluster.
    fn judges_credential(self) -> bool {
        !matches!(
            self,
            Self::Route {
                has_own_credential: false
            }
        )
    }
}

impl AuthorizeLayer {
    pub(super) fn new(
        credentials: Arc<Cache>,
        client: ClientCredentials,
        receiver: Receiver,
    ) -> Self {
        Self {
            config: Arc::new(Config {
                credentials,
                client,
                receiver,
            }),
        }
    }
}

impl<S> Layer<S> for AuthorizeLayer {
    type Service = Authorize<S>;

    fn layer(&self, inner: S) -> Authorize<S> {
        Authorize {
            config: self.config.clone(),
            inner,
        }
    }
}

/// See [`AuthorizeLayer`].
#[derive(Clone)]
pub(super) struct Authorize<S> {
    config: Arc<Config>,
    inner: S,
}

type ResponseFuture = Pin<Box<dyn Future<Output = Result<Response<Body>, Error>> + Send>>;

impl<S> Service<Request<Incoming>> for Authorize<S>
where
    S: Service<Request<RequestBody>, Response = Response<Body>, Error = Error>
        + Clone
        + Send
        + 'static,
    S::Future: Send,
{
    type Response = Response<Body>;
    type Error = Error;
    type Future = ResponseFuture;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Incoming>) -> ResponseFuture {
        let Self { config, mut inner } = self.clone();
        Box::pin(async move {
            match config.choose(&mut request)? {
                Owner::Client => {
                    let response = inner.call(request.map(streamed)).await;
                    if is_refused(&response) {
                        config.warn_of_client();
                    }
                    response
                }
                Owner::Proxy => send(&mut inner, request, &config).await,
            }
        })
    }
}

/// Whose credential a request is sent with.
#[derive(Debug, PartialEq, Eq)]
enum Owner {
    /// The client's own, or over plain http none at all. Our client certificate is not used either:
    /// the API server would take it and ignore the client's token.
    Client,
    Proxy,
}

impl Config {
    fn warn_of_client(&self) {
        let (kind, problem) = if self.receiver.is_plaintext() {
            (
                "401 over plain http",
                "the API server answered 401; this proxy adds no credential, because the server is \
                 reached over plain http",
            )
        } else {
            (
                "401 to a client's credential",
                "the API server answered 401 to the credential that the client sent itself",
            )
        };
        tracing::warn!(repeats = kind, "{problem}");
    }

    /// Decides whose credential counts, and removes the other.
    fn choose<B>(&self, request: &mut Request<B>) -> Result<Owner, Refusal> {
        let upgrades = request.extensions().get() == Some(&Protocol::WebSocket);
        let headers = request.headers_mut();
        if headers.get_all(AUTHORIZATION).iter().nth(1).is_some() {
            return Err(Refusal::malformed(
                "several Authorization headers",
                "the request has more than one Authorization header; send one",
            ));
        }
        if headers
            .get(AUTHORIZATION)
            .is_some_and(HeaderValue::is_empty)
        {
            headers.remove(AUTHORIZATION);
        }
        let brings_own =
            headers.contains_key(AUTHORIZATION) || (upgrades && websocket_token::is_in(headers));
        match self.client {
            ClientCredentials::Forward if brings_own => return Ok(Owner::Client),
            ClientCredentials::Refuse if brings_own => {
                return Err(Refusal::forbidden(
                    "--client-credentials=refuse",
                    "this proxy takes no credentials from its clients \
                     (--client-credentials=refuse); leave out Authorization and token subprotocols",
                ));
            }
            ClientCredentials::Replace => {
                headers.remove(AUTHORIZATION);
                websocket_token::remove(headers);
            }
            ClientCredentials::Forward | ClientCredentials::Refuse => {}
        }
        Ok(if self.receiver.is_plaintext() {
            Owner::Client
        } else {
            Owner::Proxy
        })
    }
}

fn is_refused(response: &Result<Response<Body>, Error>) -> bool {
    let status = response.as_ref().map(Response::status);
    status.is_ok_and(|status| status == StatusCode::UNAUTHORIZED)
}

/// Sends with our credential, and again with a fresh one after a 401.
async fn send<S>(
    inner: &mut S,
    request: Request<Incoming>,
    config: &Config,
) -> Result<Response<Body>, Error>
where
    S: Service<Request<RequestBody>, Response = Response<Body>, Error = Error>,
{
    let Config {
        credentials,
        receiver,
        ..
    } = config;
    let credential = credentials.get().await?;
    receiver.check(&credential)?;
    let (head, body) = request.into_parts();
    let replay = (!body.is_end_stream()).then(|| Replay::new(body, strip_trailers));
    let body_again = || match &replay {
        None => Some(RequestBody::Empty),
        Some(replay) => replay.play(),
    };
    let first = body_again().unwrap_or(RequestBody::Empty);
    let response = inner
        .call(receiver.authorized(&head, first, &credential))
        .await?;
    let response = with_expiry_warning(response, &credential);
    if response.status() != StatusCode::UNAUTHORIZED
        || !receiver.judges_credential()
        || is_behind_proxy(&head)
    {
        return Ok(response);
    }
    let Some(fresh) = credentials.replace_refused(&credential).await else {
        warn_of_refusal(
            credentials,
            "401 without a newer credential",
            "it answered 401, and there is no newer credential",
        );
        return Ok(with_login_warning(response, credentials, &credential));
    };
    // Called only now: it ends the first body, which must continue if the 401 is passed on.
    let Some(body) = body_again() else {
        return Ok(response);
    };
    drop(response);
    let mut response = inner.call(receiver.authorized(&head, body, &fresh)).await?;
    if response.status() == StatusCode::UNAUTHORIZED {
        response = with_login_warning(response, credentials, &fresh);
        warn_of_refusal(
            credentials,
            "401 to a fresh credential",
            "it answered 401 to this one and to a freshly obtained one",
        );
    } else {
        tracing::info!(
            repeats = "a fresh credential after a 401",
            "the API server did not accept the credential ({}, 401), and accepted a fresh one",
            credentials.subject()
        );
    }
    Ok(with_expiry_warning(response, &fresh))
}

/// Logs that the API server refuses the credential; repeated warnings are only counted.
fn warn_of_refusal(credentials: &Cache, kind: &'static str, reason: &str) {
    tracing::warn!(
        repeats = kind,
        "the API server does not accept the credential ({}): {reason}",
        credentials.subject()
    );
}

impl Receiver {
    /// Refuses a credential that this server cannot get.
    fn check(self, credential: &Credential) -> Result<(), Refusal> {
        let is_certificate = credential.certificate.is_some() && credential.authorization.is_none();
        if is_certificate && matches!(self, Self::Route { .. }) {
            return Err(Refusal::forbidden(
                "client certificate at a route",
                "the context's credential is a client certificate, which is shown to its API server \
                 alone; routes need a context with a token",
            ));
        }
        Ok(())
    }

    fn authorized(
        self,
        head: &request::Parts,
        body: RequestBody,
        credential: &Credential,
    ) -> Request<RequestBody> {
        let mut head = head.clone();
        if let Some(authorization) = &credential.authorization {
            head.headers.insert(AUTHORIZATION, authorization.clone());
        }
        if let Some((name, value)) = &credential.header {
            head.headers.insert(name.clone(), value.clone());
        }
        if let (Some(certificate), Self::ApiServer { .. }) = (&credential.certificate, self) {
            head.extensions.insert(Certificate(certificate.clone()));
        }
        Request::from_parts(head, body)
    }
}

/// Whether `services|pods|nodes/NAME/proxy` is asked for: a 401 of an app behind it says nothing about
/// our credential.
fn is_behind_proxy(head: &request::Parts) -> bool {
    let info = head.extensions.get::<RequestInfo>();
    info.is_some_and(|info| {
        let mut resources = info.readings().filter_map(Reading::resource);
        resources.any(|asked| asked.subresource == "proxy" || asked.verb == Verb::Proxy)
    })
}

fn streamed(body: Incoming) -> RequestBody {
    if body.is_end_stream() {
        RequestBody::Empty
    } else {
        RequestBody::stream(body, strip_trailers)
    }
}

#[cfg(test)]
mod tests;
