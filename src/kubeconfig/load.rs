//! [`Kubeconfig`]: finds the files by kubectl's rules and merges them.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    fmt, io,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use crate::kubeconfig::{Error, document::Document, fields::Entry};

/// One or more kubeconfig files, merged. Entries keep their file and all their fields; only the
/// entries of a [`Target`](super::Target) are validated.
#[derive(Default)]
pub(super) struct Kubeconfig {
    pub(super) current_context: Option<String>,
    pub(super) clusters: BTreeMap<String, Entry>,
    pub(super) users: BTreeMap<String, Entry>,
    pub(super) contexts: BTreeMap<String, Entry>,
    files: Vec<PathBuf>,
    searched: Vec<PathBuf>,
}

impl Kubeconfig {
    /// The files that were read, in the order of their precedence.
    pub(super) fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// All candidate files, existing or not.
    pub(super) fn searched(&self) -> &[PathBuf] {
        &self.searched
    }

    /// Whether no file was found, or the files are empty.
    pub(super) fn is_empty(&self) -> bool {
        self.current_context.is_none()
            && self.clusters.is_empty()
            && self.users.is_empty()
            && self.contexts.is_empty()
    }

    #[cfg(test)]
    pub(super) fn of(document: Document) -> Self {
        let mut config = Self::default();
        config.merge(document);
        config
    }

    /// Merges by client-go's rule (`ClientConfigLoadingRules.Load`): each entry is taken whole from
    /// the first file that has it, and the first `current-context` that is not empty is used.
    fn merge(&mut self, later: Document) {
        self.current_context = self.current_context.take().or(later.current_context);
        keep_first(&mut self.clusters, later.clusters);
        keep_first(&mut self.users, later.users);
        keep_first(&mut self.contexts, later.contexts);
    }
}

/// Shows names alone: the entries hold tokens and keys.
impl fmt::Debug for Kubeconfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kubeconfig")
            .field("files", &self.files)
            .field("current_context", &self.current_context)
            .field("clusters", &self.clusters.keys())
            .field("users", &self.users.keys())
            .field("contexts", &self.contexts.keys())
            .finish_non_exhaustive()
    }
}

/// Loads `explicit` (`--kubeconfig`), or else the files of `KUBECONFIG`, or else `~/.kube/config`.
/// If none of the latter exists, the result [is empty](Kubeconfig::is_empty).
///
/// # Errors
/// An `explicit` file that does not exist, and any file that cannot be read or parsed. Files of
/// `KUBECONFIG` that do not exist are skipped, as in kubectl.
pub(super) fn load(
    explicit: Option<&Path>,
    env: &dyn Fn(&str) -> Option<OsString>,
) -> Result<Kubeconfig, Error> {
    let mut config = Kubeconfig {
        searched: candidates(explicit, env),
        ..Kubeconfig::default()
    };
    for path in config.searched.clone() {
        match Document::read(&path) {
            Ok(document) => {
                document.warnings.iter().for_each(|text| warn_once(text));
                config.merge(document);
                config.files.push(path);
            }
            Err(Error::Read { source, .. })
                if source.kind() == io::ErrorKind::NotFound && explicit.is_none() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(config)
}

/// Logs a warning about a file's content once per process: a command may read a file several times,
/// and the proxy reads it again after every change.
pub(crate) fn warn_once(warning: &str) {
    /// The bound of the memory for warnings that differ each time.
    const MOST: usize = 1000;
    static SEEN: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    let mut seen = SEEN.lock().unwrap_or_else(PoisonError::into_inner);
    if !seen.contains(warning) {
        tracing::warn!("{warning}");
        if seen.len() == MOST {
            seen.clear();
        }
        seen.insert(warning.to_owned());
    }
}

/// The files that kubectl would read, in the order of their precedence.
pub(super) fn candidates(
    explicit: Option<&Path>,
    env: &dyn Fn(&str) -> Option<OsString>,
) -> Vec<PathBuf> {
    let set = |name| env(name).filter(|value| !value.is_empty());
    if let Some(path) = explicit {
        return vec![path.to_owned()];
    }
    if let Some(list) = set("KUBECONFIG") {
        let mut paths = Vec::new();
        for path in std::env::split_paths(&list) {
            if !path.as_os_str().is_empty() && !paths.contains(&path) {
                paths.push(path);
            }
        }
        return paths;
    }
    let home = set("HOME").into_iter();
    home.map(|home| Path::new(&home).join(".kube/config"))
        .collect()
}

fn keep_first(entries: &mut BTreeMap<String, Entry>, later: BTreeMap<String, Entry>) {
    for (name, entry) in later {
        entries.entry(name).or_insert(entry);
    }
}

#[cfg(test)]
mod tests;
