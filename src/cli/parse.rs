//! Parses the command line into a [`Cli`], or into the help or the error to print.

use std::{ffi::OsString, path::Path};

use clap::{
    Arg, ArgAction, ArgMatches, Args as _, Command, CommandFactory as _, FromArgMatches as _,
    error::{Error, ErrorKind},
    parser::ValueSource,
};

use super::{arguments::Cli, help, hint};
use crate::settings::{ProxyFlags, go_bool};

/// The name by which docker runs the credential helper.
const DOCKER_HELPER: &str = "docker-credential-kubegate";

/// Global flags that choose neither a cluster nor a user.
#[cfg(feature = "demo")]
const OF_ANY_COMMAND: [Option<&str>; 3] =
    [Some("v"), Some("request-timeout"), Some("exec-timeout")];

impl Cli {
    /// Reads the command line.
    ///
    /// # Errors
    /// What is wrong with it, or the help that it requests.
    pub fn from_command_line() -> Result<Self, Error> {
        read(&words(std::env::args_os()))
    }
}

/// Returns the command line, with the command `docker-credential` if the program runs by docker's name
/// for it.
fn words(mut line: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let name = line.next().unwrap_or_else(|| "kubegate".into());
    let is_helper = Path::new(&name).file_name() == Some(DOCKER_HELPER.as_ref());
    let command = is_helper.then(|| "docker-credential".into());
    [name].into_iter().chain(command).chain(line).collect()
}

pub(super) fn read(line: &[OsString]) -> Result<Cli, Error> {
    let mut program = program();
    let matches = program
        .try_get_matches_from_mut(line)
        .map_err(|error| explained(error, line))?;
    let refused = |message: String| Cli::command().error(ErrorKind::ArgumentConflict, message);
    if let Some(message) = hint::boolean_value_apart(&program, line) {
        return Err(refused(message));
    }
    if let Some(flag) = misplaced(&matches) {
        return Err(refused(format!(
            "give --{flag} after the command, not before it"
        )));
    }
    #[cfg(feature = "demo")]
    if let Some(flag) = connection_of_demo(&matches) {
        return Err(refused(format!(
            "the demo has a cluster and user of its own; leave out --{flag}"
        )));
    }
    let mut cli = Cli::from_arg_matches(&matches)?;
    cli.line = line.to_vec();
    Ok(cli)
}

/// Returns all commands and flags.
pub(super) fn program() -> Command {
    with_go_booleans(Cli::command())
}

/// Makes every boolean flag take a value as Go's flags do: `--web`, `--web=true`, `--web=0`.
fn with_go_booleans(command: Command) -> Command {
    let with_value = |arg: Arg| match arg.get_action() {
        // A flag with another default is declared in this form already.
        ArgAction::SetTrue if !arg.is_require_equals_set() => arg
            .action(ArgAction::Set)
            .num_args(0..=1)
            .require_equals(true)
            .value_name("BOOL")
            .value_parser(go_bool)
            .default_missing_value("true")
            .default_value("false")
            .hide_default_value(true),
        _ => arg,
    };
    command
        .mut_args(with_value)
        .mut_subcommands(with_go_booleans)
}

/// Returns the help as it is shown, or an error with a hint at what the line may mean.
fn explained(error: Error, line: &[OsString]) -> Error {
    match error.kind() {
        ErrorKind::DisplayVersion => error,
        ErrorKind::DisplayHelp | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let is_brief = line.contains(&"-h".into()) && !line.contains(&"--help".into());
            let again = help::shown(program(), is_brief).try_get_matches_from(line);
            again.err().unwrap_or(error)
        }
        kind => match hint::for_error(&program(), line, &error) {
            Some(message) => Cli::command().error(kind, message),
            None => hint::without_secrets(error, line),
        },
    }
}

/// Returns a flag of the proxy that is given before a command, where it would have no effect.
fn misplaced(matches: &ArgMatches) -> Option<String> {
    matches.subcommand()?;
    let proxy_flags = ProxyFlags::augment_args(Command::new("proxy"));
    proxy_flags
        .get_arguments()
        .filter(|flag| {
            matches.value_source(flag.get_id().as_str()) == Some(ValueSource::CommandLine)
        })
        .find_map(|flag| flag.get_long().map(str::to_owned))
}

/// Returns a flag that chooses a cluster or user and is given to the demo, where it would have no effect.
#[cfg(feature = "demo")]
fn connection_of_demo(matches: &ArgMatches) -> Option<String> {
    let ("demo", _) = matches.subcommand()? else {
        return None;
    };
    let connection = crate::settings::ConnectionFlags::augment_args(Command::new("demo"));
    connection
        .get_arguments()
        .filter(|flag| !flag.is_hide_set() && !OF_ANY_COMMAND.contains(&flag.get_long()))
        .filter(|flag| {
            matches.value_source(flag.get_id().as_str()) == Some(ValueSource::CommandLine)
        })
        .find_map(|flag| flag.get_long().map(str::to_owned))
}
