//! Exec and attach: the client's end of a remote command.

use std::convert::Infallible;
use std::time::Duration;

use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt as _, StreamExt as _};
use hyper::{Request, Response};
use serde_json::json;
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use super::console::{self, Console, Keyboard, Output};
use super::pod::Container;
use super::shell;
use super::websocket::{self, Frame, Protocol, Socket};
use crate::demo::form::Query;
use crate::demo::kubernetes::encoding::status::Status;
use crate::demo::request_body::RequestBody;
use crate::demo::server::Body;

const STDIN: u8 = 0;
const STDOUT: u8 = 1;
const STDERR: u8 = 2;
const STATUS: u8 = 3;
const RESIZE: u8 = 4;

/// How long a client that was told the end may take to read it and close.
const CLOSE_WAIT: Duration = Duration::from_secs(30);

/// Which streams the client asked for.
#[derive(Clone, Copy, Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "the four parameters of the API, each on its own"
)]
struct Streams {
    stdin: bool,
    stdout: bool,
    stderr: bool,
    tty: bool,
}

/// What is to run.
#[derive(Debug)]
enum Process {
    Exec(Vec<String>),
    Attach,
}

/// Answers `exec`: runs the query's `command` in the container.
///
/// # Errors
/// No command, no streams, or no WebSocket upgrade.
pub(super) fn exec(
    request: Request<RequestBody>,
    query: &Query,
    container: Container,
) -> Result<Response<Body>, Status> {
    let command: Vec<String> = query.all("command").map(str::to_owned).collect();
    if command.is_empty() {
        return Err(Status::bad_request(
            "you must specify at least 1 command for the container",
        ));
    }
    start(request, query, container, Process::Exec(command))
}

/// Answers `attach`: joins the container's main process.
///
/// # Errors
/// No streams, or no WebSocket upgrade.
pub(super) fn attach(
    request: Request<RequestBody>,
    query: &Query,
    container: Container,
) -> Result<Response<Body>, Status> {
    start(request, query, container, Process::Attach)
}

fn start(
    request: Request<RequestBody>,
    query: &Query,
    container: Container,
    process: Process,
) -> Result<Response<Body>, Status> {
    let streams = Streams::read(query)?;
    let accepted = websocket::accept(request, Protocol::REMOTE_COMMAND)?;
    Ok(
        accepted
            .serve(move |socket, protocol| serve(socket, protocol, streams, container, process)),
    )
}

impl Streams {
    fn read(query: &Query) -> Result<Self, Status> {
        let tty = query.flag("tty");
        let streams = Self {
            stdin: query.flag("stdin"),
            stdout: query.flag("stdout"),
            // A terminal is one screen: kubelets bypass stderr beside it.
            stderr: query.flag("stderr") && !tty,
            tty,
        };
        if !(streams.stdin || streams.stdout || streams.stderr) {
            return Err(Status::bad_request(
                "you must specify at least 1 of stdin, stdout, stderr",
            ));
        }
        Ok(streams)
    }
}

/// Runs the process until it ends or the client leaves, whichever is first.
async fn serve(
    socket: Socket,
    protocol: Protocol,
    streams: Streams,
    container: Container,
    process: Process,
) {
    let (console, keyboard, output) = console::pair(streams.stdin, streams.tty);
    let (sink, incoming) = socket.split();
    let listen = listen(incoming, protocol, keyboard);
    let run = run(console, &container, &process, streams);
    let tell = tell(sink, streams, &process, output);
    tokio::pin!(listen, run, tell);
    tokio::select! {
        () = &mut listen => return,
        told = tell => if let Err(error) = told {
            tracing::debug!(%error, "a remote command's client left");
            return;
        },
        never = run => match never {},
    }
    // The close frame is sent. The client may still be reading what came before it, so the
    // connection stays until the client closes.
    if tokio::time::timeout(CLOSE_WAIT, listen).await.is_err() {
        tracing::debug!("a remote command's client did not close");
    }
}

/// Runs the process to its end, and stays, for its output may still be on its way.
async fn run(
    console: Console,
    container: &Container,
    process: &Process,
    streams: Streams,
) -> Infallible {
    let ended = console.exit_sender();
    let code = match process {
        Process::Exec(command) => shell::exec(container, command, console).await,
        Process::Attach => container.main.attached(console, streams.stdin).await,
    };
    // Without a listener there is nobody to tell.
    let _ = ended.send(Output::Exit(code)).await;
    std::future::pending().await
}

/// Takes the client's messages until it closes the connection.
async fn listen(mut incoming: SplitStream<Socket>, protocol: Protocol, mut keyboard: Keyboard) {
    while let Some(Ok(message)) = incoming.next().await {
        match protocol.decode(message) {
            Some(Frame::Data(STDIN, data)) => keyboard.type_in(data).await,
            Some(Frame::Closed(STDIN)) => keyboard.close(),
            Some(Frame::Data(RESIZE, data)) => {
                if let Ok(size) = serde_json::from_slice(&data) {
                    keyboard.resize(size);
                }
            }
            // "Frame is targeted for a reader that is not valid": real servers go on too.
            Some(Frame::Data(..) | Frame::Closed(_)) | None => {}
        }
    }
}

/// Sends the client what the process says, at last its status and a close.
async fn tell(
    mut sink: SplitSink<Socket, Message>,
    streams: Streams,
    process: &Process,
    mut output: mpsc::Receiver<Output>,
) -> tungstenite::Result<()> {
    // Real servers begin with an empty message on the lowest channel, so that the client
    // knows that the command is under way.
    let first = match streams {
        Streams { stdout: true, .. } => STDOUT,
        Streams { stderr: true, .. } => STDERR,
        _ => STATUS,
    };
    sink.send(websocket::encode(first, b"")).await?;
    let mut code = 0;
    while let Some(output) = output.recv().await {
        let (channel, wanted, data) = match output {
            Output::Stdout(data) => (STDOUT, streams.stdout, data),
            Output::Stderr(data) => (STDERR, streams.stderr, data),
            Output::Exit(ended_with) => {
                code = ended_with;
                break;
            }
        };
        if wanted {
            sink.send(websocket::encode(channel, &data)).await?;
        }
    }
    let status = status(process, code);
    sink.send(websocket::encode(STATUS, status.as_bytes()))
        .await?;
    let close = CloseFrame {
        code: CloseCode::Normal,
        reason: tungstenite::Utf8Bytes::default(),
    };
    sink.send(Message::Close(Some(close))).await
}

/// The last word on the status channel, in the form that kubelets give it.
fn status(process: &Process, code: i32) -> String {
    let command = match process {
        Process::Exec(command) => command.join(" "),
        Process::Attach => String::new(),
    };
    let message = format!(
        "command terminated with non-zero exit code: \
         error executing command [{command}], exit code {code}"
    );
    let status = match code {
        0 => json!({"metadata": {}, "status": "Success"}),
        code => json!({
            "metadata": {},
            "status": "Failure",
            "message": message,
            "reason": "NonZeroExitCode",
            "details": {"causes": [{"reason": "ExitCode", "message": code.to_string()}]},
        }),
    };
    status.to_string()
}
