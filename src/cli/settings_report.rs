//! `kubegate config`: checks and shows the settings files.

use std::{ffi::OsString, path::PathBuf};

use clap::{ArgMatches, parser::ValueSource};

use super::{
    arguments::Cli,
    config::Action,
    output, parse,
    settings_file::{Joined, Overridden, keys, locations},
};
use crate::{
    printable::printable,
    settings::file::{Key, Kind},
};

/// What stands for a secret.
const REDACTED: &str = "REDACTED";

/// Runs the action that `line` names.
pub(super) fn run(line: &[OsString], action: Action) -> anyhow::Result<()> {
    let cli = parse::read(line)?;
    match action {
        Action::Check => check(&cli),
        Action::Show => show(&cli),
        Action::Path => path(&cli),
    }
}

fn path(cli: &Cli) -> anyhow::Result<()> {
    let locations = locations(cli);
    let Some(main) = locations.main_file() else {
        anyhow::bail!(
            "no folder for settings is known, since neither XDG_CONFIG_HOME nor HOME is set; give --config"
        );
    };
    let mut files = vec![main.clone()];
    files.extend(locations.files()?.into_iter().filter(|file| *file != main));
    print_files(&files, "")
}

fn print_files(files: &[PathBuf], behind: &str) -> anyhow::Result<()> {
    let lines = files
        .iter()
        .map(|file| format!("{}{behind}\n", printable(&file.display().to_string())));
    output::print(&lines.collect::<String>())
}

fn check(cli: &Cli) -> anyhow::Result<()> {
    let locations = locations(cli);
    let (joined, _) = join(cli)?;
    if joined.settings.files.is_empty() {
        let main = locations.main_file();
        let main = main.map_or(String::new(), |file| {
            format!("; it would be {}", file.display())
        });
        return output::print(&format!("there is no settings file{}\n", printable(&main)));
    }
    print_files(&joined.settings.files, ": can be used")
}

/// Prints the settings as a settings file.
fn show(cli: &Cli) -> anyhow::Result<()> {
    let (joined, proxy) = join(cli)?;
    let program = parse::program();
    let given = program.clone().try_get_matches_from(&proxy)?;
    let joined_line = joined.line();
    let all = program.clone().try_get_matches_from(&joined_line)?;
    let mut text = String::new();
    for key in keys(&program, "proxy").all() {
        let Some(values) = raw(&all, key) else {
            continue;
        };
        let (name, value) = (&key.name, rendered(key, &values));
        // A default is a comment, so that a copy of the text does not fix it.
        text += &printable(&match source(&joined, &given, key) {
            Some(source) => format!("{name} = {value}  # {source}"),
            None => format!("# {name} = {value}  # default"),
        });
        text.push('\n');
    }
    for (setting, by) in &joined.overridden {
        let by = match by {
            Overridden::Flag(flag) => format!("--{flag}"),
            Overridden::Variable(name) => (*name).to_owned(),
        };
        let (place, key) = (&setting.place, &setting.key);
        text += &printable(&format!("# {place}: {key} does not count beside {by}"));
        text.push('\n');
    }
    output::print(&text)
}

/// Joins the settings with the flags for cluster and user that the command line has.
fn join(cli: &Cli) -> anyhow::Result<(Joined, Vec<OsString>)> {
    let program = parse::program();
    let matches = program.clone().try_get_matches_from(&cli.line)?;
    let mut line: Vec<OsString> = vec!["kubegate".into(), "proxy".into()];
    for key in keys(&program, "config").all() {
        let Some(values) = raw(&matches, key) else {
            continue;
        };
        if matches.value_source(&key.id) == Some(ValueSource::CommandLine) {
            for value in values {
                let mut word = OsString::from(format!("--{}=", key.name));
                word.push(value);
                line.push(word);
            }
        }
    }
    let joined = Joined::read(&program, "proxy", &line, &locations(cli))?;
    joined.parse()?;
    Ok((joined, line))
}

/// Returns the values of a flag, as they are written.
fn raw(matches: &ArgMatches, key: &Key) -> Option<Vec<OsString>> {
    let inner = matches.subcommand().map(|(_, inner)| inner);
    let found = inner.and_then(|inner| inner.try_get_raw(&key.id).ok().flatten());
    let found = found.or_else(|| matches.try_get_raw(&key.id).ok().flatten());
    Some(found?.map(ToOwned::to_owned).collect())
}

/// Says where the value of a key comes from; `None` for its default.
fn source(joined: &Joined, given: &ArgMatches, key: &Key) -> Option<String> {
    let inner = given.subcommand().map_or(given, |(_, inner)| inner);
    if inner.value_source(&key.id) == Some(ValueSource::CommandLine) {
        return Some("flag".to_owned());
    }
    let mut settings = joined.settings.values.iter();
    let setting = settings.find(|setting| setting.key == key.name)?;
    Some(setting.place.to_string())
}

/// Returns values as a settings file has them.
fn rendered(key: &Key, values: &[OsString]) -> String {
    if key.is_optional && values.is_empty() {
        return "true".to_owned();
    }
    let one = |value: &OsString| {
        let text = value.to_string_lossy();
        match key.kind {
            _ if key.is_secret => format!("{REDACTED:?}"),
            Kind::Boolean | Kind::Integer => text.into_owned(),
            _ => quoted(&text),
        }
    };
    match values {
        [value] if !key.is_several || key.kind == Kind::Pattern => one(value),
        _ => {
            let values: Vec<_> = values.iter().map(one).collect();
            format!("[{}]", values.join(", "))
        }
    }
}

/// Returns a TOML string: a literal one where that can be, since patterns have many backslashes.
fn quoted(text: &str) -> String {
    let is_literal = text.contains('\\') && !text.contains('\'');
    if is_literal && !text.contains(char::is_control) {
        return format!("'{text}'");
    }
    let mut quoted = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            // TOML's `\uXXXX`: four hexadecimal digits, which are enough for control characters.
            c if c.is_control() => quoted.extend(format!("\\u{:04X}", u32::from(c)).chars()),
            c => quoted.push(c),
        }
    }
    quoted + "\""
}
