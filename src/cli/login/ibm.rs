//! `kubegate login ibm`

use std::path::PathBuf;

use clap::{Args, ValueHint};

use super::argument_warning::warn_of_argument;
use crate::{
    cli::{output, usage::bail_usage},
    kubeconfig::{self, ExecApiVersion, Overrides},
    login::{
        ibm::{LoginMethod, LoginRequest, log_in},
        terminal,
    },
    secret::Secret,
    settings::{ConnectionFlags, IbmEndpoint, IbmFlags, Login},
};

pub(in crate::cli) const EXAMPLES: &str = "\
Examples:
  # With an API key from a file, from IBMCLOUD_API_KEY, or from a prompt
  kubegate login ibm --cluster production --apikey-file ~/apikey.json
  pass ibm-key | kubegate login ibm --cluster production --apikey-file -
  kubegate login ibm --cluster production

  # With a one-time passcode, as federated IDs require
  kubegate login ibm --cluster production --sso

  # With a user name and a password, which may come from a pipe
  kubegate login ibm -u jane@example.com --account 0123456789abcdef0123456789abcdef
  pass ibm | kubegate login ibm -u jane@example.com --password-stdin --cluster production

  # With the identity of a virtual server in a VPC, whose trusted profile may be named
  kubegate login ibm --cluster production --vpc-cri --profile Profile-...

  # Again, after a logout: the context names the cluster
  kubegate login ibm --context production/bq7s5gd20ev1ndpa4vg0 --sso

An API key is saved until you log out, and renews the login whenever that is needed. A login by
passcode or password lasts as long as its session at IBM Cloud.

Exit codes: 0 when logged in, 1 if that failed and nothing was changed, 2 for bad flags.";

/// Flags of `kubegate login ibm`.
// Independent flags, each with a check of its own.
#[allow(clippy::doc_markdown, clippy::struct_excessive_bools)]
#[derive(Args, Debug)]
pub(in crate::cli) struct Flags {
    /// Name or id of the cluster [default: a choice from the list]
    #[arg(long, value_name = "NAME")]
    cluster: Option<String>,
    /// Log in with the API key in this file (- is standard input): the key alone, IBM's JSON, or lines
    /// such as IBMCLOUD_API_KEY=...
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, group = "how")]
    apikey_file: Option<PathBuf>,
    /// Log in with a one-time passcode that IBM Cloud shows in a browser
    #[arg(long, group = "how")]
    sso: bool,
    /// Log in with this user name and a password (not for federated IDs)
    #[arg(short = 'u', value_name = "USER", group = "how")]
    login_user: Option<String>,
    /// Log in with the identity of this virtual server in a VPC
    #[arg(long, group = "how")]
    vpc_cri: bool,
    /// Trusted profile to log in to: its ID or CRN with --vpc-cri, or its name with the token of a pod
    #[arg(long, value_name = "NAME", conflicts_with_all = ["apikey_file", "sso", "login_user"])]
    profile: Option<String>,
    /// Read the password or the one-time passcode from standard input
    #[arg(long)]
    password_stdin: bool,
    /// Id or name of the account
    #[arg(long, alias = "ibm-account", value_name = "ID")]
    account: Option<String>,
    /// Endpoint of the cluster to use [default: the one that IBM Cloud calls the master URL]
    #[arg(long, alias = "ibm-endpoint", value_name = "WHICH", value_enum)]
    endpoint: Option<IbmEndpoint>,
    /// Save the API key or refresh token in the keyring of the operating system
    #[arg(long)]
    keyring: bool,
}

/// Logs in and writes the context.
pub(super) async fn run(
    connection: &ConnectionFlags,
    flags: &Flags,
    exec_api_version: Option<ExecApiVersion>,
) -> anyhow::Result<()> {
    let method = method(connection, flags)?;
    let env = |name: &str| std::env::var_os(name);
    let renewed = match &flags.cluster {
        Some(_) => None,
        None => renewed(connection)?,
    };
    let cluster = renewed.as_ref().and_then(|login| login.cluster.as_deref());
    let request = LoginRequest {
        method,
        account: flags.account.as_deref(),
        cluster: flags.cluster.as_deref().or(cluster),
        kubeconfig: connection.kubeconfig(),
        connection: &Overrides::from(connection),
        endpoint: flags.endpoint,
        keyring: flags.keyring,
        exec_api_version,
    };
    let done = Box::pin(log_in(request, &env)).await?;
    output::print(&format!(
        "Logged in to cluster {:?} as {:?}.\nThe current context of {} is {:?}.\n",
        done.cluster,
        done.user,
        done.file.display(),
        done.context
    ))
}

/// Returns the login of the context that `--context` names.
fn renewed(connection: &ConnectionFlags) -> anyhow::Result<Option<IbmFlags>> {
    let overrides = Overrides {
        context: Overrides::from(connection).context,
        ..Overrides::default()
    };
    let Some(name) = &overrides.context else {
        return Ok(None);
    };
    let env = |name: &str| std::env::var_os(name);
    let target = kubeconfig::resolve(connection.kubeconfig(), &overrides, &env)?;
    let login = match &target.user.login {
        kubeconfig::Login::Exec(entry) => Login::of_exec(entry),
        _ => None,
    };
    match login {
        Some(Login::Ibm(login)) => Ok(Some(login)),
        _ => bail_usage!(
            "context {name:?} was not made by `kubegate login ibm`; name its cluster by --cluster"
        ),
    }
}

/// Returns how to log in, and reads what comes from standard input.
fn method(connection: &ConnectionFlags, flags: &Flags) -> anyhow::Result<LoginMethod> {
    if let Some(path) = &flags.apikey_file {
        return Ok(LoginMethod::KeyFile(path.clone()));
    }
    if flags.vpc_cri || flags.profile.is_some() {
        return Ok(LoginMethod::ComputeResource {
            vpc_cri: flags.vpc_cri,
            profile: flags.profile.clone(),
        });
    }
    if flags.sso {
        let passcode = flags
            .password_stdin
            .then(|| terminal::secret_from_stdin("one-time passcode"));
        let passcode = passcode.transpose()?.map(|text| {
            let text = text.trim().trim_start_matches('\u{feff}');
            Secret::new(text)
        });
        return Ok(LoginMethod::Passcode(passcode));
    }
    let user = flags.login_user.as_ref().or(connection.username.as_ref());
    let Some(user) = user else {
        if flags.password_stdin {
            bail_usage!("--password-stdin needs -u USER or --sso");
        }
        return Ok(LoginMethod::Environment);
    };
    let password = if flags.password_stdin {
        Some(Secret::new(
            terminal::secret_from_stdin("password")?.as_str(),
        ))
    } else {
        if connection.password.is_some() {
            warn_of_argument("password", "--password-stdin");
        }
        connection.password.clone()
    };
    Ok(LoginMethod::Password(user.clone(), password))
}
