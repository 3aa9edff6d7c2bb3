//! The other user entries that name a login, and whether they need it after a logout.

use std::{ffi::OsString, path::Path};

use crate::{
    credential::store::SavedLogin,
    login::{LoginContext, LoginUser, contexts_of},
    printable::printable,
};

/// A user entry that names the login.
pub(super) struct Other {
    entry: LoginUser,
    contexts: Vec<LoginContext>,
    /// Whether it is the entry that is logged out, for the sake of its other contexts.
    is_own: bool,
    /// Whether it uses the login at another API server, and goes on doing so.
    stays: bool,
}

impl Other {
    /// `explicit` is `--kubeconfig`, `env` reads an environment variable.
    pub(super) fn new(
        entry: LoginUser,
        explicit: Option<&Path>,
        env: &dyn Fn(&str) -> Option<OsString>,
    ) -> Self {
        let contexts = contexts_of(&entry, explicit, env);
        Self {
            entry,
            contexts,
            is_own: false,
            stays: false,
        }
    }

    /// Makes it the entry that is logged out, with the contexts for which `stays` is true. Returns
    /// whether there are any.
    pub(super) fn is_own_of(&mut self, stays: impl Fn(&str) -> bool) -> bool {
        self.is_own = true;
        self.contexts.retain(|one| stays(&one.context));
        !self.contexts.is_empty()
    }

    /// Decides whether it needs `saved` after the logout from the API server `here`. A copy of the
    /// entry that is logged out is logged out too: it is the same user at the same server.
    pub(super) fn needs(&mut self, saved: &SavedLogin, here: Option<&str>) -> bool {
        let mut elsewhere = saved
            .servers
            .iter()
            .filter(|one| Some(one.as_str()) != here);
        self.stays = elsewhere.any(|server| {
            // Contexts of a user may be in a file that is not known here.
            self.contexts.is_empty() || self.contexts.iter().any(|one| one.server == *server)
        });
        self.stays
    }

    /// Returns the line that tells what became of it, if there is something to tell.
    pub(super) fn line(&self) -> Option<String> {
        let user = printable(&self.entry.user);
        let file = self.entry.file.display().to_string();
        let file = printable(&file);
        if !self.stays {
            return (!self.is_own).then(|| {
                format!("User {user} in {file} used the same login, and is logged out too\n")
            });
        }
        let names: Vec<_> = (self.contexts.iter())
            .map(|one| printable(&one.context).into_owned())
            .collect();
        let contexts = match &names[..] {
            [] => String::new(),
            names => format!(" (context {})", names.join(", ")),
        };
        Some(format!(
            "User {user}{contexts} in {file} uses the same login elsewhere, and stays logged in; \
             `kubegate logout --all` ends it there too\n"
        ))
    }
}

/// Removes from `saved` what only the API server `here` needs.
pub(super) fn without_server(mut saved: SavedLogin, here: Option<&str>) -> SavedLogin {
    saved.servers.retain(|one| Some(one.as_str()) != here);
    if saved.token_of.is_some() && saved.token_of.as_deref() == here {
        saved.token = None;
        saved.token_of = None;
        saved.issued_at = None;
        saved.expires_at = None;
    }
    saved
}
