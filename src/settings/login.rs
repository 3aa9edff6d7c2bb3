//! How a login of our own is told: the flags behind `kubegate credential`, which stand in the
//! `exec` entry that `kubegate login` writes.

use std::path::{Path, PathBuf};

use clap::{Args, Parser, Subcommand, ValueHint};

use super::{IbmFlags, OidcFlags};
use crate::kubeconfig::ExecConfig;

/// Which issuer to ask, and for what. Never holds a secret: those rest in the state folder.
// The doc comments are the help's text.
#[allow(clippy::doc_markdown)]
#[derive(Clone, Debug, Subcommand)]
pub enum Login {
    /// An OpenShift session
    Openshift(OpenshiftFlags),
    /// An IBM Cloud cluster's token
    Ibm(IbmFlags),
    /// An OIDC issuer's ID token
    Oidc(OidcFlags),
}

/// A session at an `OpenShift` cluster.
#[derive(Args, Clone, Debug, Default)]
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

/// What an `OpenShift` login without a human stands on.
#[allow(clippy::doc_markdown)]
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "OpenShift")]
pub struct OpenshiftFiles {
    /// File with the user name to log in to OpenShift with, whenever a session is about to end
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath,
          requires = "openshift_password_file")]
    pub openshift_username_file: Option<PathBuf>,
    /// File with the password of that user
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath,
          requires = "openshift_username_file")]
    pub openshift_password_file: Option<PathBuf>,
    /// File with authorities to trust for the OAuth server, beside the system's and the cluster's
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub oauth_certificate_authority: Option<PathBuf>,
}

impl OpenshiftFiles {
    /// The files with user name and password, where they are given.
    #[must_use]
    pub fn username_and_password(&self) -> Option<(&Path, &Path)> {
        let user = self.openshift_username_file.as_deref()?;
        Some((user, self.openshift_password_file.as_deref()?))
    }
}

/// The words behind the program's name in an `exec` entry.
#[derive(Parser)]
#[command(no_binary_name = true, disable_help_flag = true)]
struct Entry {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Credential {
        #[command(subcommand)]
        login: Login,
    },
}

impl Login {
    /// The login that an `exec` entry means which runs `kubegate credential`, so that kubegate
    /// need not run itself; `None` for any other program, and for words that this kubegate does
    /// not know: the program named may be another version.
    #[must_use]
    pub fn of_exec(config: &ExecConfig) -> Option<Self> {
        let is_own = config.command.file_name() == Some("kubegate".as_ref())
            || std::env::current_exe().is_ok_and(|own| own == Path::new(&config.command));
        // Variables of its own may mean another state folder.
        if !is_own || !config.env.is_empty() {
            return None;
        }
        let Command::Credential { login } = Entry::try_parse_from(&config.args).ok()?.command;
        Some(login)
    }

    /// Its word on the command line.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Openshift(_) => "openshift",
            Self::Ibm(_) => "ibm",
            Self::Oidc(_) => "oidc",
        }
    }

    /// The name under which it rests in the state folder; `None` for one that stands on files
    /// of the user's own.
    #[must_use]
    pub fn saved_as(&self) -> Option<String> {
        match self {
            Self::Openshift(flags) => flags.login.clone(),
            Self::Ibm(flags) => flags.login.clone(),
            Self::Oidc(flags) => Some(flags.login.clone()),
        }
    }

    /// Whether what is saved brings new tokens for as long as its issuer likes.
    #[must_use]
    pub fn renews_itself(&self) -> bool {
        match self {
            Self::Openshift(flags) => flags.files.username_and_password().is_some(),
            Self::Ibm(_) | Self::Oidc(_) => true,
        }
    }
}
