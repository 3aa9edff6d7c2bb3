//! Joins the settings file and the command line: what the file says becomes arguments, except where a
//! flag or a variable says otherwise.

mod precedence;

use std::ffi::OsString;

use clap::{ArgMatches, Command, error::ErrorKind, parser::ValueSource};

pub(super) use self::precedence::Overridden;
use self::precedence::overridden;
use super::{
    arguments::{self, Cli},
    parse,
    usage::bail_usage,
};
use crate::{
    error::with_causes,
    settings::file::{FileError, Keys, Locations, Setting, Settings},
};

/// Commands besides the proxy that lead to it, and so use its settings for the flags that they have too;
/// with the flags for cluster and user among these.
const OF_THE_DOOR: [(&str, &[&str]); 2] =
    [("open", &[]), ("kubeconfig", &["kubeconfig", "context"])];

impl Cli {
    /// Adds what the settings files say, where the command uses them.
    ///
    /// # Errors
    /// The settings files cannot be used, or do not fit the command line.
    pub fn with_settings(self) -> anyhow::Result<Self> {
        let name = match &self.command {
            None | Some(arguments::Command::Proxy(_)) => "proxy",
            Some(arguments::Command::Open(_)) => OF_THE_DOOR[0].0,
            Some(arguments::Command::Kubeconfig(_)) => OF_THE_DOOR[1].0,
            Some(arguments::Command::Config { .. }) => return Ok(self),
            Some(_) if self.connection.config().is_some() => bail_usage!(
                "--config names the settings of the proxy, which this command does not use; leave it out"
            ),
            Some(_) => return Ok(self),
        };
        let locations = locations(&self);
        if locations.files()?.is_empty() {
            return Ok(self);
        }
        let program = parse::program();
        let joined = Joined::read(&program, name, &self.line, &locations)?;
        let Settings {
            values,
            contexts,
            routes,
            ..
        } = &joined.settings;
        if values.is_empty() && contexts.is_empty() && routes.is_empty() {
            return Ok(self);
        }
        joined.parse()
    }
}

/// Returns where the settings files are.
pub(super) fn locations(cli: &Cli) -> Locations {
    Locations::find(cli.connection.config(), &|name| std::env::var_os(name))
}

/// Returns the keys of a command.
pub(super) fn keys(program: &Command, name: &str) -> Keys {
    let fallback = Command::new("none");
    let command = program.find_subcommand(name).unwrap_or(&fallback);
    // The credential for an API server is none for the proxy.
    let of_the_door = OF_THE_DOOR.iter().find(|(door, _)| *door == name);
    let is_used = |id: &str| of_the_door.is_none_or(|(_, used)| used.contains(&id));
    let global = program.get_arguments().filter(|arg| arg.is_global_set());
    let global = global.filter(|arg| is_used(arg.get_id().as_str()));
    Keys::new(command, global)
}

/// A command line, and the settings that count beside it.
pub(super) struct Joined {
    pub(super) settings: Settings,
    /// Settings that do not count, and what counts in their place.
    pub(super) overridden: Vec<(Setting, Overridden)>,
    line: Vec<OsString>,
}

impl Joined {
    /// Reads the settings at `locations` for the command `name`, which `line` runs.
    pub(super) fn read(
        program: &Command,
        name: &str,
        line: &[OsString],
        locations: &Locations,
    ) -> anyhow::Result<Self> {
        let proxy_keys = keys(program, "proxy");
        let mut settings = Settings::read(locations, &proxy_keys)?;
        for setting in &settings.values {
            check(setting)?;
        }
        let of_command = keys(program, name);
        settings
            .values
            .retain(|setting| of_command.get(&setting.key).is_some());
        let matches = program.clone().try_get_matches_from(line)?;
        let is_given = |id: &str| is_given(&matches, id);
        let env = |variable: &str| std::env::var_os(variable).is_some_and(|v| !v.is_empty());
        let given = of_command.all().iter().filter(|key| is_given(&key.id));
        let given: Vec<&str> = given.map(|key| key.name.as_str()).collect();
        let mut dropped = Vec::new();
        settings
            .values
            .retain(|setting| match overridden(&setting.key, &given, &env) {
                None => true,
                Some(by) => {
                    dropped.push((setting.clone(), by));
                    false
                }
            });
        Ok(Self {
            settings,
            overridden: dropped,
            line: line.to_vec(),
        })
    }

    /// Returns the command line with the settings as arguments.
    pub(super) fn line(&self) -> Vec<OsString> {
        let args = self.settings.values.iter().flat_map(|s| s.args.clone());
        let end = self.line.iter().position(|word| word == "--");
        let end = end.unwrap_or(self.line.len());
        let (before, after) = self.line.split_at(end);
        let mut line = before.to_vec();
        line.extend(args);
        line.extend_from_slice(after);
        line
    }

    /// Parses the command line with the settings.
    pub(super) fn parse(&self) -> anyhow::Result<Cli> {
        let cli = parse::read(&self.line());
        let mut cli = cli.map_err(|error| self.conflict(&error))?;
        cli.line.clone_from(&self.line);
        let flags = match &mut cli.command {
            Some(arguments::Command::Proxy(flags)) => flags,
            _ => &mut cli.proxy,
        };
        flags.contexts.clone_from(&self.settings.contexts);
        flags.routes.clone_from(&self.settings.routes);
        Ok(cli)
    }

    /// Describes settings that do not fit each other or the command line.
    fn conflict(&self, error: &clap::Error) -> anyhow::Error {
        let text = error.to_string();
        let text = text.strip_prefix("error: ").unwrap_or(&text);
        let text: Vec<&str> = text
            .lines()
            .take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more"))
            .filter(|line| !line.trim().is_empty())
            .map(str::trim)
            .collect();
        let files = self.settings.files.iter();
        let files: Vec<_> = files.map(|file| file.display().to_string()).collect();
        anyhow::anyhow!("settings file {}: {}", files.join(", "), text.join(" "))
    }
}

/// Whether a flag is on the command line, before or behind the command.
fn is_given(matches: &ArgMatches, id: &str) -> bool {
    let of = |matches: &ArgMatches| {
        matches.try_contains_id(id).unwrap_or_default()
            && matches.value_source(id) == Some(ValueSource::CommandLine)
    };
    of(matches) || matches.subcommand().is_some_and(|(_, inner)| of(inner))
}

/// Checks the value of one setting as the flag is checked.
fn check(setting: &Setting) -> Result<(), FileError> {
    let line = ["kubegate".into(), "proxy".into()];
    let line = line.into_iter().chain(setting.args.clone());
    let Err(error) = parse::program().try_get_matches_from(line) else {
        return Ok(());
    };
    let problem = match error.kind() {
        // Another setting or a flag may be what is missing.
        ErrorKind::MissingRequiredArgument | ErrorKind::ArgumentConflict => return Ok(()),
        ErrorKind::InvalidValue => possible_values(&error),
        _ => std::error::Error::source(&error).map(with_causes),
    };
    let problem = problem.unwrap_or_else(|| "the value cannot be used".to_owned());
    Err(FileError::Line {
        place: setting.place.clone(),
        problem: format!("{}: {problem}", setting.key),
    })
}

/// Lists the values that a flag takes.
fn possible_values(error: &clap::Error) -> Option<String> {
    use clap::error::{ContextKind, ContextValue};
    match error.get(ContextKind::ValidValue)? {
        ContextValue::Strings(values) if !values.is_empty() => {
            Some(format!("expected one of {}", values.join(", ")))
        }
        _ => None,
    }
}
