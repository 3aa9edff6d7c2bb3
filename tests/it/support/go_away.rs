//! Closes HTTP/2 connections gracefully like Go's servers (golang.org/x/net/http2), and so API
//! servers: with one GOAWAY that names the last stream. Streams up to that one continue, frames of
//! newer ones are ignored, and the connection ends with its last stream.

use std::{collections::HashSet, io, sync::Mutex, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, split},
    time::sleep,
};

use super::frames::{DATA, END_STREAM, GO_AWAY, HEADERS, RST_STREAM};

/// How long Go's servers keep reading after all streams have ended.
const LINGER: Duration = Duration::from_secs(1);

/// The length of the client's connection preface (RFC 9113, section 3.4).
const PREFACE: usize = 24;

/// The streams of one connection.
#[derive(Default)]
struct Streams {
    last: u32,
    count: usize,
    is_going_away: bool,
    open: HashSet<u32>,
}

struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    bytes: Vec<u8>,
}

impl Frame {
    async fn read(reader: &mut (impl AsyncRead + Unpin)) -> io::Result<Self> {
        let mut bytes = vec![0; 9];
        reader.read_exact(&mut bytes).await?;
        let length = u32::from_be_bytes([0, bytes[0], bytes[1], bytes[2]]) as usize;
        bytes.resize(9 + length, 0);
        reader.read_exact(&mut bytes[9..]).await?;
        let stream = u32::from_be_bytes([bytes[5] & 0x7f, bytes[6], bytes[7], bytes[8]]);
        Ok(Self {
            kind: bytes[3],
            flags: bytes[4],
            stream,
            bytes,
        })
    }

    /// Whether it is the sender's last frame of its stream.
    fn is_last(&self) -> bool {
        let last = matches!(self.kind, DATA | HEADERS) && self.flags & END_STREAM != 0;
        last || self.kind == RST_STREAM
    }
}

/// Relays between a client and a server, and closes the connection gracefully after a number of
/// streams. Returns whether there were that many.
pub async fn go_away_after<C, S>(streams: usize, client: C, server: S) -> bool
where
    C: AsyncRead + AsyncWrite + Unpin,
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (mut note_client_frame, to_client) = split(client);
    let (mut note_server_frame, mut to_server) = split(server);
    // Both directions write complete frames while they hold the lock.
    let to_client = tokio::sync::Mutex::new(to_client);
    let state = Mutex::new(Streams::default());
    let up = async {
        let mut preface = [0; PREFACE];
        note_client_frame.read_exact(&mut preface).await?;
        to_server.write_all(&preface).await?;
        loop {
            let frame = Frame::read(&mut note_client_frame).await?;
            let (is_passed, last) = state.lock().unwrap().note_client_frame(&frame, streams);
            if let Some(last) = last {
                let head = [0, 0, 8, GO_AWAY, 0, 0, 0, 0, 0];
                let go_away = [&head[..], &last.to_be_bytes(), &[0; 4]].concat();
                write(&to_client, &go_away).await?;
            }
            if is_passed {
                to_server.write_all(&frame.bytes).await?;
                to_server.flush().await?;
            }
        }
    };
    let down = async {
        loop {
            let frame = Frame::read(&mut note_server_frame).await?;
            write(&to_client, &frame.bytes).await?;
            if state.lock().unwrap().note_server_frame(&frame) {
                // A connection that is closed with unread data is reset.
                sleep(LINGER).await;
                return to_client.lock().await.shutdown().await;
            }
        }
    };
    // The end of either side is no error here.
    let _: io::Result<()> = tokio::select! {
        ended = up => ended,
        ended = down => ended,
    };
    state.into_inner().unwrap().is_going_away
}

async fn write<W: AsyncWrite + Unpin>(to: &tokio::sync::Mutex<W>, bytes: &[u8]) -> io::Result<()> {
    let mut to = to.lock().await;
    to.write_all(bytes).await?;
    to.flush().await
}

impl Streams {
    /// Handles a frame of the client. Returns whether it is passed on, and the last stream if the
    /// connection is to be closed now.
    fn note_client_frame(&mut self, frame: &Frame, limit: usize) -> (bool, Option<u32>) {
        let mut last = None;
        if frame.stream > self.last && frame.kind == HEADERS && !self.is_going_away {
            self.last = frame.stream;
            self.count += 1;
            self.open.insert(frame.stream);
            self.is_going_away = self.count == limit;
            last = self.is_going_away.then_some(self.last);
        }
        if frame.kind == RST_STREAM {
            self.open.remove(&frame.stream);
        }
        (frame.stream <= self.last, last)
    }

    /// Handles a frame of the server. Returns whether the connection ends after it.
    fn note_server_frame(&mut self, frame: &Frame) -> bool {
        if frame.is_last() {
            self.open.remove(&frame.stream);
        }
        self.is_going_away && self.open.is_empty()
    }
}
