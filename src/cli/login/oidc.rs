//! `kubegate login oidc`

use std::{net::SocketAddr, path::PathBuf};

use anyhow::anyhow;
use clap::{Args, ValueHint};

use crate::{
    cli::output,
    kubeconfig::{ExecApiVersion, Overrides},
    login::oidc::{IssuerRequest, LoginRequest, Redirect, log_in},
    settings::{BrowserFlags, ConnectionFlags, checked_extra_params, listen_address},
};

pub(in crate::cli) const EXAMPLES: &str = "\
Examples:
  # A cluster that is not in the kubeconfig yet
  kubegate login oidc --server https://api.example:6443 --certificate-authority ca.crt \\
    --oidc-issuer-url https://issuer.example --oidc-client-id kubernetes

  # A new user for a context; to log in again later, the issuer's flags are not needed
  kubegate login oidc --context staging --oidc-issuer-url https://issuer.example \\
    --oidc-client-id kubernetes --oidc-extra-scope groups

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
    /// File with the client's secret, which is saved; a public client has none
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
    /// URL that the issuer redirects the browser to
    /// [default: http://localhost:8000, else http://localhost:18000]
    #[arg(long, value_name = "URL")]
    oidc_redirect_url: Option<String>,
    /// Save the tokens in the keyring of the operating system
    #[arg(long)]
    keyring: bool,
    /// Address and port to listen on for the browser; may be repeated: the first that is free is used
    /// [default: those of the redirect URL]
    #[arg(long, value_name = "ADDRESS", value_delimiter = ',', value_parser = listen_address)]
    listen_address: Vec<SocketAddr>,
    #[command(flatten)]
    browser: BrowserFlags,
}

/// Logs in with a browser, and prints the context.
pub(super) async fn run(
    connection: &ConnectionFlags,
    flags: &Flags,
    exec_api_version: Option<ExecApiVersion>,
) -> anyhow::Result<()> {
    let redirects = redirects(flags).map_err(|e| anyhow!("--oidc-redirect-url {e}"))?;
    let request = LoginRequest {
        connection: Overrides::from(connection),
        kubeconfig: connection.kubeconfig().map(ToOwned::to_owned),
        login: flags.login.clone(),
        issuer: IssuerRequest {
            url: flags.oidc_issuer_url.clone(),
            client_id: flags.oidc_client_id.clone(),
            client_secret_file: flags.oidc_client_secret_file.clone(),
            extra_scopes: flags.oidc_extra_scope.clone(),
            extra_params: flags.oidc_auth_request_extra_params.clone(),
            certificate_authority: flags.oidc_certificate_authority.clone(),
            certificate_authority_data: flags.oidc_certificate_authority_data.clone(),
        },
        redirects,
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

/// Returns where the browser may come back to.
fn redirects(flags: &Flags) -> Result<Vec<Redirect>, &'static str> {
    let url = flags.oidc_redirect_url.as_deref();
    if !flags.listen_address.is_empty() {
        return Redirect::at(&flags.listen_address, url);
    }
    match url {
        Some(url) => Ok(vec![Redirect::parse(url)?]),
        None => Ok(Redirect::defaults()),
    }
}
