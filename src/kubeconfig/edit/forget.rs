//! Removes a login again: its user, and the contexts and clusters that it added. What existed before the
//! login is restored by the notes that it left in its contexts.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{
    contents::{Config, Contents, ContextEntry, Found},
    meaning::is_same_api_server,
    note::{self, Note},
    restore::{Taken, body_mut, restore_clusters, restore_context, restore_current_contexts},
};
use crate::kubeconfig::{Cluster, ExecConfig};

/// Fields of a user that a login replaces: all login methods.
pub(super) const USER: [&str; 10] = [
    "client-certificate",
    "client-certificate-data",
    "client-key",
    "client-key-data",
    "token",
    "tokenFile",
    "username",
    "password",
    "auth-provider",
    "exec",
];

/// Decides about the exec plugin of an entry; `None` for an entry without one.
type IsLogin = Box<dyn Fn(Option<&ExecConfig>) -> bool + Send + Sync>;

/// Which login is to be removed.
pub struct Forget {
    /// Name of the user's entry.
    pub user: String,
    /// Whether an entry of that name, by its exec plugin, is of the login.
    pub is_same: IsLogin,
    /// Whether an exec plugin is a login of kubegate that can be ended with this one.
    pub may_end: Box<dyn Fn(&ExecConfig) -> bool + Send + Sync>,
    /// The context that is logged out.
    pub context: Option<String>,
    /// Its API server: contexts at others stay, with their user. `None` removes all.
    pub at: Option<Cluster>,
}

/// What was removed of a login, and what stays.
#[derive(Debug, Default)]
pub struct Forgotten {
    /// Whether there was such a login.
    pub is_found: bool,
    /// The contexts that are removed.
    pub removed: Vec<String>,
    /// The contexts that have their former cluster and user again.
    pub restored: Vec<String>,
    /// The contexts at other API servers, which stay with their user.
    pub kept: Vec<String>,
    /// The users of earlier logins of the removed contexts, which no context uses any more. They are
    /// removed too.
    pub orphans: Vec<(String, ExecConfig)>,
    /// Those that stay, since they cannot be ended with this login.
    pub kept_orphans: Vec<String>,
}

/// Removes a login from every file. Contexts without a note are removed with their user, and their
/// clusters stay. An entry of the same name that is not of the login stays with the contexts that use
/// it.
pub(super) fn forget(contents: &mut Contents<'_>, forget: &Forget) -> Forgotten {
    let owners = owners(contents, forget);
    let mut done = Forgotten {
        is_found: owners.iter().any(|owner| owner.has_entry),
        ..Forgotten::default()
    };
    if !done.is_found {
        return done;
    }
    let taken = taken(contents, forget, &owners, &mut done);
    let is_kept = !done.kept.is_empty();
    let is_older = taken.iter().any(|one| one.has_older_user(&forget.user));
    if !is_kept {
        take_user(contents, &forget.user, &owners, is_older);
    }
    // A context that nobody's login made works again with the user that was there before.
    let leaves = |one: &Taken| one.note.is_none() && is_older;
    let taken: Vec<Taken> = taken.into_iter().filter(|one| !leaves(one)).collect();
    for one in &taken {
        if one.is_removed() {
            remove_context(contents, one);
            done.removed.push(one.name.clone());
        } else {
            restore_context(contents, one, is_older);
            done.restored.push(one.name.clone());
        }
    }
    for one in &taken {
        restore_clusters(contents, one);
    }
    take_orphans(contents, forget, &taken, &mut done);
    take_clusters(contents, &taken, &done.kept_orphans);
    restore_current_contexts(contents, &taken);
    done
}

/// What a file has of a login.
struct Owner {
    /// Whether it has the user's entry.
    has_entry: bool,
    /// Whether its contexts that name the user mean the login.
    has_contexts: bool,
}

fn owners(contents: &Contents<'_>, forget: &Forget) -> Vec<Owner> {
    let is_of_login = |found| (forget.is_same)(contents.exec(&forget.user, found).as_ref());
    let effective = contents.find("user", &forget.user).is_some_and(is_of_login);
    let files = 0..contents.len();
    files
        .map(|file| match contents.find_in(file, "user", &forget.user) {
            Some(body) => {
                let is_of_login = is_of_login(Found { file, body });
                Owner {
                    has_entry: is_of_login,
                    has_contexts: is_of_login,
                }
            }
            None => Owner {
                has_entry: false,
                has_contexts: effective,
            },
        })
        .collect()
}

