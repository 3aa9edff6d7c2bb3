//! The name of a saved login. The user entry of a kubeconfig holds it, so that a copy of the entry
//! shares the login. Two entries that were made apart never share one, even if their names are equal.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use super::{
    Error,
    login_users::{canonical, logins_in, users_of},
};
use crate::{
    credential::{
        self,
        store::{SavedLogin, Store},
    },
    kubeconfig::{edit, issuer_name},
    settings::{Login, OidcFlags},
};

/// What the name of a saved login is chosen by.
pub(super) struct NameRequest<'a> {
    /// `--kubeconfig`
    pub(super) kubeconfig: Option<&'a Path>,
    /// The kind of login: `openshift`, `ibm` or `oidc`.
    pub(super) kind: &'a str,
    /// The user entry that the login renews.
    pub(super) user: Option<&'a str>,
    /// Whether other user entries of the kubeconfig share the login.
    pub(super) is_shared: bool,
    /// The name to take if no other kubeconfig uses it.
    pub(super) preferred: &'a str,
}

/// What a login holds, where several kinds of secrets have similar names.
pub(super) struct SecretKind<'a> {
    /// The name that earlier versions preferred, whatever the kind.
    pub(super) former: &'a str,
    /// Whether a saved login holds no secret of another kind, which its contexts may need.
    pub(super) is_same: fn(&SavedLogin) -> bool,
}

/// Returns the name under which to save a login: the one that the kubeconfig's own entry has, which
/// may be a copy of another entry, else the preferred one. If another kubeconfig uses that, appends
/// `/2`, `/3` and so on.
pub(super) fn choose_login_name(
    store: &Store,
    request: &NameRequest<'_>,
    env: &dyn Fn(&str) -> Option<OsString>,
) -> String {
    let any = SecretKind {
        former: request.preferred,
        is_same: |_| true,
    };
    choose_login_name_of_kind(store, request, &any, env)
}

/// As [`choose_login_name`], but never returns the name of a login that holds a secret of another
/// kind: the contexts that use it may need just that.
pub(super) fn choose_login_name_of_kind(
    store: &Store,
    request: &NameRequest<'_>,
    secret: &SecretKind<'_>,
    env: &dyn Fn(&str) -> Option<OsString>,
) -> String {
    // A login that cannot be read does not prevent a new one.
    let read = |name: &str| store.read(name).ok().flatten();
    let may_replace = |name: &str| read(name).is_none_or(|saved| (secret.is_same)(&saved));
    let own = edit::files(request.kubeconfig, env);
    let entries = own.iter().flat_map(|file| logins_in(file));
    let entries: Vec<_> = entries
        .filter(|(_, login)| login.kind() == request.kind)
        .collect();
    let names = |matches: &dyn Fn(&str, &str) -> bool| {
        let mut named = entries
            .iter()
            .filter_map(|(user, login)| Some((user, login.saved_as()?)));
        named
            .find(|(user, name)| matches(user, name) && may_replace(name))
            .map(|(_, name)| name)
    };
    let is_former = |name: &str| is_numbered(name, secret.former) && read(name).is_some();
    let shared = || {
        names(&|_, name| is_numbered(name, request.preferred))
            .or_else(|| names(&|_, name| is_former(name)))
    };
    let saved = names(&|user, _| Some(user) == request.user)
        .or_else(|| request.is_shared.then(shared).flatten());
    if let Some(name) = saved {
        return name;
    }
    let mut number = 1;
    loop {
        let name = match number {
            1 => request.preferred.to_owned(),
            _ => format!("{}/{number}", request.preferred),
        };
        let is_taken_here = !request.is_shared && !users_of(&name, &own).is_empty();
        if !is_taken_here && is_free(store, &name, &own, env) && may_replace(&name) {
            return name;
        }
        number += 1;
    }
}

