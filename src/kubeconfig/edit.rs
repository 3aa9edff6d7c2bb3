//! Edits kubeconfig files: writes renewed tokens back, and adds or removes the context of a login.
//!
//! Two locks protect an edit. kubectl's own (`FILE.lock`, created with `O_EXCL`, as in client-go's
//! `clientcmd`) is held only during the write. A second one, which only kubegates use, is held from
//! reading the tokens over their renewal to the write, since kubectl renews without a lock.
//!
//! The text is edited in place, so that comments, order and unknown fields stay. Every edit is parsed
//! and compared with the intended content before it is written; if no edit of the text gives that
//! content, the file stays unchanged. A file that is written anew from its parsed content could mean
//! something else to kubectl, which reads YAML 1.1 (`yes`, `0777`).

mod context;
mod exec_entry;
mod in_place;
mod login_note;
mod new_context;
mod outline;
mod parsed;
mod patch;
mod renewal_lock;
mod tokens;
mod write_lock;

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

pub use context::{add_context, forget_user, may_add_context, may_forget_user};
pub use exec_entry::ExecEntry;
pub use new_context::NewContext;
pub use renewal_lock::RenewalLock;
pub use tokens::{may_write_tokens, write_tokens};

use crate::kubeconfig::{Error, load::candidates};

/// Returns the file that a new context is written to, by kubectl's rule (client-go's
/// `PathOptions.GetDefaultFilename`): `explicit`, or else the first existing file of `KUBECONFIG`, or
/// else its last, or else `~/.kube/config`.
///
/// # Errors
/// Neither `explicit` nor the environment names a file.
pub fn file_to_edit(
    explicit: Option<&Path>,
    env: &dyn Fn(&str) -> Option<OsString>,
) -> Result<PathBuf, Error> {
    let candidates = candidates(explicit, env);
    let existing = candidates.iter().find(|path| path.exists());
    let file = existing.or(candidates.last()).cloned();
    file.ok_or_else(|| {
        let problem = "are not set, so there is no kubeconfig to write; name one with --kubeconfig";
        Error::field("environment", "KUBECONFIG and HOME", problem)
    })
}

/// Returns the files of the kubeconfig, existing or not.
#[must_use]
pub fn files(explicit: Option<&Path>, env: &dyn Fn(&str) -> Option<OsString>) -> Vec<PathBuf> {
    candidates(explicit, env)
}

#[cfg(test)]
mod tests;
