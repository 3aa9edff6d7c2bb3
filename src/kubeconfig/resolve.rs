//! [`resolve`]: from flags, files and environment to one [`Target`]; and [`resolve_pinned`], which
//! repeats that for a reload.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    path::{Path, PathBuf, absolute},
};

use crate::kubeconfig::{
    ContextRef, Error, Overrides, Target, in_cluster,
    load::{self, Kubeconfig},
    read::is_pipe,
    select,
};

/// A target and the files that it was resolved from.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// The API server and the user.
    pub target: Target,
    /// What a reload resolves again.
    pub pin: Pin,
    /// The files that `target` is or may be defined in, including those that do not exist. Files that
    /// the target itself names are not included.
    pub files: Vec<PathBuf>,
    /// The file that holds the user's entry, if an entry was selected.
    pub user_file: Option<PathBuf>,
    /// Whether one of `files` is a pipe, which can be read only once.
    pub from_pipe: bool,
}

/// The part of a resolution that stays the same when the files change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pin {
    /// This context of the kubeconfig; `None` where the flags alone define the target.
    Context(Option<String>),
    /// The kubeconfig's `current-context` at the time of the reload.
    CurrentContext,
    /// The pod's service account.
    Pod,
}

/// Resolves the API server and user: from the kubeconfig that kubectl would use, with `flags`
/// applied; without a kubeconfig and `--server`, from the pod's service account.
///
/// `explicit` is `--kubeconfig`, `env` reads an environment variable.
///
/// # Errors
/// [`Error::NothingFound`] if there is none of these sources, or an error in the one that was found.
pub fn resolve(
    explicit: Option<&Path>,
    flags: &Overrides,
    env: &dyn Fn(&str) -> Option<OsString>,
) -> Result<Target, Error> {
    Ok(resolve_pinned(explicit, flags, None, env)?.target)
}

/// Resolves as [`resolve`] does. With `pin`, only the pinned source is considered, whatever files
/// have appeared or disappeared since.
///
/// # Errors
/// The errors of [`resolve`], and a pinned source that no longer exists.
pub fn resolve_pinned(
    explicit: Option<&Path>,
    flags: &Overrides,
    pin: Option<&Pin>,
    env: &dyn Fn(&str) -> Option<OsString>,
) -> Result<Resolved, Error> {
    if pin == Some(&Pin::Pod) {
        return pod(flags, Path::new(in_cluster::FOLDER), env)?.ok_or(Error::PodGone);
    }
    let mut config = load::load(explicit, env)?;
    let files = config.searched().to_vec();
    if config.is_empty() && explicit.is_none() && flags.server.is_none() {
        let searched = files;
        if pin.is_some() {
            return Err(Error::KubeconfigGone { searched });
        }
        let found = pod(flags, Path::new(in_cluster::FOLDER), env)?;
        let is_pod = in_cluster::is_pod(env);
        return found.ok_or(Error::NothingFound { searched, is_pod });
    }
    if let Some(Pin::Context(name)) = pin {
        config.current_context.clone_from(name);
    }
    let target = select::target(&config, flags).map_err(|error| named_at_start(error, pin))?;
    Ok(resolved(&config, explicit, flags, target))
}

/// Completes what was selected from a kubeconfig.
fn resolved(
    config: &Kubeconfig,
    explicit: Option<&Path>,
    flags: &Overrides,
    mut target: Target,
) -> Resolved {
    let files = config.searched().to_vec();
    let from_pipe = files.iter().any(|path| is_pipe(path));
    let is_whole = flags.cluster.is_none() && flags.user.is_none() && !from_pipe;
    target.context_ref = target
        .context
        .clone()
        .filter(|_| is_whole)
        .map(|name| ContextRef {
            name,
            // A later command may run in another folder.
            kubeconfig: explicit.map(|file| absolute(file).unwrap_or_else(|_| file.to_owned())),
        });
    let user = target.user.name.as_ref();
    let user = user.and_then(|name| config.users.get(name));
    Resolved {
        pin: Pin::Context(target.context.clone()),
        user_file: user.map(|entry| entry.path().to_owned()),
        target,
        from_pipe,
        files,
    }
}

/// All contexts of a kubeconfig.
#[derive(Debug)]
pub struct AllContexts {
    /// What each resolves to, by name.
    pub contexts: BTreeMap<String, Result<Resolved, Error>>,
    /// The name of the current one.
    pub current: Option<String>,
    /// The files that they are or may be defined in, including those that do not exist.
    pub files: Vec<PathBuf>,
    /// Whether one of `files` is a pipe, which can be read only once.
    pub from_pipe: bool,
}

/// Resolves every context of the kubeconfig that kubectl would use, each with `flags` applied, whose
/// context does not count.
///
/// # Errors
/// There is no kubeconfig, or a file cannot be read or parsed. An error in a context is its own.
pub fn resolve_contexts(
    explicit: Option<&Path>,
    flags: &Overrides,
    env: &dyn Fn(&str) -> Option<OsString>,
) -> Result<AllContexts, Error> {
    let config = load::load(explicit, env)?;
    let files = config.searched().to_vec();
    if config.is_empty() {
        let is_pod = in_cluster::is_pod(env);
        let searched = files;
        return Err(Error::NothingFound { searched, is_pod });
    }
    let resolve = |name: &String| {
        let flags = Overrides {
            context: Some(name.clone()),
            ..flags.clone()
        };
        let target = select::target(&config, &flags)?;
        Ok(resolved(&config, explicit, &flags, target))
    };
    let contexts = config.contexts.keys();
    Ok(AllContexts {
        contexts: contexts.map(|name| (name.clone(), resolve(name))).collect(),
        current: config.current_context.clone(),
        from_pipe: files.iter().any(|path| is_pipe(path)),
        files,
    })
}

/// Says that the missing name is the `current-context` of the start, not the present one.
fn named_at_start(mut error: Error, pin: Option<&Pin>) -> Error {
    if let (Error::Missing { named_by, .. }, Some(Pin::Context(_))) = (&mut error, pin)
        && named_by == "current-context"
    {
        named_by.push_str(" at the start");
    }
    error
}

fn pod(
    flags: &Overrides,
    folder: &Path,
    env: &dyn Fn(&str) -> Option<OsString>,
) -> Result<Option<Resolved>, Error> {
    let Some(target) = in_cluster::target(env, folder, flags)? else {
        return Ok(None);
    };
    entry_named(flags).map_or(Ok(()), Err)?;
    Ok(Some(Resolved {
        target,
        pin: Pin::Pod,
        user_file: None,
        files: in_cluster::files(folder),
        from_pipe: false,
    }))
}

/// The error for a flag that names an entry: a service account has no entries to select from.
fn entry_named(flags: &Overrides) -> Option<Error> {
    let named = [
        ("context", &flags.context),
        ("cluster", &flags.cluster),
        ("user", &flags.user),
    ];
    let (kind, name) = named
        .into_iter()
        .find_map(|(kind, name)| Some((kind, name.clone()?)))?;
    Some(Error::Missing {
        kind,
        name,
        named_by: format!("--{kind}"),
        files: Vec::new(),
        existing: Vec::new(),
    })
}

#[cfg(test)]
mod tests;