/// Refuses the name of a saved login that a user entry of another issuer or client has: its tokens would
/// be lost. `kubeconfig` is `--kubeconfig`.
///
/// # Errors
/// [`Error::LoginInUse`]; a state folder that cannot be found.
pub(super) fn refuse_login_in_use(
    name: &str,
    flags: &OidcFlags,
    kubeconfig: Option<&Path>,
    env: &dyn Fn(&str) -> Option<OsString>,
) -> Result<(), Error> {
    let mut entries = entries_of(name, kubeconfig, env)?.into_iter();
    match entries.find(|entry| !is_of_client(&entry.login, flags)) {
        Some(Entry { user, file, .. }) => Err(Error::LoginInUse {
            login: name.to_owned(),
            user,
            file,
        }),
        None => Ok(()),
    }
}

/// Returns whether a user entry is known that uses a saved login for this client. `kubeconfig` is
/// `--kubeconfig`.
///
/// # Errors
/// A state folder that cannot be found.
pub(super) fn is_known_of_client(
    name: &str,
    flags: &OidcFlags,
    kubeconfig: Option<&Path>,
    env: &dyn Fn(&str) -> Option<OsString>,
) -> Result<bool, Error> {
    let entries = entries_of(name, kubeconfig, env)?;
    Ok(entries
        .iter()
        .any(|entry| is_of_client(&entry.login, flags)))
}

/// A user entry, and the kubeconfig that it is in.
struct Entry {
    user: String,
    login: Login,
    file: PathBuf,
}

/// Returns the user entries that use a saved login.
fn entries_of(
    name: &str,
    kubeconfig: Option<&Path>,
    env: &dyn Fn(&str) -> Option<OsString>,
) -> Result<Vec<Entry>, Error> {
    let store = Store::of_user(env).map_err(credential::Error::store)?;
    let mut files = edit::files(kubeconfig, env);
    files.extend(store.kubeconfigs(name));
    let mut entries = Vec::new();
    for file in files {
        let logins = logins_in(&file).into_iter();
        let named = logins.filter(|(_, login)| login.saved_as().as_deref() == Some(name));
        entries.extend(named.map(|(user, login)| Entry {
            user,
            login,
            file: file.clone(),
        }));
    }
    Ok(entries)
}

fn is_of_client(login: &Login, flags: &OidcFlags) -> bool {
    matches!(login, Login::Oidc(other) if is_same_client(flags, other))
}

/// Whether both are one client at one issuer.
pub(super) fn is_same_client(one: &OidcFlags, other: &OidcFlags) -> bool {
    issuer_name(&one.oidc_issuer_url) == issuer_name(&other.oidc_issuer_url)
        && one.oidc_client_id == other.oidc_client_id
}

/// Whether both get the tokens of one client by the same grant, files and scopes.
pub(super) fn has_same_flags(one: &OidcFlags, other: &OidcFlags) -> bool {
    let mut other = other.clone();
    other.login.clone_from(&one.login);
    other.oidc_issuer_url.clone_from(&one.oidc_issuer_url);
    is_same_client(one, &other) && one.to_args() == other.to_args()
}

/// Whether no kubeconfig other than `own` is known to use a name.
fn is_free(
    store: &Store,
    name: &str,
    own: &[PathBuf],
    env: &dyn Fn(&str) -> Option<OsString>,
) -> bool {
    let noted = store.kubeconfigs(name);
    // Without a note it is unknown which kubeconfig uses the login: it was saved before notes existed,
    // or the note could not be written.
    if noted.is_empty() && store.path(name).exists() {
        return false;
    }
    let own: Vec<PathBuf> = own.iter().map(|file| canonical(file)).collect();
    let mut others = noted;
    others.extend(edit::files(None, env));
    others.retain(|file| !own.contains(&canonical(file)));
    users_of(name, &others).is_empty()
}

