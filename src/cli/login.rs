//! `kubegate login`: one file a kind.

mod ibm;

use clap::Subcommand;

use crate::settings::ConnectionFlags;

pub(super) const EXAMPLES: &str = "\
A login writes a context into your kubeconfig, whose user runs `kubegate credential`. Tokens and
other secrets rest in the state folder ($XDG_STATE_HOME/kubegate, else ~/.local/state/kubegate).

Exit codes: 0 when logged in, 1 where that failed and nothing was changed.";

/// Where to log in.
#[derive(Debug, Subcommand)]
pub(super) enum Kind {
    /// Log in to a cluster of IBM Cloud
    #[command(after_help = ibm::EXAMPLES)]
    Ibm(Box<ibm::Flags>),
}

/// Logs in, and writes the context.
pub(super) async fn run(connection: &ConnectionFlags, kind: &Kind) -> anyhow::Result<()> {
    match kind {
        Kind::Ibm(flags) => ibm::run(connection, flags).await,
    }
}
