//! The program's commands and flags.

use std::ffi::OsString;

use clap::{Parser, Subcommand};

#[cfg(feature = "demo")]
use super::demo;
use super::{
    completions, config, contexts, credential, docker_credential, kubeconfig, login, logout, open,
    options, proxy, registry, token, version, whoami,
};
use crate::{
    kubeconfig::ExecApiVersion,
    settings::{ConnectionFlags, Login, ProxyFlags, exec_api_version},
};

/// Shorter than [`proxy::EXAMPLES`], so that the help of the program fits a screen.
const EXAMPLES_OF_THE_PROGRAM: &str = "\
Examples:
  kubegate --context staging --read-only
  kubectl -s http://127.0.0.1:8001 get pods

Exit codes: 0 after a drain, 1 if it could not start, 2 for bad flags.";

/// An authenticating reverse proxy for Kubernetes API servers, like kubectl proxy: verifies the
/// server's certificate and puts a fresh credential on every request
#[derive(Debug, Parser)]
// As in kubectl, the last value counts if a flag is given twice.
#[command(name = "kubegate", version, after_help = EXAMPLES_OF_THE_PROGRAM,
          args_override_self = true)]
pub struct Cli {
    #[command(subcommand)]
    pub(super) command: Option<Command>,
    #[command(flatten)]
    pub(super) connection: ConnectionFlags,
    #[command(flatten)]
    pub(super) proxy: ProxyFlags,
    /// The words of the command line.
    #[arg(skip)]
    pub(super) line: Vec<OsString>,
}

// The doc comments are the help's text.
#[allow(clippy::doc_markdown)]
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Proxy to the API server; the default without a command
    #[command(after_help = proxy::EXAMPLES)]
    Proxy(Box<ProxyFlags>),
    /// Start a demo cluster with a proxy in front of it, to try kubegate
    #[cfg(feature = "demo")]
    #[command(after_help = demo::EXAMPLES)]
    Demo(Box<demo::Flags>),
    /// Log in to a cluster and write a context for it
    #[command(after_help = login::EXAMPLES)]
    Login {
        #[command(subcommand)]
        kind: login::Kind,
        /// Version of the exec entry to write: v1, or v1beta1 for the official Java client, which
        /// knows no other [default: that of the entry, else v1]
        #[arg(long, global = true, value_name = "VERSION", value_parser = exec_api_version())]
        exec_api_version: Option<ExecApiVersion>,
    },
    /// Print a kubeconfig that leads clients through a running proxy
    #[command(after_help = kubeconfig::EXAMPLES)]
    Kubeconfig(kubeconfig::Flags),
    /// Open the proxy in a browser, with a cookie in place of its token
    #[command(after_help = open::EXAMPLES)]
    Open(open::Flags),
    /// End a session and remove its tokens
    #[command(after_help = logout::EXAMPLES)]
    Logout(logout::Flags),
    /// Show who you are at the API server
    #[command(after_help = whoami::EXAMPLES)]
    Whoami(whoami::Flags),
    /// Print a fresh token of the context's user
    #[command(after_help = token::EXAMPLES)]
    Token(token::Flags),
    /// List the contexts, with their servers and logins
    #[command(after_help = contexts::EXAMPLES)]
    Contexts(contexts::Flags),
    /// Check and show the settings files of the proxy
    #[command(after_help = config::EXAMPLES)]
    Config {
        #[command(subcommand)]
        action: config::Action,
    },
    /// Provide docker with fresh tokens for OpenShift's registries
    #[command(after_help = registry::EXAMPLES)]
    Registry {
        #[command(subcommand)]
        action: registry::Action,
    },
    /// Serve docker as its credential helper
    #[command(hide = true, after_help = docker_credential::EXAMPLES)]
    DockerCredential {
        /// Action that docker requests
        #[arg(value_enum)]
        verb: docker_credential::Verb,
    },
    /// Print a credential for kubectl, which runs this as a plugin
    #[command(hide = true, after_help = credential::EXAMPLES)]
    Credential {
        #[command(subcommand)]
        login: Login,
        /// Version of the output for a client that does not set KUBERNETES_EXEC_INFO [default: v1]
        #[arg(long, global = true, value_name = "VERSION", value_parser = exec_api_version())]
        exec_api_version: Option<ExecApiVersion>,
    },
    /// Print a script for completion in your shell
    #[command(after_help = completions::EXAMPLES)]
    Completions {
        /// Shell to print the script for
        shell: clap_complete::Shell,
    },
    /// List the flags for cluster and user, which every command takes
    #[command(after_help = options::EXAMPLES)]
    Options,
    /// Print the version of this program
    #[command(after_help = version::EXAMPLES)]
    Version(version::Flags),
}

impl Command {
    /// Whether the command serves until a signal ends it, so that no user waits for its result.
    pub(super) fn serves(&self) -> bool {
        match self {
            Self::Proxy(_) => true,
            #[cfg(feature = "demo")]
            Self::Demo(_) => true,
            _ => false,
        }
    }
}

impl Cli {
    /// `-v`
    #[must_use]
    pub fn verbosity(&self) -> u8 {
        self.connection.verbosity
    }
}