/// Whether a name is the preferred one, alone or with a number appended.
fn is_numbered(name: &str, preferred: &str) -> bool {
    let Some(rest) = name.strip_prefix(preferred) else {
        return false;
    };
    let number = rest.strip_prefix('/').map(str::parse::<u32>);
    rest.is_empty() || matches!(number, Some(Ok(_)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::fs;

    use tempfile::{TempDir, tempdir};

    use super::*;
    use crate::secret::Secret;

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

        /// Writes what a login leaves behind.
        fn log_in(&self, file: &str, user: &str, login: &str) {
            let file = self.write(file, user, login);
            self.store().write(login, &SavedLogin::default()).unwrap();
            self.store().note_kubeconfig(login, &file).unwrap();
        }

        fn name(&self, file: &str, user: &str) -> String {
            let file = self.path(file);
            let request = NameRequest {
                kubeconfig: Some(&file),
                kind: "openshift",
                user: Some(user),
                is_shared: false,
                preferred: user,
            };
            choose_login_name(&self.store(), &request, &|_| None)
        }
    }

    fn home() -> Home {
        let folder = tempdir().unwrap();
        Home { folder }
    }

    #[test]
    fn a_new_login_takes_no_name_that_another_kubeconfig_uses() {
        let home = home();
        assert_eq!(home.name("one", "a"), "a");
        home.log_in("one", "a", "a");
        assert_eq!(home.name("one", "a"), "a", "its own");
        assert_eq!(home.name("two", "a"), "a/2");
        home.log_in("two", "a", "a/2");
        assert_eq!(home.name("two", "a"), "a/2", "its own");
        assert_eq!(home.name("three", "a"), "a/3");
        assert_eq!(home.name("three", "b"), "b");
        // A login that is logged out keeps its name; one whose kubeconfig is gone does not.
        home.store().remove("a").unwrap();
        assert_eq!(home.name("three", "a"), "a/3");
        fs::remove_file(home.path("one")).unwrap();
        assert_eq!(home.name("three", "a"), "a");
    }

    #[test]
    fn a_copied_or_explicitly_named_entry_shares_its_login() {
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
    fn a_login_without_a_note_belongs_to_the_entry_that_names_it() {
        let home = home();
        home.write("one", "a", "a");
        home.store().write("a", &SavedLogin::default()).unwrap();
        assert_eq!(home.name("one", "a"), "a");
        assert_eq!(home.name("two", "a"), "a/2");
    }

    #[test]
    fn a_login_of_another_kind_of_secret_is_not_replaced() {
        let home = home();
        let store = home.store();
        let key = SavedLogin {
            api_key: Some(Secret::new("sesame-key")),
            ..SavedLogin::default()
        };
        let session = SavedLogin {
            refresh_token: Some(Secret::new("sesame-token")),
            ..SavedLogin::default()
        };
        let choose = |file: &Path, preferred, is_same| {
            let request = NameRequest {
                kubeconfig: Some(file),
                kind: "openshift",
                user: None,
                is_shared: true,
                preferred,
            };
            let secret = SecretKind {
                former: "a",
                is_same,
            };
            choose_login_name_of_kind(&store, &request, &secret, &|_| None)
        };
        let by_key = |file: &Path| choose(file, "a", |saved| saved.refresh_token.is_none());
        let by_session = |file: &Path| choose(file, "a/session", |saved| saved.api_key.is_none());
        let file = home.write("one", "u", "a");
        store.note_kubeconfig("a", &file).unwrap();
        store.write("a", &key).unwrap();
        assert_eq!(by_key(&file), "a");
        assert_eq!(by_session(&file), "a/session");
        // Earlier versions saved both kinds under one name.
        store.write("a", &session).unwrap();
        assert_eq!(by_session(&file), "a");
        assert_eq!(by_key(&file), "a/2");
        assert_eq!(by_session(&home.path("other")), "a/session");
        store.remove("a").unwrap();
        assert_eq!(by_session(&file), "a/session");
    }

    #[test]
    fn users_of_one_kubeconfig_share_one_login() {
        let home = home();
        home.log_in("one", "cluster-1", "ibm");
        let file = home.path("one");
        let mut request = NameRequest {
            kubeconfig: Some(&file),
            kind: "openshift",
            user: None,
            is_shared: true,
            preferred: "ibm",
        };
        assert_eq!(choose_login_name(&home.store(), &request, &|_| None), "ibm");
        request.kind = "ibm";
        assert_eq!(
            choose_login_name(&home.store(), &request, &|_| None),
            "ibm",
            "free in its own file"
        );
        let other = home.path("other");
        request.kubeconfig = Some(&other);
        assert_eq!(
            choose_login_name(&home.store(), &request, &|_| None),
            "ibm/2"
        );
    }
}
