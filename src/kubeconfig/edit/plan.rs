//! [`Plan`]: which entries a login takes. An entry that another context uses keeps its meaning: the
//! login takes another name, or is refused if the user chose the name.

use super::{
    contents::{Contents, ContextEntry, Found},
    forget::USER,
    meaning::{ClusterField, differences},
    names::{cluster_base_names, numbered, user_in_name},
    new_context::{Naming, NewContext},
    note::{self, note},
};
use crate::kubeconfig::Error;

/// The entries of a login.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) context: Place,
    pub(super) cluster: Place,
    pub(super) user: Place,
    /// The fields of the cluster entry to write; empty where the entry has the same meaning.
    pub(super) cluster_fields: Vec<ClusterField>,
    /// What an earlier login gave the context, if no context uses its user any more.
    pub(super) orphan: Option<Orphan>,
}

/// The user of a login that no context uses any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Orphan {
    /// Name of its entry.
    pub user: String,
    /// The cluster of its context, if that has another one now.
    pub cluster: Option<String>,
}

/// Where an entry is, or is to be added.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) name: String,
    /// The file, as an index.
    pub(super) file: usize,
    /// Whether there is such an entry.
    pub(super) exists: bool,
}

/// Plans the entries of `new`. Without a context to renew, they are added to the file `main`.
pub(super) fn plan(contents: &Contents<'_>, main: usize, new: &NewContext) -> Result<Plan, Error> {
    Planner {
        contents,
        main,
        new,
    }
    .plan()
}

struct Planner<'a> {
    contents: &'a Contents<'a>,
    main: usize,
    new: &'a NewContext,
}

impl<'a> Planner<'a> {
    fn plan(&self) -> Result<Plan, Error> {
        let mut renewed = self.named_context();
        let (cluster, cluster_fields) = self.cluster(renewed)?;
        if self.new.chosen.context.is_none() && renewed.is_none() {
            let base = self.context_base_name(&cluster.name);
            renewed = self.context(&base).filter(|context| {
                context.body["cluster"] == *cluster.name && self.is_own_login(*context)
            });
        }
        let user = self.user(renewed, &cluster.name)?;
        let context = match (renewed, &self.new.chosen.context) {
            (Some(renewed), _) => Place {
                name: renewed.name.to_owned(),
                file: renewed.file,
                exists: true,
            },
            (None, Some(name)) => self.added(name.clone(), None),
            (None, None) => self.derived_context(&cluster.name, &user.name),
        };
        Ok(Plan {
            orphan: renewed.and_then(|renewed| self.orphan(renewed, &user.name, &cluster.name)),
            context,
            cluster,
            user,
            cluster_fields,
        })
    }

    /// The login of kubegate that a context had before it gets `user` and `cluster`, unless others use
    /// it.
    fn orphan(&self, renewed: ContextEntry<'_>, user: &str, cluster: &str) -> Option<Orphan> {
        let former = renewed.body["user"].as_str()?;
        let found = self.contents.find("user", former)?;
        let is_unused = former != user && self.other_use("user", former, Some(renewed)).is_none();
        let before = renewed.body["cluster"].as_str();
        (is_unused && self.is_login(former, found)).then(|| Orphan {
            user: former.to_owned(),
            cluster: before.filter(|one| *one != cluster).map(str::to_owned),
        })
    }

