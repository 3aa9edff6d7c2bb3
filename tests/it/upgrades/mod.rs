//! Upgrades: what may begin one, how it looks upstream, what becomes of those that fail, and
//! what flows through the others.

mod credentials;
mod failing;
mod passing;
mod tunnels;

use crate::support::{Connection, Handed, Kubegate, Message, Upstream, cert, in_time, status};

const PORT_FORWARD: &str = "/api/v1/namespaces/default/pods/web/portforward";
const WATCH: &str = "/api/v1/pods?watch=1";

/// kubegate before a server that the test itself speaks for.
struct Setup {
    kubegate: Kubegate,
    upstream: Upstream,
    handed: Handed,
}

impl Setup {
    async fn new(flags: &[&str]) -> Self {
        Self::with_login(&["--token", "sesame"], flags).await
    }

    async fn with_login(login: &[&str], flags: &[&str]) -> Self {
        let (upstream, handed) = Upstream::handed().await;
        let ca = cert("ca.pem").display().to_string();
        let server = upstream.url();
        let args = ["--server", &server, "--certificate-authority", &ca];
        Self {
            kubegate: Kubegate::start(args.iter().chain(login).chain(flags)),
            upstream,
            handed,
        }
    }

    async fn client(&self, bytes: impl AsRef<[u8]>) -> Connection {
        let mut client = Connection::open(&self.kubegate.address).await;
        client.write(bytes).await;
        client
    }

    /// Sends `bytes`: the request as it comes upstream, and both ends.
    async fn forwarded(&mut self, bytes: impl AsRef<[u8]>) -> (Message, Connection, Connection) {
        let client = self.client(bytes).await;
        let mut server = self.handed.next().await;
        let request = in_time(server.request()).await.unwrap();
        (request, client, server)
    }

    /// What comes upstream of `bytes`, which the server then declines.
    async fn upstream_sees(&mut self, bytes: impl AsRef<[u8]>) -> String {
        let (request, mut client, mut server) = self.forwarded(bytes).await;
        let declined = "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        server.write(declined).await;
        let head = in_time(client.head()).await.unwrap();
        assert_eq!(status(&head), 400, "{head}");
        request.head
    }

    /// The answer to `bytes`, which never comes upstream.
    async fn refuses(&self, bytes: impl AsRef<[u8]>) -> String {
        let before = self.upstream.connections();
        let mut client = self.client(bytes).await;
        let head = in_time(client.head()).await.unwrap();
        let length = lines(&head, "content-length")[0].parse().unwrap();
        let body = in_time(client.exactly(length)).await.unwrap();
        assert_eq!(self.upstream.connections(), before);
        head + std::str::from_utf8(&body).unwrap()
    }
}

/// A WebSocket upgrade with more header lines, each ended.
fn websocket(path: &str, lines: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: keep-alive, Upgrade\r\n\
         Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{lines}\r\n"
    )
}

/// As kubectl up to 1.29 asks for streams.
fn spdy(path: &str, lines: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\n\
         Upgrade: SPDY/3.1\r\nContent-Length: 0\r\n{lines}\r\n"
    )
}

/// All lines of one header (its name in lower case), as they stand.
fn lines<'a>(head: &'a str, name: &str) -> Vec<&'a str> {
    head.lines()
        .filter_map(|line| line.split_once(": "))
        .filter(|(n, _)| n.eq_ignore_ascii_case(name))
        .map(|(_, value)| value)
        .collect()
}
