//! The command line: the flags of `kubectl proxy` are accepted, and errors name their cause.

mod errors;
mod flags;
mod help;
mod output;
mod targets;

use crate::support::{Kubegate, Refused};

/// An API server that is never connected to.
const NOWHERE: [&str; 2] = ["--server", "https://127.0.0.1:1"];

fn run(args: &[&str]) -> Refused {
    Kubegate::refused(Kubegate::command(args))
}

/// Runs the program with an API server to proxy to; it must end by itself.
fn run_with_server(args: &[&str]) -> Refused {
    let mut command = Kubegate::command(NOWHERE);
    command.args(args);
    Kubegate::refused(command)
}

fn start_with_server(args: &[&str]) -> Kubegate {
    Kubegate::start(NOWHERE.iter().chain(args))
}

/// Returns what a command prints on a terminal of this width.
fn printed(columns: u16, args: &[&str]) -> String {
    let mut command = Kubegate::command(args);
    command.env("COLUMNS", columns.to_string());
    let output = command.output().unwrap();
    assert!(output.status.success(), "{args:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}
