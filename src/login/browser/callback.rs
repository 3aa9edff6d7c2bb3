//! The listener for the redirect of the browser. The first request with a code or an error ends the
//! login, so that codes cannot be tried one after another.

use std::{
    convert::Infallible,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header::CONTENT_TYPE};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{mpsc, oneshot},
    task::JoinSet,
    time::timeout,
};
use zeroize::Zeroizing;

use crate::{
    credential::{
        oauth::{form_value, known_error},
        random_text,
    },
    login::Error,
    secret::Secret,
};

/// The text of `oc login --web`.
const RECEIVED: &str = "access token received successfully; please return to your terminal";
const FAILED: &str = "the login failed; please return to your terminal, which says why";
/// How long the browser may take to read the last page.
const PAGE_TIMEOUT: Duration = Duration::from_secs(1);

/// The listener for the redirect of one login.
pub(in crate::login) struct Callback {
    listener: TcpListener,
    redirect_uri: String,
    expected: Arc<Expected>,
}

/// What a request of the redirect has to match.
struct Expected {
    path: String,
    state: Zeroizing<String>,
}

/// The request that ends the wait.
struct Redirected {
    code: Result<Secret, Error>,
    /// Takes the text of the page to answer with.
    page: oneshot::Sender<&'static str>,
    /// Closed once the page is sent or the browser has closed the connection.
    closed: oneshot::Receiver<Infallible>,
}

impl Callback {
    /// Listens on any free port: `http://127.0.0.1:PORT/callback`.
    ///
    /// # Errors
    /// A port that cannot be bound.
    pub(in crate::login) async fn listen() -> Result<Self, Error> {
        let address = (Ipv4Addr::LOCALHOST, 0).into();
        Self::listen_on(address, "127.0.0.1", "/callback").await
    }

    /// Listens on `address`, which should be a loopback address; port 0 takes any free port. `host` and
    /// `path` are those of the redirect URI that the issuer knows, such as `localhost` and `/`.
    ///
    /// # Errors
    /// A port that cannot be bound.
    pub(in crate::login) async fn listen_on(
        address: SocketAddr,
        host: &str,
        path: &str,
    ) -> Result<Self, Error> {
        let failed = |source| Error::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let port = listener.local_addr().map_err(failed)?.port();
        let expected = Expected {
            // A browser requests a URL without a path as `/`.
            path: if path.is_empty() { "/" } else { path }.to_owned(),
            state: random_text()?,
        };
        Ok(Self {
            listener,
            redirect_uri: format!("http://{host}:{port}{path}"),
            expected: Arc::new(expected),
        })
    }

    /// Takes `redirect_uri` as the redirect URI: the issuer knows this machine, or a proxy in front of
    /// it, by that.
    #[must_use]
    pub(in crate::login) fn known_as(self, redirect_uri: &str) -> Self {
        let redirect_uri = redirect_uri.to_owned();
        Self {
            redirect_uri,
            ..self
        }
    }

    /// Returns the `redirect_uri` for the authorize URL and for redeeming the code.
    #[must_use]
    pub(in crate::login) fn redirect_uri(&self) -> &str {
        &self.redirect_uri
    }

    /// Returns the `state` for the authorize URL, which the browser has to bring back.
    #[must_use]
    pub(in crate::login) fn state(&self) -> &str {
        &self.expected.state
    }

    /// Waits up to `limit` for the browser, redeems the code that it brings, and shows the outcome in
    /// the browser.
    ///
    /// # Errors
    /// No request within the limit; another state; an error of the issuer; the error of `redeem`.
    pub(in crate::login) async fn complete<T, E: From<Error>>(
        self,
        limit: Duration,
        redeem: impl AsyncFnOnce(Secret) -> Result<T, E>,
    ) -> Result<T, E> {
        let (sender, mut receiver) = mpsc::channel(1);
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(self.listener, self.expected, sender));
        let redirected = timeout(limit, receiver.recv()).await.ok().flatten();
        let Redirected { code, page, closed } =
            redirected.ok_or(Error::BrowserTimedOut { after: limit })?;
        let redeemed = match code {
            Ok(code) => redeem(code).await,
            Err(error) => Err(error.into()),
        };
        // A browser that has closed the connection is not told; the terminal shows the outcome too.
        let _ = page.send(if redeemed.is_ok() { RECEIVED } else { FAILED });
        let _ = timeout(PAGE_TIMEOUT, closed).await;
        tasks.shutdown().await;
        redeemed
    }
}

