//! [`Plan`]: which entries a login takes. An entry that another context uses keeps its meaning: the
//! login takes another name, or is refused if the user chose the name.

use super::{
    contents::{Contents, ContextEntry, Found},
    existing::Existing,
    meaning::{ClusterField, differences},
    names::{cluster_base_names, numbered},
    new_context::{Naming, NewContext},
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

/// A cluster entry of a login.
struct PlannedCluster {
    place: Place,
    /// The fields to write; empty where the entry has the same meaning.
    fields: Vec<ClusterField>,
}

impl PlannedCluster {
    /// Whether the entry has the meaning of the login's cluster already.
    fn is_unchanged(&self) -> bool {
        self.fields.is_empty()
    }
}

/// Plans the entries of `new`. Without a context to renew, they are added to the file `main`.
pub(super) fn plan(contents: &Contents<'_>, main: usize, new: &NewContext) -> Result<Plan, Error> {
    Planner {
        contents,
        existing: Existing { contents, new },
        main,
        new,
    }
    .plan()
}

struct Planner<'a> {
    contents: &'a Contents<'a>,
    existing: Existing<'a>,
    main: usize,
    new: &'a NewContext,
}

impl<'a> Planner<'a> {
    fn plan(&self) -> Result<Plan, Error> {
        let mut renewed = self.named_context();
        let PlannedCluster {
            place: cluster,
            fields: cluster_fields,
        } = self.cluster(renewed)?;
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
        let is_unused = former != user
            && self
                .existing
                .other_use("user", former, Some(renewed))
                .is_none();
        let before = renewed.body["cluster"].as_str();
        (is_unused && self.existing.is_login(former, found)).then(|| Orphan {
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

    /// Whether the user of a context is this login.
    fn is_own_login(&self, context: ContextEntry<'_>) -> bool {
        let user = context.body["user"].as_str();
        user.is_some_and(|user| {
            let found = self.contents.find("user", user);
            found.is_some_and(|found| self.existing.is_same_login(user, found, Some(context)))
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

    /// The cluster entry.
    fn cluster(&self, renewed: Option<ContextEntry<'_>>) -> Result<PlannedCluster, Error> {
        if let Some(name) = &self.new.chosen.cluster {
            return self.chosen_cluster(name, renewed);
        }
        let bases = match &self.new.naming {
            Naming::Oc { .. } => cluster_base_names(&self.new.cluster.server),
            Naming::Ibm(name) => vec![name.clone()],
        };
        if let Some(cluster) = self.cluster_of_context(renewed, &bases[0]) {
            return Ok(cluster);
        }
        let mut same = bases.iter().filter_map(|name| self.existing_cluster(name));
        if let Some(cluster) = same.find(PlannedCluster::is_unchanged) {
            return Ok(cluster);
        }
        let mut names = numbered(&bases[0], '-');
        loop {
            let name = names.next().unwrap_or_default();
            match self.existing_cluster(&name) {
                None => return Ok(self.added_cluster(name, renewed)),
                Some(cluster) if cluster.is_unchanged() => return Ok(cluster),
                Some(_) => {}
            }
        }
    }

    /// The cluster entry of the name that the user chose.
    fn chosen_cluster(
        &self,
        name: &str,
        renewed: Option<ContextEntry<'_>>,
    ) -> Result<PlannedCluster, Error> {
        let Some(cluster) = self.existing_cluster(name) else {
            return Ok(self.added_cluster(name.to_owned(), renewed));
        };
        if !cluster.is_unchanged() {
            self.existing
                .refuse_in_use("cluster", name, cluster.place.file, renewed)?;
        }
        Ok(cluster)
    }

    /// The cluster entry that the renewed context has, if the login may use it. `base` is the name that
    /// a new entry would get.
    fn cluster_of_context(
        &self,
        renewed: Option<ContextEntry<'_>>,
        base: &str,
    ) -> Option<PlannedCluster> {
        let name = renewed?.body["cluster"].as_str()?;
        let cluster = self.existing_cluster(name)?;
        // An entry does not get another server under a name that says the former one.
        let keeps_name = !cluster.fields.contains(&ClusterField::Server) || base == name;
        let may_change = || {
            let other_use = self.existing.other_use("cluster", name, renewed);
            keeps_name && other_use.is_none()
        };
        (cluster.is_unchanged() || may_change()).then_some(cluster)
    }

    /// The cluster entry of this name, if there is one.
    fn existing_cluster(&self, name: &str) -> Option<PlannedCluster> {
        let found = self.contents.find("cluster", name)?;
        let cluster = self.contents.cluster(name, found);
        Some(PlannedCluster {
            place: existing(name, found),
            fields: differences(cluster.as_ref(), &self.new.cluster),
        })
    }

    /// A new cluster entry.
    fn added_cluster(&self, name: String, renewed: Option<ContextEntry<'_>>) -> PlannedCluster {
        PlannedCluster {
            place: self.added(name, renewed),
            fields: differences(None, &self.new.cluster),
        }
    }

    /// The user's entry.
    fn user(&self, renewed: Option<ContextEntry<'_>>, cluster: &str) -> Result<Place, Error> {
        if let Some(name) = &self.new.chosen.user {
            return self.chosen_user(name, renewed);
        }
        let find = |name: &str| self.contents.find("user", name);
        let of_context = renewed.and_then(|renewed| renewed.body["user"].as_str());
        if let Some(name) = of_context
            && let Some(found) = find(name)
            && self.existing.is_same_login(name, found, renewed)
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
                    if self.existing.is_same_login(&name, found, renewed)
                        || self.existing.is_token_of_oc(&name, found, renewed) =>
                {
                    return Ok(existing(&name, found));
                }
                Some(_) => {}
            }
        }
    }

    /// The user's entry of the name that the user chose.
    fn chosen_user(&self, name: &str, renewed: Option<ContextEntry<'_>>) -> Result<Place, Error> {
        let Some(found) = self.contents.find("user", name) else {
            return Ok(self.added(name.to_owned(), renewed));
        };
        let place = existing(name, found);
        if !self.existing.is_same_login(name, found, renewed) {
            self.existing.refuse_foreign_login(name, found, renewed)?;
            self.existing
                .refuse_in_use("user", name, found.file, renewed)?;
        }
        Ok(place)
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