/// The contexts of the login. Those at other API servers are listed as kept.
fn taken(
    contents: &Contents<'_>,
    forget: &Forget,
    owners: &[Owner],
    done: &mut Forgotten,
) -> Vec<Taken> {
    let mut taken = Vec::new();
    for context in contents.contexts() {
        if context.body["user"] != forget.user || !owners[context.file].has_contexts {
            continue;
        }
        if Some(context.name) != forget.context.as_deref()
            && is_elsewhere(contents, context, forget.at.as_ref())
        {
            if !done.kept.iter().any(|kept| kept == context.name) {
                done.kept.push(context.name.to_owned());
            }
            continue;
        }
        taken.push(Taken {
            file: context.file,
            name: context.name.to_owned(),
            note: Note::of(context.body),
        });
    }
    taken
}

/// Whether a context leads to another API server than `at`. One without a cluster leads to none.
fn is_elsewhere(contents: &Contents<'_>, context: ContextEntry<'_>, at: Option<&Cluster>) -> bool {
    let name = context.body["cluster"].as_str().unwrap_or_default();
    let found = contents.find("cluster", name);
    let cluster = found.and_then(|found| contents.cluster(name, found));
    at.zip(cluster)
        .is_some_and(|(at, cluster)| !is_same_api_server(at, &cluster))
}

/// Removes the user; one that is `older` than the login keeps what is not of a login.
fn take_user(contents: &mut Contents<'_>, user: &str, owners: &[Owner], is_older: bool) {
    for (file, owner) in owners.iter().enumerate() {
        if !owner.has_entry {
            continue;
        }
        let Some(config) = contents.config_mut(file) else {
            continue;
        };
        if !is_older {
            retain(config, "users", |item| (*item)["name"] != user);
        } else if let Some(fields) = body_mut(config, "user", user) {
            fields.retain(|field, _| !USER.contains(&field.as_str()));
        }
    }
}

fn remove_context(contents: &mut Contents<'_>, taken: &Taken) {
    if let Some(config) = contents.config_mut(taken.file) {
        retain(config, "contexts", |item| {
            (*item)["name"] != taken.name.as_str()
        });
    }
}

/// Removes the clusters that the login added. One that another context uses or that others have changed
/// stays, and so do those of a context whose former user is `kept`.
fn take_clusters(contents: &mut Contents<'_>, taken: &[Taken], kept: &[String]) {
    for one in taken {
        if one.former_users().any(|user| kept.contains(user)) {
            continue;
        }
        for (file, name, _) in one.clusters(contents, true) {
            if is_used(contents, "cluster", name) {
                continue;
            }
            if let Some(config) = contents.config_mut(file) {
                retain(config, "clusters", |item| (*item)["name"] != name.as_str());
            }
        }
    }
}

/// Removes the users of earlier logins of the contexts, if no context uses them any more.
fn take_orphans(
    contents: &mut Contents<'_>,
    forget: &Forget,
    taken: &[Taken],
    done: &mut Forgotten,
) {
    let former: BTreeSet<String> = taken
        .iter()
        .flat_map(Taken::former_users)
        .cloned()
        .collect();
    for user in former {
        let Some(found) = contents.find("user", &user) else {
            continue;
        };
        let Some(exec) = contents.exec(&user, found) else {
            continue;
        };
        if user == forget.user || is_used(contents, "user", &user) {
            continue;
        }
        if !(forget.may_end)(&exec) {
            done.kept_orphans.push(user);
            continue;
        }
        let file = found.file;
        if let Some(config) = contents.config_mut(file) {
            retain(config, "users", |item| (*item)["name"] != user.as_str());
        }
        done.orphans.push((user, exec));
    }
}

/// Whether a context uses an entry, or would after its login is forgotten.
fn is_used(contents: &Contents<'_>, kind: &str, name: &str) -> bool {
    let uses = |one: ContextEntry<'_>| note::uses(one.body, kind, name);
    contents.contexts().any(uses)
}

/// Removes the items of a section for which `stays` is false.
fn retain(config: &mut Config, section: &str, stays: impl FnMut(&mut Value) -> bool) {
    if let Some(Value::Array(items)) = config.get_mut(section) {
        items.retain_mut(stays);
    }
}
