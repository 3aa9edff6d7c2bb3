//! The process's end of a remote command: its standard streams, and its terminal if it
//! has one.

use bytes::{BufMut as _, Bytes, BytesMut};
use serde::Deserialize;
use tokio::sync::{mpsc, watch};

use super::terminal::{Terminal, Typed};

/// Frames of piped input that may wait for the process; then the client waits.
const PIPED_INPUT: usize = 4;
/// Lines that may be typed ahead; a terminal never waits, so that ^C gets through.
const TYPED_AHEAD: usize = 256;
/// Pieces of output that may wait for the client; then the process waits.
const OUTPUT: usize = 16;
/// A line of a piped script may not grow beyond this.
const LINE_LIMIT: usize = 1024 * 1024;

/// A terminal's size in characters, as the resize channel gives it.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Size {
    pub(super) width: u16,
    pub(super) height: u16,
}

/// What a process says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Output {
    /// Bytes on its standard output, or its terminal.
    Stdout(Bytes),
    /// Bytes on its standard error.
    Stderr(Bytes),
    /// It ended with this code.
    Exit(i32),
}

#[derive(Debug)]
enum Input {
    Bytes {
        bytes: Bytes,
        /// How many ^C came before.
        interrupts: u64,
    },
    End,
}

/// Standard streams, seen from the process.
#[derive(Debug)]
pub(super) struct Console {
    input: mpsc::Receiver<Input>,
    /// Input taken from the wire and not yet read.
    pending: BytesMut,
    output: mpsc::Sender<Output>,
    interrupts: watch::Receiver<u64>,
    /// The ^C that the process has already felt.
    felt: u64,
    size: watch::Receiver<Size>,
    tty: bool,
    /// Set while a command's output is redirected (`>&2`).
    pub(super) to_stderr: bool,
}

/// The client's end of the same streams.
#[derive(Debug)]
pub(super) struct Keyboard {
    /// Gone once the client closed its standard input, or never gave any.
    input: Option<mpsc::Sender<Input>>,
    terminal: Option<Terminal>,
    echo: mpsc::Sender<Output>,
    interrupts: watch::Sender<u64>,
    size: watch::Sender<Size>,
}

/// Both ends of a process's standard streams, and its output. Without `stdin` the process
/// reads an end of file at once.
pub(super) fn pair(stdin: bool, tty: bool) -> (Console, Keyboard, mpsc::Receiver<Output>) {
    let (input_sender, input) = mpsc::channel(if tty { TYPED_AHEAD } else { PIPED_INPUT });
    let (output, output_receiver) = mpsc::channel(OUTPUT);
    let (interrupt_sender, interrupts) = watch::channel(0);
    let (size_sender, size) = watch::channel(Size::default());
    let keyboard = Keyboard {
        input: stdin.then_some(input_sender),
        terminal: tty.then(Terminal::default),
        echo: output.clone(),
        interrupts: interrupt_sender,
        size: size_sender,
    };
    let console = Console {
        input,
        pending: BytesMut::new(),
        output,
        interrupts,
        felt: 0,
        size,
        tty,
        to_stderr: false,
    };
    (console, keyboard, output_receiver)
}

impl Keyboard {
    /// Takes bytes of the client's standard input. Waits while a pipe is full; what is
    /// typed at a full terminal, or at a process that has ended, is dropped.
    pub(super) async fn type_in(&mut self, bytes: Bytes) {
        let Some(input) = &self.input else {
            return;
        };
        let interrupts = *self.interrupts.borrow();
        let Some(terminal) = &mut self.terminal else {
            // A process that ended reads no more: the rest is of no use.
            let _ = input.send(Input::Bytes { bytes, interrupts }).await;
            return;
        };
        let (echo, typed) = terminal.type_in(&bytes);
        if !echo.is_empty() {
            let _ = self.echo.send(Output::Stdout(echo.into())).await;
        }
        for typed in typed {
            let interrupts = *self.interrupts.borrow();
            let _ = match typed {
                Typed::Text(bytes) => input.try_send(Input::Bytes { bytes, interrupts }),
                Typed::End => input.try_send(Input::End),
                Typed::Interrupt => {
                    self.interrupts.send_modify(|count| *count += 1);
                    Ok(())
                }
            };
        }
    }

