//! The process's end of a remote command: its standard streams, and its terminal if it has one.

use bytes::{BufMut as _, Bytes, BytesMut};
use serde::Deserialize;
use tokio::sync::{mpsc, watch};

use super::terminal::{Terminal, TerminalInput};

/// The number of pieces of piped input that are buffered. When they are, the client waits.
const PIPE_CAPACITY: usize = 4;
/// The number of lines that are buffered for a process with a terminal. Further ones are dropped, so
/// that ^C is never delayed.
const TERMINAL_CAPACITY: usize = 256;
/// The number of pieces of output that are buffered. When they are, the process waits.
const OUTPUT_CAPACITY: usize = 16;
/// The longest line of a piped script, in bytes.
const LINE_LIMIT: usize = 1024 * 1024;

/// The size of a terminal in characters, in the JSON of the resize channel.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Size {
    pub(super) width: u16,
    pub(super) height: u16,
}

/// The output of a process.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Output {
    /// Bytes on its standard output, or its terminal.
    Stdout(Bytes),
    /// Bytes on its standard error.
    Stderr(Bytes),
    /// The process has ended with this code.
    Exit(i32),
}

#[derive(Debug)]
enum Input {
    Bytes {
        bytes: Bytes,
        /// The number of ^C before these bytes.
        interrupts: u64,
    },
    End,
}

/// The process's end of the standard streams.
#[derive(Debug)]
pub(super) struct Console {
    input: mpsc::Receiver<Input>,
    /// Input that was received and not read yet.
    pending: BytesMut,
    output: mpsc::Sender<Output>,
    interrupts: watch::Receiver<u64>,
    /// The number of ^C that the process has handled.
    handled_interrupts: u64,
    size: watch::Receiver<Size>,
    tty: bool,
    /// Whether the output of the command is redirected to standard error (`>&2`).
    pub(super) to_stderr: bool,
}

/// The client's end of the standard input.
#[derive(Debug)]
pub(super) struct ClientInput {
    /// `None` if the client has closed its standard input or has none.
    input: Option<mpsc::Sender<Input>>,
    terminal: Option<Terminal>,
    echo: mpsc::Sender<Output>,
    interrupts: watch::Sender<u64>,
    size: watch::Sender<Size>,
}

/// Both ends of a process's standard streams, and its output. Without `stdin` the process reads an
/// end of file at once.
pub(super) fn pair(stdin: bool, tty: bool) -> (Console, ClientInput, mpsc::Receiver<Output>) {
    let (input_sender, input) = mpsc::channel(if tty {
        TERMINAL_CAPACITY
    } else {
        PIPE_CAPACITY
    });
    let (output, output_receiver) = mpsc::channel(OUTPUT_CAPACITY);
    let (interrupt_sender, interrupts) = watch::channel(0);
    let (size_sender, size) = watch::channel(Size::default());
    let client_input = ClientInput {
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
        handled_interrupts: 0,
        size,
        tty,
        to_stderr: false,
    };
    (console, client_input, output_receiver)
}

impl ClientInput {
    /// Sends input of the client to the process. Waits while the buffer of a pipe is full. Input is
    /// dropped if the buffer of a terminal is full or the process has ended.
    pub(super) async fn send(&mut self, bytes: Bytes) {
        let Some(input) = &self.input else {
            return;
        };
        let interrupts = *self.interrupts.borrow();
        let Some(terminal) = &mut self.terminal else {
            // An error means that the process has ended, which makes the rest useless.
            let _ = input.send(Input::Bytes { bytes, interrupts }).await;
            return;
        };
        let (echo, inputs) = terminal.process(&bytes);
        if !echo.is_empty() {
            let _ = self.echo.send(Output::Stdout(echo.into())).await;
        }
        for terminal_input in inputs {
            let interrupts = *self.interrupts.borrow();
            let _ = match terminal_input {
                TerminalInput::Text(bytes) => input.try_send(Input::Bytes { bytes, interrupts }),
                TerminalInput::End => input.try_send(Input::End),
                TerminalInput::Interrupt => {
                    self.interrupts.send_modify(|count| *count += 1);
                    Ok(())
                }
            };
        }
    }

