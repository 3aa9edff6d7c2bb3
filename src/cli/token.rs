//! `kubegate token`

use clap::{Args, ValueEnum};

use super::{exec_info, interrupt::guarded, output, target::target_to_use};
use crate::{
    credential::{self, Credential, Need, exec_credential},
    kubeconfig::{ExecApiVersion, Login, User},
    settings::{ConnectionFlags, exec_api_version},
};

pub(super) const EXAMPLES: &str = "\
Examples:
  # A request to the API server without the proxy
  curl --cacert ca.crt -H \"Authorization: Bearer $(kubegate token)\" https://api.example:6443/api

  # Another token, although the last one is still valid
  kubegate token --renew

  # As an exec plugin of kubectl, for any kind of user
  kubegate token --context staging -o exec-credential

Exit codes: 0 with a token on standard output, 1 if there is none, 2 for bad flags.";

#[derive(Args, Debug)]
// The doc comments are the text of the help.
#[allow(clippy::doc_markdown)]
pub(super) struct Flags {
    /// Output format [default: only the token]
    #[arg(short, long, value_enum, value_name = "FORMAT")]
    output: Option<Format>,
    /// Take a new token in place of the cached one, even if that is still valid
    #[arg(long, visible_alias = "force-refresh")]
    renew: bool,
    /// Version of the ExecCredential for a client that does not set KUBERNETES_EXEC_INFO
    /// [default: v1]
    #[arg(long, value_name = "VERSION", value_parser = exec_api_version())]
    exec_api_version: Option<ExecApiVersion>,
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
    let need = if flags.renew {
        Need::Renewed
    } else {
        Need::Current
    };
    let credential = guarded(async { Ok(cache.fetch_once(need).await?) }).await?;
    if flags.renew {
        warn_if_kept(&target.user, &credential);
    }
    let user = target.user.name.as_deref().unwrap_or("of the flags");
    let subject = format!("user {user}");
    match flags.output {
        None => {
            let token = exec_credential::token(&credential, &subject)?;
            output::print_data(token.expose())?;
            output::print("\n")
        }
        Some(Format::ExecCredential) => {
            let info = exec_info::read()?;
            let version = exec_info::output_version(info.as_ref(), flags.exec_api_version);
            let answer = exec_credential::to_json(&credential, &version, &subject)?;
            output::print_data(answer.as_str())
        }
    }
}

/// Warns that a credential could not be renewed, since only the user can.
fn warn_if_kept(user: &User, credential: &Credential) {
    if let Some(command) = &credential.renewed_by {
        tracing::warn!("this session cannot be renewed; for a new one, run `{command}`");
    } else if let Login::Token(_) = user.login {
        tracing::warn!("the token of the kubeconfig or of --token cannot be renewed");
    }
}
