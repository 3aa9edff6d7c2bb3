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

use super::console::{self, ClientInput, Console, Output};
use super::pod::Container;
use super::shell;
use super::websocket::{self, Frame, Protocol, Socket};
use crate::demo::form::Form;
use crate::demo::kubernetes::encoding::status::Status;
use crate::demo::request_body::RequestBody;
use crate::demo::server::Body;

const STDIN: u8 = 0;
const STDOUT: u8 = 1;
const STDERR: u8 = 2;
const STATUS: u8 = 3;
const RESIZE: u8 = 4;

/// How long a client may take to close after the close frame was sent.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(30);

/// The streams that the client requests.
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

/// The process to run.
#[derive(Debug)]
enum Process {
    Exec(Vec<String>),
    Attach,
}

/// Responds to `exec`, which runs the `command` of the query in the container.
///
/// # Errors
/// There is no command or no stream, or the request is not a WebSocket upgrade.
pub(super) fn exec(
    request: Request<RequestBody>,
    query: &Form,
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

/// Responds to `attach`, which connects to the container's main process.
///
/// # Errors
/// There is no stream, or the request is not a WebSocket upgrade.
pub(super) fn attach(
    request: Request<RequestBody>,
    query: &Form,
    container: Container,
) -> Result<Response<Body>, Status> {
    start(request, query, container, Process::Attach)
}

fn start(
    request: Request<RequestBody>,
    query: &Form,
    container: Container,
    process: Process,
) -> Result<Response<Body>, Status> {
    let streams = Streams::parse(query)?;
    let accepted = websocket::accept(request, Protocol::REMOTE_COMMAND)?;
    Ok(
        accepted
            .serve(move |socket, protocol| serve(socket, protocol, streams, container, process)),
    )
}

impl Streams {
    fn parse(query: &Form) -> Result<Self, Status> {
        let tty = query.flag("tty");
        let streams = Self {
            stdin: query.flag("stdin"),
            stdout: query.flag("stdout"),
            // A terminal has no separate standard error, so kubelets ignore the parameter.
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

/// Runs the process until it ends or the client disconnects.
async fn serve(
    socket: Socket,
    protocol: Protocol,
    streams: Streams,
    container: Container,
    process: Process,
) {
    let (console, client_input, output) = console::pair(streams.stdin, streams.tty);
    let (sink, incoming) = socket.split();
    let receive = receive_input(incoming, protocol, client_input);
    let run = run(console, &container, &process, streams);
    let send = send_output(sink, streams, &process, output);
    tokio::pin!(receive, run, send);
    tokio::select! {
        () = &mut receive => return,
        result = send => if let Err(error) = result {
            tracing::debug!(%error, "the client of a remote command disconnected");
            return;
        },
        never = run => match never {},
    }
    // The close frame was sent. The client may still be reading the data before it, so the
    // connection stays open until the client closes.
    if tokio::time::timeout(CLOSE_TIMEOUT, receive).await.is_err() {
        tracing::debug!("the client of a remote command did not close");
    }
}

/// Runs the process to its end. Never returns, because its output may still be in transit.
async fn run(
    console: Console,
    container: &Container,
    process: &Process,
    streams: Streams,
) -> Infallible {
    let exit_sender = console.exit_sender();
    let code = match process {
        Process::Exec(command) => shell::exec(container, command, console).await,
        Process::Attach => container.main.attach(console, streams.stdin).await,
    };
    // An error means that the client is gone.
    let _ = exit_sender.send(Output::Exit(code)).await;
    std::future::pending().await
}

/// Receives the client's messages until it closes the connection.
async fn receive_input(
    mut incoming: SplitStream<Socket>,
    protocol: Protocol,
    mut client_input: ClientInput,
) {
    while let Some(Ok(message)) = incoming.next().await {
        match protocol.decode(message) {
            Some(Frame::Data(STDIN, data)) => client_input.send(data).await,
            Some(Frame::Closed(STDIN)) => client_input.close(),
            Some(Frame::Data(RESIZE, data)) => {
                if let Ok(size) = serde_json::from_slice(&data) {
                    client_input.resize(size);
                }
            }
            // Real servers ignore frames for other channels, too.
            Some(Frame::Data(..) | Frame::Closed(_)) | None => {}
        }
    }
}

/// Sends the process's output to the client, then its status and a close frame.
async fn send_output(
    mut sink: SplitSink<Socket, Message>,
    streams: Streams,
    process: &Process,
    mut output: mpsc::Receiver<Output>,
) -> tungstenite::Result<()> {
    // Real servers begin with an empty message on the lowest channel, so that the client knows that
    // the command has started.
    let first = match streams {
        Streams { stdout: true, .. } => STDOUT,
        Streams { stderr: true, .. } => STDERR,
        _ => STATUS,
    };
    sink.send(websocket::encode(first, b"")).await?;
    let mut code = 0;
    while let Some(output) = output.recv().await {
        let (channel, is_requested, data) = match output {
            Output::Stdout(data) => (STDOUT, streams.stdout, data),
            Output::Stderr(data) => (STDERR, streams.stderr, data),
            Output::Exit(exit_code) => {
                code = exit_code;
                break;
            }
        };
        if is_requested {
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

/// The message on the status channel, in the form of kubelets.
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
