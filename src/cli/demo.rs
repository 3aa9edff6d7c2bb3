//! `kubegate demo`: one file per vendor.

mod folder;
mod ibm;
mod kubernetes;
mod oidc;
mod openshift;
mod program;
mod serve;

use std::time::Duration;

use clap::{Args, ValueEnum};

use super::usage::bail_usage;
use crate::settings::ProxyFlags;

pub(super) const EXAMPLES: &str = "\
Examples:
  kubegate demo
  curl http://127.0.0.1:8001/api/v1/pods
  kubectl -s http://127.0.0.1:8001 get pods

  # Commands in pods are refused unless you allow them
  kubegate demo --port 8002 --allow-exec
  kubectl -s http://127.0.0.1:8002 exec -it hello -- sh

  # An OIDC issuer, and what to log in with
  kubegate demo --flavor oidc

  # OpenShift's logins, sessions, projects and image registry
  kubegate demo --flavor openshift
  curl http://127.0.0.1:8001/apis/user.openshift.io/v1/users/~

  # IBM Cloud's IAM, accounts and clusters, and what to log in with
  kubegate demo --flavor ibm
  kubectl -s http://127.0.0.1:8001 auth whoami

Exit codes: 0 after a drain, 1 if it could not start, 2 for bad flags.";

/// Flags of `kubegate demo`.
#[derive(Args, Debug)]
pub(super) struct Flags {
    /// Vendor whose cluster to imitate
    #[arg(long, value_enum, value_name = "VENDOR", default_value_t)]
    flavor: Flavor,
    /// Lifetime of the demo's tokens; -v 4 shows how each is renewed in time
    #[arg(long, value_name = "DURATION", default_value = "30s",
          value_parser = crate::settings::duration)]
    token_ttl: Duration,
    #[command(flatten)]
    proxy: ProxyFlags,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Flavor {
    /// Plain Kubernetes
    #[default]
    Kubernetes,
    /// Plain Kubernetes, with an OIDC issuer
    Oidc,
    // The doc comment is the text of the help.
    #[allow(clippy::doc_markdown)]
    /// OpenShift, with its OAuth server and its image registry
    Openshift,
    /// IBM Cloud, with IAM and several clusters
    Ibm,
}

/// Starts the demo's cluster, and the proxy in front of it.
pub(super) async fn run(flags: &Flags) -> anyhow::Result<()> {
    let proxy = &flags.proxy;
    let account = &proxy.service_account;
    let username_file = &proxy.openshift.openshift_username_file;
    for (flag, is_given) in [
        ("--ibm-cluster", proxy.ibm.ibm_cluster.is_some()),
        ("--all-contexts", proxy.all_contexts),
        ("--default-context", proxy.default_context().is_some()),
        ("--service-account", account.service_account.is_some()),
        (
            "--service-account-secret",
            account.service_account_secret.is_some(),
        ),
        ("--openshift-username-file", username_file.is_some()),
    ] {
        if is_given {
            bail_usage!("the demo has a cluster and user of its own; leave out {flag}");
        }
    }
    match flags.flavor {
        Flavor::Kubernetes => kubernetes::run(flags.token_ttl, proxy).await,
        Flavor::Oidc => oidc::run(flags.token_ttl, proxy).await,
        Flavor::Openshift => openshift::run(flags.token_ttl, proxy).await,
        Flavor::Ibm => ibm::run(flags.token_ttl, proxy).await,
    }
}
