//! `kubegate login`: one file per kind of login.

mod argument_warning;
mod ibm;
mod list;
mod oidc;
mod openshift;

use clap::Subcommand;

use crate::{kubeconfig::ExecApiVersion, settings::ConnectionFlags};

pub(super) const EXAMPLES: &str = "\
Examples:
  kubegate login openshift https://api.cluster.example:6443 -u alice
  kubegate login ibm --cluster production --sso
  kubegate login list
  kubegate login oidc --context staging --oidc-issuer-url https://issuer.example \\
    --oidc-client-id kubernetes

A login writes a context into your kubeconfig, whose user runs `kubegate credential`. Tokens and
other secrets are saved in the state folder ($XDG_STATE_HOME/kubegate, else
~/.local/state/kubegate).

Exit codes: 0 when logged in, 1 if that failed, 2 for bad flags.";

/// The kinds of login.
// The doc comments are the text of the help.
#[allow(clippy::doc_markdown)]
#[derive(Debug, Subcommand)]
pub(super) enum Kind {
    /// Log in to a cluster of IBM Cloud
    #[command(after_help = ibm::EXAMPLES)]
    Ibm(Box<ibm::Flags>),
    /// List the saved logins
    #[command(after_help = list::EXAMPLES)]
    List(list::Flags),
    /// Log in at an OIDC issuer with a browser
    #[command(after_help = oidc::EXAMPLES)]
    Oidc(Box<oidc::Flags>),
    /// Log in to an OpenShift cluster
    #[command(after_help = openshift::EXAMPLES)]
    Openshift(Box<openshift::Flags>),
}

/// Logs in, and writes the context; or lists the logins.
pub(super) async fn run(
    connection: &ConnectionFlags,
    kind: &Kind,
    exec_api_version: Option<ExecApiVersion>,
) -> anyhow::Result<()> {
    match kind {
        Kind::Ibm(flags) => ibm::run(connection, flags, exec_api_version).await,
        Kind::List(flags) => list::run(connection, flags),
        Kind::Oidc(flags) => oidc::run(connection, flags, exec_api_version).await,
        Kind::Openshift(flags) => openshift::run(connection, flags, exec_api_version).await,
    }
}
