//! What flows after a 101: the bytes of either end as they are, each direction by itself.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, split},
    time::{Duration, sleep},
};

use super::{PORT_FORWARD, Setup, spdy, websocket};
use crate::support::{Connection, halt, in_time};

const MIB: usize = 1024 * 1024;

const SWITCHED: &str = "HTTP/1.1 101 Switching Protocols\r\n";

/// Makes an upgrade to [`PORT_FORWARD`].
type Ask = fn(&str, &str) -> String;

/// Every test holds for both protocols.
const BOTH: [(Ask, &str); 2] = [(websocket, "websocket"), (spdy, "SPDY/3.1")];

/// Both ends of a tunnel.
struct Tunnel {
    client: Connection,
    server: Connection,
}

impl Setup {
    /// Sends an upgrade, and behind it in the same segment what is `early`; the server has read
    /// the request, but not answered yet.
    async fn ask(&mut self, ask: Ask, early: &str) -> Tunnel {
        let request = ask(PORT_FORWARD, "") + early;
        let (_, client, server) = self.forwarded(request).await;
        Tunnel { client, server }
    }

    /// A tunnel that both ends have agreed on.
    async fn tunnel(&mut self, (ask, protocol): (Ask, &str)) -> Tunnel {
        let mut tunnel = self.ask(ask, "").await;
        tunnel.server.write(switch(protocol)).await;
        let head = in_time(tunnel.client.head()).await.unwrap();
        assert!(head.starts_with(SWITCHED), "{head}");
        tunnel
    }
}

fn switch(protocol: &str) -> String {
    format!("{SWITCHED}Connection: Upgrade\r\nUpgrade: {protocol}\r\n\r\n")
}

