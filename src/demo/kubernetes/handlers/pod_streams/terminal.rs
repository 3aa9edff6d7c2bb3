//! The line discipline of a simulated TTY: input is echoed and edited here, and sent to the process
//! line by line.

use bytes::Bytes;

/// The longest line in bytes, as in the canonical mode of Linux.
const LINE_LIMIT: usize = 4095;

const INTERRUPT: u8 = 0x03;
const END: u8 = 0x04;
const BACKSPACE: u8 = 0x08;
const KILL: u8 = 0x15;
const DELETE: u8 = 0x7f;

/// A terminal, with the line that is being typed.
#[derive(Debug, Default)]
pub(super) struct Terminal {
    line: Vec<u8>,
}

/// Input for the process.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum TerminalInput {
    /// A line, or the start of one before ^D.
    Text(Bytes),
    /// ^D on an empty line.
    End,
    /// ^C.
    Interrupt,
}

impl Terminal {
    /// Processes typed bytes. Returns the echo, and the input for the process.
    pub(super) fn process(&mut self, bytes: &[u8]) -> (Vec<u8>, Vec<TerminalInput>) {
        let mut echo = Vec::with_capacity(bytes.len() + 2);
        let mut input = Vec::new();
        for &byte in bytes {
            match byte {
                b'\r' | b'\n' => {
                    self.line.push(b'\n');
                    echo.extend(b"\r\n");
                    input.push(TerminalInput::Text(self.take_line()));
                }
                INTERRUPT => {
                    self.line.clear();
                    echo.extend(b"^C\r\n");
                    input.push(TerminalInput::Interrupt);
                }
                END if self.line.is_empty() => input.push(TerminalInput::End),
                END => input.push(TerminalInput::Text(self.take_line())),
                BACKSPACE | DELETE => self.erase_character(&mut echo),
                KILL => {
                    while !self.line.is_empty() {
                        self.erase_character(&mut echo);
                    }
                }
                _ if self.line.len() >= LINE_LIMIT => {}
                byte => {
                    self.line.push(byte);
                    echo_byte(byte, &mut echo);
                }
            }
        }
        (echo, input)
    }

    fn take_line(&mut self) -> Bytes {
        Bytes::from(std::mem::take(&mut self.line))
    }

    /// Removes the last character, with all its UTF-8 bytes, from the line and the screen.
    fn erase_character(&mut self, echo: &mut Vec<u8>) {
        let mut last = None;
        while let Some(byte) = self.line.pop() {
            last = Some(byte);
            if byte & 0xc0 != 0x80 {
                break;
            }
        }
        if let Some(first) = last {
            // A control character has two columns (`^X`).
            let columns = if is_shown_with_caret(first) { 2 } else { 1 };
            echo.extend(b"\x08 \x08".repeat(columns));
        }
    }
}

fn echo_byte(byte: u8, echo: &mut Vec<u8>) {
    if is_shown_with_caret(byte) {
        echo.extend([b'^', byte ^ 0x40]);
    } else {
        echo.push(byte);
    }
}

fn is_shown_with_caret(byte: u8) -> bool {
    byte < 0x20 && byte != b'\t'
}

#[cfg(test)]
mod tests {
    use super::{Terminal, TerminalInput};

    fn text(line: &'static str) -> TerminalInput {
        TerminalInput::Text(bytes::Bytes::from_static(line.as_bytes()))
    }

    #[test]
    fn a_carriage_return_ends_the_line_and_is_echoed_as_crlf() {
        let mut terminal = Terminal::default();
        assert_eq!(terminal.process(b"ls"), (b"ls".to_vec(), vec![]));
        assert_eq!(
            terminal.process(b" /\rpwd\r"),
            (
                b" /\r\npwd\r\n".to_vec(),
                vec![text("ls /\n"), text("pwd\n")]
            )
        );
    }

    #[test]
    fn backspace_removes_a_character_with_all_its_bytes() {
        let mut terminal = Terminal::default();
        let (echo, typed) = terminal.process("aé\x7fb\r".as_bytes());
        assert_eq!(typed, [text("ab\n")]);
        assert_eq!(echo, "aé\x08 \x08b\r\n".as_bytes());
        let (echo, _) = terminal.process(b"\x08");
        assert_eq!(echo, b"", "there is nothing to remove");
    }

    #[test]
    fn control_u_clears_the_line() {
        let mut terminal = Terminal::default();
        let (_, typed) = terminal.process(b"wrong\x15right\r");
        assert_eq!(typed, [text("right\n")]);
    }

    #[test]
    fn control_c_drops_the_line_and_interrupts() {
        let mut terminal = Terminal::default();
        let (echo, typed) = terminal.process(b"abc\x03\r");
        assert_eq!(echo, b"abc^C\r\n\r\n");
        assert_eq!(typed, [TerminalInput::Interrupt, text("\n")]);
    }

    #[test]
    fn control_d_ends_input_only_on_an_empty_line() {
        let mut terminal = Terminal::default();
        assert_eq!(terminal.process(b"\x04").1, [TerminalInput::End]);
        assert_eq!(terminal.process(b"ab\x04").1, [text("ab")]);
    }

    #[test]
    fn a_line_is_limited_in_length() {
        let mut terminal = Terminal::default();
        terminal.process(&vec![b'x'; 10_000]);
        let (_, typed) = terminal.process(b"\r");
        let [TerminalInput::Text(line)] = typed.as_slice() else {
            panic!("one line, not {typed:?}");
        };
        assert_eq!(line.len(), super::LINE_LIMIT + 1);
    }
}
