//! The listener to which the browser comes back. The first visit that brings a code or an error
//! is final, so that nobody can try many.

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

use super::super::Error;
use crate::{
    credential::{
        oauth::{form_value, known_error},
        random_text,
    },
    secret::Secret,
};

/// As `oc login --web` says it.
const RECEIVED: &str = "access token received successfully; please return to your terminal";
const FAILED: &str = "the login failed; please return to your terminal, which says why";
/// How long the browser may take to read the page that ends it.
const FAREWELL: Duration = Duration::from_secs(1);
/// Waits for one browser to come back from one login.
pub struct Callback {
    listener: TcpListener,
    redirect_uri: String,
    expected: Arc<Expected>,
}

/// What a visit is judged by.
struct Expected {
    path: String,
    state: Zeroizing<String>,
}

/// A visit that ends the wait, and how to answer it.
struct Visit {
    outcome: Result<Secret, Error>,
    page: oneshot::Sender<&'static str>,
    /// Closed once the page was sent, or the browser left.
    gone: oneshot::Receiver<Infallible>,
}

impl Callback {
    /// Listens on any free port: `http://127.0.0.1:PORT/callback`.
    ///
    /// # Errors
    /// Where no port is to be had.
    pub async fn listen() -> Result<Self, Error> {
        let address = (Ipv4Addr::LOCALHOST, 0).into();
        Self::listen_on(address, "127.0.0.1", "/callback").await
    }

    /// Listens where an issuer knows it by: port 0 is any free port, `host` and `path` stand in
    /// the redirect URI (`localhost`, `/`). `address` should be one of loopback's.
    ///
    /// # Errors
    /// Where the port is not to be had.
    pub async fn listen_on(address: SocketAddr, host: &str, path: &str) -> Result<Self, Error> {
        let failed = |source| Error::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let port = listener.local_addr().map_err(failed)?.port();
        let expected = Expected {
            // An URL without a path is asked for with a slash.
            path: if path.is_empty() { "/" } else { path }.to_owned(),
            state: random_text()?,
        };
        Ok(Self {
            listener,
            redirect_uri: format!("http://{host}:{port}{path}"),
            expected: Arc::new(expected),
        })
    }

    /// `redirect_uri`, for the authorize URL and for redeeming the code.
    #[must_use]
    pub fn redirect_uri(&self) -> &str {
        &self.redirect_uri
    }

    /// `state`, for the authorize URL: the visit must bring it along.
    #[must_use]
    pub fn state(&self) -> &str {
        &self.expected.state
    }

    /// Waits up to `patience` for the browser, has the code it brings redeemed, and shows in the
    /// browser how that went.
    ///
    /// # Errors
    /// Nobody came in time; a visit with another state, or with an error; what `redeem` says.
    pub async fn complete<T, E: From<Error>>(
        self,
        patience: Duration,
        redeem: impl AsyncFnOnce(Secret) -> Result<T, E>,
    ) -> Result<T, E> {
        let (visits, mut visit) = mpsc::channel(1);
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(self.listener, self.expected, visits));
        let visit = timeout(patience, visit.recv()).await.ok().flatten();
        let Visit {
            outcome,
            page,
            gone,
        } = visit.ok_or(Error::BrowserTimedOut { after: patience })?;
        let redeemed = match outcome {
            Ok(code) => redeem(code).await,
            Err(error) => Err(error.into()),
        };
        // A browser that left meanwhile misses nothing that the terminal does not say.
        let _ = page.send(if redeemed.is_ok() { RECEIVED } else { FAILED });
        let _ = timeout(FAREWELL, gone).await;
        tasks.shutdown().await;
        redeemed
    }
}

/// Serves every connection: browsers open some that they do not use.
async fn accept(listener: TcpListener, expected: Arc<Expected>, visits: mpsc::Sender<Visit>) {
    let mut connections = JoinSet::new();
    loop {
        if let Ok((stream, _)) = listener.accept().await {
            connections.spawn(serve(stream, expected.clone(), visits.clone()));
        } else {
            // Out of file descriptors, mostly: give some time to close.
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

/// Serves one connection until a visit ended it.
async fn serve(stream: TcpStream, expected: Arc<Expected>, visits: mpsc::Sender<Visit>) {
    let (here, gone) = oneshot::channel();
    let gone = std::sync::Mutex::new(Some(gone));
    let service = service_fn(|request| {
        let (outcome, visits, gone) = (expected.judge(&request), visits.clone(), &gone);
        async move {
            let page = match outcome {
                Err(status) => return Ok::<_, Infallible>(response(status, "")),
                Ok(outcome) => {
                    let gone = gone.lock().ok().and_then(|mut gone| gone.take());
                    announce(outcome, gone, &visits).await
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
    // A browser that breaks off may come back on another connection.
    let _ = connection.await;
    drop(here);
}

/// Hands a visit to who waits, and waits for the page to show; `None` for all but the first.
async fn announce(
    outcome: Result<Secret, Error>,
    gone: Option<oneshot::Receiver<Infallible>>,
    visits: &mpsc::Sender<Visit>,
) -> Option<&'static str> {
    let (page, shown) = oneshot::channel();
    let visit = Visit {
        outcome,
        page,
        gone: gone?,
    };
    // Room for one, which is taken once: a second stays in the channel for ever.
    visits.try_send(visit).ok()?;
    shown.await.ok()
}

impl Expected {
    /// What a request brings; the status to answer where it brings nothing.
    fn judge(&self, request: &Request<Incoming>) -> Result<Result<Secret, Error>, StatusCode> {
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
                problem: "its state is not the one sent, so the code may be somebody else's; \
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
            None => "the issuer says so, without a reason that is known".to_owned(),
        },
    }
}

fn response(status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from_static(text.as_bytes())));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    headers.insert(CONTENT_TYPE, plain);
    // The code in the address goes nowhere else.
    headers.insert("referrer-policy", HeaderValue::from_static("no-referrer"));
    headers.insert("cache-control", HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests;
