//! The guard as layers, one for each judgement.

use std::sync::Arc;

use http::Request;

use super::{Guard, Refusal};
use crate::proxy::screen::{Screen, ScreenLayer};

/// Who asks. Belongs outside of CORS, routing and static files.
pub(in crate::proxy) fn origin_layer(guard: Arc<Guard>) -> ScreenLayer<Origin> {
    ScreenLayer::new(Origin(guard))
}

/// What is asked. Belongs inside of routing, where `--api-prefix` is off the path and static
/// files have been answered.
pub(in crate::proxy) fn request_layer(guard: Arc<Guard>) -> ScreenLayer<Wanted> {
    ScreenLayer::new(Wanted(guard))
}

#[derive(Debug)]
pub(in crate::proxy) struct Origin(Arc<Guard>);

impl Screen for Origin {
    fn screen<B>(&self, request: &mut Request<B>) -> Result<(), Refusal> {
        self.0.judge_origin(request)
    }
}

#[derive(Debug)]
pub(in crate::proxy) struct Wanted(Arc<Guard>);

impl Screen for Wanted {
    fn screen<B>(&self, request: &mut Request<B>) -> Result<(), Refusal> {
        self.0.judge_request(request)
    }
}
