//! Flags for OIDC issuers, with the names that kubelogin gives its own.

use std::path::PathBuf;

use clap::{Args, ValueHint};

use super::values::any_path;

/// A login at an OIDC issuer, and kubegate's client registration there.
#[allow(clippy::doc_markdown)]
#[derive(Args, Clone, Debug, Default)]
pub struct OidcFlags {
    /// Name of the saved login
    #[arg(long, value_name = "NAME")]
    pub login: String,
    /// URL of the issuer
    #[arg(long, value_name = "URL")]
    pub oidc_issuer_url: String,
    /// Client ID at the issuer
    #[arg(long, value_name = "ID")]
    pub oidc_client_id: String,
    /// File with the client's secret, in place of the saved one
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, value_parser = any_path())]
    pub oidc_client_secret_file: Option<PathBuf>,
    /// Scope to request in addition to openid; may be repeated
    #[arg(long, value_name = "SCOPE")]
    pub oidc_extra_scope: Vec<String>,
    /// File with the CA certificates to trust for the issuer
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, value_parser = any_path())]
    pub certificate_authority: Option<PathBuf>,
    /// CA certificates to trust for the issuer: PEM, in base64
    #[arg(long, value_name = "BASE64")]
    pub certificate_authority_data: Option<String>,
}

impl OidcFlags {
    /// Returns the arguments of `kubegate` that mean this login, without what is stored in the state
    /// folder.
    #[must_use]
    pub fn to_args(&self) -> Vec<String> {
        let mut args: Vec<String> = ["credential", "oidc", "--login"]
            .map(str::to_owned)
            .to_vec();
        args.push(self.login.clone());
        let path = |path: &PathBuf| path.display().to_string();
        let flags = [
            ("--oidc-issuer-url", Some(self.oidc_issuer_url.clone())),
            ("--oidc-client-id", Some(self.oidc_client_id.clone())),
            (
                "--oidc-client-secret-file",
                self.oidc_client_secret_file.as_ref().map(path),
            ),
            (
                "--certificate-authority",
                self.certificate_authority.as_ref().map(path),
            ),
            (
                "--certificate-authority-data",
                self.certificate_authority_data.clone(),
            ),
        ];
        // Name and value in one argument, since a value may begin with a dash.
        let arg = |(name, value): (&str, Option<String>)| Some(format!("{name}={}", value?));
        args.extend(flags.into_iter().filter_map(arg));
        let scopes = self.oidc_extra_scope.iter();
        args.extend(scopes.map(|scope| format!("--oidc-extra-scope={scope}")));
        args
    }
}
