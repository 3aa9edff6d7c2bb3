//! The kubeconfigs whose user entries name a saved login. An entry that was copied to another
//! kubeconfig shares the login.

use std::{
    ffi::OsString,
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use crate::{
    credential::store::{LoginBinding, Store},
    kubeconfig::{self, Cluster, ContextRef, Resolved, edit},
    settings::Login,
};

/// A user entry that names a saved login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoginUser {
    /// The kubeconfig.
    pub file: PathBuf,
    /// Name of the entry.
    pub user: String,
}

/// Returns the user entries in `files` that name `login`, each once.
#[must_use]
pub fn users_of(login: &str, files: &[PathBuf]) -> Vec<LoginUser> {
    let mut seen = Vec::new();
    let mut users = Vec::new();
    for file in files {
        // Paths that links lead to one file by.
        let id = fs::metadata(file).map(|found| (found.dev(), found.ino()));
        let id = id.map_err(|_| file);
        if seen.contains(&id) {
            continue;
        }
        seen.push(id);
        let logins = logins_in(file).into_iter();
        let logins = logins.filter(|(_, found)| found.saved_as().as_deref() == Some(login));
        users.extend(logins.map(|(user, _)| LoginUser {
            file: file.clone(),
            user,
        }));
    }
    users
}

/// A context of a user entry that names a saved login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoginContext {
    /// Its name.
    pub context: String,
    /// Its API server, as [`LoginBinding`] names it.
    pub server: String,
}

/// Returns the contexts of `user`: those of its own kubeconfig, else of the files that `explicit`
/// (`--kubeconfig`) or `env` names, where context and user may be in different files.
#[must_use]
pub fn contexts_of(
    user: &LoginUser,
    explicit: Option<&Path>,
    env: &dyn Fn(&str) -> Option<OsString>,
) -> Vec<LoginContext> {
    let find = |file: Option<&Path>| {
        let all = kubeconfig::contexts(file, env).unwrap_or_default();
        let of_user = all.into_iter().filter_map(|one| {
            let target = one.target.ok()?;
            let binding = LoginBinding::of_cluster(&target.cluster);
            (target.user.name.as_ref() == Some(&user.user)).then_some(LoginContext {
                context: one.name,
                server: binding.server()?.to_owned(),
            })
        });
        of_user.collect::<Vec<_>>()
    };
    let own = find(Some(&user.file));
    if own.is_empty() { find(explicit) } else { own }
}

/// Returns the context that uses `login` at `cluster`, in the kubeconfig that kubectl would use.
#[must_use]
pub fn context_of(
    login: &Login,
    cluster: &Cluster,
    env: &dyn Fn(&str) -> Option<OsString>,
) -> Option<ContextRef> {
    let server = LoginBinding::of_cluster(cluster);
    let all = kubeconfig::contexts(None, env)
        .unwrap_or_default()
        .into_iter();
    let used = all.filter(|one| {
        one.target.as_ref().is_ok_and(|target| {
            let found = match &target.user.login {
                kubeconfig::Login::Exec(entry) => Login::of_exec(entry),
                _ => None,
            };
            let is_same =
                |found: Login| found.kind() == login.kind() && found.saved_as() == login.saved_as();
            LoginBinding::of_cluster(&target.cluster) == server && found.is_some_and(is_same)
        })
    });
    let used = used.max_by_key(|one| one.is_current)?;
    Some(ContextRef {
        name: used.name,
        kubeconfig: None,
    })
}

/// Notes in the state folder which kubeconfig uses the saved login of `resolved`, so that a logout
/// in another kubeconfig can name it. Does nothing if no login is saved or the kubeconfig is a pipe.
pub fn note_use(resolved: &Resolved, env: &dyn Fn(&str) -> Option<OsString>) {
    let kubeconfig::Login::Exec(entry) = &resolved.target.user.login else {
        return;
    };
    let name = Login::of_exec(entry).and_then(|login| login.saved_as());
    if let (Some(name), Some(file), false) = (name, &resolved.user_file, resolved.from_pipe) {
        note(&name, |_| vec![file.clone()], env);
    }
}

/// As [`note_use`], for a login that kubectl runs as a plugin. kubectl does not say which kubeconfig
/// names the login, but the plugin inherits kubectl's environment and looks where kubectl looked.
pub fn note_use_by_kubectl(login: &Login, env: &dyn Fn(&str) -> Option<OsString>) {
    let Some(name) = login.saved_as() else {
        return;
    };
    let users = |noted: &[PathBuf]| {
        let mut files = edit::files(None, env);
        files.retain(|file| file.is_file() && !noted.contains(file));
        let users = users_of(&name, &files).into_iter();
        users.map(|user| user.file).collect()
    };
    note(&name, users, env);
}

/// Returns the users of a file that run `kubegate credential`; none if the file cannot be read.
pub(super) fn logins_in(file: &Path) -> Vec<(String, Login)> {
    let users = kubeconfig::exec_users(file).unwrap_or_default().into_iter();
    users
        .filter_map(|(user, config)| Some((user, Login::of_exec(&config)?)))
        .collect()
}

/// Returns the path without symbolic links, by which two paths of one file are equal.
pub(super) fn canonical(file: &Path) -> PathBuf {
    fs::canonicalize(file).unwrap_or_else(|_| file.to_owned())
}

/// Notes the files that `users` returns for those that are noted already.
fn note(
    name: &str,
    users: impl FnOnce(&[PathBuf]) -> Vec<PathBuf>,
    env: &dyn Fn(&str) -> Option<OsString>,
) {
    let Ok(store) = Store::of_user(env) else {
        return;
    };
    if !store.path(name).exists() {
        return;
    }
    for file in users(&store.kubeconfigs(name)) {
        if let Err(error) = store.note_kubeconfig(name, &file) {
            let error = &error as &dyn std::error::Error;
            tracing::debug!(
                error,
                login = name,
                "cannot note which kubeconfig uses the login"
            );
        }
    }
}
