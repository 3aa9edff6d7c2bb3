//! The listener for the redirect of the browser. The first request with the state of this login, which
//! nobody can guess, ends it; a stray visit, such as that of an old tab, does not.

use std::{
    convert::Infallible,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
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
        oauth::{OauthError, form_value},
        random_text,
    },
    error::with_causes,
    login::Error,
    printable::excerpt,
    secret::Secret,
};

/// The text of `oc login --web`.
const RECEIVED: &str = "access token received successfully; please return to your terminal";
/// The text for a visit that is not the redirect of this login.
const STRAY: &str = "this is not the login that kubegate waits for, perhaps an earlier one; use the page \
                     that it opened last";
/// Characters of an error that the browser shows.
const ERROR_LIMIT: usize = 600;
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
    /// Whether a stray visit was logged.
    has_warned: AtomicBool,
}

/// The request that ends the wait.
struct Redirected {
    code: Result<Secret, Error>,
    /// Takes the text of the page to answer with.
    page: oneshot::Sender<String>,
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
            has_warned: AtomicBool::new(false),
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
    /// No request within the limit; an error of the issuer; the error of `redeem`.
    pub(in crate::login) async fn complete<T, E: From<Error> + std::error::Error>(
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
        let _ = page.send(match &redeemed {
            Ok(_) => RECEIVED.to_owned(),
            Err(error) => format!(
                "the login failed; please return to your terminal\n\n{}",
                excerpt(&with_causes(error), ERROR_LIMIT)
            ),
        });
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
                Err(status) => {
                    let text = if status == StatusCode::BAD_REQUEST {
                        STRAY
                    } else {
                        ""
                    };
                    return Ok::<_, Infallible>(response(status, text));
                }
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
) -> Option<String> {
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
    /// Returns the code or the error that a request brings, or the status to answer if it is not the
    /// redirect of this login.
    fn check(&self, request: &Request<Incoming>) -> Result<Result<Secret, Error>, StatusCode> {
        if request.uri().path() != self.path {
            return Err(StatusCode::NOT_FOUND);
        }
        if request.method() != Method::GET {
            return Err(StatusCode::METHOD_NOT_ALLOWED);
        }
        let query = request.uri().query().unwrap_or_default();
        let (code, error) = (form_value(query, "code"), OauthError::of_redirect(query));
        if !self.is_own_state(query) {
            self.warn_of_stray(code.is_some(), error.as_ref());
            return Err(StatusCode::BAD_REQUEST);
        }
        match (code, error) {
            (_, Some(error)) => Ok(Err(Error::Browser {
                problem: format!("the issuer says {error}"),
            })),
            (Some(code), None) => Ok(Ok(Secret::new(code.as_str()))),
            (None, None) => Err(StatusCode::BAD_REQUEST),
        }
    }

    fn is_own_state(&self, query: &str) -> bool {
        form_value(query, "state").is_some_and(|state| {
            verify_slices_are_equal(state.as_bytes(), self.state.as_bytes()).is_ok()
        })
    }

    /// Warns once: the issuer may leave the state out of its errors, against RFC 6749, section 4.1.2.1.
    fn warn_of_stray(&self, has_code: bool, error: Option<&OauthError>) {
        let what = match error {
            Some(error) => format!("the error {error}"),
            None if has_code => "a code".to_owned(),
            None => return,
        };
        if !self.has_warned.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "a browser came back with {what}, but not from this login, which goes on waiting"
            );
        }
    }
}

fn response(status: StatusCode, text: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(text.into()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    headers.insert(CONTENT_TYPE, plain);
    // The text may have words of the issuer.
    headers.insert(
        "x-content-type-options",
        HeaderValue::from_static("nosniff"),
    );
    // Keeps the code, which is in the URL, out of other requests.
    headers.insert("referrer-policy", HeaderValue::from_static("no-referrer"));
    headers.insert("cache-control", HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests;
