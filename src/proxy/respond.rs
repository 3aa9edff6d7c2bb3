//! Any error becomes a Kubernetes `Status`. A refusal brings its HTTP status; for every other
//! error it is chosen here.

use std::{
    borrow::Cow,
    convert::Infallible,
    task::{Context, Poll, ready},
    time::Duration,
};

use futures_util::future::{FutureExt as _, Map};
use http::{
    HeaderMap, HeaderValue, Request, Response, StatusCode,
    header::{CONNECTION, CONTENT_TYPE, RETRY_AFTER, X_CONTENT_TYPE_OPTIONS},
};
use serde_json::json;
use tower::{Layer, Service};

use super::{Body, Error, client_go, refusal::Refusal, request_info::RequestInfo};
use crate::{credential, descriptors, error::with_causes, printable::printable, tls, upstream};

/// How long a client should wait before it asks again, where all our descriptors are in use.
const RETRY: Duration = Duration::from_secs(1);
/// The longest time to wait that a client is told. client-go tries 429 and every 5xx that has a
/// `Retry-After` ten times: `kubectl` would say what is wrong a minute later.
const LONGEST_RETRY: Duration = Duration::from_secs(2);

/// Turns errors of the service within into answers.
#[derive(Clone, Copy, Debug)]
pub(super) struct RespondLayer {
    for_api: bool,
}

impl RespondLayer {
    /// For errors that are refusals.
    pub(super) fn to_refusals() -> Self {
        Self { for_api: false }
    }

    /// For errors on the way to the API server. Its own paths must be what the layer sees.
    pub(super) fn for_api() -> Self {
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
pub(super) struct Respond<S> {
    inner: S,
    for_api: bool,
}

impl<S, B> Service<Request<B>> for Respond<S>
where
    S: Service<Request<B>, Response = Response<Body>, Error = Error>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Map<S::Future, Answering>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // One that failed to become ready fails its call too, and is answered there.
        let _ = ready!(self.inner.poll_ready(cx));
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let info = request.extensions().get::<RequestInfo>();
        let is_text = |info| client_go::reads_text_alone(info, request.headers());
        let answering: Answering = if self.for_api && info.is_some_and(is_text) {
            |outcome| Ok(outcome.unwrap_or_else(|error| answer_in_text(&error)))
        } else {
            |outcome| Ok(outcome.unwrap_or_else(|error| answer(&error)))
        };
        self.inner.call(request).map(answering)
    }
}

type Answering = fn(Result<Response<Body>, Error>) -> Result<Response<Body>, Infallible>;

/// Says what went wrong in the log, and to the client.
pub(super) fn answer(error: &Error) -> Response<Body> {
    let answer = Answer::to(error);
    answer.log(error);
    answer.into_response().map(Body::text)
}

/// The same for a request of which client-go shows no other failure.
fn answer_in_text(error: &Error) -> Response<Body> {
    let answer = Answer::to(error);
    answer.log(error);
    let shown = answer.status.is_server_error();
    let response = if shown {
        answer.into_text()
    } else {
        answer.into_response()
    };
    response.map(Body::text)
}

/// The whole answer, head and body, to what does not become a request. The connection closes
/// behind it.
#[must_use]
pub fn encode_refusal(refusal: Refusal, retry_after: Option<Duration>) -> Vec<u8> {
    let answer = Answer {
        status: refusal.status,
        message: refusal.message,
        retry_after,
        close: true,
    };
    let (head, body) = answer.into_response().into_parts();
    let words = format!(
        "HTTP/1.1 {}\r\ncontent-length: {}\r\n",
        head.status,
        body.len()
    );
    let mut words = words.into_bytes();
    for (name, value) in &head.headers {
        words.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
    }
    words.extend([b"\r\n", body.as_bytes()].concat());
    words
}

/// An error as the client sees it.
#[derive(Debug)]
struct Answer {
    status: StatusCode,
    message: String,
    retry_after: Option<Duration>,
    close: bool,
}

