//! `kubegate token`

use clap::{Args, ValueEnum};

use super::{interrupt::guarded, output, target::target_to_use};
use crate::{
    credential::{self, exec_credential},
    kubeconfig::{EXEC_INFO, ExecInfo},
    settings::ConnectionFlags,
};

pub(super) const EXAMPLES: &str = "\
Examples:
  # A request to the API server without the proxy
  curl --cacert ca.crt -H \"Authorization: Bearer $(kubegate token)\" https://api.example:6443/api

  # As an exec plugin of kubectl, for any kind of user
  kubegate token --context staging -o exec-credential

Exit codes: 0 with a token on standard output, 1 if there is none, 2 for bad flags.";

#[derive(Args, Debug)]
pub(super) struct Flags {
    /// Output format [default: only the token]
    #[arg(short, long, value_enum, value_name = "FORMAT")]
    output: Option<Format>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// The output of an exec plugin, for kubectl
    ExecCredential,
}

/// Obtains a token for the context's user, and prints it.
pub(super) async fn run(connection: &ConnectionFlags, flags: &Flags) -> anyhow::Result<()> {
    let target = target_to_use(connection)?;
    let cache = credential::from_user(&target, connection.exec_timeout)?;
    let credential = guarded(async { Ok(cache.fetch_once().await?) }).await?;
    let user = target.user.name.as_deref().unwrap_or("of the flags");
    let subject = format!("user {user}");
    match flags.output {
        None => {
            let token = exec_credential::token(&credential, &subject)?;
            output::print_data(token.expose())?;
            output::print("\n")
        }
        Some(Format::ExecCredential) => {
            let asked = std::env::var(EXEC_INFO).ok();
            let asked = asked.map(|info| ExecInfo::read(&info)).transpose()?;
            let version = asked.map_or(exec_credential::API_VERSION.to_owned(), |info| {
                info.api_version
            });
            let answer = exec_credential::to_json(&credential, &version, &subject)?;
            output::print_data(answer.as_str())
        }
    }
}