    /// The client closed its standard input.
    pub(super) fn close(&mut self) {
        self.input = None;
    }

    /// The client's terminal changed its size.
    pub(super) fn resize(&self, size: Size) {
        self.size.send_replace(size);
    }
}

impl Console {
    pub(super) fn is_tty(&self) -> bool {
        self.tty
    }

    /// The terminal's size; zero by zero until the client tells.
    pub(super) fn size(&self) -> Size {
        *self.size.borrow()
    }

    /// The next piece of input; `None` at its end. On a terminal the input goes on after
    /// an end (^D), so a later call may give more.
    pub(super) async fn read(&mut self) -> Option<Bytes> {
        if self.pending.is_empty() {
            self.receive().await
        } else {
            Some(self.pending.split().freeze())
        }
    }

    /// The next line without its newline; the last one may lack it. `None` at the end.
    pub(super) async fn read_line(&mut self) -> Option<Vec<u8>> {
        let mut searched = 0;
        loop {
            let fresh = &self.pending[searched..];
            if let Some(at) = fresh.iter().position(|&byte| byte == b'\n') {
                let line = self.pending.split_to(searched + at + 1);
                return Some(line[..searched + at].to_vec());
            }
            searched = self.pending.len();
            if searched >= LINE_LIMIT {
                return Some(self.pending.split().to_vec());
            }
            match self.receive().await {
                Some(more) => self.pending.extend_from_slice(&more),
                None if self.pending.is_empty() => return None,
                None => return Some(self.pending.split().to_vec()),
            }
        }
    }

    async fn receive(&mut self) -> Option<Bytes> {
        loop {
            match self.input.recv().await? {
                // As on a real terminal, ^C also flushes what was typed before it.
                Input::Bytes { interrupts, .. } if interrupts < *self.interrupts.borrow() => {}
                Input::Bytes { bytes, interrupts } => {
                    self.felt = interrupts;
                    return Some(bytes);
                }
                Input::End => return None,
            }
        }
    }

    /// Resolves at the next ^C that came after what was last read. Owns what it needs, so
    /// that the console can be used beside it.
    pub(super) fn interrupted(&self) -> impl Future<Output = ()> + Send + 'static {
        let (mut interrupts, felt) = (self.interrupts.clone(), self.felt);
        async move {
            if interrupts.wait_for(|count| *count > felt).await.is_err() {
                // The client is gone, and with it all further ^C.
                std::future::pending::<()>().await;
            }
        }
    }

    /// Counts every ^C until now as felt.
    pub(super) fn feel_interrupt(&mut self) {
        self.felt = *self.interrupts.borrow();
        self.pending.clear();
    }

    /// Where the process's exit code is to be told, after the console itself is gone.
    pub(super) fn exit_sender(&self) -> mpsc::Sender<Output> {
        self.output.clone()
    }

    /// Writes to standard output.
    pub(super) async fn print(&mut self, bytes: impl Into<Bytes> + Send) {
        if self.to_stderr {
            self.complain(bytes).await;
            return;
        }
        let bytes = self.cooked(bytes.into());
        self.send(Output::Stdout(bytes)).await;
    }

    /// Writes to standard error, which on a terminal is the same screen.
    pub(super) async fn complain(&mut self, bytes: impl Into<Bytes> + Send) {
        let bytes = self.cooked(bytes.into());
        let output = if self.tty {
            Output::Stdout(bytes)
        } else {
            Output::Stderr(bytes)
        };
        self.send(output).await;
    }

    async fn send(&mut self, output: Output) {
        // Without a listener the whole session, this process included, is being dropped.
        let _ = self.output.send(output).await;
    }

    /// A terminal moves to the start of the line with each new one (`onlcr`).
    fn cooked(&self, bytes: Bytes) -> Bytes {
        if !self.tty || !bytes.contains(&b'\n') {
            return bytes;
        }
        let mut cooked = BytesMut::with_capacity(bytes.len() + 16);
        for &byte in &bytes {
            if byte == b'\n' {
                cooked.put_u8(b'\r');
            }
            cooked.put_u8(byte);
        }
        cooked.freeze()
    }
}
