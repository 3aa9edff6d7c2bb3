//! From a context to one [`Target`]: the cluster to reach and the user to be there.

use std::{collections::BTreeMap, path::PathBuf};

use crate::{
    kubeconfig::{Error, Target, cluster, fields::Entry, load::Kubeconfig, user},
    secret::Secret,
};

/// What flags say over the file, with kubectl's names and precedence.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// `--context`
    pub context: Option<String>,
    /// `--cluster`
    pub cluster: Option<String>,
    /// `--user`
    pub user: Option<String>,
    /// `--namespace`
    pub namespace: Option<String>,
    /// `--server`
    pub server: Option<String>,
    /// `--certificate-authority`
    pub certificate_authority: Option<PathBuf>,
    /// `--insecure-skip-tls-verify`
    pub insecure_skip_tls_verify: Option<bool>,
    /// `--tls-server-name`
    pub tls_server_name: Option<String>,
    /// `--proxy-url`; may hold a password
    pub proxy_url: Option<Secret>,
    /// `--disable-compression`
    pub disable_compression: Option<bool>,
    /// `--token`
    pub token: Option<Secret>,
    /// `--username`
    pub username: Option<String>,
    /// `--password`
    pub password: Option<Secret>,
    /// `--client-certificate`
    pub client_certificate: Option<PathBuf>,
    /// `--client-key`
    pub client_key: Option<PathBuf>,
    /// `--as`
    pub impersonate_user: Option<String>,
    /// `--as-uid`
    pub impersonate_uid: Option<String>,
    /// `--as-group`, repeated
    pub impersonate_groups: Vec<String>,
    /// `--as-user-extra key=value`, repeated
    pub impersonate_extra: BTreeMap<String, Vec<String>>,
}

/// Chooses the context, cluster and user that `config` and the flags over it name, with
/// kubectl's precedence. An empty `config` will do where the flags give a server.
///
/// # Errors
/// Where nothing is chosen, a name has no entry, or a field of the chosen entries is wrong.
pub(super) fn target(config: &Kubeconfig, flags: &Overrides) -> Result<Target, Error> {
    let context = chosen_context(config, flags)?;
    let said = |field| match &context {
        Some((_, entry)) => entry.fields().text(field),
        None => Ok(None),
    };
    let find = |kind, entries, flag: &str, given: Option<&str>| {
        let by_context = context
            .as_ref()
            .map(|(name, _)| format!("context {name:?}"));
        let (name, named_by) = match (given, said(kind)?, by_context) {
            (Some(name), _, _) => (name.to_owned(), flag.to_owned()),
            (None, Some(name), Some(context)) => (name.to_owned(), context),
            _ => return Ok(None),
        };
        let entry = find(config, kind, entries, &name, named_by)?;
        Ok(Some((name, entry)))
    };

    let chosen = find(
        "cluster",
        &config.clusters,
        "--cluster",
        flags.cluster.as_deref(),
    )?;
    let mut cluster = match (&chosen, &context) {
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
    // What is wrong with an entry that flags stand in for is nobody's trouble.
    let file_cluster = match &chosen {
        Some((name, entry)) if flags.server.is_some() => {
            cluster::Draft::from_entry(Some(name), entry)?.finish().ok()
        }
        _ => None,
    };
    cluster.apply(flags)?;
    let chosen = find("user", &config.users, "--user", flags.user.as_deref())?;
    let mut user = match &chosen {
        Some((name, entry)) => user::Draft::from_entry(name, entry)?,
        None => user::Draft::nobody("flags"),
    };
    user.apply(flags)?;
    Ok(Target {
        namespace: match &flags.namespace {
            Some(namespace) => Some(namespace.clone()),
            None => said("namespace")?.map(str::to_owned),
        },
        context: context.as_ref().map(|(name, _)| (*name).to_owned()),
        cluster: cluster.finish()?,
        file_cluster: file_cluster.map(Box::new),
        user: user.finish()?,
    })
}

/// `--context`, else `current-context`; a name that has no entry is an error.
fn chosen_context<'a>(
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
