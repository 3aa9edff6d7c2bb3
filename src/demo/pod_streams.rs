//! The streams of a pod: exec, attach, port-forward and logs of a pretend container.
//!
//! A request becomes a `query::Query` and a `pod::Container`, or a refusal in Kubernetes'
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
mod query;
mod refusal;
mod remote_command;
mod shell;
mod terminal;
mod websocket;

#[cfg(test)]
mod tests;

use std::time::Duration;

use hyper::body::Incoming;
use hyper::{Method, Request, Response};
use serde_json::Value;

use self::pod::Pod;
use self::query::Query;
use self::refusal::Refusal;
use super::Body;

/// How often the pretend main process writes a line.
const TICK: Duration = Duration::from_secs(1);

/// Answers `pods/{name}/{exec,attach,portforward,log}` for an authenticated caller.
///
/// `pod` is the stored object. The connection must be served with upgrades
/// (`with_upgrades`, HTTP/1.1) for the WebSocket streams to begin; a `CancellationToken`
/// among the request's extensions ends them. What is refused is answered with a Kubernetes
/// `Status`.
#[expect(
    clippy::unused_async,
    reason = "the handlers of the demo are all awaited alike"
)]
pub(super) async fn serve(
    request: Request<Incoming>,
    pod: Value,
    subresource: &str,
) -> Response<Body> {
    serve_paced(request, pod, subresource, TICK)
}

/// [`serve`], with the pace of the pretend main process in the caller's hands.
fn serve_paced(
    request: Request<Incoming>,
    pod: Value,
    subresource: &str,
    tick: Duration,
) -> Response<Body> {
    answer(request, pod, subresource, tick).unwrap_or_else(Refusal::into_response)
}

fn answer(
    request: Request<Incoming>,
    pod: Value,
    subresource: &str,
    tick: Duration,
) -> Result<Response<Body>, Refusal> {
    let pod: Pod = serde_json::from_value(pod).map_err(Refusal::MalformedPod)?;
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
        _ => Err(Refusal::MethodNotAllowed),
    }
}
