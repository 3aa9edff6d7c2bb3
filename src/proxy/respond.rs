//! Turns any error into a response: a Kubernetes `Status`, or text where client-go shows nothing else.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! use http::{Request, StatusCode};
//! use kubegate::proxy::{Error, Refusal, respond::RespondLayer};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! let service = ServiceBuilder::new()
//!     .layer(RespondLayer::to_refusals())
//!     .service(service_fn(async |_: Request<()>| {
//!         Err(Error::Refused(Refusal::forbidden("a rule", "not here")))
//!     }));
//! let response = service.oneshot(Request::get("/").body(()).unwrap()).await.unwrap();
//! assert_eq!(response.status(), StatusCode::FORBIDDEN);
//! assert_eq!(response.headers()["content-type"], "application/json");
//! # }
//! ```

use std::{
    convert::Infallible,
    task::{Context, Poll, ready},
};

use futures_util::future::{FutureExt as _, Map};
use http::{Request, Response};
use tower::{Layer, Service};

use super::{
    body::Body,
    client_go,
    error::Error,
    error_status::{error_response, log_error},
    request_info::RequestInfo,
};

/// Turns errors of the inner service into responses.
#[derive(Clone, Copy, Debug)]
pub struct RespondLayer {
    for_api: bool,
}

impl RespondLayer {
    /// For errors that are refusals.
    #[must_use]
    pub fn to_refusals() -> Self {
        Self { for_api: false }
    }

    /// For errors on the way to the API server. Belongs inside of the layer that reads the
    /// [`RequestInfo`].
    #[must_use]
    pub fn for_api() -> Self {
        Self { for_api: true }
    }
}

impl<S> Layer<S> for RespondLayer {
    type Service = Respond<S>;

    fn layer(&self, inner: S) -> Respond<S> {
        Respond {
            inner,
            for_api: self.for_api,
        }
    }
}

/// See [`RespondLayer`].
#[derive(Clone, Debug)]
pub struct Respond<S> {
    inner: S,
    for_api: bool,
}

impl<S, B> Service<Request<B>> for Respond<S>
where
    S: Service<Request<B>, Response = Response<Body>, Error = Error>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Map<S::Future, Responding>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // A service that fails to become ready fails its call too, which gets the response.
        let _ = ready!(self.inner.poll_ready(cx));
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let info = request.extensions().get::<RequestInfo>();
        let is_text = |info| client_go::reads_text_alone(info, request.headers());
        let responding: Responding = if self.for_api && info.is_some_and(is_text) {
            |outcome| Ok(outcome.unwrap_or_else(|error| respond_in_text(&error)))
        } else {
            |outcome| Ok(outcome.unwrap_or_else(|error| respond(&error)))
        };
        self.inner.call(request).map(responding)
    }
}

type Responding = fn(Result<Response<Body>, Error>) -> Result<Response<Body>, Infallible>;

/// Logs an error, and returns it as a `Status`.
pub(super) fn respond(error: &Error) -> Response<Body> {
    let response = error_response(error);
    log_error(error, &response);
    response.into_status().map(Body::text)
}

