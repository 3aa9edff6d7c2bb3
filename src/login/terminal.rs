//! Prompts on the terminal, and reads one secret line from standard input.
//!
//! Prompts use `/dev/tty`, so that standard input and output stay free for pipes. The text that is
//! read is wiped on drop. These functions block.

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
use crate::{kubeconfig::text, printable::printable_lines};

const CTRL_C: u8 = 0x03;
const CTRL_BACKSLASH: u8 = 0x1c;
const CTRL_D: u8 = 0x04;
const CTRL_U: u8 = 0x15;
/// The maximum length of a line, in bytes.
const LIMIT: usize = 64 << 10;
/// The byte order marks of UTF-16, in which a line break is not one byte.
const UTF_16: [&[u8]; 2] = [b"\xff\xfe", b"\xfe\xff"];

/// Prompts for a line, and shows what is typed. `what` names the line in errors, such as `user name`;
/// `instead` says what to do without a terminal, such as `give it by --username`.
///
/// # Errors
/// No terminal, Ctrl-C, an empty line.
pub fn ask(
    prompt: &str,
    what: &'static str,
    instead: &'static str,
) -> Result<Zeroizing<String>, Error> {
    let mut tty = open(what, instead)?;
    validated(prompt_line(&mut tty, prompt, Echo::On), what)
}

/// As [`ask`], without showing what is typed.
///
/// # Errors
/// As [`ask`].
pub fn ask_hidden(
    prompt: &str,
    what: &'static str,
    instead: &'static str,
) -> Result<Zeroizing<String>, Error> {
    let mut tty = open(what, instead)?;
    validated(prompt_line(&mut tty, prompt, Echo::Off), what)
}

/// As [`ask_hidden`], for text that is pasted: a line that is longer than a terminal's own limit (4,095
/// characters on Linux, 1,023 on macOS) is not cut.
///
/// # Errors
/// As [`ask`].
pub fn ask_pasted(
    prompt: &str,
    what: &'static str,
    instead: &'static str,
) -> Result<Zeroizing<String>, Error> {
    let mut tty = open(what, instead)?;
    let typed = prompt_line(&mut tty, prompt, Echo::OffAndRaw);
    validated(typed.map(|typed| typed.map(|line| edited(&line))), what)
}

/// Returns whether there is a terminal to prompt on.
#[must_use]
pub fn is_there() -> bool {
    open("", "").is_ok()
}

/// Asks a yes-or-no question: `y` and `yes` mean yes, every other line means no.
///
/// # Errors
/// No terminal, Ctrl-C.
pub fn confirm(prompt: &str, what: &'static str, instead: &'static str) -> Result<bool, Error> {
    let mut tty = open(what, instead)?;
    let typed = prompt_line(&mut tty, prompt, Echo::On).map_err(failed(what))?;
    let typed = typed.ok_or(Error::Interrupted)?;
    Ok(matches!(
        typed.trim_ascii().to_ascii_lowercase().as_slice(),
        b"y" | b"yes"
    ))
}

/// Reads the first line of standard input, as for `--password-stdin`. If standard input is a terminal,
/// prompts there, without showing what is typed.
///
/// # Errors
/// Input that cannot be read, is empty, is not text, or is longer than 64 KiB.
pub fn secret_from_stdin(what: &'static str) -> Result<Zeroizing<String>, Error> {
    if stdin().is_terminal() {
        return ask_hidden(&format!("{what}: "), what, "give it on standard input");
    }
    // Not `Stdin`, whose buffer would keep a copy of the secret.
    let mut input = File::from(stdin().as_fd().try_clone_to_owned().map_err(failed(what))?);
    validated(read_line(&mut input).map(Some), what)
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
    /// As off, and the terminal edits no line.
    OffAndRaw,
}

/// Shows a prompt and returns the line that is typed; `None` after Ctrl-C, Ctrl-\\ or Ctrl-D.
fn prompt_line(tty: &mut File, prompt: &str, echo: Echo) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
    let typed = {
        let _mode = PromptMode::set(tty.as_fd(), echo)?;
        // After the mode is set, which discards pending input: no key typed after the prompt is lost.
        (&*tty).write_all(printable_lines(prompt).as_bytes())?;
        read_line(&mut &*tty)?
    };
    let interrupted = matches!(typed.last(), None | Some(&(CTRL_C | CTRL_BACKSLASH)))
        || echo == Echo::OffAndRaw && *typed == [CTRL_D];
    if echo != Echo::On || interrupted {
        tty.write_all(b"\n")?;
    }
    Ok((!interrupted).then_some(typed))
}

