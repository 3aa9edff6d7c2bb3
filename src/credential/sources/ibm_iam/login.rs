//! The sources for a kubegate login and for a cluster that was found by its name.

use std::sync::Arc;

use super::{
    Chain, Endpoints, IAM_VARIABLE, IbmCluster, RootCredential, RootOptions, endpoints::variable,
    error::ibm_error, issuer, roks::source_of_kind, services::with_retries,
};
use crate::{
    credential::{Error, Source, store::LoginBinding},
    kubeconfig::Cluster,
    printable::printable,
    secret::Secret,
    settings::IbmFlags,
    shell::quoted,
};

/// Returns the endpoints given by flags, else by the environment.
///
/// # Errors
/// An endpoint is not an https URL.
pub fn endpoints(iam: Option<&str>) -> Result<Endpoints, Error> {
    let env = variable;
    let named = env(IAM_VARIABLE).is_some_and(|url| !url.is_empty());
    let by_file = if named {
        None
    } else {
        RootCredential::auth_url(&env)
    };
    let by_file = by_file
        .as_ref()
        .map(|(binding, url)| (*binding, url.as_str()));
    Endpoints::read(&env, iam.map(|url| ("--iam", url)).or(by_file))
}

/// Returns the source that the flags of an `exec` entry describe. `command` logs in again.
///
/// # Errors
/// There is no root credential, or a URL is invalid.
pub(in crate::credential) fn source(
    flags: &IbmFlags,
    cluster: &Cluster,
    command: Option<String>,
) -> Result<Arc<dyn Source>, Error> {
    let chain = chain(flags, cluster, command)?;
    Ok(source_of_kind(chain, flags.openshift, cluster))
}

/// Returns an access token for IBM Cloud's services, as the login that the flags of an `exec` entry at
/// `cluster` describe.
///
/// # Errors
/// There is no root credential, or IAM refuses it.
pub async fn access_token(flags: &IbmFlags, cluster: &Cluster) -> Result<Secret, Error> {
    let chain = chain(flags, cluster, None)?;
    Ok(with_retries(|| chain.access()).await?.token)
}

/// Returns the chain that the flags of an `exec` entry at `cluster` describe. `command` logs in again.
pub(super) fn chain(
    flags: &IbmFlags,
    cluster: &Cluster,
    command: Option<String>,
) -> Result<Chain, Error> {
    let endpoints = endpoints(flags.iam.as_deref())?;
    let asked = RootOptions {
        apikey_file: flags.apikey_file.as_deref(),
        profile: flags.profile.as_deref(),
        vpc_cri: flags.vpc_cri,
        login: flags.login.as_deref(),
    };
    let login = command.unwrap_or_else(|| login_command(flags.cluster.as_deref()));
    let root =
        RootCredential::from_environment(asked)?.ok_or_else(|| no_root(&endpoints, &login))?;
    if flags.login.is_none() && flags.apikey_file.is_none() {
        check_destination(flags, &root, &endpoints)?;
    }
    let binding = LoginBinding::of_cluster(cluster).with_issuer(&endpoints.name());
    Chain::new(issuer(), &endpoints, root.bound_to(binding), None, login)
}

/// Returns the root credential that `asked` chooses, else that of the environment, else the only saved
/// login, and the endpoints. Reads an API key from a pipe, so it can be called only once.
///
/// # Errors
/// There is no root credential or there are several saved logins, or a URL is invalid.
pub fn default_root(
    asked: RootOptions<'_>,
    account: Option<&str>,
    cluster: Option<&str>,
) -> Result<(RootCredential, Endpoints), Error> {
    let endpoints = endpoints(None)?;
    let root = match RootCredential::from_environment(asked)? {
        Some(root) => root,
        None => RootCredential::only_saved(account)?
            .ok_or_else(|| no_root(&endpoints, &login_command(cluster)))?,
    };
    let root = root.bound_to(LoginBinding::of_issuer(&endpoints.name()));
    Ok((root, endpoints))
}

/// Returns the chain from a root credential. `account` is the ID of the account that an API key must
/// belong to, and `cluster` the cluster that the user names to log in again.
///
/// # Errors
/// A URL is invalid.
pub fn chain_from(
    (root, endpoints): (RootCredential, &Endpoints),
    account: Option<&str>,
    cluster: Option<&str>,
) -> Result<Chain, Error> {
    let account = account.map(str::to_owned);
    Chain::new(issuer(), endpoints, root, account, login_command(cluster))
}

/// Returns the source for a cluster that was found through `chain`.
#[must_use]
pub fn cluster_source(chain: Chain, found: &IbmCluster, cluster: &Cluster) -> Arc<dyn Source> {
    source_of_kind(chain, found.is_openshift(), cluster)
}

/// Refuses to send a root credential of the environment to an IAM or `OpenShift` server that only the
/// kubeconfig names.
fn check_destination(
    flags: &IbmFlags,
    root: &RootCredential,
    known: &Endpoints,
) -> Result<(), Error> {
    let subject = root.subject();
    if known.name() != endpoints(None)?.name() {
        return Err(ibm_error(format!(
            "the kubeconfig's --iam {} is another IAM than the environment's, so {subject} \
             is not sent to it; set {IAM_VARIABLE} too if you trust it",
            known.iam()
        )));
    }
    if flags.openshift {
        return Err(ibm_error(format!(
            "{subject} is not sent to a server that a kubeconfig names; run `{}` to log in there",
            login_command(flags.cluster.as_deref())
        )));
    }
    Ok(())
}

fn no_root(endpoints: &Endpoints, login: &str) -> Error {
    Error::LoginNeeded {
        subject: format!("IBM Cloud IAM {}", endpoints.iam()),
        problem: "there is no API key and no saved login".into(),
        remedy: format!("give --apikey-file, set IBMCLOUD_API_KEY, or run `{login}`"),
    }
}

/// Returns the command that logs in.
#[must_use]
pub fn login_command(cluster: Option<&str>) -> String {
    match cluster {
        Some(cluster) => format!(
            "kubegate login ibm --cluster {}",
            quoted(&printable(cluster))
        ),
        None => "kubegate login ibm".to_owned(),
    }
}
