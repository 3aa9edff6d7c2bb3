//! WebSocket tunnels to a port of the demo's pod `hello`.

use std::{
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{io::AsyncWriteExt as _, net::TcpStream, time::timeout};

use super::{Client, PATIENCE, crowd, find, more};

const PATH: &str = "/api/v1/namespaces/default/pods/hello/portforward?ports=80";
/// What the demo sends first: the port, little-endian, on the channels of data and of errors.
const PORTS: [u8; 10] = [0x82, 3, 0, 80, 0, 0x82, 3, 1, 80, 0];
const WORD: &[u8; 6] = b"\x00hello";

/// Open tunnels.
pub struct Tunnels {
    /// From the first connection to the first bytes out of the last tunnel.
    pub opened_in: Duration,
    streams: Vec<TcpStream>,
}

impl Tunnels {
    /// Opens `count` tunnels, and waits for the first bytes out of each.
    pub async fn open(client: Client, count: usize) -> io::Result<Self> {
        let begun = Instant::now();
        let request: Arc<str> = format!(
            "GET {PATH} HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             Sec-WebSocket-Protocol: v4.channel.k8s.io\r\n\r\n",
            client.address
        )
        .into();
        let streams = crowd(count, move || {
            let request = Arc::clone(&request);
            async move {
                let (stream, mut read) = client.ask(request.as_bytes(), "101").await?;
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

    /// Sends a word through every tunnel, and waits until all came back.
    pub async fn echo(&mut self) -> io::Result<Duration> {
        let begun = Instant::now();
        // A binary message of 6 bytes, under the mask 0.
        let message = [&[0x82, 0x80 | 6, 0, 0, 0, 0], &WORD[..]].concat();
        let answer = [&[0x82, 6], &WORD[..]].concat();
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