    /// The existing context that the login renews by its name alone.
    fn named_context(&self) -> Option<ContextEntry<'a>> {
        match (&self.new.chosen.context, &self.new.naming) {
            (Some(name), _) => self.context(name),
            // The name holds the id of the cluster.
            (None, Naming::Ibm(name)) => {
                self.context(name).filter(|found| self.is_own_login(*found))
            }
            (None, Naming::Oc { .. }) => None,
        }
    }

    fn context(&self, name: &str) -> Option<ContextEntry<'a>> {
        self.contents
            .contexts()
            .find(|context| context.name == name)
    }

    fn is_own_login(&self, context: ContextEntry<'_>) -> bool {
        let user = context.body["user"].as_str();
        user.is_some_and(|user| {
            let found = self.contents.find("user", user);
            found.is_some_and(|found| self.is_same_login(user, found, Some(context)))
        })
    }

    fn context_base_name(&self, cluster: &str) -> String {
        match &self.new.naming {
            Naming::Oc { namespace } => {
                format!("{namespace}/{cluster}/{}", self.new.username)
            }
            Naming::Ibm(name) => name.clone(),
        }
    }

    fn derived_context(&self, cluster: &str, user: &str) -> Place {
        let base = self.context_base_name(cluster);
        let mut names = numbered(&base, '/');
        loop {
            let name = names.next().unwrap_or_default();
            match self.context(&name) {
                None => return self.added(name, None),
                Some(found) if found.body["cluster"] == cluster && found.body["user"] == user => {
                    return Place {
                        name,
                        file: found.file,
                        exists: true,
                    };
                }
                Some(_) => {}
            }
        }
    }

    /// The cluster entry, and the fields of it to write.
    fn cluster(
        &self,
        renewed: Option<ContextEntry<'_>>,
    ) -> Result<(Place, Vec<ClusterField>), Error> {
        let all = || differences(None, &self.new.cluster);
        let find = |name: &str| {
            let found = self.contents.find("cluster", name)?;
            let cluster = self.contents.cluster(name, found);
            Some((found, differences(cluster.as_ref(), &self.new.cluster)))
        };
        if let Some(name) = &self.new.chosen.cluster {
            return match find(name) {
                None => Ok((self.added(name.clone(), renewed), all())),
                Some((found, fields)) => {
                    if !fields.is_empty() {
                        self.refuse_in_use("cluster", name, found, renewed)?;
                    }
                    Ok((existing(name, found), fields))
                }
            };
        }
        let bases = match &self.new.naming {
            Naming::Oc { .. } => cluster_base_names(&self.new.cluster.server),
            Naming::Ibm(name) => vec![name.clone()],
        };
        let of_context = renewed.and_then(|renewed| renewed.body["cluster"].as_str());
        if let Some(name) = of_context
            && let Some((found, fields)) = find(name)
        {
            // An entry does not get another server under a name that says the former one.
            let keeps_name = !fields.contains(&ClusterField::Server) || bases[0] == name;
            let is_own = || keeps_name && self.other_use("cluster", name, renewed).is_none();
            if fields.is_empty() || is_own() {
                return Ok((existing(name, found), fields));
            }
        }
        for name in &bases {
            if let Some((found, fields)) = find(name)
                && fields.is_empty()
            {
                return Ok((existing(name, found), fields));
            }
        }
        let mut names = numbered(&bases[0], '-');
        loop {
            let name = names.next().unwrap_or_default();
            match find(&name) {
                None => return Ok((self.added(name, renewed), all())),
                Some((found, fields)) if fields.is_empty() => {
                    return Ok((existing(&name, found), fields));
                }
                Some(_) => {}
            }
        }
    }

    fn user(&self, renewed: Option<ContextEntry<'_>>, cluster: &str) -> Result<Place, Error> {
        let find = |name: &str| self.contents.find("user", name);
        if let Some(name) = &self.new.chosen.user {
            return match find(name) {
                None => Ok(self.added(name.clone(), renewed)),
                Some(found) => {
                    if !self.is_same_login(name, found, renewed) {
                        self.refuse_foreign_login(name, found, renewed)?;
                        self.refuse_in_use("user", name, found, renewed)?;
                    }
                    Ok(existing(name, found))
                }
            };
        }
        let of_context = renewed.and_then(|renewed| renewed.body["user"].as_str());
        if let Some(name) = of_context
            && let Some(found) = find(name)
            && self.is_same_login(name, found, renewed)
        {
            return Ok(existing(name, found));
        }
        let base = match &self.new.naming {
            Naming::Oc { .. } => format!("{}/{cluster}", self.new.username),
            Naming::Ibm(name) => name.clone(),
        };
        let mut names = numbered(&base, '/');
        loop {
            let name = names.next().unwrap_or_default();
            match find(&name) {
                None => return Ok(self.added(name, renewed)),
                Some(found)
                    if self.is_same_login(&name, found, renewed)
                        || self.is_token_of_oc(&name, found, renewed) =>
                {
                    return Ok(existing(&name, found));
                }
                Some(_) => {}
            }
        }
    }

    /// Whether the entry is this login of this user, so that it may be renewed for every context.
    fn is_same_login(
        &self,
        name: &str,
        found: Found<'_>,
        renewed: Option<ContextEntry<'_>>,
    ) -> bool {
        let exec = self.contents.exec(name, found);
        exec.is_some_and(|exec| (self.new.identity.is_same)(&exec))
            && self.is_of_same_user(name)
            && (!self.new.identity.is_session || self.is_of_same_server(name, renewed))
    }

    /// Whether the entry is a token that `oc login` wrote for the same user.
    fn is_token_of_oc(
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

    /// Whether nothing says that an entry is of another user: neither the note of a login, nor the
    /// entry's name.
    fn is_of_same_user(&self, name: &str) -> bool {
        let contexts = self.contents.contexts();
        let users: Vec<_> = contexts.filter(|one| one.body["user"] == name).collect();
        let noted = users.iter().find_map(|one| note::username(one.body));
        if let Some(noted) = noted {
            return noted == self.new.username;
        }
        if matches!(self.new.naming, Naming::Ibm(_)) {
            return true;
        }
        users.iter().all(|context| {
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
            let uses = context.body[kind] == name || note(context.body)[kind] == name;
            uses && Some((context.file, context.name)) != renewed
        })
    }

    fn other_use<'b>(
        &'b self,
        kind: &'b str,
        name: &'b str,
        renewed: Option<ContextEntry<'b>>,
    ) -> Option<ContextEntry<'b>> {
        self.others(kind, name, renewed).next()
    }

    fn is_login(&self, name: &str, found: Found<'_>) -> bool {
        let exec = self.contents.exec(name, found);
        exec.is_some_and(|exec| (self.new.identity.is_login)(&exec))
    }

    /// Refuses to replace a credential that is not of a login of kubegate: it may be the only copy.
    fn refuse_foreign_login(
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
    fn refuse_in_use(
        &self,
        kind: &'static str,
        name: &str,
        found: Found<'_>,
        renewed: Option<ContextEntry<'_>>,
    ) -> Result<(), Error> {
        match self.other_use(kind, name, renewed) {
            None => Ok(()),
            Some(context) => Err(Error::InUse {
                path: self.contents.path(found.file).to_owned(),
                kind,
                name: name.to_owned(),
                context: context.name.to_owned(),
            }),
        }
    }

    /// A new entry: in the file of the renewed context, so that this stays complete.
    fn added(&self, name: String, renewed: Option<ContextEntry<'_>>) -> Place {
        Place {
            name,
            file: renewed.map_or(self.main, |renewed| renewed.file),
            exists: false,
        }
    }
}

fn existing(name: &str, found: Found<'_>) -> Place {
    Place {
        name: name.to_owned(),
        file: found.file,
        exists: true,
    }
}

#[cfg(test)]
mod tests;
