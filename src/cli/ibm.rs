//! `--ibm-cluster`: a cluster of IBM Cloud, found by its name, is what the proxy leads to.

use std::sync::Arc;

use anyhow::Context as _;

use super::{proxy::Fixed, usage::bail_usage};
use crate::{
    credential::{
        Cache, Source,
        ibm_iam::{self, Visit},
    },
    kubeconfig::{self, Overrides, Target},
    serve::Plan,
    settings::{ConnectionFlags, IbmTargetFlags},
};

/// Looks the cluster up, once: where it is and who its CA is do not change.
pub(super) async fn plan(
    connection: &ConnectionFlags,
    flags: &IbmTargetFlags,
    name: &str,
) -> anyhow::Result<Box<dyn Plan>> {
    let (target, source) = target(connection, flags, name).await?;
    Ok(Box::new(Fixed {
        target,
        credentials: Cache::new(source),
    }))
}

/// The cluster and the source of its credentials, with `connection`'s flags over what IBM Cloud
/// says of it.
async fn target(
    connection: &ConnectionFlags,
    flags: &IbmTargetFlags,
    name: &str,
) -> anyhow::Result<(Target, Arc<dyn Source>)> {
    let mut overrides = Overrides::from(connection);
    refuse_other_choice(connection, &overrides)?;
    let (chain, endpoints) = ibm_iam::chain_at_hand(
        flags.apikey_file.as_deref(),
        flags.ibm_account.as_deref(),
        Some(name),
    )?;
    let visit = Visit::from_chain(endpoints, &chain).await?;
    let cluster = visit.cluster(name).await?;
    let reached = visit.reach(&cluster, flags.ibm_endpoint).await?;
    overrides.server = Some(reached.server.to_string());
    let mut target = kubeconfig::resolve(None, &overrides, &|_| None)
        .with_context(|| format!("cluster {:?} of IBM Cloud", cluster.name))?;
    let verified = &mut target.cluster;
    if !verified.insecure_skip_tls_verify && verified.certificate_authority.is_none() {
        verified.certificate_authority = reached.certificate_authority;
    }
    verified.name = reached.name;
    let source = ibm_iam::source_of(chain, &cluster, &target.cluster);
    Ok((target, source))
}

/// Another cluster or user would not be heeded.
fn refuse_other_choice(connection: &ConnectionFlags, overrides: &Overrides) -> anyhow::Result<()> {
    let given = [
        ("--kubeconfig", connection.kubeconfig().is_some()),
        ("--context", overrides.context.is_some()),
        ("--cluster", overrides.cluster.is_some()),
        ("--user", overrides.user.is_some()),
        ("--server", overrides.server.is_some()),
        ("--token", overrides.token.is_some()),
        ("--username", overrides.username.is_some()),
        ("--password", overrides.password.is_some()),
        (
            "--client-certificate",
            overrides.client_certificate.is_some(),
        ),
        ("--client-key", overrides.client_key.is_some()),
    ];
    match given.into_iter().find(|(_, given)| *given) {
        Some((flag, _)) => {
            bail_usage!("--ibm-cluster and {flag} exclude each other; give one of them")
        }
        None => Ok(()),
    }
}
