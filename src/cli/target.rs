//! The cluster and user that a command works with.

use super::plugin_file;
use crate::{
    kubeconfig::{self, Overrides, Resolved, Target},
    login,
    settings::ConnectionFlags,
};

/// Returns the cluster and user that the kubeconfig and the flags over it choose.
pub(super) fn target(connection: &ConnectionFlags) -> anyhow::Result<Target> {
    Ok(found(connection)?.target)
}

/// As [`target`], for a command that uses the user's credential.
pub(super) fn target_to_use(connection: &ConnectionFlags) -> anyhow::Result<Target> {
    let found = found(connection)?;
    login::note_use(&found, &|name| std::env::var_os(name));
    Ok(found.target)
}

fn found(connection: &ConnectionFlags) -> anyhow::Result<Resolved> {
    let overrides = Overrides::from(connection);
    let env = |name: &str| std::env::var_os(name);
    let found = kubeconfig::resolve_pinned(connection.kubeconfig(), &overrides, None, &env)?;
    plugin_file::warn(&found);
    Ok(found)
}
