//! [`Existing`]: what the entries are that a login finds: whether they are of the same login, and which
//! contexts use them.

use super::{
    contents::{Contents, ContextEntry, Found},
    forget::USER,
    meaning::differences,
    names::user_in_name,
    new_context::{Naming, NewContext},
    note,
};
use crate::kubeconfig::Error;

/// The entries of a kubeconfig, as a new login sees them. `renewed` is the context that it renews.
#[derive(Clone, Copy)]
pub(super) struct Existing<'a> {
    pub(super) contents: &'a Contents<'a>,
    pub(super) new: &'a NewContext,
}

impl Existing<'_> {
    /// Whether the entry is this login of this user, so that it may be renewed for every context. One that
    /// other contexts use keeps its grant, files and scopes.
    pub(super) fn is_same_login(
        &self,
        name: &str,
        found: Found<'_>,
        renewed: Option<ContextEntry<'_>>,
    ) -> bool {
        let identity = &self.new.identity;
        let is_own = self.other_use("user", name, renewed).is_none();
        let exec = self.contents.exec(name, found);
        exec.is_some_and(|exec| {
            (identity.is_same)(&exec) && (is_own || (identity.has_same_flags)(&exec))
        }) && self.is_of_same_user(name)
            && (!self.new.identity.is_session || self.is_of_same_server(name, renewed))
    }

    /// Whether the entry is a token that `oc login` wrote for the same user.
    pub(super) fn is_token_of_oc(
        &self,
        name: &str,
        found: Found<'_>,
        renewed: Option<ContextEntry<'_>>,
    ) -> bool {
        let fields = found.body.as_object();
        self.new.identity.is_session
            && fields.is_some_and(|fields| fields.len() == 1 && fields.contains_key("token"))
            && self.is_of_same_user(name)
            && self.is_of_same_server(name, renewed)
    }

    /// Whether nothing says that an entry is of another user: neither the notes of the logins that wrote
    /// it, nor the entry's name.
    fn is_of_same_user(&self, name: &str) -> bool {
        let noted = self.contents.contexts().filter_map(|one| {
            let login = note::login_of(self.contents, one.body)?;
            (login.user == name).then(|| (one.body["user"] == name, login.username))
        });
        let noted: Vec<_> = noted.collect();
        // A context that has left the entry does not know who logged in since.
        let is_in_use = noted.iter().any(|(uses, _)| *uses);
        let mut known = noted.iter().filter(|(uses, _)| *uses == is_in_use);
        if !noted.is_empty() {
            return known.all(|(_, username)| *username == self.new.username);
        }
        if matches!(self.new.naming, Naming::Ibm(_)) {
            return true;
        }
        let contexts = self.contents.contexts();
        let mut users = contexts.filter(|one| one.body["user"] == name);
        users.all(|context| {
            let cluster = context.body["cluster"].as_str().unwrap_or_default();
            user_in_name(name, cluster).is_none_or(|user| user == self.new.username)
        })
    }

    /// Whether all contexts but the renewed one use the entry for this API server.
    fn is_of_same_server(&self, user: &str, renewed: Option<ContextEntry<'_>>) -> bool {
        let mut others = self.others("user", user, renewed);
        others.all(|context| {
            let name = context.body["cluster"].as_str().unwrap_or_default();
            let Some(found) = self.contents.find("cluster", name) else {
                return true;
            };
            let cluster = self.contents.cluster(name, found);
            differences(cluster.as_ref(), &self.new.cluster).is_empty()
        })
    }

    /// The contexts that use an entry, without the renewed one.
    fn others<'b>(
        &'b self,
        kind: &'b str,
        name: &'b str,
        renewed: Option<ContextEntry<'b>>,
    ) -> impl Iterator<Item = ContextEntry<'b>> {
        let renewed = renewed.map(|renewed| (renewed.file, renewed.name));
        self.contents.contexts().filter(move |context| {
            // After its login is forgotten, a context has its former entries again.
            let uses = note::uses(context.body, kind, name);
            uses && Some((context.file, context.name)) != renewed
        })
    }

    /// The first context that uses an entry, without the renewed one.
    pub(super) fn other_use<'b>(
        &'b self,
        kind: &'b str,
        name: &'b str,
        renewed: Option<ContextEntry<'b>>,
    ) -> Option<ContextEntry<'b>> {
        self.others(kind, name, renewed).next()
    }

    /// Whether the entry is a login of kubegate.
    pub(super) fn is_login(&self, name: &str, found: Found<'_>) -> bool {
        let exec = self.contents.exec(name, found);
        exec.is_some_and(|exec| (self.new.identity.is_login)(&exec))
    }

    /// Refuses to replace a credential that is not of a login of kubegate: it may be the only copy.
    pub(super) fn refuse_foreign_login(
        &self,
        name: &str,
        found: Found<'_>,
        renewed: Option<ContextEntry<'_>>,
    ) -> Result<(), Error> {
        let field = USER.into_iter().find(|field| !found.body[*field].is_null());
        let is_replaced = self.is_login(name, found) || self.is_token_of_oc(name, found, renewed);
        match field.filter(|_| !is_replaced) {
            None => Ok(()),
            Some(field) => Err(Error::OtherLogin {
                path: self.contents.path(found.file).to_owned(),
                name: name.to_owned(),
                field,
            }),
        }
    }

    /// Refuses to change an entry that another context uses.
    pub(super) fn refuse_in_use(
        &self,
        kind: &'static str,
        name: &str,
        file: usize,
        renewed: Option<ContextEntry<'_>>,
    ) -> Result<(), Error> {
        match self.other_use(kind, name, renewed) {
            None => Ok(()),
            Some(context) => Err(Error::InUse {
                path: self.contents.path(file).to_owned(),
                kind,
                name: name.to_owned(),
                context: context.name.to_owned(),
            }),
        }
    }
}
