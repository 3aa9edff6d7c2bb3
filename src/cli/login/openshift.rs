//! `kubegate login openshift`

use clap::Args;

use super::argument_warning::warn_of_argument;
use crate::{
    cli::{output, usage::bail_usage},
    credential::exec_credential::timestamp,
    kubeconfig::{ExecApiVersion, Overrides},
    login::{
        openshift::{LoginMethod, LoginRequest, log_in},
        terminal,
    },
    secret::Secret,
    settings::{BrowserFlags, ConnectionFlags, OpenshiftFiles, go_bool},
};

pub(super) const EXAMPLES: &str = "\
Examples:
  # With a user name and a password from a prompt
  kubegate login openshift --server https://api.cluster.example:6443

  # In a browser; or on another machine, with the URL that is printed, and port 8000 forwarded to here
  kubegate login openshift https://api.cluster.example:6443 --web
  kubegate login openshift https://api.cluster.example:6443 --web --no-browser --callback-port 8000

  # From a script, once or for every session to come
  pass show cluster | kubegate login openshift https://api.cluster.example:6443 -u alice \\
    --password-stdin
  kubegate login openshift https://api.cluster.example:6443 \\
    --openshift-username-file user --openshift-password-file password

  # Again, after a logout: the context names server, authority and user
  kubegate login openshift --context default/api-cluster-example:6443/alice

  # With an existing token, and a certificate whose fingerprint is known
  kubegate login openshift api.cluster.example:6443 --token-stdin --trust-fingerprint 1A:2B:...

Exit codes: 0 when logged in, 1 if that failed and nothing was changed, 2 for bad flags.";

#[derive(Args, Debug)]
#[allow(clippy::doc_markdown)]
pub(in crate::cli) struct Flags {
    /// URL of the API server, as for `oc login`, in place of --server or --context [default: the
    /// current context's server, after a confirmation]
    #[arg(value_name = "URL")]
    url: Option<String>,
    /// User name
    #[arg(short = 'u', value_name = "USER", conflicts_with_all = ["web", "token_stdin"])]
    user_name: Option<String>,
    /// Password; visible to other users of this machine, so prefer --password-stdin
    #[arg(short = 'p', value_name = "PASSWORD", allow_hyphen_values = true,
          conflicts_with_all = ["web", "token_stdin", "password_stdin"])]
    pass_word: Option<Secret>,
    /// Read the password from the first line of standard input
    #[arg(long, conflicts_with_all = ["web", "token_stdin"])]
    password_stdin: bool,
    /// Log in with a browser
    #[arg(short, long, conflicts_with = "token_stdin")]
    web: bool,
    /// Read the token of a session or of a service account from the first line of standard input
    #[arg(long)]
    token_stdin: bool,
    /// SHA-256 fingerprint of the server's certificate to trust
    #[arg(long, value_name = "SHA256")]
    trust_fingerprint: Option<String>,
    /// Port on this machine that the browser is sent back to [default: any]
    #[arg(long, value_name = "PORT", help_heading = "Browser")]
    callback_port: Option<u16>,
    /// Open a browser; with false, print the URL for the login and wait for it, as --no-browser does
    #[arg(long, value_name = "BOOL", value_parser = go_bool, num_args = 0..=1, require_equals = true,
          default_missing_value = "true", hide_possible_values = true, help_heading = "Browser")]
    auto_open_browser: Option<bool>,
    #[command(flatten)]
    browser: BrowserFlags,
    #[command(flatten)]
    files: OpenshiftFiles,
}

/// Logs in, and prints as whom and for how long.
pub(super) async fn run(
    connection: &ConnectionFlags,
    flags: &Flags,
    exec_api_version: Option<ExecApiVersion>,
) -> anyhow::Result<()> {
    let mut overrides = Overrides::from(connection);
    match (&flags.url, &overrides.server) {
        (Some(_), Some(_)) => {
            bail_usage!("the URL and --server exclude each other; give one of them")
        }
        (Some(url), None) => overrides.server = Some(url.clone()),
        (None, _) => {}
    }
    let request = LoginRequest {
        method: method(&overrides, flags)?,
        kubeconfig: connection.kubeconfig().map(ToOwned::to_owned),
        trust_fingerprint: flags.trust_fingerprint.clone(),
        files: flags.files.clone(),
        connection: overrides,
        exec_api_version,
    };
    let done = Box::pin(log_in(request, &|name| std::env::var_os(name))).await?;
    let end = match done.ends_at {
        Some(end) => format!("\nThe session ends at {}", timestamp(end)),
        None => String::new(),
    };
    output::print(&format!(
        "Logged in as {} at {}\nContext {} is now current in {}{end}\n",
        done.user,
        done.server,
        done.context,
        done.file.display(),
    ))
}

/// Returns how to log in, and reads what comes from standard input.
fn method(overrides: &Overrides, flags: &Flags) -> anyhow::Result<LoginMethod> {
    if flags.callback_port.is_some() && !flags.web {
        bail_usage!("--callback-port is for a login in a browser; give --web too");
    }
    if flags.web {
        let mut browser = flags.browser.clone();
        browser.no_browser |= flags.auto_open_browser == Some(false);
        return Ok(LoginMethod::Web {
            browser,
            callback_port: flags.callback_port.unwrap_or_default(),
        });
    }
    if flags.token_stdin {
        let token = terminal::secret_from_stdin("token")?;
        return Ok(LoginMethod::Token(pasted_token(&token)?));
    }
    if let Some(token) = &overrides.token {
        warn_of_argument("token", "--token-stdin");
        return Ok(LoginMethod::Token(pasted_token(token.expose())?));
    }
    let password = if flags.password_stdin {
        Some(Secret::new(
            terminal::secret_from_stdin("password")?.as_str(),
        ))
    } else {
        let password = flags.pass_word.as_ref().or(overrides.password.as_ref());
        if password.is_some() {
            warn_of_argument("password", "--password-stdin");
        }
        password.cloned()
    };
    let user = flags.user_name.as_ref().or(overrides.username.as_ref());
    Ok(LoginMethod::Password {
        user: user.cloned(),
        password,
    })
}

/// Returns the token of a text that may have been copied with `Bearer ` or a whole `Authorization` header.
fn pasted_token(text: &str) -> anyhow::Result<Secret> {
    let mut token = text.trim();
    for prefix in ["authorization:", "bearer "] {
        let head = token.get(..prefix.len());
        if head.is_some_and(|head| head.eq_ignore_ascii_case(prefix)) {
            token = token[prefix.len()..].trim_start();
        }
    }
    if token.is_empty() || token.eq_ignore_ascii_case("bearer") {
        bail_usage!("the token is empty");
    }
    Ok(Secret::new(token))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_token_may_be_copied_with_its_header() {
        for text in [
            "sha256~a",
            " sha256~a ",
            "Bearer sha256~a",
            "bearer  sha256~a",
            "Authorization: Bearer sha256~a",
        ] {
            assert_eq!(pasted_token(text).unwrap().expose(), "sha256~a", "{text}");
        }
        for text in ["", "Bearer", "Bearer "] {
            assert!(pasted_token(text).is_err(), "{text}");
        }
    }
}
