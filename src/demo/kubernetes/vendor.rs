//! What a vendor adds to the API server: authentication of its tokens, resources of its own, and
//! limits of what its users may do.

use std::{sync::Arc, time::SystemTime};

use http::{Request, Response};

use super::{
    api_server::ApiServer, authentication::user_info::UserInfo, authorization::Action,
    encoding::status::Status, objects::resources::Resource,
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
    pub(crate) server: &'a Arc<ApiServer>,
    pub(crate) user: &'a UserInfo,
    pub(crate) request: &'a Request<RequestBody>,
}
