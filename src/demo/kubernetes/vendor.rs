//! What a vendor adds to the API server: authentication of its tokens, resources of its own, and
//! limits of what its users may do.

use std::{sync::Arc, time::SystemTime};

use http::{Request, Response};
use tokio_util::sync::CancellationToken;

use super::{
    authentication::user_info::UserInfo,
    authorization::Action,
    encoding::status::Status,
    objects::{resources::Resource, store::Store},
};
use crate::demo::{request_body::RequestBody, server::Body};

/// The extension of a vendor.
pub(crate) trait VendorExtension: Send + Sync + std::fmt::Debug + 'static {
    /// The user of a bearer token; `None` if it is not this vendor's or not valid at `now`.
    fn authenticate(&self, token: &str, now: SystemTime) -> Option<UserInfo>;

    /// Resources that discovery lists beside those of Kubernetes. [`Self::respond`] serves them.
    fn resources(&self) -> &'static [&'static Resource] {
        &[]
    }

    /// Responds to a request whose path is this vendor's; `None` if it is not.
    fn respond(&self, _request: &VendorRequest<'_>) -> Option<Result<Response<Body>, Status>> {
        None
    }

    /// Refuses an action of an authenticated user with a text that ends the error message, which
    /// may be empty. `None` allows the action.
    fn refuse(&self, _user: &UserInfo, _action: &Action<'_>) -> Option<String> {
        None
    }
}

/// A request whose user is known.
pub(crate) struct VendorRequest<'a> {
    pub(crate) store: &'a Arc<Store>,
    /// Cancelled when the control plane stops.
    pub(crate) stop: &'a CancellationToken,
    pub(crate) user: &'a UserInfo,
    pub(crate) request: &'a Request<RequestBody>,
}

/// Whether a user may do something. Anonymous users may do nothing. All others may do everything
/// that the vendor's extension does not refuse.
pub(crate) fn authorize(
    extension: Option<&dyn VendorExtension>,
    user: &UserInfo,
    action: &Action<'_>,
) -> Result<(), Status> {
    let refusal = if user.is_anonymous() {
        Some(String::new())
    } else {
        extension.and_then(|extension| extension.refuse(user, action))
    };
    refusal.map_or(Ok(()), |reason| {
        Err(action.forbidden(&user.username, &reason))
    })
}
