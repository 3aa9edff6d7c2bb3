//! The candidates for a word of a command line.

use std::{
    borrow::Cow,
    env,
    ffi::OsString,
    path::{Path, PathBuf},
};

use clap::{Arg, Command};
use clap_complete::engine::{self, ArgValueCandidates, CompletionCandidate};

use crate::{
    kubeconfig::{self, Names},
    printable::printable,
};

/// A candidate, and its description for shells that show one.
pub(super) struct Candidate {
    pub(super) value: String,
    pub(super) help: Option<String>,
}

/// Returns the candidates that begin with the last of `words`. `whole` is the line including the words
/// after the cursor, one of which may be `--kubeconfig`.
pub(super) fn of(
    program: Command,
    mut words: Vec<OsString>,
    whole: &[OsString],
) -> Option<Vec<Candidate>> {
    let home = env::var("HOME").unwrap_or_default();
    let last = words.last_mut()?;
    let of_home = last.to_str().and_then(|word| word.strip_prefix("~/"));
    let has_tilde = of_home.is_some();
    if let Some(rest) = of_home {
        *last = format!("{home}/{rest}").into();
    }
    let mut program = with_names(program, whole);
    let (index, folder) = (words.len() - 1, env::current_dir().ok());
    let found = engine::complete(&mut program, words, index, folder.as_deref()).ok()?;
    let candidate = |found: CompletionCandidate| {
        // Left out if it has control characters, which a terminal would act on.
        let value = found.get_value().to_str()?;
        let Cow::Borrowed(value) = printable(value) else {
            return None;
        };
        let value = match (has_tilde, value.strip_prefix(&home)) {
            (true, Some(rest)) => format!("~{rest}"),
            _ => value.to_owned(),
        };
        let help = found.get_help().map(ToString::to_string);
        let help = help.as_ref().and_then(|help| help.lines().next());
        Some(Candidate {
            value,
            help: help.map(|help| printable(help).into_owned()),
        })
    };
    Some(found.into_iter().filter_map(candidate).collect())
}

/// Adds the names in the kubeconfig of `line` to the flags that take them.
fn with_names(program: Command, line: &[OsString]) -> Command {
    let file = kubeconfig_of(line);
    program.mut_args(|arg| {
        let names: fn(Names) -> Vec<String> = match arg.get_id().as_str() {
            "context" => |names| names.contexts,
            "cluster" => |names| names.clusters,
            "user" => |names| names.users,
            _ => return arg,
        };
        with_candidates(arg, file.clone(), names)
    })
}

fn with_candidates(arg: Arg, file: Option<PathBuf>, names: fn(Names) -> Vec<String>) -> Arg {
    arg.add(ArgValueCandidates::new(move || {
        let found = kubeconfig::names(file.as_deref(), &|name| env::var_os(name));
        let found = names(found).into_iter();
        found.map(CompletionCandidate::new).collect()
    }))
}

/// Returns the file that the last `--kubeconfig` of a line names.
fn kubeconfig_of(line: &[OsString]) -> Option<PathBuf> {
    let words: Vec<&str> = line.iter().filter_map(|word| word.to_str()).collect();
    let words = words.split(|word| *word == "--").next()?;
    let mut values = words.iter().enumerate().filter_map(|(at, word)| {
        let value = word.strip_prefix("--kubeconfig")?;
        match value.strip_prefix('=') {
            Some(value) => Some(value),
            None if value.is_empty() => words.get(at + 1).copied(),
            None => None,
        }
    });
    let file = values.next_back().filter(|file| !file.is_empty())?;
    Some(expanded(file))
}

/// Expands a leading home folder, which the shell does not do for a line that is completed.
fn expanded(file: &str) -> PathBuf {
    for (start, variable) in [("~/", "HOME"), ("$HOME/", "HOME"), ("${HOME}/", "HOME")] {
        if let (Some(rest), Some(folder)) = (file.strip_prefix(start), env::var_os(variable)) {
            return Path::new(&folder).join(rest);
        }
    }
    file.into()
}
