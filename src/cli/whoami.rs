//! `kubegate whoami`

use std::time::SystemTime;

use clap::Args;
use serde_json::json;

use super::{
    interrupt::guarded,
    output::{self, Format},
    target::target_to_use,
};
use crate::{
    credential::{self, CredentialStatus, Need, exec_credential},
    settings::ConnectionFlags,
};

pub(super) const EXAMPLES: &str = "\
Examples:
  kubegate whoami
  kubegate whoami --context staging -o json
  kubegate whoami -t          # the token, as `oc whoami -t` prints it

Exit codes: 0 with the answer on standard output, 1 if the API server does not say, 2 for bad
flags.";

#[derive(Args, Debug)]
pub(super) struct Flags {
    /// Print the current token, without a request to the API server
    #[arg(short = 't', long, conflicts_with = "output")]
    show_token: bool,
    /// Output format [default: a table]
    #[arg(short, long, value_enum, value_name = "FORMAT")]
    output: Option<Format>,
}

/// Asks the API server who the context's user is, and prints the answer.
pub(super) async fn run(connection: &ConnectionFlags, flags: &Flags) -> anyhow::Result<()> {
    let target = target_to_use(connection)?;
    let cache = credential::from_user(&target, connection.exec_timeout)?;
    if flags.show_token {
        let credential = guarded(async { Ok(cache.fetch_once(Need::Current).await?) }).await?;
        let user = target.user.name.as_deref().unwrap_or("of the flags");
        let token = exec_credential::token(&credential, &format!("user {user}"))?;
        output::print_data(token.expose())?;
        return output::print("\n");
    }
    let asking = async {
        let credential = cache.fetch_and_keep().await?;
        let identity = credential::whoami(&target.cluster, cache).await?;
        Ok((credential, identity))
    };
    let (credential, identity) = Box::pin(guarded(asking)).await?;
    let kind = CredentialStatus::of(&target, None).kind;
    let expires = credential.expires_at.map(exec_credential::timestamp);
    if let Some(format) = flags.output {
        let value = json!({
            "user": identity.username,
            "groups": identity.groups,
            "confirmed": identity.is_confirmed,
            "context": target.context,
            "server": target.cluster.url(),
            "obtained": kind,
            "expires": expires,
            "renewedBy": credential.renewed_by.as_deref(),
        });
        return output::print_as(format, &value, &[&identity.username]);
    }
    let mut rows = vec![
        ("User", identity.username),
        ("Groups", identity.groups.join(", ")),
        ("Server", target.cluster.url()),
        ("Obtained", kind),
    ];
    if let Some(context) = target.context {
        rows.insert(2, ("Context", context));
    }
    if let (Some(end), Some(shown)) = (credential.expires_at, expires) {
        let left = end.duration_since(SystemTime::now()).unwrap_or_default();
        rows.push((
            "Expires",
            format!("in {} ({shown})", output::span(left.as_secs())),
        ));
    }
    if let Some(command) = &credential.renewed_by {
        rows.push(("Renew by", command.to_string()));
    }
    let row = |(name, value): (&str, String)| vec![format!("{name}:"), value];
    output::print_table(&rows.into_iter().map(row).collect::<Vec<_>>())
}
