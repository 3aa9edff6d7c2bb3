//! What all requests to an API server share, and what is known of one request.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use tokio_util::sync::CancellationToken;

use super::{
    authentication::{Authentication, user_info::UserInfo},
    encoding::response::Format,
    objects::store::Store,
    self_review::SelfReviews,
};
use crate::demo::form::Form;

/// The state of an API server.
#[derive(Debug)]
pub(crate) struct ApiServer {
    pub(crate) store: Arc<Store>,
    pub(crate) authentication: Authentication,
    pub(crate) address: SocketAddr,
    /// Which version of `SelfSubjectReview` there is.
    pub(crate) self_reviews: Mutex<SelfReviews>,
    /// Cancelled when the control plane stops.
    pub(crate) stop: CancellationToken,
}

/// What handlers need to know of a request.
pub(crate) struct RequestContext<'a> {
    pub(crate) server: &'a Arc<ApiServer>,
    pub(crate) user: UserInfo,
    pub(crate) query: Form,
    pub(crate) format: Format,
}
