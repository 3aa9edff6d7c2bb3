//! What all requests to an API server share, and what is known of one request.

use std::{net::SocketAddr, sync::Arc};

use tokio_util::sync::CancellationToken;

use super::{
    authentication::{Authentication, user_info::UserInfo},
    authorization::Action,
    encoding::{response::Format, status::Status},
    objects::store::Store,
};
use crate::demo::form::Form;

/// The state of an API server.
#[derive(Debug)]
pub(crate) struct ApiServer {
    pub(crate) store: Arc<Store>,
    pub(crate) authentication: Authentication,
    pub(crate) address: SocketAddr,
    /// Cancelled when the control plane stops.
    pub(crate) stop: CancellationToken,
}

impl ApiServer {
    /// Whether a user may do something. Anonymous users may do nothing. All others may do
    /// everything that the vendor's extension does not refuse.
    pub(crate) fn authorize(&self, user: &UserInfo, action: &Action<'_>) -> Result<(), Status> {
        let refusal = if user.is_anonymous() {
            Some(String::new())
        } else {
            let extension = self.authentication.extension();
            extension.and_then(|extension| extension.refuse(user, action))
        };
        refusal.map_or(Ok(()), |reason| {
            Err(action.forbidden(&user.username, &reason))
        })
    }
}

/// What handlers need to know of a request.
pub(crate) struct RequestContext<'a> {
    pub(crate) server: &'a Arc<ApiServer>,
    pub(crate) user: UserInfo,
    pub(crate) query: Form,
    pub(crate) format: Format,
}
