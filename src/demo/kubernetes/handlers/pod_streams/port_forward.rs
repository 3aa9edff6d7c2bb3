//! `pods/{name}/portforward` over the WebSocket channel protocol. Each port has two channels, for
//! data and errors, which begin with the port as two bytes, little-endian.
//!
//! The same simulated server listens on every port. It responds to HTTP GET and HEAD with a
//! greeting, and echoes all other bytes.

use bytes::{Bytes, BytesMut};
use futures_util::{SinkExt as _, StreamExt as _};
use hyper::{Request, Response};
use tokio_tungstenite::tungstenite;

use super::pod::Pod;
use super::websocket::{self, Frame, Protocol, Socket};
use crate::demo::form::Form;
use crate::demo::kubernetes::encoding::status::Status;
use crate::demo::request_body::RequestBody;
use crate::demo::server::Body;

/// The largest number of ports in a request.
const MAX_PORTS: usize = 5;
/// The largest head of an HTTP request, in bytes.
const HEAD_LIMIT: usize = 64 * 1024;

/// Responds to `portforward` with the ports of the query parameters `ports` and `port`.
///
/// # Errors
/// There are no ports, a port is invalid, or the request is not a WebSocket upgrade. SPDY tunnelled
/// in a WebSocket, which kubectl tries first, is not supported.
pub(super) fn respond(
    request: Request<RequestBody>,
    query: &Form,
    pod: &Pod,
) -> Result<Response<Body>, Status> {
    let accepted = websocket::accept(request, Protocol::PORT_FORWARD)?;
    let ports = parse_ports(query)?;
    let servers = ports
        .iter()
        .map(|&port| Server::new(pod.name(), port))
        .collect();
    Ok(accepted.serve(|socket, protocol| async move {
        let error = serve(socket, protocol, servers).await.err();
        tracing::debug!(?error, "the client of a port-forward disconnected");
    }))
}

fn parse_ports(query: &Form) -> Result<Vec<u16>, Status> {
    let ports = query.all("ports").chain(query.all("port"));
    let ports = ports.flat_map(|list| list.split(',')).map(|text| {
        let port = text.parse().ok().filter(|port| *port > 0);
        port.ok_or_else(|| Status::bad_request(format!("unable to parse {text:?} as a port")))
    });
    let ports: Vec<u16> = ports.collect::<Result<_, _>>()?;
    match ports.len() {
        0 => Err(Status::bad_request("query parameter \"ports\" is required")),
        1..=MAX_PORTS => Ok(ports),
        _ => Err(Status::bad_request(format!(
            "the demo forwards at most {MAX_PORTS} ports at once"
        ))),
    }
}

async fn serve(
    mut socket: Socket,
    protocol: Protocol,
    mut servers: Vec<Server>,
) -> tungstenite::Result<()> {
    for (channels, server) in (0u8..).step_by(2).zip(&servers) {
        let port = server.port.to_le_bytes();
        socket.feed(websocket::encode(channels, &port)).await?;
        socket.feed(websocket::encode(channels + 1, &port)).await?;
    }
    socket.flush().await?;
    while let Some(message) = socket.next().await {
        let Some(Frame::Data(channel, data)) = protocol.decode(message?) else {
            continue;
        };
        let server = servers.get_mut(usize::from(channel / 2));
        if let Some(server) = server.filter(|_| channel % 2 == 0) {
            for response in server.receive(data) {
                socket.send(websocket::encode(channel, &response)).await?;
            }
        }
    }
    Ok(())
}

/// The simulated server of one forwarded port.
struct Server {
    greeting: String,
    port: u16,
    state: State,
}

enum State {
    /// Too few bytes were received to know whether they are HTTP.
    Undecided(BytesMut),
    /// HTTP requests. The last one is incomplete.
    Http(BytesMut),
    Echo,
}

impl Server {
    fn new(pod: &str, port: u16) -> Self {
        Self {
            greeting: format!("hello from pod {pod}, port {port}\n"),
            port,
            state: State::Undecided(BytesMut::new()),
        }
    }

    fn receive(&mut self, data: Bytes) -> Vec<Bytes> {
        match &mut self.state {
            State::Echo => vec![data],
            State::Http(requests) => {
                requests.extend_from_slice(&data);
                self.respond_to_requests()
            }
            State::Undecided(received) => {
                received.extend_from_slice(&data);
                let received = std::mem::take(received);
                self.decide(received)
            }
        }
    }

    fn decide(&mut self, received: BytesMut) -> Vec<Bytes> {
        let methods: [&[u8]; 2] = [b"GET ", b"HEAD "];
        if methods.iter().any(|method| received.starts_with(method)) {
            self.state = State::Http(received);
            self.respond_to_requests()
        } else if methods.iter().any(|method| method.starts_with(&received)) {
            self.state = State::Undecided(received);
            Vec::new()
        } else {
            self.state = State::Echo;
            vec![received.freeze()]
        }
    }

    /// Responds to each complete request.
    fn respond_to_requests(&mut self) -> Vec<Bytes> {
        let State::Http(requests) = &mut self.state else {
            return Vec::new();
        };
        let mut responses = Vec::new();
        while let Some(end) = requests.windows(4).position(|four| four == b"\r\n\r\n") {
            let request = requests.split_to(end + 4);
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n",
                self.greeting.len()
            );
            let body = if request.starts_with(b"HEAD ") {
                ""
            } else {
                &self.greeting
            };
            responses.push(Bytes::from(head + body));
        }
        if requests.len() > HEAD_LIMIT {
            requests.clear();
            responses.push(Bytes::from_static(
                b"HTTP/1.1 431 Request Header Fields Too Large\r\nContent-Length: 0\r\n\r\n",
            ));
        }
        responses
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use bytes::Bytes;

    use super::{Server, parse_ports};
    use crate::demo::form::Form;

    #[test]
    fn ports_are_parsed_as_by_kubelets() {
        let ports = |text| parse_ports(&Form::parse(Some(text)));
        assert_eq!(ports("ports=80,8080&port=1").unwrap(), [80, 8080, 1]);
        for bad in ["", "ports=", "ports=0", "ports=65536", "ports=x"] {
            assert!(ports(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn http_requests_get_a_greeting_and_other_bytes_an_echo() {
        let mut http = Server::new("web", 80);
        assert!(http.receive(Bytes::from_static(b"GE")).is_empty());
        assert!(
            http.receive(Bytes::from_static(b"T / HTTP/1.1\r\n"))
                .is_empty()
        );
        let replies = http.receive(Bytes::from_static(b"Host: x\r\n\r\n"));
        let reply = String::from_utf8(replies.concat()).unwrap();
        assert!(reply.starts_with("HTTP/1.1 200 OK\r\n"), "{reply}");
        assert!(
            reply.ends_with("\r\n\r\nhello from pod web, port 80\n"),
            "{reply}"
        );

        let mut echo = Server::new("web", 80);
        assert_eq!(echo.receive(Bytes::from_static(b"ping")), ["ping"]);
        assert_eq!(echo.receive(Bytes::from_static(b"GET ")), ["GET "]);
    }
}
