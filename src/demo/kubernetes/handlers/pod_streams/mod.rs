//! The streams of a pod: exec, attach, port-forward and logs of a simulated container.
//!
//! Exec, attach and port-forward use the WebSocket channel protocols (`websocket`). SPDY/3.1 is
//! not supported.
//!
//! A remote command has two ends: `remote_command` is that of the client's connection, `console`
//! that of the process, with `terminal` in between if there is a TTY. The processes are a small
//! `shell` and the `main_process`, whose output is also the log.

mod console;
mod logs;
mod main_process;
mod pod;
mod port_forward;
mod remote_command;
mod shell;
mod terminal;
mod websocket;

#[cfg(test)]
mod tests;

use std::time::Duration;

use hyper::{Method, Request, Response};
use serde_json::Value;

use self::pod::Pod;
use crate::demo::form::Form;
use crate::demo::kubernetes::encoding::status::Status;
use crate::demo::request_body::RequestBody;
use crate::demo::server::Body;

/// The interval at which the main process writes a line.
const TICK: Duration = Duration::from_secs(1);

/// Responds to `pods/{name}/{exec,attach,portforward,log}`.
///
/// `pod` is the stored object. WebSocket streams need a connection with upgrades (HTTP/1.1). A
/// `CancellationToken` in the extensions of the request ends them.
pub(crate) fn respond(
    request: Request<RequestBody>,
    pod: Value,
    subresource: &str,
) -> Result<Response<Body>, Status> {
    respond_with_tick(request, pod, subresource, TICK)
}

/// Like [`respond`], with the interval of the main process.
fn respond_with_tick(
    request: Request<RequestBody>,
    pod: Value,
    subresource: &str,
    tick: Duration,
) -> Result<Response<Body>, Status> {
    let pod: Pod = serde_json::from_value(pod)
        .map_err(|error| Status::internal(format!("the stored pod cannot be read: {error}")))?;
    let query = Form::parse(request.uri().query());
    match subresource {
        "log" if request.method() == Method::GET => {
            logs::respond(&query, &pod.container(query.get("container"), tick)?)
        }
        "exec" => {
            let container = pod.container(query.get("container"), tick)?;
            remote_command::exec(request, &query, container)
        }
        "attach" => {
            let container = pod.container(query.get("container"), tick)?;
            remote_command::attach(request, &query, container)
        }
        "portforward" => port_forward::respond(request, &query, &pod),
        _ => Err(Status::method_not_allowed()),
    }
}
