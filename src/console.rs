//! Standard output and standard error. No other module writes to them.
//!
//! Text may contain input of others: a kubeconfig, a plugin, a server, the command line. It passes
//! [`printable`](crate::printable) here, so that no caller can forget it. Data, such as a token or a
//! shell script, are written unchanged.

use std::{
    borrow::Cow,
    ffi::{OsStr, OsString},
    fmt::Display,
    io::{self, IsTerminal as _, Write as _},
    os::fd::{AsFd as _, BorrowedFd},
};

use crate::printable::{escaped_json, printable_lines};

/// Writes lines of text to standard output.
///
/// # Errors
/// It cannot be written to.
pub fn print(text: &str) -> io::Result<()> {
    print_data(printable_lines(text).as_bytes())
}

/// Writes a JSON text, or YAML whose quoted strings are JSON, to standard output.
///
/// # Errors
/// It cannot be written to.
pub fn print_json(text: &str) -> io::Result<()> {
    print_data(escaped_json(text).as_bytes())
}

/// Writes data for a program, such as a token, to standard output.
///
/// # Errors
/// It cannot be written to.
pub fn print_data(data: &[u8]) -> io::Result<()> {
    let mut stdout = io::stdout();
    stdout.write_all(data)?;
    stdout.flush()
}

/// Writes lines of text to standard error. Errors of standard error are ignored.
pub fn eprint(text: &str) {
    let _ = writeln!(io::stderr(), "{}", printable_lines(text));
}

/// Writes the error that ends the program to standard error. Lines after the first are indented, so
/// that text of others in them cannot pass for a message of kubegate.
pub fn print_error(error: impl Display) {
    let text = error.to_string();
    let text = printable_lines(&text).replace('\n', "\n  ");
    let _ = writeln!(io::stderr(), "kubegate: {text}");
}

/// Writes a message of clap: help to standard output, an error to standard error. An error repeats
/// arguments and variables. If one of these has control characters, the message is written without
/// colours, so that all control characters in it can be replaced.
pub fn print_usage(error: &clap::Error) {
    let (stdout, stderr) = (io::stdout(), io::stderr());
    let is_terminal = if error.use_stderr() {
        stderr.is_terminal()
    } else {
        stdout.is_terminal()
    };
    let mut texts = std::env::args_os().chain(std::env::vars_os().map(|(_, value)| value));
    let is_coloured = colours(is_terminal, &|name| std::env::var_os(name))
        && texts.all(|text| is_printable(&text));
    let text = error.render();
    let text = if is_coloured {
        text.ansi().to_string()
    } else {
        printable_lines(&text.to_string()).into_owned()
    };
    // A reader that has closed the pipe needs no more.
    let _ = if error.use_stderr() {
        (&stderr).write_all(text.as_bytes())
    } else {
        print_data(text.as_bytes())
    };
}

fn is_printable(text: &OsStr) -> bool {
    let text = text.to_str();
    text.is_some_and(|text| matches!(printable_lines(text), Cow::Borrowed(_)))
}

/// Writes a line of the log, which the caller has made printable.
pub(crate) fn write_log_line(line: &str) {
    let _ = io::stderr().write_all(line.as_bytes());
}

/// Returns the stream for log lines. They are made printable when they are formatted.
#[must_use]
pub fn log() -> io::Stderr {
    io::stderr()
}

/// Returns whether log lines may be coloured.
#[must_use]
pub fn log_is_coloured() -> bool {
    colours(io::stderr().is_terminal(), &|name| std::env::var_os(name))
}

/// Returns whether to colour output. `NO_COLOR` (<https://no-color.org>) takes precedence over
/// `CLICOLOR_FORCE`, and that over `CLICOLOR` (<https://bixense.com/clicolors>).
fn colours(is_terminal: bool, env: &dyn Fn(&str) -> Option<OsString>) -> bool {
    let set = |name| env(name).filter(|value| !value.is_empty());
    let is_zero = |value: &OsString| value == "0";
    if set("NO_COLOR").is_some() {
        return false;
    }
    if set("CLICOLOR_FORCE").is_some_and(|value| !is_zero(&value)) {
        return true;
    }
    if set("CLICOLOR").as_ref().is_some_and(is_zero) {
        return false;
    }
    is_terminal && set("TERM").is_none_or(|term| term != "dumb")
}

/// Returns whether standard error is a terminal.
#[must_use]
pub fn is_on_terminal() -> bool {
    io::stderr().is_terminal()
}

/// Returns how many columns the terminal at standard error has; `None` if it does not say.
#[must_use]
pub fn columns() -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(io::stderr()).ok()?;
    Some(usize::from(size.ws_col)).filter(|columns| *columns > 0)
}

/// Returns whether one of the standard streams is a terminal that still exists.
#[must_use]
pub fn has_terminal() -> bool {
    let (stdin, stdout, stderr) = (io::stdin(), io::stdout(), io::stderr());
    let streams = [stdin.as_fd(), stdout.as_fd(), stderr.as_fd()];
    streams.iter().any(BorrowedFd::is_terminal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_turn_colours_on_and_off() {
        for (variables, on_terminal, elsewhere) in [
            (&[][..], true, false),
            (&[("NO_COLOR", "1")], false, false),
            (&[("NO_COLOR", "0")], false, false),
            (&[("NO_COLOR", "")], true, false),
            (&[("CLICOLOR", "0")], false, false),
            (&[("CLICOLOR", "1")], true, false),
            (&[("CLICOLOR_FORCE", "1")], true, true),
            (&[("CLICOLOR_FORCE", "0")], true, false),
            (&[("CLICOLOR_FORCE", "")], true, false),
            (&[("CLICOLOR_FORCE", "1"), ("CLICOLOR", "0")], true, true),
            (&[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")], false, false),
            (&[("TERM", "dumb")], false, false),
            (&[("TERM", "xterm"), ("CLICOLOR", "1")], true, false),
        ] {
            let env = |asked: &str| {
                let found = variables.iter().find(|(name, _)| *name == asked);
                found.map(|(_, value)| OsString::from(value))
            };
            let found = (colours(true, &env), colours(false, &env));
            assert_eq!(found, (on_terminal, elsewhere), "{variables:?}");
        }
    }
}
