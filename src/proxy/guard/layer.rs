//! The guard as layers, one for each judgement.

use std::sync::Arc;

use http::Request;

use super::{
    Guard, Refusal,
    origin::{self, Caller},
};
use crate::proxy::head_filter::{HeadFilter, HeadFilterLayer};

/// Who asks. Belongs outside of CORS, routing and static files.
pub(in crate::proxy) fn origin_layer(guard: Arc<Guard>) -> HeadFilterLayer<JudgeOrigin> {
    HeadFilterLayer::new(JudgeOrigin(guard))
}

/// What is asked. Belongs inside of routing, where `--api-prefix` is off the path and static
/// files have been answered.
pub(in crate::proxy) fn request_layer(guard: Arc<Guard>) -> HeadFilterLayer<JudgeRequest> {
    HeadFilterLayer::new(JudgeRequest(guard))
}

#[derive(Debug)]
pub(in crate::proxy) struct JudgeOrigin(Arc<Guard>);

impl HeadFilter for JudgeOrigin {
    fn filter<B>(&self, request: &mut Request<B>) -> Result<(), Refusal> {
        if self.0.caller(request)? == Caller::Browser {
            request.extensions_mut().insert(FromBrowser);
        }
        Ok(())
    }
}

/// Marks a request that a browser sent, among its extensions.
#[derive(Clone, Copy, Debug)]
struct FromBrowser;

/// Marks a request whose answer somebody other than the API server writes, or may write, among its
/// extensions.
// Each is a fact of its own, not a state.
#[allow(clippy::struct_excessive_bools)]
#[derive(Clone, Copy, Debug)]
pub(in crate::proxy) struct UntrustedContent {
    /// Passed on to a server behind the API server, and not only fetched from one.
    pub(in crate::proxy) proxied: bool,
    /// Sent by a browser.
    pub(in crate::proxy) browser: bool,
    /// `--trust-proxied-pages`
    pub(in crate::proxy) trusted: bool,
    /// Known from the request. What an aggregated API server answers shows only in the answer.
    pub(in crate::proxy) certain: bool,
}

impl UntrustedContent {
    /// Whether a client's cookies go to whom it asks. The API server sets none. A browser has one
    /// jar for a host, whatever port and path set a cookie: another app's session, or that of
    /// another server of this machine, may be in it.
    pub(in crate::proxy) fn takes_cookies(self) -> bool {
        self.proxied && (self.trusted || !self.browser)
    }
}

#[derive(Debug)]
pub(in crate::proxy) struct JudgeRequest(Arc<Guard>);

impl HeadFilter for JudgeRequest {
    fn filter<B>(&self, request: &mut Request<B>) -> Result<(), Refusal> {
        let reach = self.0.judge_request(request)?;
        let marked = request.extensions().get::<FromBrowser>().is_some();
        // To a program, data and pages are alike.
        if reach.foreign || marked {
            let foreign = UntrustedContent {
                proxied: reach.proxied,
                browser: marked || origin::is_browser(request.headers()),
                trusted: self.0.trust_proxied_pages,
                certain: reach.foreign,
            };
            request.extensions_mut().insert(foreign);
        }
        Ok(())
    }
}