impl Answer {
    fn to(error: &Error) -> Self {
        let (status, retry_after) = match error {
            Error::Refused(refusal) => (refusal.status, None),
            Error::Credential(e) if e.is_transient() => (
                StatusCode::SERVICE_UNAVAILABLE,
                e.retry_after().filter(|wait| *wait <= LONGEST_RETRY),
            ),
            Error::Credential(_) => (StatusCode::UNAUTHORIZED, None),
            Error::Unresolved(e) => match e.downcast_ref() {
                Some(credential::Error::LoginNeeded { .. }) => (StatusCode::UNAUTHORIZED, None),
                _ => (StatusCode::SERVICE_UNAVAILABLE, None),
            },
            Error::NoDestination => (StatusCode::INTERNAL_SERVER_ERROR, None),
            Error::UnexpectedSwitch | Error::BadFraming { .. } | Error::BadUpgrade { .. } => {
                (StatusCode::BAD_GATEWAY, None)
            }
            // None of these has a time to retry: whoever asks again learns no sooner that a
            // server is back, and a request that broke may have been carried out.
            Error::Upstream(e) => match e {
                upstream::Error::Connect { source, .. }
                    if descriptors::ran_out(source.as_ref()) =>
                {
                    (StatusCode::SERVICE_UNAVAILABLE, Some(RETRY))
                }
                // It has waited for longer than would help.
                upstream::Error::Busy { .. } => (StatusCode::SERVICE_UNAVAILABLE, None),
                upstream::Error::ConnectTimeout { .. }
                | upstream::Error::Unreachable { .. }
                | upstream::Error::Unresponsive { .. } => (StatusCode::GATEWAY_TIMEOUT, None),
                upstream::Error::Connect { .. }
                | upstream::Error::Untrusted { .. }
                | upstream::Error::Broken { .. }
                | upstream::Error::HeadTooLarge { .. } => (StatusCode::BAD_GATEWAY, None),
                upstream::Error::ClientBody { .. } => (StatusCode::BAD_REQUEST, None),
                upstream::Error::PathTooLong => (StatusCode::URI_TOO_LONG, None),
            },
        };
        Self {
            status,
            message: with_causes(error) + &fix(error),
            retry_after,
            close: match error {
                Error::Refused(refusal) => refusal.close,
                // What comes behind a broken body or a failed upgrade was not meant as a request.
                Error::Upstream(upstream::Error::ClientBody { .. })
                | Error::BadFraming { .. }
                | Error::BadUpgrade { .. } => true,
                _ => false,
            },
        }
    }

    /// Requests fail by the hundred for one reason: the log names it once, and counts them.
    fn log(&self, error: &Error) {
        let (status, message) = (self.status.as_u16(), &self.message);
        match error {
            Error::Refused(_)
            | Error::NoDestination
            | Error::UnexpectedSwitch
            | Error::BadFraming { .. }
            | Error::BadUpgrade { .. } => {
                tracing::warn!(request_repeats = kind(message), status, "{message}");
            }
            Error::Upstream(e) if e.server().is_some() => {
                // The circuit says under the same name when the server is back.
                let server = e.server().unwrap_or_default();
                tracing::warn!(repeats = server, status, "{message}");
            }
            // What obtains a credential warns of it.
            Error::Upstream(_) | Error::Credential(_) | Error::Unresolved(_) => {
                tracing::debug!(status, "{message}");
            }
        }
    }

    /// A text, and 502 whatever went wrong: of 503 and 504 client-go says what it thinks they
    /// mean, and of 502 what the text says (`NewGenericServerResponse` in
    /// k8s.io/apimachinery/pkg/api/errors).
    fn into_text(self) -> Response<String> {
        let mut response = Response::new(format!("kubegate: {}\n", printable(&self.message)));
        *response.status_mut() = StatusCode::BAD_GATEWAY;
        let headers = response.headers_mut();
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("text/plain; charset=utf-8"),
        );
        self.frame(headers);
        response
    }

    fn into_response(self) -> Response<String> {
        let mut status = json!({
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": format!("kubegate: {}", printable(&self.message)),
            "reason": reason(self.status),
            "code": self.status.as_u16(),
        });
        if let Some(seconds) = self.retry_seconds() {
            status["details"] = json!({ "retryAfterSeconds": seconds });
        }
        let mut response = Response::new(status.to_string() + "\n");
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        self.frame(headers);
        response
    }

    fn retry_seconds(&self) -> Option<u64> {
        self.retry_after.map(|wait| wait.as_secs().max(1))
    }

    fn frame(&self, headers: &mut HeaderMap) {
        // The message may repeat what somebody else's link asked for.
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        if let Some(seconds) = self.retry_seconds() {
            headers.insert(RETRY_AFTER, seconds.into());
        }
        if self.close {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
    }
}

