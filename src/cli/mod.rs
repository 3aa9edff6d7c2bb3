//! The commands, one file each. They read flags, call the rooms, and print.

mod completions;
mod contexts;
mod credential;
#[cfg(feature = "demo")]
mod demo;
mod docker_credential;
mod ibm;
mod login;
mod logout;
mod output;
mod proxy;
mod registry;
mod token;
mod whoami;

use std::{ffi::OsString, path::Path, process::ExitCode, time::Duration};

use anyhow::Context as _;
use clap::{
    ArgMatches, CommandFactory as _, FromArgMatches as _, Parser, Subcommand, parser::ValueSource,
};

use crate::{
    kubeconfig::{self, Overrides, Target},
    settings::{ConnectionFlags, Login, ProxyFlags},
};

/// How long the end waits for files that are being written.
const LAST_WRITES: Duration = Duration::from_secs(1);

/// The name by which docker runs its helper.
const DOCKER_HELPER: &str = "docker-credential-kubegate";

const EXAMPLES: &str = "\
Examples:
  # The current context of your kubeconfig at http://127.0.0.1:8001
  kubegate
  curl http://127.0.0.1:8001/api/v1/namespaces/default/pods

  # Another context, any free port, nothing but reading
  kubegate --context staging --port 0 --read-only

  # On a unix socket, acting as somebody else
  kubegate proxy --unix-socket /run/user/1000/kube.sock --as jane --as-group dev

  # A cluster of IBM Cloud by its name; an API key is all it needs
  IBMCLOUD_API_KEY=... kubegate --ibm-cluster production

  # Nothing at hand? A pretend cluster and the proxy in front of it
  kubegate demo

Exit codes: 0 after a drain, 1 where it could not start, 2 for bad flags.";

/// One local door to every cluster: a proxy in front of the Kubernetes API server of your
/// kubeconfig (or of the pod it runs in) that verifies the server's certificate and puts a
/// fresh credential on every request.
#[derive(Debug, Parser)]
// As in kubectl, of a flag given twice the last one stands.
#[command(name = "kubegate", version, after_help = EXAMPLES, args_override_self = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    connection: ConnectionFlags,
    #[command(flatten)]
    proxy: ProxyFlags,
}

// The doc comments are the help's text.
#[allow(clippy::doc_markdown)]
#[derive(Debug, Subcommand)]
enum Command {
    /// Proxy to the API server; what `kubegate` does without a command
    #[command(after_help = EXAMPLES)]
    Proxy(Box<ProxyFlags>),
    /// Start a pretend cluster and a proxy in front of it, to try things out
    #[cfg(feature = "demo")]
    #[command(after_help = demo::EXAMPLES)]
    Demo(Box<demo::Flags>),
    /// Log in to a cluster and write a context for it
    #[command(after_help = login::EXAMPLES)]
    Login {
        #[command(subcommand)]
        kind: login::Kind,
    },
    /// End a login, at its server and here
    #[command(after_help = logout::EXAMPLES)]
    Logout,
    /// Say who you are at the API server
    #[command(after_help = whoami::EXAMPLES)]
    Whoami(whoami::Flags),
    /// Print a fresh token of the context's user
    #[command(after_help = token::EXAMPLES)]
    Token(token::Flags),
    /// List the contexts of the kubeconfig, and how each is verified and logged in to
    #[command(after_help = contexts::EXAMPLES)]
    Contexts(contexts::Flags),
    /// Give docker fresh tokens for OpenShift's registries
    #[command(after_help = registry::EXAMPLES)]
    Registry {
        #[command(subcommand)]
        action: registry::Action,
    },
    /// Answer docker as its credential helper
    #[command(after_help = docker_credential::EXAMPLES)]
    DockerCredential {
        /// What docker wants
        #[arg(value_enum)]
        verb: docker_credential::Verb,
    },
    /// Print a credential for kubectl, which runs this as a plugin
    #[command(after_help = credential::EXAMPLES)]
    Credential {
        #[command(subcommand)]
        login: Login,
    },
    /// Print a script that completes commands and flags in your shell
    #[command(after_help = completions::EXAMPLES)]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

impl Cli {
    /// Reads the command line; prints what is wrong with it, or the help asked for, and ends
    /// the process.
    #[must_use]
    pub fn from_command_line() -> Self {
        let matches = Self::command().get_matches_from(words(std::env::args_os()));
        if let Some(flag) = misplaced(&matches) {
            Self::command()
                .error(
                    clap::error::ErrorKind::ArgumentConflict,
                    format!("give --{flag} after the command, not before it"),
                )
                .exit();
        }
        #[cfg(feature = "demo")]
        if let Some(flag) = connection_of_demo(&matches) {
            Self::command()
                .error(
                    clap::error::ErrorKind::ArgumentConflict,
                    format!("the demo has a cluster and user of its own; leave out --{flag}"),
                )
                .exit();
        }
        Self::from_arg_matches(&matches).unwrap_or_else(|e| e.exit())
    }

