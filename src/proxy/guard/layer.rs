//! The guard's two checks as layers.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! use std::sync::Arc;
//!
//! use http::{Request, Response};
//! use kubegate::proxy::{Body, Error, guard::{self, Guard, Rules}, request_info};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! let guard = Arc::new(Guard::new(&Rules::default()).unwrap());
//! let service = ServiceBuilder::new()
//!     .layer(guard::origin_layer(guard.clone()))
//!     .layer(request_info::layer())
//!     .layer(guard::request_layer(guard))
//!     .service(service_fn(async |_: Request<()>| {
//!         Ok::<_, Error>(Response::new(Body::Empty))
//!     }));
//! let ask = |path: &str, host: &str| Request::get(path).header("host", host).body(()).unwrap();
//! let pods = ask("/api/v1/pods", "localhost:8001");
//! assert!(service.clone().oneshot(pods).await.is_ok());
//! let rebound = ask("/api/v1/pods", "attacker.example");
//! assert!(service.clone().oneshot(rebound).await.is_err());
//! let exec = ask("/api/v1/namespaces/x/pods/p/exec", "localhost:8001");
//! assert!(service.oneshot(exec).await.is_err());
//! # }
//! ```

use std::sync::Arc;

use http::Request;

use super::{
    Guard,
    local_access::{CheckLocalAccess, LocalAccess},
    origin::{self, Caller},
};
use crate::proxy::{
    app_origin::AppOrigin,
    extra_route::ToExtraRoute,
    head_filter::{HeadFilter, HeadFilterLayer},
    refusal::Refusal,
    request_info::RequestInfo,
    untrusted_content::UntrustedContent,
};

/// Checks who is calling. Belongs outside of CORS, routing and static files.
#[must_use]
pub fn origin_layer(guard: Arc<Guard>) -> HeadFilterLayer<CheckOrigin> {
    HeadFilterLayer::new(CheckOrigin(guard))
}

/// Checks the certificate, token or cookie by which a client proves that it may use this proxy, if that is required.
/// Belongs inside of CORS, since a preflight cannot bring a token.
#[must_use]
pub fn token_layer(access: Arc<LocalAccess>) -> HeadFilterLayer<CheckLocalAccess> {
    HeadFilterLayer::new(CheckLocalAccess(access))
}

/// Checks what is asked. Belongs inside of the layer that reads the [`RequestInfo`].
#[must_use]
pub fn request_layer(guard: Arc<Guard>) -> HeadFilterLayer<CheckRequest> {
    HeadFilterLayer::new(CheckRequest(guard))
}

/// See [`origin_layer`].
#[derive(Debug)]
pub struct CheckOrigin(Arc<Guard>);

impl HeadFilter for CheckOrigin {
    fn filter<B>(&self, request: &mut Request<B>) -> Result<(), Refusal> {
        if request.extensions().get::<CutTarget>().is_some() {
            return Err(Refusal::malformed(
                "raw # in a pipelined request",
                "the request did not wait for the response to the previous one, and its target may \
                 contain a raw #; wait for the response, or percent-encode the # as %23",
            )
            .and_close());
        }
        let (caller, app) = self.0.check_caller(request)?;
        if caller == Caller::Browser {
            request.extensions_mut().insert(FromBrowser);
        }
        if let Some(app) = app {
            request.extensions_mut().insert(app);
        }
        Ok(())
    }
}

/// Among the extensions of a request whose target may have been cut off at a raw `#`. It is refused,
/// since the rest of the target cannot be checked or sent.
#[derive(Clone, Copy, Debug)]
pub struct CutTarget;

/// Among the extensions of a request that a browser sent.
#[derive(Clone, Copy, Debug)]
struct FromBrowser;

/// See [`request_layer`].
#[derive(Debug)]
pub struct CheckRequest(Arc<Guard>);

impl HeadFilter for CheckRequest {
    fn filter<B>(&self, request: &mut Request<B>) -> Result<(), Refusal> {
        let info = request.extensions().get::<RequestInfo>();
        let info = info.ok_or_else(|| {
            Refusal::bug(
                "unread request",
                "the guard got a request that was not read",
            )
        })?;
        let app = request.extensions().get::<AppOrigin>();
        let capabilities = self.0.check_request_at(app, info, request.headers())?;
        // There an app has its own cookies, and no other page to harm.
        let has_own_origin = app.is_some();
        let marked = request.extensions().get::<FromBrowser>().is_some();
        // Whatever server it is, its pages are not those of the API's origin.
        let leads_elsewhere = request.extensions().get::<ToExtraRoute>().is_some();
        // A program makes no page of a response.
        if capabilities.untrusted || marked || leads_elsewhere {
            let content = UntrustedContent {
                proxied: capabilities.proxied || leads_elsewhere,
                browser: marked || origin::is_browser(request.headers()),
                trusted: (self.0.trust_proxied_pages || has_own_origin) && !leads_elsewhere,
                certain: capabilities.untrusted || leads_elsewhere,
            };
            request.extensions_mut().insert(content);
        }
        Ok(())
    }
}
