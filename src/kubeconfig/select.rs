//! Selects a context of a kubeconfig and builds the [`Target`] of its cluster and user.

use std::collections::BTreeMap;

use crate::kubeconfig::{Error, Overrides, Target, cluster, fields::Entry, load::Kubeconfig, user};

/// Selects the context, cluster and user that `flags` and `config` name, with kubectl's
/// precedence. `config` may be empty where the flags give a server.
///
/// # Errors
/// No context or server is given, a name has no entry, or a field of the selected entries is wrong.
pub(super) fn target(config: &Kubeconfig, flags: &Overrides) -> Result<Target, Error> {
    let context = selected_context(config, flags)?;
    let context_field = |field| match &context {
        Some((_, entry)) => entry.fields().text(field),
        None => Ok(None),
    };
    let find = |kind, entries, flag: &str, given: Option<&str>| {
        let by_context = context
            .as_ref()
            .map(|(name, _)| format!("context {name:?}"));
        let (name, named_by) = match (given, context_field(kind)?, by_context) {
            (Some(name), _, _) => (name.to_owned(), flag.to_owned()),
            (None, Some(name), Some(context)) => (name.to_owned(), context),
            _ => return Ok(None),
        };
        let entry = find(config, kind, entries, &name, named_by)?;
        Ok(Some((name, entry)))
    };

    let selected = find(
        "cluster",
        &config.clusters,
        "--cluster",
        flags.cluster.as_deref(),
    )?;
    let mut cluster = match (&selected, &context) {
        (Some((name, entry)), _) => cluster::Draft::from_entry(Some(name), entry)?,
        (None, _) if flags.server.is_some() => cluster::Draft::default(),
        (None, Some((_, entry))) => {
            let problem = "is missing; set it or give --cluster or --server";
            return Err(entry.fields().error("cluster", problem));
        }
        (None, None) => {
            return Err(Error::NoContext {
                files: config.files().to_vec(),
                existing: config.contexts.keys().cloned().collect(),
            });
        }
    };
    // Errors in an entry that the flags override do not matter.
    let file_cluster = match &selected {
        Some((name, entry)) if flags.server.is_some() => {
            cluster::Draft::from_entry(Some(name), entry)?.finish().ok()
        }
        _ => None,
    };
    cluster.apply(flags)?;
    let selected = find("user", &config.users, "--user", flags.user.as_deref())?;
    let mut user = match &selected {
        Some((name, entry)) => user::Draft::from_entry(name, entry)?,
        None => user::Draft::empty("flags"),
    };
    user.apply(flags)?;
    Ok(Target {
        namespace: match &flags.namespace {
            Some(namespace) => Some(namespace.clone()),
            None => context_field("namespace")?.map(str::to_owned),
        },
        context: context.as_ref().map(|(name, _)| (*name).to_owned()),
        context_ref: None,
        cluster: cluster.finish()?,
        file_cluster: file_cluster.map(Box::new),
        user: user.finish()?,
    })
}

/// The context of `--context`, or else of `current-context`. A name without an entry is an error.
fn selected_context<'a>(
    config: &'a Kubeconfig,
    flags: &'a Overrides,
) -> Result<Option<(&'a str, &'a Entry)>, Error> {
    let (name, named_by) = match (&flags.context, &config.current_context) {
        (Some(name), _) => (name, "--context"),
        (None, Some(name)) => (name, "current-context"),
        (None, None) => return Ok(None),
    };
    let entry = find(
        config,
        "context",
        &config.contexts,
        name,
        named_by.to_owned(),
    )?;
    Ok(Some((name, entry)))
}

fn find<'a>(
    config: &Kubeconfig,
    kind: &'static str,
    entries: &'a BTreeMap<String, Entry>,
    name: &str,
    named_by: String,
) -> Result<&'a Entry, Error> {
    entries.get(name).ok_or_else(|| Error::Missing {
        kind,
        name: name.to_owned(),
        named_by,
        files: config.files().to_vec(),
        existing: entries.keys().cloned().collect(),
    })
}

#[cfg(test)]
mod tests;
