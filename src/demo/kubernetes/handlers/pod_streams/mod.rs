//! The streams of a pod: exec, attach, port-forward and logs of a pretend container.
//!
//! A request becomes a `Query` and a `pod::Container`, or a `Status` in Kubernetes'
//! own words. Exec, attach and port-forward then speak the
//! WebSocket channel protocols (`websocket`); SPDY/3.1 is not offered.
//!
//! A remote command has two halves: `remote_command` holds the client's end of the wire,
//! `console` the process's end, with `terminal` between them where a TTY was asked for.
//! The processes are a small `shell` and the `main_process`, whose ticks are also the log.

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
use crate::demo::form::Query;
use crate::demo::kubernetes::encoding::status::Status;
use crate::demo::request_body::RequestBody;
use crate::demo::server::Body;

/// How often the pretend main process writes a line.
const TICK: Duration = Duration::from_secs(1);

/// Answers `pods/{name}/{exec,attach,portforward,log}` for an authenticated caller.
///
/// `pod` is the stored object. The connection must be served with upgrades
/// (`with_upgrades`, HTTP/1.1) for the WebSocket streams to begin; a `CancellationToken`
/// among the request's extensions ends them.
pub(crate) fn answer(
    request: Request<RequestBody>,
    pod: Value,
    subresource: &str,
) -> Result<Response<Body>, Status> {
    answer_paced(request, pod, subresource, TICK)
}

/// [`answer`], with the pace of the pretend main process in the caller's hands.
fn answer_paced(
    request: Request<RequestBody>,
    pod: Value,
    subresource: &str,
    tick: Duration,
) -> Result<Response<Body>, Status> {
    let pod: Pod = serde_json::from_value(pod)
        .map_err(|error| Status::internal(format!("the stored pod cannot be read: {error}")))?;
    let query = Query::parse(request.uri().query());
    match subresource {
        "log" if request.method() == Method::GET => {
            logs::answer(&query, &pod.container(query.get("container"), tick)?)
        }
        "exec" => {
            let container = pod.container(query.get("container"), tick)?;
            remote_command::exec(request, &query, container)
        }
        "attach" => {
            let container = pod.container(query.get("container"), tick)?;
            remote_command::attach(request, &query, container)
        }
        "portforward" => port_forward::answer(request, &query, &pod),
        _ => Err(Status::method_not_allowed()),
    }
}
