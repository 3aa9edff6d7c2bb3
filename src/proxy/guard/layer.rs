//! The guard as layers, one for each judgement.

use std::sync::Arc;

use http::Request;

use super::{Guard, Refusal};
use crate::proxy::screen::{Screen, ScreenLayer};

/// Who asks. Belongs outside of CORS, routing and static files.
pub(in crate::proxy) fn origin_layer(guard: Arc<Guard>) -> ScreenLayer<JudgeOrigin> {
    ScreenLayer::new(JudgeOrigin(guard))
}

/// What is asked. Belongs inside of routing, where `--api-prefix` is off the path and static
/// files have been answered.
pub(in crate::proxy) fn request_layer(guard: Arc<Guard>) -> ScreenLayer<JudgeRequest> {
    ScreenLayer::new(JudgeRequest(guard))
}

#[derive(Debug)]
pub(in crate::proxy) struct JudgeOrigin(Arc<Guard>);

impl Screen for JudgeOrigin {
    fn screen<B>(&self, request: &mut Request<B>) -> Result<(), Refusal> {
        self.0.judge_origin(request)
    }
}

#[derive(Debug)]
pub(in crate::proxy) struct JudgeRequest(Arc<Guard>);

impl Screen for JudgeRequest {
    fn screen<B>(&self, request: &mut Request<B>) -> Result<(), Refusal> {
        self.0.judge_request(request)
    }
}
