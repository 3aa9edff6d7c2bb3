//! The project whose name becomes the context's namespace.

use crate::{credential::openshift::Access, secret::Secret};

/// The project that `oc` starts in if the user may see it.
const DEFAULT: &str = "default";

/// Returns the project that `oc` starts in: the one that the user worked in before, `default`, or the
/// first of all. The login does not depend on it, so an error is only logged.
pub(super) async fn starting_project(
    access: &Access,
    token: &Secret,
    earlier: Option<String>,
) -> Option<String> {
    let preferred: Vec<&str> = earlier.as_deref().into_iter().chain([DEFAULT]).collect();
    match access.starting_project(token, &preferred).await {
        Ok(found) => found,
        Err(error) => {
            let error = &error as &dyn std::error::Error;
            let namespace = earlier.as_deref().unwrap_or("none");
            tracing::warn!(
                error,
                namespace,
                "the context's namespace is not checked; another one can be given by -n"
            );
            earlier
        }
    }
}