    /// Ends the standard input.
    pub(super) fn close(&mut self) {
        self.input = None;
    }

    /// Sets the size of the terminal.
    pub(super) fn resize(&self, size: Size) {
        self.size.send_replace(size);
    }
}

impl Console {
    pub(super) fn is_tty(&self) -> bool {
        self.tty
    }

    /// The size of the terminal; 0 by 0 until the client sends it.
    pub(super) fn size(&self) -> Size {
        *self.size.borrow()
    }

    /// The next piece of input; `None` at its end. On a terminal there may be more input after an
    /// end (^D).
    pub(super) async fn read(&mut self) -> Option<Bytes> {
        if self.pending.is_empty() {
            self.receive().await
        } else {
            Some(self.pending.split().freeze())
        }
    }

    /// The next line without its newline, which the last line may lack; `None` at the end.
    pub(super) async fn read_line(&mut self) -> Option<Vec<u8>> {
        let mut searched = 0;
        loop {
            let unsearched = &self.pending[searched..];
            if let Some(at) = unsearched.iter().position(|&byte| byte == b'\n') {
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
                // As on a real terminal, ^C discards the input before it.
                Input::Bytes { interrupts, .. } if interrupts < *self.interrupts.borrow() => {}
                Input::Bytes { bytes, interrupts } => {
                    self.handled_interrupts = interrupts;
                    return Some(bytes);
                }
                Input::End => return None,
            }
        }
    }

    /// Resolves at the next ^C after the input that was read last. The future does not borrow the
    /// console.
    pub(super) fn interrupted(&self) -> impl Future<Output = ()> + Send + 'static {
        let (mut interrupts, handled) = (self.interrupts.clone(), self.handled_interrupts);
        async move {
            if interrupts.wait_for(|count| *count > handled).await.is_err() {
                // The client is gone, so there will be no ^C.
                std::future::pending::<()>().await;
            }
        }
    }

    /// Marks every ^C until now as handled.
    pub(super) fn handle_interrupts(&mut self) {
        self.handled_interrupts = *self.interrupts.borrow();
        self.pending.clear();
    }

    /// The sender for the exit code, which is sent after the console was dropped.
    pub(super) fn exit_sender(&self) -> mpsc::Sender<Output> {
        self.output.clone()
    }

    /// Writes to standard output.
    pub(super) async fn print(&mut self, bytes: impl Into<Bytes> + Send) {
        if self.to_stderr {
            self.print_error(bytes).await;
            return;
        }
        let bytes = self.with_carriage_returns(bytes.into());
        self.send(Output::Stdout(bytes)).await;
    }

    /// Writes to standard error. On a terminal that is the same stream as standard output.
    pub(super) async fn print_error(&mut self, bytes: impl Into<Bytes> + Send) {
        let bytes = self.with_carriage_returns(bytes.into());
        let output = if self.tty {
            Output::Stdout(bytes)
        } else {
            Output::Stderr(bytes)
        };
        self.send(output).await;
    }

    async fn send(&mut self, output: Output) {
        // An error means that the client is gone and this process is about to be dropped.
        let _ = self.output.send(output).await;
    }

    /// Adds the carriage returns that a terminal needs (`onlcr`).
    fn with_carriage_returns(&self, bytes: Bytes) -> Bytes {
        if !self.tty || !bytes.contains(&b'\n') {
            return bytes;
        }
        let mut output = BytesMut::with_capacity(bytes.len() + 16);
        for &byte in &bytes {
            if byte == b'\n' {
                output.put_u8(b'\r');
            }
            output.put_u8(byte);
        }
        output.freeze()
    }
}