/// The mode of the terminal during a prompt. Restores the previous mode on drop.
///
/// Ctrl-C ends the line instead of sending a signal, so that the process cannot end with the echo
/// turned off, and no signal handler is needed.
struct PromptMode<'a> {
    tty: BorrowedFd<'a>,
    before: Termios,
}

impl<'a> PromptMode<'a> {
    fn set(tty: BorrowedFd<'a>, echo: Echo) -> io::Result<Self> {
        let before = tcgetattr(tty)?;
        let mut during = before.clone();
        during.local_modes.remove(LocalModes::ISIG);
        let edits = echo != Echo::OffAndRaw;
        during.local_modes.set(LocalModes::ICANON, edits);
        during.local_modes.set(LocalModes::ECHO, echo == Echo::On);
        if !edits {
            during.special_codes[SpecialCodeIndex::VMIN] = 1;
            during.special_codes[SpecialCodeIndex::VTIME] = 0;
        }
        during.special_codes[SpecialCodeIndex::VEOL] = CTRL_C;
        during.special_codes[SpecialCodeIndex::VEOL2] = CTRL_BACKSLASH;
        // Discards what was typed before the prompt.
        tcsetattr(tty, OptionalActions::Flush, &during)?;
        Ok(Self { tty, before })
    }
}

impl Drop for PromptMode<'_> {
    fn drop(&mut self) {
        // Fails if the terminal is gone, which then has no mode to restore.
        let _ = tcsetattr(self.tty, OptionalActions::Drain, &self.before);
    }
}

/// Applies the keys that a terminal applies itself when it edits a line: backspace, Ctrl-U and Ctrl-D.
fn edited(typed: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut line = Zeroizing::new(Vec::with_capacity(typed.len()));
    for byte in typed {
        match *byte {
            0x08 | 0x7f => {
                line.pop();
            }
            CTRL_U => line.clear(),
            CTRL_D => {}
            byte => line.push(byte),
        }
    }
    line
}

/// Reads up to the end of the first line, or up to a key that ends a prompt.
fn read_line(input: &mut impl Read) -> io::Result<Zeroizing<Vec<u8>>> {
    // Allocated whole, since growing would leave copies that are not wiped.
    let mut buffer = Zeroizing::new(vec![0; LIMIT + 1]);
    let mut filled = 0;
    while filled < buffer.len() {
        let read = match input.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        filled += read;
        if is_utf_16(&buffer[..filled]) {
            continue;
        }
        let new = &buffer[filled - read..filled];
        let ends = matches!(new.last(), Some(&(CTRL_C | CTRL_BACKSLASH)));
        // A terminal that edits lines gives none that begins with Ctrl-D.
        if new.contains(&b'\n') || ends || buffer[..filled] == [CTRL_D] {
            break;
        }
    }
    let end = buffer[..filled].iter().position(|byte| *byte == b'\n');
    let end = end.filter(|_| !is_utf_16(&buffer[..filled]));
    buffer.truncate(end.map_or(filled, |at| at + 1));
    Ok(buffer)
}

fn is_utf_16(bytes: &[u8]) -> bool {
    UTF_16.iter().any(|mark| bytes.starts_with(mark))
}

/// Returns the line as text without its line break and without a byte order mark, or what is wrong
/// with it.
fn validated(
    typed: io::Result<Option<Zeroizing<Vec<u8>>>>,
    what: &'static str,
) -> Result<Zeroizing<String>, Error> {
    let bad = |problem| Error::BadInput { what, problem };
    let typed = typed.map_err(failed(what))?.ok_or(Error::Interrupted)?;
    if typed.len() > LIMIT {
        return Err(bad("has more than 64 KiB"));
    }
    let text = text::decode(&typed).map_err(|_| bad("is not UTF-8 text"))?;
    let text = text.split_once('\n').map_or(&**text, |(line, _)| line);
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
