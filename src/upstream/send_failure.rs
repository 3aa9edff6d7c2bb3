//! [`SendFailure`]: a request that got no response.

use std::{error::Error as StdError, io, sync::Arc};

use http::Request;

use super::body::RequestBody;

/// Why a request got no response, and whether it may be sent again.
pub(super) struct SendFailure {
    pub(super) error: Arc<dyn StdError + Send + Sync>,
    /// The request itself, where the server certainly did not process it.
    pub(super) unsent: Option<Request<RequestBody>>,
    /// A copy of the request, where the connection is to blame and sending it twice does no harm.
    pub(super) replayable: Option<Request<RequestBody>>,
    /// The connection was left because the server did not answer liveness probes.
    pub(super) unresponsive: bool,
}

impl SendFailure {
    pub(super) fn new(
        error: impl StdError + Send + Sync + 'static,
        unsent: Option<Request<RequestBody>>,
    ) -> Self {
        Self {
            error: Arc::new(error),
            unsent,
            replayable: None,
            unresponsive: false,
        }
    }

    /// The server certainly did not process `request`.
    pub(super) fn unsent(
        error: impl StdError + Send + Sync + 'static,
        request: Request<RequestBody>,
    ) -> Self {
        Self::new(error, Some(request))
    }

    /// The connection broke or its response cannot be read.
    pub(super) fn broken(
        error: impl StdError + Send + Sync + 'static,
        replayable: Option<Request<RequestBody>>,
    ) -> Self {
        Self {
            replayable,
            ..Self::new(error, None)
        }
    }

    /// The connection did not answer liveness probes.
    pub(super) fn unresponsive(replayable: Option<Request<RequestBody>>) -> Self {
        Self {
            unresponsive: true,
            ..Self::broken(io::Error::from(io::ErrorKind::TimedOut), replayable)
        }
    }
}
