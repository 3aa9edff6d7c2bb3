//! [`Unanswered`]: a request that got no answer.

use std::{error::Error as StdError, sync::Arc};

use http::Request;

use super::RequestBody;

pub(super) struct Unanswered {
    pub(super) error: Arc<dyn StdError + Send + Sync>,
    /// The request, where the server certainly did nothing with it, or never saw it.
    pub(super) again: Option<Request<RequestBody>>,
    /// A copy of it, where it can be sent twice and the connection is to blame.
    pub(super) spare: Option<Request<RequestBody>>,
    /// The server gave no sign of life, and the connection was left for that reason.
    pub(super) silent: bool,
}

impl Unanswered {
    pub(super) fn new(
        error: impl StdError + Send + Sync + 'static,
        again: Option<Request<RequestBody>>,
    ) -> Self {
        Self {
            error: Arc::new(error),
            again,
            spare: None,
            silent: false,
        }
    }

    /// Left on a connection without a sign of life; `spare` is a copy of what can be sent twice.
    pub(super) fn silent(spare: Option<Request<RequestBody>>) -> Self {
        Self {
            error: Arc::new(std::io::Error::from(std::io::ErrorKind::TimedOut)),
            again: None,
            spare,
            silent: true,
        }
    }

    /// The connection broke; `spare` is a copy of what can be sent twice.
    pub(super) fn broken(
        error: impl StdError + Send + Sync + 'static,
        spare: Option<Request<RequestBody>>,
    ) -> Self {
        Self {
            spare,
            ..Self::new(error, None)
        }
    }

    pub(super) fn unprocessed(
        error: impl StdError + Send + Sync + 'static,
        request: Request<RequestBody>,
    ) -> Self {
        Self::new(error, Some(request))
    }
}
