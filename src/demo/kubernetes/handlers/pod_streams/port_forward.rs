//! `pods/{name}/portforward` over the WebSocket channel protocol: two channels a port,
//! data and error, each beginning with the port as two bytes, little-endian.
//!
//! Behind every port stands the same pretend server: it answers HTTP GET and HEAD with a
//! greeting, and sends any other bytes back.

use bytes::{Bytes, BytesMut};
use futures_util::{SinkExt as _, StreamExt as _};
use hyper::{Request, Response};
use tokio_tungstenite::tungstenite;

use super::pod::Pod;
use super::websocket::{self, Frame, Protocol, Socket};
use crate::demo::form::Query;
use crate::demo::kubernetes::encoding::status::Status;
use crate::demo::request_body::RequestBody;
use crate::demo::server::Body;

/// Enough for a demo; each takes two channels.
const PORTS: usize = 5;
/// A request's head may not grow beyond this.
const HEAD_LIMIT: usize = 64 * 1024;

/// Answers `portforward` for the query's `ports` (or `port`).
///
/// # Errors
/// No ports or bad ones, or no WebSocket upgrade; SPDY tunnelled in a WebSocket (kubectl's
/// way) is not offered.
pub(super) fn answer(
    request: Request<RequestBody>,
    query: &Query,
    pod: &Pod,
) -> Result<Response<Body>, Status> {
    let accepted = websocket::accept(request, Protocol::PORT_FORWARD)?;
    let ports = read_ports(query)?;
    let servers = ports
        .iter()
        .map(|&port| Server::new(pod.name(), port))
        .collect();
    Ok(accepted.serve(|socket, protocol| async move {
        let ended = serve(socket, protocol, servers).await.err();
        tracing::debug!(?ended, "a port-forward's client left");
    }))
}

fn read_ports(query: &Query) -> Result<Vec<u16>, Status> {
    let ports = query.all("ports").chain(query.all("port"));
    let ports = ports.flat_map(|list| list.split(',')).map(|text| {
        let port = text.parse().ok().filter(|port| *port > 0);
        port.ok_or_else(|| Status::bad_request(format!("unable to parse {text:?} as a port")))
    });
    let ports: Vec<u16> = ports.collect::<Result<_, _>>()?;
    match ports.len() {
        0 => Err(Status::bad_request("query parameter \"ports\" is required")),
        1..=PORTS => Ok(ports),
        _ => Err(Status::bad_request(format!(
            "the demo forwards at most {PORTS} ports at once"
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
            for reply in server.receive(data) {
                socket.send(websocket::encode(channel, &reply)).await?;
            }
        }
    }
    Ok(())
}

/// The pretend server behind one forwarded port.
struct Server {
    greeting: String,
    port: u16,
    talk: Talk,
}

enum Talk {
    /// Too little came to tell.
    Opening(BytesMut),
    /// Requests, the last one not yet whole.
    Http(BytesMut),
    Echo,
}

impl Server {
    fn new(pod: &str, port: u16) -> Self {
        Self {
            greeting: format!("hello from pod {pod}, port {port}\n"),
            port,
            talk: Talk::Opening(BytesMut::new()),
        }
    }

    fn receive(&mut self, data: Bytes) -> Vec<Bytes> {
        match &mut self.talk {
            Talk::Echo => vec![data],
            Talk::Http(requests) => {
                requests.extend_from_slice(&data);
                self.greet()
            }
            Talk::Opening(opening) => {
                opening.extend_from_slice(&data);
                let opening = std::mem::take(opening);
                self.open(opening)
            }
        }
    }

    fn open(&mut self, opening: BytesMut) -> Vec<Bytes> {
        let methods: [&[u8]; 2] = [b"GET ", b"HEAD "];
        if methods.iter().any(|method| opening.starts_with(method)) {
            self.talk = Talk::Http(opening);
            self.greet()
        } else if methods.iter().any(|method| method.starts_with(&opening)) {
            self.talk = Talk::Opening(opening);
            Vec::new()
        } else {
            self.talk = Talk::Echo;
            vec![opening.freeze()]
        }
    }

    /// Answers each whole request that came.
    fn greet(&mut self) -> Vec<Bytes> {
        let Talk::Http(requests) = &mut self.talk else {
            return Vec::new();
        };
        let mut replies = Vec::new();
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
            replies.push(Bytes::from(head + body));
        }
        if requests.len() > HEAD_LIMIT {
            requests.clear();
            replies.push(Bytes::from_static(
                b"HTTP/1.1 431 Request Header Fields Too Large\r\nContent-Length: 0\r\n\r\n",
            ));
        }
        replies
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use bytes::Bytes;

    use super::{Server, read_ports};
    use crate::demo::form::Query;

    #[test]
    fn ports_are_read_as_kubelets_read_them() {
        let ports = |text| read_ports(&Query::parse(Some(text)));
        assert_eq!(ports("ports=80,8080&port=1").unwrap(), [80, 8080, 1]);
        for bad in ["", "ports=", "ports=0", "ports=65536", "ports=x"] {
            assert!(ports(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn http_is_greeted_however_it_is_cut_and_all_else_comes_back() {
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
