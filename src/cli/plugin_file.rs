//! Detects a kubeconfig that names an exec plugin and that other users may write: they decide which
//! program runs as this user.

use crate::{
    kubeconfig::{Login, Resolved, foreign_writers},
    settings,
};

/// Returns which file names the plugin that `found` runs and who else may write it; `None` if no other
/// user may, or if no plugin runs.
pub(super) fn problem(found: &Resolved) -> Option<String> {
    let Login::Exec(plugin) = &found.target.user.login else {
        return None;
    };
    // A login of kubegate runs no program.
    if settings::Login::in_process(plugin).is_some() {
        return None;
    }
    let file = found.user_file.as_ref()?;
    let writers = foreign_writers(file)?;
    Some(format!(
        "kubeconfig {} names the exec plugin {}, and {writers}, who thereby decides which program runs",
        file.display(),
        plugin.command.display()
    ))
}

/// Warns of a problem. At the start, as in kubectl, the user is assumed to know the file.
pub(super) fn warn(found: &Resolved) {
    if let Some(problem) = problem(found) {
        tracing::warn!(
            "{problem}; take away their access (chown, chmod go-w), or use another kubeconfig"
        );
    }
}
