//! `--ibm-cluster`: the target is a cluster of IBM Cloud, which is looked up by its name.

use std::sync::{Arc, OnceLock};

use anyhow::Context as _;

use super::target_flags::target_flags;
use crate::{
    cli::usage::bail_usage,
    credential::{
        Cache,
        ibm_iam::{self, Chain, CloudSession, Endpoints, RootCredential, RootOptions},
    },
    error::BoxError,
    kubeconfig::{self, Overrides, Target},
    serve::{ResolvedTarget, TargetFuture, TargetSource},
    settings::{ConnectionFlags, IbmTargetFlags},
};

/// The server of the target until the cluster is looked up.
const PLACEHOLDER_SERVER: &str = "https://cluster.invalid";

/// Returns a source that looks the cluster up when it is first resolved. Flags, environment and files
/// are checked at once.
pub(super) fn source(
    connection: &ConnectionFlags,
    flags: &IbmTargetFlags,
    name: &str,
) -> anyhow::Result<Box<dyn TargetSource>> {
    let overrides = Overrides::from(connection);
    refuse_other_choice(connection, &overrides)?;
    let placeholder = target(&overrides, PLACEHOLDER_SERVER).context("--ibm-cluster")?;
    let asked = RootOptions {
        apikey_file: flags.apikey_file.as_deref(),
        vpc_cri: flags.vpc_cri,
        ..RootOptions::default()
    };
    let (root, endpoints) = ibm_iam::default_root(asked, flags.ibm_account.as_deref(), Some(name))?;
    let source = NamedCluster {
        placeholder,
        overrides,
        flags: flags.clone(),
        name: name.to_owned(),
        root,
        endpoints,
        found: OnceLock::new(),
    };
    source.chain()?.check_root()?;
    Ok(Box::new(source))
}

/// A cluster of IBM Cloud, by its name.
struct NamedCluster {
    overrides: Overrides,
    flags: IbmTargetFlags,
    name: String,
    /// Found once: an API key from a pipe cannot be read again.
    root: RootCredential,
    endpoints: Endpoints,
    placeholder: Target,
    /// Kept for the life of the process: the server and the CA of a cluster do not change.
    found: OnceLock<(Target, Arc<Cache>)>,
}

impl TargetSource for NamedCluster {
    fn resolve(&self) -> TargetFuture<'_> {
        Box::pin(async {
            let (target, _) = if let Some(found) = self.found.get() {
                found
            } else {
                let found = self.look_up().await?;
                self.found.get_or_init(|| found)
            };
            Ok(ResolvedTarget {
                target: target.clone(),
                files: Vec::new(),
            })
        })
    }

    fn placeholder(&self) -> Option<&Target> {
        Some(&self.placeholder)
    }

    fn credentials(&self, _: &Target) -> Result<Arc<Cache>, BoxError> {
        let found = self.found.get();
        let credentials = found.map(|(_, credentials)| Arc::clone(credentials));
        credentials.ok_or_else(|| "the cluster was not looked up".into())
    }

    fn cloud_credentials(&self, _: &Target) -> Result<Option<Arc<Cache>>, BoxError> {
        Ok(Some(Cache::new(ibm_iam::cloud_access(self.chain()?))))
    }

    fn keeps_credentials(&self, _: &Target, _: &Target) -> bool {
        true
    }
}

impl NamedCluster {
    fn chain(&self) -> Result<Chain, crate::credential::Error> {
        ibm_iam::chain_from(
            (self.root.clone(), &self.endpoints),
            self.flags.ibm_account.as_deref(),
            Some(&self.name),
        )
    }

    /// Looks the cluster up at IBM Cloud. The flags take precedence over what it answers.
    async fn look_up(&self) -> Result<(Target, Arc<Cache>), BoxError> {
        let chain = self.chain()?;
        let session = CloudSession::from_chain(self.endpoints.clone(), &chain).await?;
        let cluster = session.cluster(&self.name).await?;
        let reached = session
            .cluster_config(&cluster, self.flags.ibm_endpoint)
            .await?;
        let mut target = target(&self.overrides, &reached.server.to_string())?;
        let verified = &mut target.cluster;
        if !verified.insecure_skip_tls_verify && verified.certificate_authority.is_none() {
            verified.certificate_authority = reached.certificate_authority;
        }
        verified.name = reached.name;
        let source = ibm_iam::cluster_source(chain, &cluster, &target.cluster);
        Ok((target, Cache::new(source)))
    }
}

/// Returns the target at `server` that the flags alone describe.
fn target(overrides: &Overrides, server: &str) -> Result<Target, kubeconfig::Error> {
    let overrides = Overrides {
        server: Some(server.to_owned()),
        ..overrides.clone()
    };
    kubeconfig::resolve(None, &overrides, &|_| None)
}

/// Refuses flags that choose another cluster or user, which would have no effect.
fn refuse_other_choice(connection: &ConnectionFlags, overrides: &Overrides) -> anyhow::Result<()> {
    let of_kubeconfig = [
        ("--kubeconfig", connection.kubeconfig().is_some()),
        ("--context", overrides.context.is_some()),
    ];
    let mut flags = of_kubeconfig.into_iter().chain(target_flags(overrides));
    match flags.find(|(_, given)| *given) {
        Some((flag, _)) => {
            bail_usage!("--ibm-cluster and {flag} exclude each other; give one of them")
        }
        None => Ok(()),
    }
}