/// What messages of one kind have in common: all but what they quote, and numbers.
fn kind(message: &str) -> String {
    let mut kind = String::with_capacity(message.len());
    let mut chars = message.chars();
    while let Some(c) = chars.next() {
        if c.is_ascii_digit() {
            continue;
        }
        kind.push(c);
        if c != '"' {
            continue;
        }
        while let Some(quoted) = chars.next() {
            match quoted {
                '\\' => drop(chars.next()),
                '"' => break,
                _ => {}
            }
        }
    }
    kind
}

/// What to do about it, where the error does not say so itself.
fn fix(error: &Error) -> Cow<'static, str> {
    Cow::Borrowed(match error {
        Error::Unresolved(e) => {
            let remedy = e.downcast_ref().and_then(credential::Error::remedy);
            let remedy = remedy.map(|remedy| format!("; {remedy}"));
            return remedy.unwrap_or_default().into();
        }
        Error::Credential(e) => {
            let remedy = e.remedy().map(|remedy| format!("; {remedy}"));
            return remedy.unwrap_or_default().into();
        }
        Error::Upstream(upstream::Error::Connect { source, .. })
            if tls::is_not_tls(source.as_ref()) =>
        {
            "; it does not speak TLS there; if it serves plain HTTP, its URL begins with http://"
        }
        // It says itself what to do.
        Error::Upstream(upstream::Error::Connect { source, .. })
            if tls::tls_error(source.as_ref()).is_some() =>
        {
            ""
        }
        Error::Upstream(upstream::Error::Connect { source, .. })
            if descriptors::ran_out(source.as_ref()) =>
        {
            "; there are no file descriptors for more connections: close some, or raise ulimit -n"
        }
        Error::Upstream(upstream::Error::Connect { .. }) => {
            "; see that the API server runs and that the kubeconfig's cluster, or --server, \
             names it"
        }
        Error::Upstream(
            upstream::Error::ConnectTimeout { .. } | upstream::Error::Unreachable { .. },
        ) => {
            "; see that this machine can reach it (network, VPN, HTTPS_PROXY or the cluster's \
             proxy-url)"
        }
        Error::Upstream(upstream::Error::Busy { .. }) => {
            "; let some end first, or raise ulimit -n, which the number of connections follows"
        }
        _ => "",
    })
}

