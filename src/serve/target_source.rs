//! [`TargetSource`]: where the API server and the user come from.

use std::{future::Future, path::PathBuf, pin::Pin, sync::Arc};

use crate::{credential::Cache, error::BoxError, kubeconfig::Target, upstream::Upstream};

/// The future that [`TargetSource::resolve`] returns.
pub type TargetFuture<'a> =
    Pin<Box<dyn Future<Output = Result<ResolvedTarget, BoxError>> + Send + 'a>>;

/// Makes the upstream of a target's API server. No connection is opened yet.
pub type MakeUpstream = Arc<dyn Fn(&Target) -> Result<Upstream, BoxError> + Send + Sync>;

/// What a [`TargetSource`] resolved to.
#[derive(Debug)]
pub struct ResolvedTarget {
    /// The API server and the user.
    pub target: Target,
    /// The files that were read. The source is asked again when one of them changes. Files with the
    /// authorities of `target`, and files of its credentials, need not be listed.
    pub files: Vec<PathBuf>,
}

/// A source of the target, such as a kubeconfig file, which may be asked many times.
pub trait TargetSource: Send + Sync + 'static {
    /// Returns the current API server and user. Called after every change of the files of the last
    /// result. After a failure it is called again: every second during a reload, and at the next
    /// request as long as there has been no target yet.
    fn resolve(&self) -> TargetFuture<'_>;

    /// Returns a placeholder for the target if resolving it needs the network. Flags can be checked
    /// against the placeholder, and the proxy starts before the target is resolved.
    fn placeholder(&self) -> Option<&Target> {
        None
    }

    /// Returns whether the user is the service account of the pod that this process runs in.
    fn is_pod(&self) -> bool {
        false
    }

    /// Makes the credentials for a resolved target. May block on files.
    ///
    /// # Errors
    /// The user refers to something that cannot be used.
    fn credentials(&self, target: &Target) -> Result<Arc<Cache>, BoxError>;

    /// Makes the credentials of the same user for IBM Cloud's services; `None` for a user without a login
    /// there. May block on files.
    ///
    /// # Errors
    /// The user refers to something that cannot be used.
    fn cloud_credentials(&self, _: &Target) -> Result<Option<Arc<Cache>>, BoxError> {
        Ok(None)
    }

    /// Returns whether the credentials that were made for `before` are also right for `now`.
    fn keeps_credentials(&self, before: &Target, now: &Target) -> bool;
}