/// Serves every connection: browsers also open connections that they do not use.
async fn accept(listener: TcpListener, expected: Arc<Expected>, sender: mpsc::Sender<Redirected>) {
    let mut connections = JoinSet::new();
    loop {
        if let Ok((stream, _)) = listener.accept().await {
            connections.spawn(serve(stream, expected.clone(), sender.clone()));
        } else {
            // Mostly for lack of file descriptors, some of which may be closed soon.
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

/// Serves one connection.
async fn serve(stream: TcpStream, expected: Arc<Expected>, sender: mpsc::Sender<Redirected>) {
    let (open, closed) = oneshot::channel();
    let closed = std::sync::Mutex::new(Some(closed));
    let service = service_fn(|request| {
        let (checked, sender, closed) = (expected.check(&request), sender.clone(), &closed);
        async move {
            let page = match checked {
                Err(status) => return Ok::<_, Infallible>(response(status, "")),
                Ok(code) => {
                    let closed = closed.lock().ok().and_then(|mut closed| closed.take());
                    deliver(code, closed, &sender).await
                }
            };
            Ok(match page {
                Some(page) => response(StatusCode::OK, page),
                None => response(StatusCode::GONE, "this login is over"),
            })
        }
    });
    let connection = http1::Builder::new()
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    // After an error the browser may come back on another connection.
    let _ = connection.await;
    drop(open);
}

/// Delivers the code to the login, and returns the page to answer with; `None` for every request but
/// the first.
async fn deliver(
    code: Result<Secret, Error>,
    closed: Option<oneshot::Receiver<Infallible>>,
    sender: &mpsc::Sender<Redirected>,
) -> Option<&'static str> {
    let (page, shown) = oneshot::channel();
    let redirected = Redirected {
        code,
        page,
        closed: closed?,
    };
    // The channel has a capacity of one and is read once, so a second request gets no page.
    sender.try_send(redirected).ok()?;
    shown.await.ok()
}

impl Expected {
    /// Returns the code or the error that a request brings, or the status to answer if it has neither.
    fn check(&self, request: &Request<Incoming>) -> Result<Result<Secret, Error>, StatusCode> {
        if request.uri().path() != self.path {
            return Err(StatusCode::NOT_FOUND);
        }
        if request.method() != Method::GET {
            return Err(StatusCode::METHOD_NOT_ALLOWED);
        }
        let query = request.uri().query().unwrap_or_default();
        match (form_value(query, "code"), form_value(query, "error")) {
            (None, None) => Err(StatusCode::BAD_REQUEST),
            (_, Some(error)) => Ok(Err(failure(&error))),
            (Some(code), None) => Ok(self.checked(&code, form_value(query, "state"))),
        }
    }

    fn checked(&self, code: &str, state: Option<Zeroizing<String>>) -> Result<Secret, Error> {
        let same = state.is_some_and(|state| {
            verify_slices_are_equal(state.as_bytes(), self.state.as_bytes()).is_ok()
        });
        if !same {
            return Err(Error::Browser {
                problem: "its state is not the one sent, so the code may be of another login; \
                          run the command again"
                    .to_owned(),
            });
        }
        Ok(Secret::new(code))
    }
}

fn failure(error: &str) -> Error {
    Error::Browser {
        problem: match known_error(error) {
            Some("access_denied") => "access was denied (access_denied)".to_owned(),
            Some(code) => format!("the issuer says {code}"),
            None => "the issuer reported an unknown error code".to_owned(),
        },
    }
}

fn response(status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from_static(text.as_bytes())));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    headers.insert(CONTENT_TYPE, plain);
    // Keeps the code, which is in the URL, out of other requests.
    headers.insert("referrer-policy", HeaderValue::from_static("no-referrer"));
    headers.insert("cache-control", HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests;
