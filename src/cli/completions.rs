//! `kubegate completions`, and the completion that its scripts call.

mod candidates;
mod words;

use std::{env, ffi::OsString, path::Path, process::ExitCode};

use clap::Command;
use clap_complete::Shell;

use self::words::Line;
use super::output;
use crate::{console, shell};

pub(super) const EXAMPLES: &str = "\
Examples:
  source <(kubegate completions bash)
  kubegate completions zsh > \"${fpath[1]}/_kubegate\"
  kubegate completions fish > ~/.config/fish/completions/kubegate.fish
  kubegate completions powershell | Out-String | Invoke-Expression

bash, zsh and fish also complete the names of contexts, clusters and users. They are read from the
kubeconfig that the line or the environment names, without a request over the network.

Exit codes: 0 with the script on standard output, 1 if it cannot be written, 2 for bad flags.";

/// The scripts set this variable to the name of their shell.
const SHELL: &str = "KUBEGATE_COMPLETE";
/// Bash's `COMP_WORDBREAKS`.
const BREAKS: &str = "KUBEGATE_COMPLETE_BREAKS";
/// The index of the current word in zsh.
const INDEX: &str = "KUBEGATE_COMPLETE_INDEX";

/// The placeholder of the program in a script.
const PROGRAM: &str = "PROGRAM";

/// Prints the script of a shell.
pub(super) fn run(shell: Shell, program: Command) -> anyhow::Result<()> {
    let script = match shell {
        Shell::Bash => include_str!("completions/kubegate.bash"),
        Shell::Zsh => include_str!("completions/kubegate.zsh"),
        Shell::Fish => include_str!("completions/kubegate.fish"),
        // clap_complete's dynamic script for PowerShell evaluates the text that is being typed.
        _ => return output::print_data(generated(shell, program)),
    };
    output::print_data(script.replace(PROGRAM, &path_of_program()))
}

/// Prints the candidates for a script, one per line, if a script runs the program. Reads nothing but the
/// kubeconfig, runs no other program, and prints no errors.
#[must_use]
pub(super) fn answer(program: fn() -> Command) -> Option<ExitCode> {
    let shell = env::var_os(SHELL).filter(|shell| !shell.is_empty())?;
    let arguments = env::args_os().skip_while(|argument| argument != "--");
    let arguments: Vec<OsString> = arguments.skip(1).collect();
    let candidates = match shell.to_str() {
        Some("bash") => in_bash(&arguments, program),
        Some("zsh") => in_zsh(arguments, program),
        Some("fish") => in_fish(arguments, program),
        _ => None,
    };
    let Some(candidates) = candidates else {
        return Some(ExitCode::FAILURE);
    };
    let written = console::print_data(candidates.as_bytes());
    Some(written.map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS))
}

/// `arguments` are the line up to the cursor and the whole line.
fn in_bash(arguments: &[OsString], program: fn() -> Command) -> Option<String> {
    let [head, whole] = arguments else {
        return None;
    };
    let breaks = env::var(BREAKS).unwrap_or_default();
    let head = Line::read(head.to_str()?, &breaks);
    let whole = Line::read(whole.to_str()?, &breaks);
    let current = head.last();
    let found = candidates::of(program(), head.texts(), &whole.texts())?;
    let found = found.iter();
    let found = found.filter_map(|one| Some(current.completed(&one.value)? + "\n"));
    Some(found.collect())
}

/// `arguments` are the words of the line without quotes.
fn in_zsh(mut arguments: Vec<OsString>, program: fn() -> Command) -> Option<String> {
    let index: usize = env::var(INDEX).ok()?.parse().ok()?;
    let whole = arguments.clone();
    // zsh leaves out the last word if it is empty.
    if arguments.len() == index {
        arguments.push(OsString::new());
    }
    if index >= arguments.len() {
        return None;
    }
    arguments.truncate(index + 1);
    let found = candidates::of(program(), arguments, &whole)?;
    let escaped = |text: &str| text.replace('\\', r"\\").replace(':', r"\:");
    let lines = found.iter().map(|one| match &one.help {
        Some(help) => format!("{}:{}\n", escaped(&one.value), help.replace('\\', r"\\")),
        None => format!("{}\n", escaped(&one.value)),
    });
    Some(lines.collect())
}

/// `arguments` are the words before the cursor without quotes, and the current word as it was typed.
fn in_fish(mut arguments: Vec<OsString>, program: fn() -> Command) -> Option<String> {
    let current = arguments.pop()?;
    let current = Line::read(current.to_str()?, "").last().text;
    arguments.push(current.into());
    let whole = arguments.clone();
    let found = candidates::of(program(), arguments, &whole)?;
    let lines = found.iter().map(|one| match &one.help {
        Some(help) => format!("{}\t{help}\n", one.value),
        None => format!("{}\n", one.value),
    });
    Some(lines.collect())
}

/// Returns the program as a word of a shell: the path by which it was called, or its name on PATH.
fn path_of_program() -> String {
    let called = env::args_os().next().unwrap_or_default();
    let path = Path::new(&called);
    if path.components().count() < 2 {
        return env!("CARGO_PKG_NAME").to_owned();
    }
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    shell::quoted(&path.to_string_lossy()).into_owned()
}

/// Returns a script that completes only commands and flags.
fn generated(shell: Shell, mut program: Command) -> Vec<u8> {
    // Not written to stdout directly: clap panics if that is closed.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut program, "kubegate", &mut script);
    script
}
