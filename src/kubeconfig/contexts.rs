//! Lists all contexts of the kubeconfig.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    path::Path,
};

use crate::kubeconfig::{
    Error, ExecConfig, Overrides, Target, document::Document, exec, fields::Entry, load, select,
};

/// A context and the target that it resolves to.
#[derive(Debug)]
pub struct Context {
    /// Its name.
    pub name: String,
    /// Whether it is the current one.
    pub is_current: bool,
    /// Its cluster and user, or the error in them.
    pub target: Result<Target, Error>,
}

/// The names of all entries of the kubeconfig, for completion in a shell.
#[derive(Debug, Default)]
pub struct Names {
    /// Names of contexts, sorted.
    pub contexts: Vec<String>,
    /// Names of clusters, sorted.
    pub clusters: Vec<String>,
    /// Names of users, sorted.
    pub users: Vec<String>,
}

/// Returns the names in the kubeconfig as kubectl finds it. A file that cannot be read or parsed has
/// none, and no pipe is waited for.
#[must_use]
pub fn names(explicit: Option<&Path>, env: &dyn Fn(&str) -> Option<OsString>) -> Names {
    let files = load::candidates(explicit, env).into_iter();
    let files = files.filter(|file| file.is_file());
    let documents: Vec<_> = files
        .filter_map(|file| Document::read(&file).ok())
        .collect();
    let all = |entries: fn(&Document) -> &BTreeMap<String, Entry>| {
        let names = documents.iter().flat_map(|one| entries(one).keys());
        let names: BTreeSet<&String> = names.collect();
        names.into_iter().cloned().collect()
    };
    Names {
        contexts: all(|document| &document.contexts),
        clusters: all(|document| &document.clusters),
        users: all(|document| &document.users),
    }
}

/// Returns the users of one file that have an exec plugin, by name. Invalid entries are left out.
///
/// # Errors
/// A file that cannot be read or parsed.
pub fn exec_users(file: &Path) -> Result<Vec<(String, ExecConfig)>, Error> {
    let document = Document::read_again(file)?;
    let users = document.users.iter().filter_map(|(name, entry)| {
        let fields = entry.fields().inner("exec").ok()??;
        Some((name.clone(), exec::config(&fields).ok()?))
    });
    Ok(users.collect())
}

/// Returns the contexts of the kubeconfig that kubectl would use, by name; none if there is no file.
/// `explicit` is `--kubeconfig`, `env` reads an environment variable.
///
/// # Errors
/// A file that cannot be read or parsed.
pub fn contexts(
    explicit: Option<&Path>,
    env: &dyn Fn(&str) -> Option<OsString>,
) -> Result<Vec<Context>, Error> {
    let config = load::load(explicit, env)?;
    let context = |name: &String| Context {
        name: name.clone(),
        is_current: config.current_context.as_ref() == Some(name),
        target: select::target(
            &config,
            &Overrides {
                context: Some(name.clone()),
                ..Overrides::default()
            },
        ),
    };
    Ok(config.contexts.keys().map(context).collect())
}
