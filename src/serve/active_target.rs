//! [`ActiveTarget`]: the target that requests are sent to, made ready by a [`TargetBuilder`].

use std::{path::PathBuf, sync::Arc};

use super::{
    connector::Connector,
    extra_upstream::one_per_worker,
    target_source::{ResolvedTarget, TargetSource},
};
use crate::{error::BoxError, kubeconfig::Target, proxy::Destination};

/// A resolved target with its credentials and upstreams.
#[derive(Clone)]
pub(super) struct ActiveTarget {
    pub(super) target: Target,
    pub(super) destination: Destination,
    /// The files that the target and its credentials were read from.
    pub(super) files: Vec<PathBuf>,
}

/// Resolves the target and makes it ready for requests.
pub(super) struct TargetBuilder {
    source: Box<dyn TargetSource>,
    connector: Connector,
}

impl TargetBuilder {
    /// Whether the user is the service account of the pod that this process runs in.
    pub(super) fn is_pod(&self) -> bool {
        self.source.is_pod()
    }

    pub(super) fn new(source: Box<dyn TargetSource>, connector: Connector) -> Self {
        Self { source, connector }
    }

    pub(super) async fn resolve(&self) -> Result<ResolvedTarget, BoxError> {
        self.source.resolve().await
    }

    /// Makes a resolved target ready. Keeps the credentials and the connections of `before` where
    /// the user or the cluster is the same. May block on files.
    pub(super) fn build(
        &self,
        resolved: ResolvedTarget,
        before: Option<&ActiveTarget>,
    ) -> Result<ActiveTarget, BoxError> {
        let ResolvedTarget {
            mut target,
            mut files,
        } = resolved;
        files.extend(target.authority_files());
        // Clusters are compared below: the content of an authority file is what matters.
        if let Some(authority) = &mut target.cluster.certificate_authority {
            *authority = authority.inlined()?;
        }
        let same_user =
            |before: &&ActiveTarget| self.source.keeps_credentials(&before.target, &target);
        // Headers of the settings file are those of a context.
        let same_cluster = |before: &&ActiveTarget| {
            let before = &before.target;
            before.cluster == target.cluster && before.context == target.context
        };
        let credentials = match before.filter(same_user) {
            Some(before) => Arc::clone(&before.destination.credentials),
            None => self.source.credentials(&target)?,
        };
        let upstreams = match before.filter(same_cluster) {
            Some(before) => Arc::clone(&before.destination.upstreams),
            None => one_per_worker((self.connector.make_upstream)(&target)?)?,
        };
        let same_context =
            |before: &&ActiveTarget| same_user(before) && before.target.context == target.context;
        let routes = if let Some(before) = before.filter(same_context) {
            Arc::clone(&before.destination.routes)
        } else {
            let context = target.context.as_deref();
            let routes = self.connector.routes.iter().filter(|r| r.is_of(context));
            let source = &*self.source;
            let routes = routes.map(|route| route.destination(source, &target, &credentials));
            routes.collect::<Result<_, _>>()?
        };
        files.extend(credentials.files());
        Ok(ActiveTarget {
            destination: Destination {
                impersonation: target.user.impersonation.clone(),
                credentials,
                upstreams,
                routes,
            },
            target,
            files,
        })
    }
}