/// `metav1.StatusReason` for a status, as the API server names it.
fn reason(status: StatusCode) -> &'static str {
    match status {
        StatusCode::BAD_REQUEST => "BadRequest",
        StatusCode::UNAUTHORIZED => "Unauthorized",
        StatusCode::FORBIDDEN => "Forbidden",
        StatusCode::NOT_FOUND => "NotFound",
        StatusCode::METHOD_NOT_ALLOWED => "MethodNotAllowed",
        StatusCode::SERVICE_UNAVAILABLE => "ServiceUnavailable",
        StatusCode::GATEWAY_TIMEOUT => "Timeout",
        // Kubernetes has no reason of its own for 502.
        StatusCode::BAD_GATEWAY => "InternalError",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::Arc;

    use http_body_util::BodyExt;

    use super::*;

    async fn answer(error: Error) -> (Response<()>, serde_json::Value) {
        let (parts, body) = super::answer(&error).into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        (
            Response::from_parts(parts, ()),
            serde_json::from_slice(&bytes).unwrap(),
        )
    }

    #[test]
    fn what_a_message_quotes_does_not_change_its_kind() {
        let path = |path: &str| kind(&format!("the path {path:?} matches no pattern of 3"));
        assert_eq!(path("/a"), "the path \" matches no pattern of ");
        assert_eq!(path("/a"), path("/b\"c\\"));
        assert_ne!(path("/a"), kind("the method PUT is refused"));
    }

    #[tokio::test]
    async fn a_refusal_is_a_status_with_its_own_code_and_reason() {
        let (response, status) = answer(Error::Refused(Refusal::forbidden("not here"))).await;
        assert_eq!(response.status(), StatusCode::FORBIDDEN);
        assert_eq!(status["kind"], "Status");
        assert_eq!(status["code"], 403);
        assert_eq!(status["reason"], "Forbidden");
        assert_eq!(status["message"], "kubegate: not here");
        assert!(response.headers().get(RETRY_AFTER).is_none());
    }

    #[tokio::test]
    async fn without_a_credential_the_answer_says_why_when_and_what_to_do() {
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
        let (response, status) = answer(failing(gone, 2)).await;
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(response.headers()[RETRY_AFTER], "2");
        assert_eq!(status["details"]["retryAfterSeconds"], 2);
        assert_eq!(
            status["message"],
            "kubegate: no credential for the API server: cannot reach the issuer at \
             https://issuer.example/token (next try in 2 s): connection refused; see that this machine can reach it (network, VPN, HTTPS_PROXY)"
        );

        let busy = credential::Error::Issuer(credential::issuer::IssuerError::TimedOut {
            server: "the issuer",
            url,
            after: Duration::from_secs(10),
        });
        let (response, status) = answer(failing(busy, 7)).await;
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
        let (response, status) = answer(failing(dead, 7)).await;
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
        assert!(response.headers().get(RETRY_AFTER).is_none());
        assert_eq!(status["reason"], "Unauthorized");
        assert_eq!(
            status["message"],
            "kubegate: no credential for the API server: OIDC issuer https://issuer.example: the \
             refresh token was refused; run `kubegate login` (next try in 7 s)"
        );
    }

    #[tokio::test]
    async fn a_server_that_no_descriptor_is_left_for_is_503_with_what_to_do() {
        let source = std::io::Error::from_raw_os_error(rustix::io::Errno::MFILE.raw_os_error());
        let (response, status) = answer(Error::Upstream(upstream::Error::Connect {
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
                "kubegate: cannot connect to api.example:6443: connection refused; see that the \
                 API server runs and that the kubeconfig's cluster, or --server, names it",
            ),
            (
                upstream::Error::ConnectTimeout {
                    server: server(),
                    limit: Duration::from_millis(1500),
                },
                504,
                "kubegate: api.example:6443 did not accept a connection within 1.5 s; see that",
            ),
            (
                upstream::Error::Unreachable {
                    server: server(),
                    source: source("no route to host"),
                },
                504,
                "kubegate: cannot reach api.example:6443: no route to host; see that",
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
                "kubegate: api.example:6443 gave no sign of life for 4 s; it is not known",
            ),
        ]
    }

    #[tokio::test]
    async fn a_server_that_cannot_be_asked_is_a_status_with_its_cause_and_no_time_to_retry() {
        for (error, code, said) in down() {
            let (response, status) = answer(Error::Upstream(error)).await;
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
    async fn where_client_go_shows_text_alone_each_of_them_is_502_and_text() {
        for (error, _, said) in down() {
            let (head, body) = answer_in_text(&Error::Upstream(error)).into_parts();
            assert_eq!(head.status, StatusCode::BAD_GATEWAY, "{said}");
            assert_eq!(head.headers[CONTENT_TYPE], "text/plain; charset=utf-8");
            assert_eq!(head.headers[X_CONTENT_TYPE_OPTIONS], "nosniff");
            assert!(!head.headers.contains_key(RETRY_AFTER));
            let text = body.collect().await.unwrap().to_bytes();
            assert!(text.starts_with(said.as_bytes()), "{text:?}");
            assert!(text.ends_with(b"\n"));
        }
        // A credential that will be there soon is asked for again.
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
        let soon = answer_in_text(&Error::Credential(soon));
        assert_eq!(soon.headers()[RETRY_AFTER], "1");
        // Of a refusal client-go shows what its status means.
        let refused = Error::Refused(Refusal::forbidden("not here"));
        let refused = answer_in_text(&refused);
        assert_eq!(refused.status(), StatusCode::FORBIDDEN);
        assert_eq!(refused.headers()[CONTENT_TYPE], "application/json");
    }
}
