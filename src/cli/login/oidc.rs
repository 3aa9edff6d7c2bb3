//! `kubegate login oidc`

use std::path::PathBuf;

use clap::{Args, ValueHint};

use super::argument_warning::warn_of_argument;
use crate::{
    cli::output,
    kubeconfig::{ExecApiVersion, Overrides},
    login::oidc::{IssuerRequest, LoginRequest, log_in},
    secret::Secret,
    settings::{BrowserFlags, ConnectionFlags, GrantFlags, checked_extra_params},
};

pub(in crate::cli) const EXAMPLES: &str = "\
Examples:
  # A cluster that is not in the kubeconfig yet
  kubegate login oidc --server https://api.example:6443 --certificate-authority ca.crt \\
    --oidc-issuer-url https://issuer.example --oidc-client-id kubernetes

  # A new user for a context; to log in again later, the issuer's flags are not needed
  kubegate login oidc --context staging --oidc-issuer-url https://issuer.example \\
    --oidc-client-id kubernetes --oidc-extra-scope groups

  # Without a browser on this machine
  kubegate login oidc --context staging --grant-type device-code

  # Without a person: the files are read again for every token
  kubegate login oidc --context ci --grant-type client-credentials \\
    --oidc-client-secret-file /run/secrets/client
  kubegate login oidc --context ci --oidc-username-file /run/secrets/user \\
    --oidc-password-file /run/secrets/password
  kubegate login oidc --context ci --oidc-subject-token-file /run/secrets/token

Exit codes: 0 when logged in, 1 if that failed, 2 for bad flags.";

// The doc comments are the text of the help.
#[allow(clippy::doc_markdown)]
#[derive(Args, Debug)]
pub(in crate::cli) struct Flags {
    /// Name for the saved login [default: the name of the user's entry]
    #[arg(long, value_name = "NAME")]
    login: Option<String>,
    /// URL of the issuer
    #[arg(long, value_name = "URL")]
    oidc_issuer_url: Option<String>,
    /// Client id at the issuer
    #[arg(long, value_name = "ID")]
    oidc_client_id: Option<String>,
    /// Secret of the client, which is saved; visible to other users of this machine, so prefer the file
    #[arg(
        long,
        value_name = "SECRET",
        allow_hyphen_values = true,
        conflicts_with = "oidc_client_secret_file"
    )]
    oidc_client_secret: Option<Secret>,
    /// File with the client's secret, which is saved, or read for every token by a login without a
    /// person; a public client has none
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    oidc_client_secret_file: Option<PathBuf>,
    /// Scope to request besides openid; may be repeated
    #[arg(long, value_name = "SCOPE")]
    oidc_extra_scope: Vec<String>,
    /// Extra parameter of the URL where a user logs in, such as audience, hd or kc_idp_hint; may be
    /// repeated
    #[arg(long, value_name = "KEY=VALUE", value_parser = checked_extra_params)]
    oidc_auth_request_extra_params: Vec<String>,
    /// File with the CA certificates to trust for the issuer
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    oidc_certificate_authority: Option<PathBuf>,
    /// CA certificates to trust for the issuer: PEM, in base64
    #[arg(
        long,
        value_name = "BASE64",
        conflicts_with = "oidc_certificate_authority"
    )]
    oidc_certificate_authority_data: Option<String>,
    /// Save the tokens in the keyring of the operating system
    #[arg(long)]
    keyring: bool,
    #[command(flatten)]
    grant: GrantFlags,
    #[command(flatten)]
    browser: BrowserFlags,
}

/// Logs in, and prints the context.
pub(super) async fn run(
    connection: &ConnectionFlags,
    flags: &Flags,
    exec_api_version: Option<ExecApiVersion>,
) -> anyhow::Result<()> {
    let mut overrides = Overrides::from(connection);
    // They are the user's at the issuer, not at the API server.
    let (username, password) = (overrides.username.take(), overrides.password.take());
    if password.is_some() {
        warn_of_argument("password", "a prompt or --oidc-password-file");
    }
    if flags.oidc_client_secret.is_some() {
        warn_of_argument("client's secret", "--oidc-client-secret-file");
    }
    let request = LoginRequest {
        connection: overrides,
        kubeconfig: connection.kubeconfig().map(ToOwned::to_owned),
        login: flags.login.clone(),
        issuer: IssuerRequest {
            url: flags.oidc_issuer_url.clone(),
            client_id: flags.oidc_client_id.clone(),
            client_secret: flags.oidc_client_secret.clone(),
            client_secret_file: flags.oidc_client_secret_file.clone(),
            extra_scopes: flags.oidc_extra_scope.clone(),
            extra_params: flags.oidc_auth_request_extra_params.clone(),
            certificate_authority: flags.oidc_certificate_authority.clone(),
            certificate_authority_data: flags.oidc_certificate_authority_data.clone(),
            grant: flags.grant.clone(),
        },
        username,
        password,
        browser: flags.browser.clone(),
        keyring: flags.keyring,
        exec_api_version,
    };
    let done = log_in(&request, &|name| std::env::var_os(name)).await?;
    output::print(&match done.context {
        None => format!("Logged in; saved as {}\n", done.login),
        Some(context) => format!(
            "Logged in to {} as {}.\nContext {} is now current in {}\n",
            context.server,
            context.user,
            context.name,
            context.file.display()
        ),
    })
}