/// Bytes without a pattern, the same for the same seed (xorshift64).
fn noise(mut seed: u64, length: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(length);
    while bytes.len() < length {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        bytes.extend_from_slice(&seed.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// Both at once: sends `bytes` and ends, and reads to the other's end.
async fn converse(end: Connection, bytes: &[u8]) -> Vec<u8> {
    let (mut reader, mut writer) = split(end.into_stream());
    let mut read = Vec::new();
    let write = async {
        writer.write_all(bytes).await?;
        writer.shutdown().await
    };
    let (read_to_end, written) = tokio::join!(reader.read_to_end(&mut read), write);
    read_to_end.unwrap();
    written.unwrap();
    read
}

/// Compares without printing megabytes.
fn same(got: &[u8], sent: &[u8]) {
    assert_eq!(got.len(), sent.len());
    assert!(got == sent, "the bytes differ");
}

#[tokio::test]
async fn a_mebibyte_each_way_at_once_arrives_byte_for_byte() {
    let mut setup = Setup::new(&[]).await;
    for kind in BOTH {
        let tunnel = setup.tunnel(kind).await;
        let (up, down) = (noise(1, MIB), noise(2, MIB));
        let both =
            async { tokio::join!(converse(tunnel.client, &up), converse(tunnel.server, &down)) };
        let (at_client, at_server) = in_time(both).await;
        same(&at_client, &down);
        same(&at_server, &up);
    }
}

/// Ends the direction of `first`, then sends a mebibyte of `second` and ends that.
async fn half_close(mut first: Connection, mut second: Connection) {
    first.write("that is all").await;
    first.shutdown().await;
    assert_eq!(in_time(second.rest()).await, b"that is all");
    // Only now, after the end of the other direction.
    let bytes = noise(3, MIB);
    let ((), received) = in_time(async {
        let send = async {
            second.write(&bytes).await;
            second.shutdown().await;
        };
        tokio::join!(send, first.rest())
    })
    .await;
    same(&received, &bytes);
}

#[tokio::test]
async fn after_the_end_of_the_clients_direction_the_server_still_sends() {
    let mut setup = Setup::new(&[]).await;
    for kind in BOTH {
        let Tunnel { client, server } = setup.tunnel(kind).await;
        half_close(client, server).await;
    }
}

#[tokio::test]
async fn after_the_end_of_the_servers_direction_the_client_still_sends() {
    let mut setup = Setup::new(&[]).await;
    for kind in BOTH {
        let Tunnel { client, server } = setup.tunnel(kind).await;
        half_close(server, client).await;
    }
}

#[tokio::test]
async fn bytes_in_the_same_segment_as_the_101_arrive() {
    let mut setup = Setup::new(&[]).await;
    for (ask, protocol) in BOTH {
        let Tunnel {
            mut client,
            mut server,
        } = setup.ask(ask, "").await;
        server.write(switch(protocol) + "at once").await;
        let head = in_time(client.head()).await.unwrap();
        assert!(head.starts_with(SWITCHED), "{head}");
        assert_eq!(in_time(client.exactly(7)).await.unwrap(), b"at once");
        // And the tunnel is whole.
        client.write("answer").await;
        assert_eq!(in_time(server.exactly(6)).await.unwrap(), b"answer");
    }
}

#[tokio::test]
async fn a_101_its_data_and_the_end_in_one_go_all_arrive() {
    let mut setup = Setup::new(&[]).await;
    let Tunnel {
        mut client,
        mut server,
    } = setup.ask(spdy, "").await;
    let down = noise(5, 100_000);
    let text = [switch("SPDY/3.1").as_bytes(), &down].concat();
    let ((), got) = in_time(async {
        let speak = async {
            server.write(text).await;
            server.shutdown().await;
        };
        let listen = async {
            client.head().await.unwrap();
            client.rest().await
        };
        tokio::join!(speak, listen)
    })
    .await;
    same(&got, &down);
}

#[tokio::test]
async fn bytes_in_the_same_segment_as_the_request_arrive_after_the_101() {
    let mut setup = Setup::new(&[]).await;
    for (ask, protocol) in BOTH {
        let Tunnel {
            mut client,
            mut server,
        } = setup.ask(ask, "early").await;
        server.write(switch(protocol)).await;
        in_time(client.head()).await.unwrap();
        assert_eq!(in_time(server.exactly(5)).await.unwrap(), b"early");
    }
}

#[tokio::test]
async fn a_server_that_does_not_read_stops_the_client() {
    let mut setup = Setup::new(&[]).await;
    let Tunnel { client, server } = setup.tunnel((spdy, "SPDY/3.1")).await;
    stops_and_goes_on(client, server).await;
}

#[tokio::test]
async fn a_client_that_does_not_read_stops_the_server() {
    let mut setup = Setup::new(&[]).await;
    let Tunnel { client, server } = setup.tunnel((spdy, "SPDY/3.1")).await;
    stops_and_goes_on(server, client).await;
}

/// Far more than all socket buffers on the way hold together.
const MUCH: usize = 48 * MIB;

/// More than those buffers hold, which grow to 6 MiB each on Linux, and far less than all.
const HELD: usize = 32 * MIB;

/// `writer` comes to a halt while `reader` does not read; then all arrives.
async fn stops_and_goes_on(writer: Connection, reader: Connection) {
    let progress = Arc::new(AtomicUsize::new(0));
    let writing = tokio::spawn(write_counted(writer.into_stream(), progress.clone()));
    let halted_at = in_time(halt(&progress)).await;
    assert!(halted_at < HELD, "{halted_at} bytes went to nobody");
    let expected = noise(6, MIB);
    let (mut stream, mut got) = (reader.into_stream(), vec![0; MIB]);
    for _ in 0..MUCH / MIB {
        in_time(stream.read_exact(&mut got)).await.unwrap();
        same(&got, &expected);
    }
    in_time(writing).await.unwrap();
    assert_eq!(progress.load(Ordering::SeqCst), MUCH);
}

async fn write_counted(stream: impl AsyncRead + AsyncWrite + Unpin, progress: Arc<AtomicUsize>) {
    let (_, mut writer) = split(stream);
    let bytes = noise(6, MIB);
    for _ in 0..MUCH / MIB {
        for part in bytes.chunks(64 * 1024) {
            writer.write_all(part).await.unwrap();
            progress.fetch_add(part.len(), Ordering::SeqCst);
        }
    }
    writer.flush().await.unwrap();
}

#[tokio::test]
async fn a_client_that_is_gone_ends_the_servers_side() {
    let mut setup = Setup::new(&[]).await;
    for kind in BOTH {
        let Tunnel { client, mut server } = setup.tunnel(kind).await;
        drop(client);
        assert_eq!(in_time(server.rest()).await, b"");
        // What it still says finds nobody, and soon it is told so.
        in_time(until_refused(server)).await;
    }
}

#[tokio::test]
async fn a_server_that_is_gone_ends_the_clients_side() {
    let mut setup = Setup::new(&[]).await;
    for kind in BOTH {
        let Tunnel { mut client, server } = setup.tunnel(kind).await;
        drop(server);
        assert_eq!(in_time(client.rest()).await, b"");
        in_time(until_refused(client)).await;
    }
}

async fn until_refused(end: Connection) {
    let mut stream = end.into_stream();
    while stream.write_all(&[0; 4096]).await.is_ok() {
        // As a peer would: one piece after the other, for as long as it takes.
        sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn the_log_has_one_line_of_a_tunnel_at_its_end_and_a_break_only_where_one_is() {
    let mut setup = Setup::new(&[]).await;
    let mut tunnel = setup.tunnel(BOTH[0]).await;
    tunnel.client.write("1234567").await;
    in_time(tunnel.server.exactly(7)).await.unwrap();
    tunnel.server.write("123").await;
    in_time(tunnel.client.exactly(3)).await.unwrap();
    let request = format!("GET {PORT_FORWARD} 101 ");
    assert!(!setup.kubegate.log().contains(&request));
    // As an exec ends: the server says that nothing more comes, and the client leaves.
    in_time(tunnel.server.shutdown()).await;
    assert!(in_time(tunnel.client.rest()).await.is_empty());
    tunnel.client.reset();
    logged(&setup, &request).await;
    let log = setup.kubegate.log();
    let line = log.lines().find(|line| line.contains(&request)).unwrap();
    assert!(line.ends_with(" 3 bytes, 7 bytes sent"), "{line}");
    assert!(!log.contains("tunnel broke"), "{log}");
    // The control: a server that is gone in the middle.
    let mut tunnel = setup.tunnel(BOTH[0]).await;
    tunnel.server.reset();
    in_time(tunnel.client.rest()).await;
    logged(&setup, "tunnel broke").await;
}

async fn logged(setup: &Setup, part: &str) {
    in_time(async {
        while !setup.kubegate.log().contains(part) {
            sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}
