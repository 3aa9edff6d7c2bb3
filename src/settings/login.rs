//! [`Login`]: the arguments of `kubegate credential`, as they are in the `exec` entry that
//! `kubegate login` writes.

use std::path::{Path, PathBuf, absolute};

use clap::{Args, Parser, Subcommand, ValueHint};

use super::{ConnectionFlags, ibm::IbmFlags, oidc::OidcFlags, values::exec_api_version};
use crate::kubeconfig::{ExecApiVersion, ExecConfig};

/// A login at an issuer. It never holds a secret; secrets are stored in the state folder.
// The doc comments are the help texts.
#[allow(clippy::doc_markdown)]
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum Login {
    /// An OpenShift session
    Openshift(OpenshiftFlags),
    /// An IBM Cloud cluster's token
    Ibm(IbmFlags),
    /// An OIDC issuer's ID token
    Oidc(Box<OidcFlags>),
}

/// A session at an `OpenShift` cluster.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub struct OpenshiftFlags {
    /// Name of the saved login
    #[arg(
        long,
        value_name = "NAME",
        required_unless_present = "openshift_username_file"
    )]
    pub login: Option<String>,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub files: OpenshiftFiles,
}

/// The files of an `OpenShift` login without user interaction.
#[allow(clippy::doc_markdown)]
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
#[command(next_help_heading = "OpenShift")]
pub struct OpenshiftFiles {
    /// File with the user name to log in to OpenShift with whenever a session is about to end
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath,
          requires = "openshift_password_file")]
    pub openshift_username_file: Option<PathBuf>,
    /// File with the password of that user
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath,
          requires = "openshift_username_file")]
    pub openshift_password_file: Option<PathBuf>,
    /// File with CA certificates to trust for the OAuth server, in addition to those of the system
    /// and the cluster
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub oauth_certificate_authority: Option<PathBuf>,
}

impl OpenshiftFiles {
    /// Returns the files with user name and password, if they are given.
    #[must_use]
    pub fn username_and_password(&self) -> Option<(&Path, &Path)> {
        let user = self.openshift_username_file.as_deref()?;
        Some((user, self.openshift_password_file.as_deref()?))
    }

    /// Returns the arguments of `kubegate` that mean these files. Paths are absolute, since kubectl runs a
    /// plugin in the user's working folder.
    #[must_use]
    pub fn to_args(&self) -> Vec<String> {
        let files = [
            ("--openshift-username-file", &self.openshift_username_file),
            ("--openshift-password-file", &self.openshift_password_file),
            (
                "--oauth-certificate-authority",
                &self.oauth_certificate_authority,
            ),
        ];
        let args = files.into_iter().filter_map(|(flag, file)| {
            let file = file.as_ref()?;
            let file = absolute(file).unwrap_or_else(|_| file.clone());
            Some([flag.to_owned(), file.display().to_string()])
        });
        args.flatten().collect()
    }
}

/// The arguments of an `exec` entry.
#[derive(Parser)]
#[command(no_binary_name = true, disable_help_flag = true)]
struct Entry {
    #[command(subcommand)]
    command: Command,
    /// They are for the plugin: which cluster it is for, where the client does not say that.
    #[command(flatten)]
    _connection: ConnectionFlags,
}

#[derive(Subcommand)]
enum Command {
    Credential {
        #[command(subcommand)]
        login: Login,
        /// The version of the plugin's output.
        #[arg(long = "exec-api-version", global = true, value_parser = exec_api_version())]
        _exec_api_version: Option<ExecApiVersion>,
    },
}

impl Login {
    /// Returns the login of an `exec` entry that runs `kubegate credential`. Returns `None` for any other
    /// program, for arguments that are not known here (the program may be another version), and for
    /// variables that choose another program or state folder.
    #[must_use]
    pub fn of_exec(config: &ExecConfig) -> Option<Self> {
        let is_own =
            config.command.file_name() == Some("kubegate".as_ref()) || is_own(&config.command);
        let mut variables = config.env.iter();
        if !is_own || variables.any(|(name, _)| is_of_program(name)) {
            return None;
        }
        let Command::Credential { login, .. } = Entry::try_parse_from(&config.args).ok()?.command;
        Some(login)
    }

    /// As [`Login::of_exec`], for an entry without variables, so that kubegate need not run itself.
    #[must_use]
    pub fn in_process(config: &ExecConfig) -> Option<Self> {
        // Such as a proxy, which is for the plugin alone.
        Self::of_exec(config).filter(|_| config.env.is_empty())
    }

    /// Returns the name of its subcommand.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Openshift(_) => "openshift",
            Self::Ibm(_) => "ibm",
            Self::Oidc(_) => "oidc",
        }
    }

    /// Returns its name in the state folder, or `None` for a login that uses files of the user.
    #[must_use]
    pub fn saved_as(&self) -> Option<String> {
        match self {
            Self::Openshift(flags) => flags.login.clone(),
            Self::Ibm(flags) => flags.login.clone(),
            Self::Oidc(flags) => Some(flags.login.clone()),
        }
    }

    /// Returns whether it obtains new tokens without the user, until the issuer refuses.
    #[must_use]
    pub fn renews_itself(&self) -> bool {
        match self {
            Self::Openshift(flags) => flags.files.username_and_password().is_some(),
            Self::Ibm(_) | Self::Oidc(_) => true,
        }
    }
}

/// Whether an environment variable may choose another program, or another folder for saved logins.
fn is_of_program(variable: &str) -> bool {
    let names = ["XDG_STATE_HOME", "HOME", "PATH"];
    let prefixes = ["KUBEGATE_", "LD_", "DYLD_"];
    names.contains(&variable) || prefixes.iter().any(|prefix| variable.starts_with(prefix))
}

/// Whether a path leads to this program.
fn is_own(command: &Path) -> bool {
    let own = std::env::current_exe().and_then(std::fs::canonicalize);
    command.is_absolute()
        && own.is_ok_and(|own| std::fs::canonicalize(command).is_ok_and(|path| path == own))
}
