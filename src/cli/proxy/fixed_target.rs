//! A target that never changes.

use std::sync::Arc;

use crate::{
    credential::Cache,
    error::BoxError,
    kubeconfig::Target,
    serve::{ResolvedTarget, TargetFuture, TargetSource},
};

/// One API server and user that are known from the start, without a file.
pub(in crate::cli) struct Fixed {
    pub(in crate::cli) target: Target,
    pub(in crate::cli) credentials: Arc<Cache>,
}

impl TargetSource for Fixed {
    fn resolve(&self) -> TargetFuture<'_> {
        let target = self.target.clone();
        Box::pin(async {
            Ok(ResolvedTarget {
                target,
                files: Vec::new(),
            })
        })
    }

    fn credentials(&self, _: &Target) -> Result<Arc<Cache>, BoxError> {
        Ok(Arc::clone(&self.credentials))
    }

    fn keeps_credentials(&self, _: &Target, _: &Target) -> bool {
        true
    }
}
