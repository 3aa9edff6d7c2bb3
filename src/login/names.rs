//! The name of a saved login. It stands in the user's entry of a kubeconfig, so that a copy of the
//! entry shares the login; two entries that came about apart must not, though their names are one.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
};

use crate::{
    credential::store::Store,
    kubeconfig::{self, Resolved, edit},
    settings::Login,
};

/// A user's entry that names a saved login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserEntry {
    /// The kubeconfig.
    pub file: PathBuf,
    /// Name of the entry.
    pub user: String,
}

/// A login as the kubeconfig is to name it.
pub struct Naming<'a> {
    /// `--kubeconfig`
    pub kubeconfig: Option<&'a Path>,
    /// `openshift`, `ibm` or `oidc`.
    pub kind: &'a str,
    /// The user's entry, where its name says who logs in.
    pub user: Option<&'a str>,
    /// The name where nobody else uses it.
    pub wanted: &'a str,
}

/// The name under which to save a login: that of the kubeconfig's own entry, which may be a copy
/// of another's; else `wanted`, or `wanted/2` and so on where another kubeconfig uses that.
pub fn name_for(
    store: &Store,
    naming: &Naming<'_>,
    env: &dyn Fn(&str) -> Option<OsString>,
) -> String {
    let own = edit::files(naming.kubeconfig, env);
    let entries = own.iter().flat_map(|file| logins_in(file));
    let entries: Vec<_> = entries
        .filter(|(_, login)| login.kind() == naming.kind)
        .collect();
    let names = |is_it: &dyn Fn(&str, &str) -> bool| {
        let mut named = entries
            .iter()
            .filter_map(|(user, login)| Some((user, login.saved_as()?)));
        named
            .find(|(user, name)| is_it(user, name))
            .map(|(_, name)| name)
    };
    let of_user = names(&|user, _| Some(user) == naming.user);
    if let Some(name) = of_user.or_else(|| names(&|_, name| is_numbered(name, naming.wanted))) {
        return name;
    }
    let mut number = 1;
    loop {
        let name = match number {
            1 => naming.wanted.to_owned(),
            _ => format!("{}/{number}", naming.wanted),
        };
        if is_free(store, &name, &own, env) {
            return name;
        }
        number += 1;
    }
}

/// The entries of `files` that name a login, each once.
#[must_use]
pub fn users_of(login: &str, files: &[PathBuf]) -> Vec<UserEntry> {
    let mut seen = Vec::new();
    let mut users = Vec::new();
    for file in files {
        let real = real(file);
        if seen.contains(&real) {
            continue;
        }
        seen.push(real);
        let naming = logins_in(file).into_iter();
        let naming = naming.filter(|(_, found)| found.saved_as().as_deref() == Some(login));
        users.extend(naming.map(|(user, _)| UserEntry {
            file: file.clone(),
            user,
        }));
    }
    users
}

/// Notes which kubeconfig uses the saved login of its user, so that a logout elsewhere can name it.
/// A login of which nothing is saved, and a pipe, are left out.
pub fn note_use(found: &Resolved, env: &dyn Fn(&str) -> Option<OsString>) {
    let kubeconfig::Login::Exec(entry) = &found.target.user.login else {
        return;
    };
    let name = Login::of_exec(entry).and_then(|login| login.saved_as());
    if let (Some(name), Some(file), false) = (name, &found.user_file, found.from_pipe) {
        note(&name, |_| vec![file.clone()], env);
    }
}

/// As [`note_use`], for a login that kubectl runs as a plugin: kubectl does not say which kubeconfig
/// names it, but the plugin sees the same environment.
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

/// Notes the files that `users` returns; it is given those that are noted already.
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
                "it is not noted which kubeconfig uses the login"
            );
        }
    }
}

/// Whether no kubeconfig but our `own` is known to use a name.
fn is_free(
    store: &Store,
    name: &str,
    own: &[PathBuf],
    env: &dyn Fn(&str) -> Option<OsString>,
) -> bool {
    let noted = store.kubeconfigs(name);
    // Saved by a kubegate that did not note by whom it is used: perhaps by a file elsewhere.
    if noted.is_empty() && store.path(name).exists() {
        return false;
    }
    let own: Vec<PathBuf> = own.iter().map(|file| real(file)).collect();
    let mut others = noted;
    others.extend(edit::files(None, env));
    others.retain(|file| !own.contains(&real(file)));
    users_of(name, &others).is_empty()
}

/// The users of a file that run `kubegate credential`. One that is gone or broken has none.
fn logins_in(file: &Path) -> Vec<(String, Login)> {
    let users = kubeconfig::exec_users(file).unwrap_or_default().into_iter();
    users
        .filter_map(|(user, config)| Some((user, Login::of_exec(&config)?)))
        .collect()
}

