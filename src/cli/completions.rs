//! `kubegate completions`, and the answers to the scripts that it prints.

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

In bash, zsh and fish, the names of contexts, clusters and users are completed too. They are read
from the kubeconfig of the line or the environment; nothing is asked over the network.

Exit codes: 0 with the script on standard output, 1 where it cannot be written, 2 for bad flags.";

/// Set by the scripts, to the name of their shell.
const SHELL: &str = "KUBEGATE_COMPLETE";
/// Bash's `COMP_WORDBREAKS`.
const BREAKS: &str = "KUBEGATE_COMPLETE_BREAKS";
/// The position of zsh's current word.
const INDEX: &str = "KUBEGATE_COMPLETE_INDEX";

/// Stands for the program in a script.
const PROGRAM: &str = "PROGRAM";

/// Prints the script to stdout.
pub(super) fn run(shell: Shell, program: Command) -> anyhow::Result<()> {
    let script = match shell {
        Shell::Bash => include_str!("completions/kubegate.bash"),
        Shell::Zsh => include_str!("completions/kubegate.zsh"),
        Shell::Fish => include_str!("completions/kubegate.fish"),
        // The engine's scripts for other shells evaluate what was typed.
        _ => return output::print_data(generated(shell, program)),
    };
    output::print_data(script.replace(PROGRAM, &path_of_program()))
}

/// Answers a script's question, where one is asked: one candidate a line. Reads the kubeconfig and
/// nothing else; runs nothing; says nothing where there is no answer.
#[must_use]
pub(super) fn answer(program: fn() -> Command) -> Option<ExitCode> {
    let shell = env::var_os(SHELL)?;
    let arguments = env::args_os().skip_while(|argument| argument != "--");
    let arguments: Vec<OsString> = arguments.skip(1).collect();
    let answer = match shell.to_str() {
        Some("bash") => in_bash(&arguments, program),
        Some("zsh") => in_zsh(arguments, program),
        Some("fish") => in_fish(arguments, program),
        _ => None,
    };
    let Some(answer) = answer else {
        return Some(ExitCode::FAILURE);
    };
    let written = console::print_data(answer.as_bytes());
    Some(written.map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS))
}

/// `arguments` are the line up to the cursor, and the whole of it.
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

/// `arguments` are the words of the line, without their quotes.
fn in_zsh(mut arguments: Vec<OsString>, program: fn() -> Command) -> Option<String> {
    let index: usize = env::var(INDEX).ok()?.parse().ok()?;
    let whole = arguments.clone();
    arguments.truncate(index + 1);
    // zsh leaves out a last word that is empty.
    if arguments.len() == index {
        arguments.push(OsString::new());
    }
    let found = candidates::of(program(), arguments, &whole)?;
    let escaped = |text: &str| text.replace('\\', r"\\").replace(':', r"\:");
    let lines = found.iter().map(|one| match &one.help {
        Some(help) => format!("{}:{}\n", escaped(&one.value), help.replace('\\', r"\\")),
        None => format!("{}\n", escaped(&one.value)),
    });
    Some(lines.collect())
}

/// `arguments` are the words before the cursor's, without their quotes, and that one as it stands.
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

/// The program as a word of a shell: by the path by which it was called, or from PATH.
fn path_of_program() -> String {
    let called = env::args_os().next().unwrap_or_default();
    let path = Path::new(&called);
    if path.components().count() < 2 {
        return env!("CARGO_PKG_NAME").to_owned();
    }
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    shell::quoted(&path.to_string_lossy()).into_owned()
}

/// The script of a shell that cannot ask for names.
fn generated(shell: Shell, mut program: Command) -> Vec<u8> {
    // Not straight to stdout: clap panics where that is closed early, as by `| head`.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut program, "kubegate", &mut script);
    script
}
