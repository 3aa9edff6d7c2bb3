//! WebSocket tunnels to a port of the demo's pod `hello`.

use std::{
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{io::AsyncWriteExt as _, net::TcpStream, time::timeout};

use super::{Client, PATIENCE, find, more, open_many};

const PATH: &str = "/api/v1/namespaces/default/pods/hello/portforward?ports=80";
/// The first messages of the demo: the port, little-endian, on the data and the error channel.
const PORTS: [u8; 10] = [0x82, 3, 0, 80, 0, 0x82, 3, 1, 80, 0];
const MESSAGE: &[u8; 6] = b"\x00hello";

/// Open tunnels.
pub struct Tunnels {
    /// The time from the first connection to the first bytes of the last tunnel.
    pub opened_in: Duration,
    streams: Vec<TcpStream>,
}

impl Tunnels {
    /// Opens `count` tunnels, and waits for the first bytes of each.
    pub async fn open(client: Client, count: usize) -> io::Result<Self> {
        let begun = Instant::now();
        let request: Arc<str> = format!(
            "GET {PATH} HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             Sec-WebSocket-Protocol: v4.channel.k8s.io\r\n\r\n",
            client.address
        )
        .into();
        let streams = open_many(count, move || {
            let request = Arc::clone(&request);
            async move {
                let (stream, mut read) = client.request(request.as_bytes(), "101").await?;
                while read.len() < PORTS.len() {
                    more(&stream, &mut read).await?;
                }
                if read != PORTS {
                    return Err(io::Error::other(format!("not the ports: {read:?}")));
                }
                Ok(stream)
            }
        });
        Ok(Self {
            streams: timeout(PATIENCE, streams).await??,
            opened_in: begun.elapsed(),
        })
    }

    /// Sends a message through every tunnel, and waits for all echoes.
    pub async fn echo(&mut self) -> io::Result<Duration> {
        let begun = Instant::now();
        // A binary message of 6 bytes with the mask 0.
        let message = [&[0x82, 0x80 | 6, 0, 0, 0, 0], &MESSAGE[..]].concat();
        let answer = [&[0x82, 6], &MESSAGE[..]].concat();
        let echoed = async {
            for stream in &mut self.streams {
                stream.write_all(&message).await?;
            }
            for stream in &self.streams {
                let mut read = Vec::new();
                while find(&read, &answer).is_none() {
                    more(stream, &mut read).await?;
                }
            }
            Ok(())
        };
        timeout(PATIENCE, echoed).await?.map(|()| begun.elapsed())
    }
}
