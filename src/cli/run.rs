//! Runs the command that the command line names.

use std::{process::ExitCode, time::Duration};

use anyhow::Context as _;

#[cfg(feature = "demo")]
use super::demo;
use super::{
    arguments::{Cli, Command},
    completions, contexts, credential, docker_credential,
    interrupt::Interrupted,
    kubeconfig, login, logout, open, options,
    output::ReaderGone,
    parse, proxy, registry, settings_report, token, version, whoami,
};
use crate::credential::issuer::{self, CallPolicy};

/// How long a command waits at its end for files that are being written.
const WRITE_TIMEOUT: Duration = Duration::from_secs(1);

/// How long the proxy's own requests for credentials may take if `--request-timeout` sets no limit.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// Answers the completion script of a shell, if one asks.
#[must_use]
pub fn complete() -> Option<ExitCode> {
    completions::answer(parse::program)
}

/// Runs the command, until it is done or a signal ends it.
///
/// # Errors
/// Why the command failed, with its chain of causes.
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
        tracing::info!(
            "ignored, since they have no meaning here: {}",
            ignored.join(" ")
        );
    }
    let command = cli.command.unwrap_or(Command::Proxy(Box::new(cli.proxy)));
    let timeout = cli.connection.request_timeout();
    let in_command = !command.serves();
    issuer::set_call_policy(if in_command {
        CallPolicy {
            timeout,
            in_command,
        }
    } else {
        // Without a limit, a renewal might never end.
        let timeout = timeout.or(Some(REQUEST_TIMEOUT));
        CallPolicy {
            timeout,
            in_command,
        }
    });
    let done = match command {
        Command::Proxy(flags) => block_on(proxy::run(&cli.connection, &flags)),
        #[cfg(feature = "demo")]
        Command::Demo(flags) => block_on(demo::run(&flags)),
        Command::Login {
            kind,
            exec_api_version,
        } => block_on(login::run(&cli.connection, &kind, exec_api_version)),
        Command::Kubeconfig(flags) => kubeconfig::run(&cli.connection, &flags),
        Command::Open(flags) => block_on(open::run(&flags)),
        Command::Logout(flags) => block_on(logout::run(&cli.connection, &flags)),
        Command::Whoami(flags) => block_on(whoami::run(&cli.connection, &flags)),
        Command::Token(flags) => block_on(token::run(&cli.connection, &flags)),
        Command::Contexts(flags) => block_on(contexts::run(&cli.connection, &flags)),
        Command::Config { action } => settings_report::run(&cli.line, action),
        Command::Registry { action } => registry::run(&cli.connection, &action),
        Command::DockerCredential { verb } => {
            return block_on(docker_credential::run(&cli.connection, verb));
        }
        Command::Credential {
            login,
            exec_api_version,
        } => block_on(credential::run(&cli.connection, &login, exec_api_version)),
        Command::Completions { shell } => completions::run(shell, parse::program()),
        Command::Options => options::run(),
        Command::Version(flags) => version::run(&flags),
    };
    done.map(|()| ExitCode::SUCCESS)
}

fn block_on<T>(command: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let outcome = runtime.block_on(command);
    // Aborts what still runs, except for blocking writes: one that was cut off would leave kubectl's
    // lock behind.
    runtime.shutdown_timeout(WRITE_TIMEOUT);
    outcome
}
