//! [`Unanswered`]: a request that got no answer.

use std::{error::Error as StdError, sync::Arc};

use http::Request;

use super::RequestBody;

pub(super) struct Unanswered {
    pub(super) error: Arc<dyn StdError + Send + Sync>,
    /// The request, where the server certainly did nothing with it, or never saw it.
    pub(super) again: Option<Request<RequestBody>>,
}

impl Unanswered {
    pub(super) fn new(
        error: impl StdError + Send + Sync + 'static,
        again: Option<Request<RequestBody>>,
    ) -> Self {
        Self {
            error: Arc::new(error),
            again,
        }
    }

    pub(super) fn unprocessed(
        error: impl StdError + Send + Sync + 'static,
        request: Request<RequestBody>,
    ) -> Self {
        Self::new(error, Some(request))
    }
}
