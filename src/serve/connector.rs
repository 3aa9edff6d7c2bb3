//! [`Connector`]: makes what a target needs to be reached.

use std::sync::Arc;

use super::{extra_upstream::ExtraUpstream, target_source::MakeUpstream};

/// Makes what a target needs to be reached.
#[derive(Clone)]
pub struct Connector {
    pub(super) make_upstream: MakeUpstream,
    pub(super) routes: Arc<[ExtraUpstream]>,
}

impl Connector {
    /// Reaches API servers alone.
    #[must_use]
    pub fn new(make_upstream: MakeUpstream) -> Self {
        Self {
            make_upstream,
            routes: Arc::new([]),
        }
    }

    /// Reaches these servers too.
    #[must_use]
    pub fn with_routes(self, routes: Vec<ExtraUpstream>) -> Self {
        Self {
            routes: routes.into(),
            ..self
        }
    }

    /// The servers beside the API servers.
    #[must_use]
    pub fn routes(&self) -> &[ExtraUpstream] {
        &self.routes
    }
}
