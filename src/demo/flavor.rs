//! What makes the control plane that of a vendor: whose tokens it takes beside its own, what it
//! serves beside Kubernetes, and what its users may not do.

use std::{sync::Arc, time::SystemTime};

use crate::demo::request_body::RequestBody;
use http::{Request, Response};

use super::{
    Body, identity::Identity, permission::Action, resources::Resource, router::Plane,
    status::Status,
};

/// A vendor's part of a control plane.
pub(super) trait Flavor: Send + Sync + std::fmt::Debug + 'static {
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
pub(super) struct Asked<'a> {
    pub(super) plane: &'a Arc<Plane>,
    pub(super) identity: &'a Identity,
    pub(super) request: &'a Request<RequestBody>,
}
