//! What makes the control plane that of a vendor: whose tokens it takes beside its own, what it
//! serves beside Kubernetes, and what its users may not do.

use std::{sync::Arc, time::SystemTime};

use http::{Request, Response};

use super::router::Plane;
use crate::demo::request_body::RequestBody;
use crate::demo::{
    kubernetes::{
        authentication::user_info::Identity, authorization::Action, encoding::status::Status,
        objects::resources::Resource,
    },
    server::Body,
};

/// A vendor's part of a control plane.
pub(crate) trait Flavor: Send + Sync + std::fmt::Debug + 'static {
    /// Whose bearer token this is; `None` where it is not of this vendor, or not valid now.
    fn identify(&self, token: &str, now: SystemTime) -> Option<Identity>;

    /// What discovery lists beside Kubernetes' own; [`Self::answer`] serves it.
    fn resources(&self) -> &'static [&'static Resource] {
        &[]
    }

    /// Answers a request to a path of the vendor's own; `None` where it is of Kubernetes.
    fn answer(&self, _asked: &Asked<'_>) -> Option<Result<Response<Body>, Status>> {
        None
    }

    /// What stands behind the refusal of an action to somebody known; `None` lets it pass.
    fn refuses(&self, _identity: &Identity, _action: &Action<'_>) -> Option<String> {
        None
    }
}

/// A request whose sender is known.
pub(crate) struct Asked<'a> {
    pub(crate) plane: &'a Arc<Plane>,
    pub(crate) identity: &'a Identity,
    pub(crate) request: &'a Request<RequestBody>,
}
