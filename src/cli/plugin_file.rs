//! A kubeconfig that somebody else may write and that names an exec plugin: that one decides what
//! runs here as us.

use crate::{
    kubeconfig::{Login, Resolved, foreign_writers},
    settings,
};

/// Says which file names the plugin that `found` runs, and who may write it beside us; `None`
/// where nobody may, or no plugin runs.
pub(super) fn problem(found: &Resolved) -> Option<String> {
    let Login::Exec(plugin) = &found.target.user.login else {
        return None;
    };
    // Logins of our own run nothing.
    if settings::Login::of_exec(plugin).is_some() {
        return None;
    }
    let file = found.user_file.as_ref()?;
    let writers = foreign_writers(file)?;
    Some(format!(
        "kubeconfig {} names the exec plugin {}, and {writers}, who so decides what runs here",
        file.display(),
        plugin.command.display()
    ))
}

/// Warns where there is a problem: whoever starts this has seen the file, as kubectl assumes.
pub(super) fn warn(found: &Resolved) {
    if let Some(problem) = problem(found) {
        tracing::warn!("{problem}; make it yours alone (chown, chmod go-w) or run another one");
    }
}
