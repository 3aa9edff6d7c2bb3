//! The guard's two checks as layers.

use std::sync::Arc;

use http::Request;

use super::{
    Guard,
    origin::{self, Caller},
};
use crate::proxy::{
    head_filter::{HeadFilter, HeadFilterLayer},
    refusal::Refusal,
    request_info::RequestInfo,
    untrusted_content::UntrustedContent,
};

/// Checks who is calling. Belongs outside of CORS, routing and static files.
pub(in crate::proxy) fn origin_layer(guard: Arc<Guard>) -> HeadFilterLayer<CheckOrigin> {
    HeadFilterLayer::new(CheckOrigin(guard))
}

/// Checks what is asked. Belongs inside of the layer that reads the [`RequestInfo`].
pub(in crate::proxy) fn request_layer(guard: Arc<Guard>) -> HeadFilterLayer<CheckRequest> {
    HeadFilterLayer::new(CheckRequest(guard))
}

/// See [`origin_layer`].
#[derive(Debug)]
pub(in crate::proxy) struct CheckOrigin(Arc<Guard>);

impl HeadFilter for CheckOrigin {
    fn filter<B>(&self, request: &mut Request<B>) -> Result<(), Refusal> {
        if self.0.caller(request)? == Caller::Browser {
            request.extensions_mut().insert(FromBrowser);
        }
        Ok(())
    }
}

/// Among the extensions of a request that a browser sent.
#[derive(Clone, Copy, Debug)]
struct FromBrowser;

/// See [`request_layer`].
#[derive(Debug)]
pub(in crate::proxy) struct CheckRequest(Arc<Guard>);

impl HeadFilter for CheckRequest {
    fn filter<B>(&self, request: &mut Request<B>) -> Result<(), Refusal> {
        let info = request.extensions().get::<RequestInfo>();
        let info = info.ok_or_else(|| Refusal::bug("the guard got a request that was not read"))?;
        let capabilities = self.0.check_request(info, request.headers())?;
        let marked = request.extensions().get::<FromBrowser>().is_some();
        // A program makes no page of a response.
        if capabilities.untrusted || marked {
            let content = UntrustedContent {
                proxied: capabilities.proxied,
                browser: marked || origin::is_browser(request.headers()),
                trusted: self.0.trust_proxied_pages,
                certain: capabilities.untrusted,
            };
            request.extensions_mut().insert(content);
        }
        Ok(())
    }
}
