//! What makes the control plane that of a vendor: whose tokens it takes beside its own.

use std::time::SystemTime;

use super::identity::Identity;

/// A vendor's part of a control plane.
pub(super) trait Flavor: Send + Sync + std::fmt::Debug + 'static {
    /// Whose bearer token this is; `None` where it is not of this vendor, or not valid now.
    fn identify(&self, token: &str, now: SystemTime) -> Option<Identity>;
}
