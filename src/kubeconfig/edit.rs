//! Edits kubeconfig files: writes renewed tokens back, and adds or removes the context of a login.
//!
//! An edit of several files changes all or none of them. An entry that another context uses keeps its
//! meaning (`plan`).
//!
//! Two locks protect an edit. kubectl's own (`FILE.lock`, created with `O_EXCL`, as in client-go's
//! `clientcmd`) is held only during the write. A second one, which only kubegates use, is held from
//! reading the tokens over their renewal to the write, since kubectl renews without a lock.
//!
//! The text is edited in place, so that comments, order and unknown fields stay. Every edit is parsed
//! and compared with the intended content before it is written; if no edit of the text gives that
//! content, the file stays unchanged. A file that is written anew from its parsed content could mean
//! something else to kubectl, which reads YAML 1.1 (`yes`, `0777`).

mod apply;
mod contents;
mod context;
mod exec_entry;
mod existing;
mod file_lock;
mod forget;
mod login_note;
mod meaning;
mod names;
mod new_context;
mod note;
mod outline;
mod parsed;
mod patch;
mod plan;
mod proxy_contexts;
mod renewal_lock;
mod restore;
mod tokens;
mod transaction;
mod write_file;
mod write_lock;

use std::{
    ffi::OsString,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

pub use context::{
    Written, add_context, forget_user, may_add_context, may_forget_user, plan_context,
};
pub use exec_entry::ExecEntry;
pub use file_lock::{GivenUpWaiting, give_up_waiting};
pub use forget::{Forget, Forgotten};
pub use names::cluster_entry_name;
pub use new_context::{ChosenNames, LoginIdentity, Naming, NewCluster, NewContext};
pub use plan::Orphan;
pub use proxy_contexts::{ProxyContext, ProxyContexts, WriteMode, write_proxy_contexts};
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
    let mut files = files_to_edit(explicit, env)?;
    Ok(files.swap_remove(transaction::main_file(&files)))
}

/// As [`files`], for [`add_context`].
///
/// # Errors
/// Neither `explicit` nor the environment names a file.
pub fn files_to_edit(
    explicit: Option<&Path>,
    env: &dyn Fn(&str) -> Option<OsString>,
) -> Result<Vec<PathBuf>, Error> {
    let files = self::files(explicit, env);
    if files.is_empty() {
        return Err(context::no_file());
    }
    Ok(files)
}

/// Returns the files of the kubeconfig, existing or not. Of several paths to one file, by links, only the
/// first is returned.
#[must_use]
pub fn files(explicit: Option<&Path>, env: &dyn Fn(&str) -> Option<OsString>) -> Vec<PathBuf> {
    let mut seen = Vec::new();
    let mut files = candidates(explicit, env);
    files.retain(|file| {
        let Ok(found) = file.metadata() else {
            return true;
        };
        let id = (found.dev(), found.ino());
        let is_new = !seen.contains(&id);
        seen.push(id);
        is_new
    });
    files
}

#[cfg(test)]
mod tests;