    /// `-v`
    #[must_use]
    pub fn verbosity(&self) -> u8 {
        self.connection.verbosity
    }
}

/// The command line; under the name by which docker runs its helper, that command's.
fn words(mut line: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let name = line.next().unwrap_or_else(|| "kubegate".into());
    let is_helper = Path::new(&name).file_name() == Some(DOCKER_HELPER.as_ref());
    let command = is_helper.then(|| "docker-credential".into());
    [name].into_iter().chain(command).chain(line).collect()
}

/// A flag of the proxy's own before a command: clap would take it and the command not see it.
fn misplaced(matches: &ArgMatches) -> Option<String> {
    matches.subcommand()?;
    let proxy_flags = <ProxyFlags as clap::Args>::augment_args(clap::Command::new("proxy"));
    proxy_flags
        .get_arguments()
        .filter(|flag| {
            matches.value_source(flag.get_id().as_str()) == Some(ValueSource::CommandLine)
        })
        .find_map(|flag| flag.get_long().map(str::to_owned))
}

/// A flag that chooses a cluster or user, given to the demo, which would not heed it.
#[cfg(feature = "demo")]
fn connection_of_demo(matches: &ArgMatches) -> Option<String> {
    let ("demo", _) = matches.subcommand()? else {
        return None;
    };
    let connection = <ConnectionFlags as clap::Args>::augment_args(clap::Command::new("demo"));
    connection
        .get_arguments()
        .filter(|flag| !flag.is_hide_set() && flag.get_long() != Some("v"))
        .filter(|flag| {
            matches.value_source(flag.get_id().as_str()) == Some(ValueSource::CommandLine)
        })
        .find_map(|flag| flag.get_long().map(str::to_owned))
}

/// Runs one command to its end.
///
/// # Errors
/// Why it could not be done, with the chain of causes.
pub fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    let ignored = cli.connection.ignored.given();
    if cli.verbosity() > 0 && !ignored.is_empty() {
        tracing::info!("no meaning here, so ignored: {}", ignored.join(" "));
    }
    let command = cli.command.unwrap_or(Command::Proxy(Box::new(cli.proxy)));
    let done = match command {
        Command::Proxy(flags) => block_on(proxy::run(&cli.connection, &flags)),
        #[cfg(feature = "demo")]
        Command::Demo(flags) => block_on(demo::run(&flags)),
        Command::Login { kind } => block_on(login::run(&cli.connection, &kind)),
        Command::Logout => block_on(logout::run(&cli.connection)),
        Command::Whoami(flags) => block_on(whoami::run(&cli.connection, &flags)),
        Command::Token(flags) => block_on(token::run(&cli.connection, &flags)),
        Command::Contexts(flags) => contexts::run(&cli.connection, &flags),
        Command::Registry { action } => registry::run(&cli.connection, &action),
        Command::DockerCredential { verb } => return block_on(docker_credential::run(verb)),
        Command::Credential { login } => block_on(credential::run(&login)),
        Command::Completions { shell } => completions::run(shell),
    };
    done.map(|()| ExitCode::SUCCESS)
}

/// The cluster and user that the kubeconfig and the flags over it choose.
fn target(connection: &ConnectionFlags) -> anyhow::Result<Target> {
    let overrides = Overrides::from(connection);
    let env = |name: &str| std::env::var_os(name);
    Ok(kubeconfig::resolve(
        connection.kubeconfig(),
        &overrides,
        &env,
    )?)
}

fn block_on<T>(command: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let outcome = runtime.block_on(command);
    // What still runs was given its time and is cut off, but for a file that is being written:
    // it would leave kubectl's lock behind.
    runtime.shutdown_timeout(LAST_WRITES);
    outcome
}
