//! The line discipline of a pretend TTY: what is typed is echoed and edited here, and
//! reaches the process a line at a time.

use bytes::Bytes;

/// A line may not grow beyond this, as in Linux's canonical mode.
const LINE_LIMIT: usize = 4095;

const INTERRUPT: u8 = 0x03;
const END: u8 = 0x04;
const BACKSPACE: u8 = 0x08;
const KILL: u8 = 0x15;
const DELETE: u8 = 0x7f;

/// The line being typed.
#[derive(Debug, Default)]
pub(super) struct Terminal {
    line: Vec<u8>,
}

/// What typing amounts to for the process.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Typed {
    /// Text to read: a line, or less where ^D cut it short.
    Text(Bytes),
    /// ^D on an empty line.
    End,
    /// ^C.
    Interrupt,
}

impl Terminal {
    /// Takes typed bytes; gives the echo to show and what reaches the process.
    pub(super) fn type_in(&mut self, bytes: &[u8]) -> (Vec<u8>, Vec<Typed>) {
        let mut echo = Vec::with_capacity(bytes.len() + 2);
        let mut typed = Vec::new();
        for &byte in bytes {
            match byte {
                b'\r' | b'\n' => {
                    self.line.push(b'\n');
                    echo.extend(b"\r\n");
                    typed.push(Typed::Text(self.take()));
                }
                INTERRUPT => {
                    self.line.clear();
                    echo.extend(b"^C\r\n");
                    typed.push(Typed::Interrupt);
                }
                END if self.line.is_empty() => typed.push(Typed::End),
                END => typed.push(Typed::Text(self.take())),
                BACKSPACE | DELETE => self.rub_out(&mut echo),
                KILL => {
                    while !self.line.is_empty() {
                        self.rub_out(&mut echo);
                    }
                }
                _ if self.line.len() >= LINE_LIMIT => {}
                byte => {
                    self.line.push(byte);
                    show(byte, &mut echo);
                }
            }
        }
        (echo, typed)
    }

    fn take(&mut self) -> Bytes {
        Bytes::from(std::mem::take(&mut self.line))
    }

    /// Removes the last character, all its UTF-8 bytes, from the line and the screen.
    fn rub_out(&mut self, echo: &mut Vec<u8>) {
        let mut last = None;
        while let Some(byte) = self.line.pop() {
            last = Some(byte);
            if byte & 0xc0 != 0x80 {
                break;
            }
        }
        if let Some(first) = last {
            // A control character took two columns (`^X`).
            let columns = if shown_as_caret(first) { 2 } else { 1 };
            echo.extend(b"\x08 \x08".repeat(columns));
        }
    }
}

fn show(byte: u8, echo: &mut Vec<u8>) {
    if shown_as_caret(byte) {
        echo.extend([b'^', byte ^ 0x40]);
    } else {
        echo.push(byte);
    }
}

fn shown_as_caret(byte: u8) -> bool {
    byte < 0x20 && byte != b'\t'
}

#[cfg(test)]
mod tests {
    use super::{Terminal, Typed};

    fn text(line: &'static str) -> Typed {
        Typed::Text(bytes::Bytes::from_static(line.as_bytes()))
    }

    #[test]
    fn a_carriage_return_ends_the_line_and_is_echoed_as_crlf() {
        let mut terminal = Terminal::default();
        assert_eq!(terminal.type_in(b"ls"), (b"ls".to_vec(), vec![]));
        assert_eq!(
            terminal.type_in(b" /\rpwd\r"),
            (
                b" /\r\npwd\r\n".to_vec(),
                vec![text("ls /\n"), text("pwd\n")]
            )
        );
    }

    #[test]
    fn backspace_removes_one_character_whatever_its_bytes() {
        let mut terminal = Terminal::default();
        let (echo, typed) = terminal.type_in("aé\x7fb\r".as_bytes());
        assert_eq!(typed, [text("ab\n")]);
        assert_eq!(echo, "aé\x08 \x08b\r\n".as_bytes());
        let (echo, _) = terminal.type_in(b"\x08");
        assert_eq!(echo, b"", "nothing to remove, nothing to show");
    }

    #[test]
    fn control_u_clears_the_line() {
        let mut terminal = Terminal::default();
        let (_, typed) = terminal.type_in(b"wrong\x15right\r");
        assert_eq!(typed, [text("right\n")]);
    }

    #[test]
    fn control_c_drops_the_line_and_interrupts() {
        let mut terminal = Terminal::default();
        let (echo, typed) = terminal.type_in(b"abc\x03\r");
        assert_eq!(echo, b"abc^C\r\n\r\n");
        assert_eq!(typed, [Typed::Interrupt, text("\n")]);
    }

    #[test]
    fn control_d_ends_input_only_on_an_empty_line() {
        let mut terminal = Terminal::default();
        assert_eq!(terminal.type_in(b"\x04").1, [Typed::End]);
        assert_eq!(terminal.type_in(b"ab\x04").1, [text("ab")]);
    }

    #[test]
    fn an_endless_line_is_cut() {
        let mut terminal = Terminal::default();
        terminal.type_in(&vec![b'x'; 10_000]);
        let (_, typed) = terminal.type_in(b"\r");
        let [Typed::Text(line)] = typed.as_slice() else {
            panic!("one line, not {typed:?}");
        };
        assert_eq!(line.len(), super::LINE_LIMIT + 1);
    }
}
