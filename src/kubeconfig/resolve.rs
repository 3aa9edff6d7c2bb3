//! [`resolve_pinned`]: the whole way from flags, files and environment to one [`Target`], and the same
//! way again for who must notice what changes there.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use crate::kubeconfig::{Error, Overrides, Target, file::is_pipe, in_cluster, load, select};

/// What [`resolve_pinned`] found.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// The API server and the user.
    pub target: Target,
    /// What to find there again.
    pub pin: Pin,
    /// The files in which `target` stands or would stand, those that do not exist included, and
    /// not those that it names.
    pub files: Vec<PathBuf>,
    /// The file in which the user's entry stands, where one was chosen.
    pub user_file: Option<PathBuf>,
    /// Whether one of them is a pipe, which can be read only once.
    pub from_pipe: bool,
}

/// What was chosen and is not to change with the files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pin {
    /// The kubeconfig, and in it this context, or none where flags alone choose.
    Context(Option<String>),
    /// The kubeconfig, and in it what `current-context` says now.
    CurrentContext,
    /// The pod's service account.
    Pod,
}

/// Finds the API server and user to work with: the kubeconfig as kubectl finds it and
/// `flags` over it; where there is no kubeconfig and no `--server`, a pod's service account.
///
/// `explicit` is `--kubeconfig`, `env` reads an environment variable.
///
/// # Errors
/// [`Error::NothingFound`] where there is none of them, else what is wrong with the one found.
pub fn resolve(
    explicit: Option<&Path>,
    flags: &Overrides,
    env: &dyn Fn(&str) -> Option<OsString>,
) -> Result<Target, Error> {
    Ok(resolve_pinned(explicit, flags, None, env)?.target)
}

/// As [`resolve`]; with `pin`, what was found before is looked for and nothing else, whatever
/// files appeared or vanished since.
///
/// # Errors
/// As for [`resolve`]; and where what is pinned is gone.
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
    let files = config.looked_at().to_vec();
    if config.is_empty() && explicit.is_none() && flags.server.is_none() {
        let looked_at = files;
        if pin.is_some() {
            return Err(Error::KubeconfigGone { looked_at });
        }
        let found = pod(flags, Path::new(in_cluster::FOLDER), env)?;
        let is_pod = in_cluster::is_pod(env);
        return found.ok_or(Error::NothingFound { looked_at, is_pod });
    }
    if let Some(Pin::Context(name)) = pin {
        config.current_context.clone_from(name);
    }
    let target = select::target(&config, flags).map_err(|error| named_at_start(error, pin))?;
    let user = target.user.name.as_ref();
    let user = user.and_then(|name| config.users.get(name));
    Ok(Resolved {
        pin: Pin::Context(target.context.clone()),
        user_file: user.map(|entry| entry.path().to_owned()),
        target,
        from_pipe: files.iter().any(|path| is_pipe(path)),
        files,
    })
}

/// It is not what `current-context` says now that is missing.
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

/// A pod has no entries to choose from: whoever names one meant another cluster or user.
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
