//! Flags for OIDC issuers, with the names that kubelogin gives its own.

use std::path::{PathBuf, absolute};

use clap::{Args, ValueHint};

use super::{GrantFlags, values::any_path};

/// A login at an OIDC issuer, and kubegate's client registration there.
#[allow(clippy::doc_markdown)]
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
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
    /// Extra parameter of the URL where a user logs in; may be repeated
    #[arg(long, value_name = "KEY=VALUE", value_parser = checked_extra_params)]
    pub oidc_auth_request_extra_params: Vec<String>,
    /// File with the CA certificates to trust for the issuer
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, value_parser = any_path())]
    pub certificate_authority: Option<PathBuf>,
    /// CA certificates to trust for the issuer: PEM, in base64
    #[arg(long, value_name = "BASE64")]
    pub certificate_authority_data: Option<String>,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub grant: GrantFlags,
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
        // kubectl runs a plugin in the user's working folder.
        let path = |path: &PathBuf| {
            let path = absolute(path).unwrap_or_else(|_| path.clone());
            path.display().to_string()
        };
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
        let params = self.oidc_auth_request_extra_params.iter();
        args.extend(params.map(|param| format!("--oidc-auth-request-extra-params={param}")));
        args.extend(self.grant.to_args());
        args
    }
}

impl OidcFlags {
    /// Returns the parameters of `--oidc-auth-request-extra-params`.
    #[must_use]
    pub fn extra_pairs(&self) -> Vec<(&str, &str)> {
        let values = self.oidc_auth_request_extra_params.iter();
        let pairs = values.filter_map(|value| extra_params(value).ok());
        pairs.flatten().collect()
    }
}

/// Parameters that kubegate sets itself: without its own values a login would not be safe.
const OWN_PARAMS: [&str; 8] = [
    "client_id",
    "code_challenge",
    "code_challenge_method",
    "nonce",
    "redirect_uri",
    "response_type",
    "scope",
    "state",
];

/// Returns the parameters in a value of `--oidc-auth-request-extra-params`: `KEY=VALUE`, or several
/// separated by commas as kubelogin accepts them (pflag's `stringToString`).
///
/// # Errors
/// What is wrong with the value.
pub fn extra_params(value: &str) -> Result<Vec<(&str, &str)>, String> {
    let pairs: Vec<&str> = if value.matches('=').count() == 1 {
        vec![value]
    } else {
        value.split(',').collect()
    };
    let pairs = pairs.into_iter().map(|pair| match pair.split_once('=') {
        Some(("", _)) | None => Err("give KEY=VALUE".to_owned()),
        Some(("scope", _)) => Err("give scopes by --oidc-extra-scope".to_owned()),
        Some((key, _)) if OWN_PARAMS.contains(&key) => {
            Err(format!("{key} is set by kubegate itself"))
        }
        Some(pair) => Ok(pair),
    });
    pairs.collect()
}

/// Parses the value of the flag.
pub(crate) fn checked_extra_params(value: &str) -> Result<String, String> {
    extra_params(value).map(|_| value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extra_parameters_are_pairs_as_in_kubelogin() {
        for (value, expected) in [
            ("audience=https://a", &[("audience", "https://a")][..]),
            ("a=1,2", &[("a", "1,2")]),
            ("a=1,b", &[("a", "1,b")]),
            ("a=1,b=2", &[("a", "1"), ("b", "2")]),
            ("login_hint=x==", &[("login_hint", "x==")]),
            ("a=", &[("a", "")]),
        ] {
            assert_eq!(extra_params(value).as_deref(), Ok(expected), "{value}");
        }
        for value in ["", "a", "=1", "a=1,b=2,c", "scope=x", "a=1,state=2"] {
            assert!(extra_params(value).is_err(), "{value}");
        }
    }
}
