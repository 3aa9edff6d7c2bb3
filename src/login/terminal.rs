//! Asking on the terminal, and taking one secret line from standard input.
//!
//! Questions go to `/dev/tty`, so that standard input and output stay free for pipes. What is
//! read is wiped on drop. These calls block.

use std::{
    fs::File,
    io::{self, IsTerminal as _, Read, Write as _, stdin},
    os::fd::{AsFd, BorrowedFd},
};

use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr,
};
use zeroize::Zeroizing;

use super::Error;
use crate::printable::printable_lines;

const CTRL_C: u8 = 0x03;
const CTRL_BACKSLASH: u8 = 0x1c;
/// Bytes that an answer may have.
const LIMIT: usize = 64 << 10;

/// Asks for something that may be seen. `what` names it in errors (`user name`), `instead` says
/// there what to do without a terminal (`give it by --username`).
///
/// # Errors
/// No terminal, ctrl-C, an empty answer.
pub fn ask(
    prompt: &str,
    what: &'static str,
    instead: &'static str,
) -> Result<Zeroizing<String>, Error> {
    let mut tty = open(what, instead)?;
    answer(question(&mut tty, prompt, Echo::On), what)
}

/// As [`ask`], for what must not be seen: nothing that is typed is shown.
///
/// # Errors
/// As [`ask`].
pub fn ask_hidden(
    prompt: &str,
    what: &'static str,
    instead: &'static str,
) -> Result<Zeroizing<String>, Error> {
    let mut tty = open(what, instead)?;
    answer(question(&mut tty, prompt, Echo::Off), what)
}

/// Asks whether something is meant: `y` or `yes` is yes, and all else is no.
///
/// # Errors
/// No terminal, ctrl-C.
pub fn confirm(prompt: &str, what: &'static str, instead: &'static str) -> Result<bool, Error> {
    let mut tty = open(what, instead)?;
    let typed = question(&mut tty, prompt, Echo::On).map_err(failed(what))?;
    let typed = typed.ok_or(Error::Interrupted)?;
    Ok(matches!(
        typed.trim_ascii().to_ascii_lowercase().as_slice(),
        b"y" | b"yes"
    ))
}

/// The first line of standard input, without its line break: `--password-stdin`. Where standard
/// input is a terminal, it is asked for there, hidden.
///
/// # Errors
/// Input that cannot be read, is empty, not text, or longer than 64 KiB.
pub fn secret_from_stdin(what: &'static str) -> Result<Zeroizing<String>, Error> {
    if stdin().is_terminal() {
        return ask_hidden(&format!("{what}: "), what, "give it on standard input");
    }
    // Unbuffered: a buffer of the standard library's would keep the secret.
    let mut input = File::from(stdin().as_fd().try_clone_to_owned().map_err(failed(what))?);
    answer(line(&mut input).map(Some), what)
}

fn open(what: &'static str, instead: &'static str) -> Result<File, Error> {
    let tty = File::options().read(true).write(true).open("/dev/tty");
    tty.map_err(|source| Error::NoTerminal {
        what,
        instead,
        source,
    })
}

fn failed(what: &'static str) -> impl Fn(io::Error) -> Error {
    move |source| Error::Input { what, source }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Echo {
    On,
    Off,
}

/// The line that was typed; `None` after ctrl-C and the like.
fn question(tty: &mut File, prompt: &str, echo: Echo) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
    let typed = {
        let _mode = Mode::set(tty.as_fd(), echo)?;
        // Only now: what is typed after the question shows is not lost.
        (&*tty).write_all(printable_lines(prompt).as_bytes())?;
        line(&mut &*tty)?
    };
    let interrupted = matches!(typed.last(), None | Some(&(CTRL_C | CTRL_BACKSLASH)));
    if echo == Echo::Off || interrupted {
        tty.write_all(b"\n")?;
    }
    Ok((!interrupted).then_some(typed))
}

/// How the terminal behaves during a question; as before once dropped.
///
/// Ctrl-C sends no signal meanwhile but ends the line, so that nothing can leave the terminal
/// without its echo, and no signal handler is needed.
struct Mode<'a> {
    tty: BorrowedFd<'a>,
    before: Termios,
}

impl<'a> Mode<'a> {
    fn set(tty: BorrowedFd<'a>, echo: Echo) -> io::Result<Self> {
        let before = tcgetattr(tty)?;
        let mut during = before.clone();
        during.local_modes.remove(LocalModes::ISIG);
        during.local_modes.insert(LocalModes::ICANON);
        during.local_modes.set(LocalModes::ECHO, echo == Echo::On);
        during.special_codes[SpecialCodeIndex::VEOL] = CTRL_C;
        during.special_codes[SpecialCodeIndex::VEOL2] = CTRL_BACKSLASH;
        // What was typed before the question is no answer to it.
        tcsetattr(tty, OptionalActions::Flush, &during)?;
        Ok(Self { tty, before })
    }
}

impl Drop for Mode<'_> {
    fn drop(&mut self) {
        // A terminal that went away needs no mode.
        let _ = tcsetattr(self.tty, OptionalActions::Drain, &self.before);
    }
}

/// Reads to the end of the first line, or to what ends a line at a question.
fn line(input: &mut impl Read) -> io::Result<Zeroizing<Vec<u8>>> {
    // Room for all of it at once: growing would leave unwiped copies behind.
    let mut buffer = Zeroizing::new(vec![0; LIMIT + 1]);
    let mut filled = 0;
    while filled < buffer.len() {
        let read = match input.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let new = &buffer[filled..filled + read];
        filled += read;
        if new.contains(&b'\n') || matches!(new.last(), Some(&(CTRL_C | CTRL_BACKSLASH))) {
            break;
        }
    }
    let end = buffer[..filled].iter().position(|byte| *byte == b'\n');
    buffer.truncate(end.map_or(filled, |at| at + 1));
    Ok(buffer)
}

/// Judges what was typed or piped.
fn answer(
    typed: io::Result<Option<Zeroizing<Vec<u8>>>>,
    what: &'static str,
) -> Result<Zeroizing<String>, Error> {
    let bad = |problem| Error::BadInput { what, problem };
    let typed = typed.map_err(failed(what))?.ok_or(Error::Interrupted)?;
    if typed.len() > LIMIT {
        return Err(bad("has more than 64 KiB"));
    }
    let text = std::str::from_utf8(&typed).map_err(|_| bad("is not UTF-8 text"))?;
    let text = text.strip_suffix('\n').unwrap_or(text);
    let text = text.strip_suffix('\r').unwrap_or(text);
    if text.is_empty() {
        return Err(bad("is empty"));
    }
    if text.contains(char::is_control) {
        return Err(bad("has a control character; type it again"));
    }
    Ok(Zeroizing::new(text.to_owned()))
}

#[cfg(test)]
mod tests;