/// Whether a name is `wanted`, or `wanted/2` and so on.
fn is_numbered(name: &str, wanted: &str) -> bool {
    let Some(rest) = name.strip_prefix(wanted) else {
        return false;
    };
    let number = rest.strip_prefix('/').map(str::parse::<u32>);
    rest.is_empty() || matches!(number, Some(Ok(_)))
}

fn real(file: &Path) -> PathBuf {
    fs::canonicalize(file).unwrap_or_else(|_| file.to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use tempfile::{TempDir, tempdir};

    use super::*;
    use crate::credential::store::Saved;

    struct Home {
        folder: TempDir,
    }

    impl Home {
        fn path(&self, name: &str) -> PathBuf {
            self.folder.path().join(name)
        }

        fn store(&self) -> Store {
            Store::of_user(&|_| Some(self.folder.path().as_os_str().to_owned())).unwrap()
        }

        /// Writes a kubeconfig whose user names a login.
        fn write(&self, file: &str, user: &str, login: &str) -> PathBuf {
            let text = format!(
                "users: [{{name: {user}, user: {{exec: {{command: kubegate, apiVersion: \
                 client.authentication.k8s.io/v1, interactiveMode: Never, args: [credential, \
                 openshift, --login, {login}]}}}}}}]"
            );
            fs::write(self.path(file), text).unwrap();
            self.path(file)
        }

        /// What a login leaves.
        fn log_in(&self, file: &str, user: &str, login: &str) {
            let file = self.write(file, user, login);
            self.store().write(login, &Saved::default()).unwrap();
            self.store().note_kubeconfig(login, &file).unwrap();
        }

        fn name(&self, file: &str, user: &str) -> String {
            let file = self.path(file);
            let naming = Naming {
                kubeconfig: Some(&file),
                kind: "openshift",
                user: Some(user),
                wanted: user,
            };
            name_for(&self.store(), &naming, &|_| None)
        }
    }

    fn home() -> Home {
        let folder = tempdir().unwrap();
        Home { folder }
    }

    #[test]
    fn a_name_that_another_kubeconfig_uses_is_not_taken_by_a_new_login() {
        let home = home();
        assert_eq!(home.name("one", "a"), "a");
        home.log_in("one", "a", "a");
        assert_eq!(home.name("one", "a"), "a", "its own");
        assert_eq!(home.name("two", "a"), "a/2");
        home.log_in("two", "a", "a/2");
        assert_eq!(home.name("two", "a"), "a/2", "its own");
        assert_eq!(home.name("three", "a"), "a/3");
        assert_eq!(home.name("three", "b"), "b");
        // One that is logged out keeps its name, and one that is gone does not.
        home.store().remove("a").unwrap();
        assert_eq!(home.name("three", "a"), "a/3");
        fs::remove_file(home.path("one")).unwrap();
        assert_eq!(home.name("three", "a"), "a");
    }

    #[test]
    fn a_copied_entry_goes_on_sharing_and_so_does_one_that_was_named() {
        let home = home();
        home.log_in("one", "a", "a");
        home.write("copy", "a", "a");
        assert_eq!(home.name("copy", "a"), "a");
        home.write("named", "a", "ours");
        assert_eq!(home.name("named", "a"), "ours");
        let files = ["one", "copy", "named", "none"].map(|file| home.path(file));
        let users = users_of("a", &files);
        let users: Vec<_> = users.iter().map(|one| one.file.as_path()).collect();
        assert_eq!(users, [files[0].as_path(), files[1].as_path()]);
    }

    #[test]
    fn a_login_of_before_is_found_by_its_entry_and_taken_over_by_nobody_else() {
        let home = home();
        home.write("one", "a", "a");
        home.store().write("a", &Saved::default()).unwrap();
        assert_eq!(home.name("one", "a"), "a");
        assert_eq!(home.name("two", "a"), "a/2");
    }

    #[test]
    fn one_login_serves_many_users_of_one_kubeconfig() {
        let home = home();
        home.log_in("one", "cluster-1", "ibm");
        let file = home.path("one");
        let mut naming = Naming {
            kubeconfig: Some(&file),
            kind: "openshift",
            user: None,
            wanted: "ibm",
        };
        assert_eq!(name_for(&home.store(), &naming, &|_| None), "ibm");
        naming.kind = "ibm";
        assert_eq!(
            name_for(&home.store(), &naming, &|_| None),
            "ibm",
            "free in its own file"
        );
        let other = home.path("other");
        naming.kubeconfig = Some(&other);
        assert_eq!(name_for(&home.store(), &naming, &|_| None), "ibm/2");
    }
}
