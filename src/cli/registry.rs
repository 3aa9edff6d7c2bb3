//! `kubegate registry`

mod configure;

use std::{collections::BTreeMap, path::PathBuf};

use anyhow::bail;
use clap::{Args, Subcommand};
use serde_json::json;

use self::configure::Plan;
use super::{
    output::{self, Format},
    usage::Usage,
};
use crate::{
    console,
    credential::store::{self, Registry, Store, registry_host},
    kubeconfig,
    printable::printable,
    settings::ConnectionFlags,
};

pub(super) const EXAMPLES: &str = "\
Examples:
  # Have docker use the token of a context for an OpenShift registry
  kubegate registry add default-route-openshift-image-registry.apps.example --context dev \\
    --configure

  # What --configure does, by hand
  ln -s \"$(command -v kubegate)\" ~/.local/bin/docker-credential-kubegate
  # and in ~/.docker/config.json: {\"credHelpers\": {\"HOST\": \"kubegate\"}}

  # IBM Cloud's registry, with an access token of IAM
  kubegate registry add us.icr.io --context production/bq7s5gd20ev1ndpa4vg0 --configure

  kubegate registry list -o json
  kubegate registry remove default-route-openshift-image-registry.apps.example

Exit codes: 0 when done, 1 if there is no such registry or context, 2 for bad
flags.";

/// The actions on the list of registries.
#[derive(Debug, Subcommand)]
pub(super) enum Action {
    /// Add a registry, for which docker gets the token of the context given by --context
    #[command(after_help = EXAMPLES)]
    Add {
        /// Host, or host:port, of the registry
        host: String,
        /// Also make the link docker-credential-kubegate, and name it in the configuration of docker and,
        /// if there is one, of podman
        #[arg(long)]
        configure: bool,
    },
    /// Remove a registry, also from the configuration of docker and podman
    #[command(after_help = EXAMPLES)]
    Remove {
        /// Host, or host:port, of the registry
        host: String,
    },
    /// List the registries
    #[command(after_help = EXAMPLES)]
    List(ListFlags),
}

#[derive(Args, Debug)]
pub(super) struct ListFlags {
    /// Output format [default: a table]
    #[arg(short, long, value_enum, value_name = "FORMAT")]
    output: Option<Format>,
}

/// Changes or prints the list of registries.
pub(super) fn run(connection: &ConnectionFlags, action: &Action) -> anyhow::Result<()> {
    let store = || Store::of_user(&|name| std::env::var_os(name));
    match action {
        Action::Add { host, configure } => add(store, connection, host, *configure),
        Action::Remove { host } => remove(&store()?, &parsed(host)?),
        Action::List(flags) => list(&store()?, flags.output),
    }
}

fn add(
    store: impl FnOnce() -> Result<Store, store::Error>,
    connection: &ConnectionFlags,
    named: &str,
    configure: bool,
) -> anyhow::Result<()> {
    let host = parsed(named)?;
    let hosts = names_of(&host);
    let context = connection.contexts().pop().ok_or_else(|| {
        Usage::new("name the context whose token the registry takes by --context")
    })?;
    let explicit = connection.kubeconfig();
    let contexts = kubeconfig::contexts(explicit, &|name| std::env::var_os(name))?;
    if contexts.iter().all(|known| known.name != context) {
        bail!("there is no context {context:?}; see `kubegate contexts`");
    }
    let registry = Registry {
        context: context.to_owned(),
        kubeconfig: explicit.map(std::path::absolute).transpose()?,
    };
    let plan = configure.then(|| Plan::new(&hosts)).transpose()?;
    let store = store()?;
    let before = store.change_registries(|all| all.insert(host.clone(), registry))?;
    let done = plan.map(Plan::run).transpose();
    if done.is_err() {
        store.change_registries(|all| match before {
            Some(before) => all.insert(host.clone(), before),
            None => all.remove(&host),
        })?;
    }
    let done = done?;
    output::print(&format!(
        "registry {host} takes the token of context {context}\n"
    ))?;
    if let Some(lines) = done {
        for line in lines {
            output::print(&format!("{}\n", printable(&line)))?;
        }
        return Ok(());
    }
    let helpers: BTreeMap<_, _> = hosts.iter().map(|name| (name, "kubegate")).collect();
    console::eprint(&format!(
        "docker uses it with this line in ~/.docker/config.json and docker-credential-kubegate, a link to \
         kubegate, on PATH; --configure does both:\n  {}",
        json!({"credHelpers": helpers})
    ));
    Ok(())
}

fn remove(store: &Store, host: &str) -> anyhow::Result<()> {
    let removed = store.change_registries(|all| all.remove(host))?;
    let (changed, problems) = configure::remove_lines(&names_of(host));
    if removed.is_none() && changed.is_empty() {
        bail!("there is no registry {host}; see `kubegate registry list`");
    }
    output::print(&format!("registry {host} removed\n"))?;
    for file in changed {
        let line = format!("removed the credential helper from {}", file.display());
        output::print(&format!("{}\n", printable(&line)))?;
    }
    for problem in problems {
        console::eprint(&printable(&format!("{problem:#}")));
    }
    Ok(())
}

/// The names by which docker looks a registry up: that which an image has, with the port 443 or without
/// it.
fn names_of(host: &str) -> Vec<String> {
    let has_port = host.contains(':') && !host.ends_with(']');
    let with_port = (!has_port).then(|| format!("{host}:443"));
    [host.to_owned()].into_iter().chain(with_port).collect()
}

fn list(store: &Store, format: Option<Format>) -> anyhow::Result<()> {
    let registries = store.registries()?;
    if let Some(format) = format {
        let names: Vec<&str> = registries.keys().map(String::as_str).collect();
        let object = |(host, registry): (&String, &Registry)| json!({"registry": host, "context": registry.context, "kubeconfig": registry.kubeconfig});
        return output::print_as(format, &registries.iter().map(object).collect(), &names);
    }
    let mut rows = vec![
        ["REGISTRY", "CONTEXT", "KUBECONFIG"]
            .map(str::to_owned)
            .to_vec(),
    ];
    for (host, registry) in registries {
        let file = registry.kubeconfig.unwrap_or_else(|| PathBuf::from("-"));
        rows.push(vec![host, registry.context, file.display().to_string()]);
    }
    output::print_table(&rows)
}

fn parsed(host: &str) -> anyhow::Result<String> {
    registry_host(host).map_err(|problem| Usage::new(format!("registry {host:?} {problem}")).into())
}
