//! The commands, one file each. They read flags, call the rooms, and print.

mod completions;
mod contexts;
mod credential;
#[cfg(feature = "demo")]
mod demo;
mod docker_credential;
mod help;
mod hint;
mod ibm;
mod interrupt;
mod login;
mod logout;
mod options;
mod output;
mod parse;
mod plugin_file;
mod proxy;
mod registry;
mod token;
mod usage;
mod version;
mod whoami;

pub use completions::complete;
pub use usage::exit_code;

use std::{process::ExitCode, time::Duration};

use anyhow::Context as _;
use clap::{Parser, Subcommand};

use self::{interrupt::Interrupted, output::ReaderGone};
use crate::{
    credential::issuer::{self, CallPolicy},
    kubeconfig::{self, Overrides, Resolved, Target},
    settings::{ConnectionFlags, Login, ProxyFlags},
};

/// How long the end waits for files that are being written.
const LAST_WRITES: Duration = Duration::from_secs(1);

/// Without [`EXAMPLES`]: it is to fit a screen.
const EXAMPLES_OF_THE_PROGRAM: &str = "\
Examples:
  kubegate --context staging --read-only
  curl http://127.0.0.1:8001/api/v1/namespaces/default/pods
  kubectl -s http://127.0.0.1:8001 get pods

Exit codes: 0 after a drain, 1 where it could not start, 2 for bad flags.";

/// How long the proxy's own requests for credentials may take where no end is asked for.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

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

Exit codes: 0 after a drain, 1 where it could not start, 2 for bad flags.";

/// An authenticating reverse proxy for Kubernetes API servers, like kubectl proxy: verifies the
/// server's certificate and puts a fresh credential on every request
#[derive(Debug, Parser)]
// As in kubectl, of a flag given twice the last one stands.
#[command(name = "kubegate", version, after_help = EXAMPLES_OF_THE_PROGRAM,
          args_override_self = true)]
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
    /// Proxy to the API server; what kubegate does without a command
    #[command(after_help = EXAMPLES)]
    Proxy(Box<ProxyFlags>),
    /// Start a pretend cluster and a proxy in front of it, to try it out
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
    Logout(logout::Flags),
    /// Say who you are at the API server
    #[command(after_help = whoami::EXAMPLES)]
    Whoami(whoami::Flags),
    /// Print a fresh token of the context's user
    #[command(after_help = token::EXAMPLES)]
    Token(token::Flags),
    /// List the contexts, and how each is verified and logged in to
    #[command(after_help = contexts::EXAMPLES)]
    Contexts(contexts::Flags),
    /// Give docker fresh tokens for OpenShift's registries
    #[command(after_help = registry::EXAMPLES)]
    Registry {
        #[command(subcommand)]
        action: registry::Action,
    },
    /// Answer docker as its credential helper
    #[command(hide = true, after_help = docker_credential::EXAMPLES)]
    DockerCredential {
        /// What docker wants
        #[arg(value_enum)]
        verb: docker_credential::Verb,
    },
    /// Print a credential for kubectl, which runs this as a plugin
    #[command(hide = true, after_help = credential::EXAMPLES)]
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
    /// List the flags for cluster and user, which every command takes
    #[command(after_help = options::EXAMPLES)]
    Options,
    /// Print the version of this program
    #[command(after_help = version::EXAMPLES)]
    Version(version::Flags),
}

impl Command {
    /// Whether it serves until it is ended, so that nobody waits for it.
    fn serves(&self) -> bool {
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

/// Runs one command to its end, or until a signal ends it.
///
/// # Errors
/// Why it could not be done, with the chain of causes.
pub fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    run_command(cli).or_else(|error| {
        if let Some(interrupted) = error.downcast_ref::<Interrupted>() {
            return Ok(ExitCode::from(interrupted.exit_code()));
        }
        if error.is::<ReaderGone>() {
            return Ok(ExitCode::from(ReaderGone::EXIT_CODE));
        }
        Err(error)
    })
}

fn run_command(cli: Cli) -> anyhow::Result<ExitCode> {
    let ignored = cli.connection.ignored.given();
    if cli.verbosity() > 0 && !ignored.is_empty() {
        tracing::info!("no meaning here, so ignored: {}", ignored.join(" "));
    }
    let command = cli.command.unwrap_or(Command::Proxy(Box::new(cli.proxy)));
    let timeout = cli.connection.request_timeout();
    let reports_waiting = !command.serves();
    issuer::set_call_policy(if reports_waiting {
        CallPolicy {
            timeout,
            reports_waiting,
        }
    } else {
        // Renewals must end.
        let timeout = timeout.or(Some(REQUEST_TIMEOUT));
        CallPolicy {
            timeout,
            reports_waiting,
        }
    });
    let done = match command {
        Command::Proxy(flags) => block_on(proxy::run(&cli.connection, &flags)),
        #[cfg(feature = "demo")]
        Command::Demo(flags) => block_on(demo::run(&flags)),
        Command::Login { kind } => block_on(login::run(&cli.connection, &kind)),
        Command::Logout(flags) => block_on(logout::run(&cli.connection, &flags)),
        Command::Whoami(flags) => block_on(whoami::run(&cli.connection, &flags)),
        Command::Token(flags) => block_on(token::run(&cli.connection, &flags)),
        Command::Contexts(flags) => contexts::run(&cli.connection, &flags),
        Command::Registry { action } => registry::run(&cli.connection, &action),
        Command::DockerCredential { verb } => {
            return block_on(docker_credential::run(&cli.connection, verb));
        }
        Command::Credential { login } => block_on(credential::run(&login)),
        Command::Completions { shell } => completions::run(shell),
        Command::Options => options::run(),
        Command::Version(flags) => version::run(&flags),
    };
    done.map(|()| ExitCode::SUCCESS)
}

/// Returns the cluster and user that the kubeconfig and the flags over it choose.
fn target(connection: &ConnectionFlags) -> anyhow::Result<Target> {
    Ok(found(connection)?.target)
}

/// As [`target`], for a command that uses the user's credential.
fn target_to_use(connection: &ConnectionFlags) -> anyhow::Result<Target> {
    let found = found(connection)?;
    crate::login::note_use(&found, &|name| std::env::var_os(name));
    Ok(found.target)
}

fn found(connection: &ConnectionFlags) -> anyhow::Result<Resolved> {
    let overrides = Overrides::from(connection);
    let env = |name: &str| std::env::var_os(name);
    let found = kubeconfig::resolve_pinned(connection.kubeconfig(), &overrides, None, &env)?;
    plugin_file::warn(&found);
    Ok(found)
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