/// The same for a request of which client-go shows failures only as text.
fn respond_in_text(error: &Error) -> Response<Body> {
    let response = error_response(error);
    log_error(error, &response);
    let is_shown = response.status.is_server_error();
    let response = if is_shown {
        response.into_text()
    } else {
        response.into_status()
    };
    response.map(Body::text)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::{sync::Arc, time::Duration};

    use http::{
        StatusCode,
        header::{CONTENT_TYPE, RETRY_AFTER, WARNING, X_CONTENT_TYPE_OPTIONS},
    };
    use http_body_util::BodyExt;

    use super::*;
    use crate::{credential, proxy::refusal::Refusal, upstream};

    async fn status_of(error: Error) -> (Response<()>, serde_json::Value) {
        let (parts, body) = respond(&error).into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        (
            Response::from_parts(parts, ()),
            serde_json::from_slice(&bytes).unwrap(),
        )
    }

    #[tokio::test]
    async fn a_refusal_is_a_status_with_its_own_code_and_reason() {
        let (response, status) =
            status_of(Error::Refused(Refusal::forbidden("a rule", "not here"))).await;
        assert_eq!(response.status(), StatusCode::FORBIDDEN);
        assert_eq!(status["kind"], "Status");
        assert_eq!(status["code"], 403);
        assert_eq!(status["reason"], "Forbidden");
        assert_eq!(status["message"], "kubegate: not here");
        assert!(response.headers().get(RETRY_AFTER).is_none());
    }

    #[tokio::test]
    async fn without_a_credential_the_status_names_cause_and_remedy() {
        let failing = |error, seconds| {
            Error::Credential(credential::Error::Backoff(credential::Backoff {
                cause: Arc::new(error),
                retry_after: Duration::from_secs(seconds),
            }))
        };
        let url = "https://issuer.example/token".to_owned();
        let source = std::io::Error::other("connection refused");
        let gone = credential::Error::Issuer(credential::issuer::IssuerError::Unreachable {
            server: "the issuer",
            url: url.clone(),
            source: Arc::new(source),
        });
        let (response, status) = status_of(failing(gone, 2)).await;
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(response.headers()[RETRY_AFTER], "2");
        assert_eq!(status["details"]["retryAfterSeconds"], 2);
        assert_eq!(
            status["message"],
            "kubegate: no credential for the API server: cannot reach the issuer at \
             https://issuer.example/token (next try in 2 s): connection refused; check that this machine can reach it (network, VPN, HTTPS_PROXY)"
        );

        let busy = credential::Error::Issuer(credential::issuer::IssuerError::TimedOut {
            server: "the issuer",
            url,
            after: Duration::from_secs(10),
        });
        let (response, status) = status_of(failing(busy, 7)).await;
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        // client-go would try ten times.
        assert!(response.headers().get(RETRY_AFTER).is_none());
        let message = status["message"].as_str().unwrap();
        assert!(message.contains("next try in 7 s"), "{message}");

        let dead = credential::Error::LoginNeeded {
            subject: "OIDC issuer https://issuer.example".to_owned(),
            problem: "the refresh token was refused".into(),
            remedy: "run `kubegate login`".to_owned(),
        };
        let (response, status) = status_of(failing(dead, 7)).await;
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
        assert!(response.headers().get(RETRY_AFTER).is_none());
        assert_eq!(status["reason"], "Unauthorized");
        // kubectl prints it where it shows no message.
        assert_eq!(
            response.headers()[WARNING],
            "299 - \"OIDC issuer https://issuer.example: the refresh token was refused; run \
             `kubegate login`\""
        );
        assert_eq!(
            status["message"],
            "kubegate: no credential for the API server: OIDC issuer https://issuer.example: the \
             refresh token was refused; run `kubegate login` (next try in 7 s)"
        );
    }

    #[tokio::test]
    async fn without_file_descriptors_it_is_503_with_a_remedy() {
        let source = std::io::Error::from_raw_os_error(rustix::io::Errno::MFILE.raw_os_error());
        let (response, status) = status_of(Error::Upstream(upstream::Error::Connect {
            server: "api.example:6443".into(),
            source: Arc::new(source),
        }))
        .await;
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(response.headers()[RETRY_AFTER], "1");
        let message = status["message"].as_str().unwrap();
        assert!(message.ends_with("raise ulimit -n"), "{message}");
    }

    fn down() -> [(upstream::Error, u16, &'static str); 5] {
        let server = || "api.example:6443".to_owned();
        let source = |text: &str| Arc::new(std::io::Error::other(text.to_owned()));
        [
            (
                upstream::Error::Connect {
                    server: server(),
                    source: source("connection refused"),
                },
                502,
                "kubegate: cannot connect to api.example:6443: connection refused; check that the \
                 API server runs and that the kubeconfig's cluster, or --server, names it",
            ),
            (
                upstream::Error::ConnectTimeout {
                    server: server(),
                    limit: Duration::from_millis(1500),
                },
                504,
                "kubegate: api.example:6443 did not accept a connection within 1.5 s; check that",
            ),
            (
                upstream::Error::Unreachable {
                    server: server(),
                    source: source("no route to host"),
                },
                504,
                "kubegate: cannot reach api.example:6443: no route to host; check that",
            ),
            (
                upstream::Error::Broken {
                    server: server(),
                    source: source("end of file"),
                },
                502,
                "kubegate: the connection to api.example:6443 broke before it answered: end",
            ),
            (
                upstream::Error::Unresponsive {
                    server: server(),
                    waited: Duration::from_secs(4),
                },
                504,
                "kubegate: api.example:6443 did not answer liveness probes; the request waited 4 s, \
                 and it is not known",
            ),
        ]
    }

    #[tokio::test]
    async fn an_unreachable_server_is_a_status_without_a_time_to_retry() {
        for (error, code, said) in down() {
            let (response, status) = status_of(Error::Upstream(error)).await;
            assert_eq!(response.status().as_u16(), code, "{said}");
            assert!(response.headers().get(RETRY_AFTER).is_none(), "{said}");
            assert!(status.get("details").is_none(), "{status}");
            let reason = if code == 504 {
                "Timeout"
            } else {
                "InternalError"
            };
            assert_eq!(status["reason"], reason);
            let message = status["message"].as_str().unwrap();
            assert!(message.starts_with(said), "{message}");
        }
    }

    #[tokio::test]
    async fn discovery_of_an_unreachable_server_is_502_and_text() {
        for (error, _, said) in down() {
            let (head, body) = respond_in_text(&Error::Upstream(error)).into_parts();
            assert_eq!(head.status, StatusCode::BAD_GATEWAY, "{said}");
            assert_eq!(head.headers[CONTENT_TYPE], "text/plain; charset=utf-8");
            assert_eq!(head.headers[X_CONTENT_TYPE_OPTIONS], "nosniff");
            assert!(!head.headers.contains_key(RETRY_AFTER));
            let text = body.collect().await.unwrap().to_bytes();
            assert!(text.starts_with(said.as_bytes()), "{text:?}");
            assert!(text.ends_with(b"\n"));
        }
        // client-go retries for a credential that will be there soon.
        let soon = credential::Error::Backoff(credential::Backoff {
            cause: Arc::new(credential::Error::Issuer(
                credential::issuer::IssuerError::TimedOut {
                    server: "the issuer",
                    url: "https://issuer.example/token".into(),
                    after: Duration::from_secs(10),
                },
            )),
            retry_after: Duration::from_secs(1),
        });
        let soon = respond_in_text(&Error::Credential(soon));
        assert_eq!(soon.headers()[RETRY_AFTER], "1");
        // Of a refusal client-go shows the meaning of its status.
        let refused = Error::Refused(Refusal::forbidden("a rule", "not here"));
        let refused = respond_in_text(&refused);
        assert_eq!(refused.status(), StatusCode::FORBIDDEN);
        assert_eq!(refused.headers()[CONTENT_TYPE], "application/json");
    }
}
