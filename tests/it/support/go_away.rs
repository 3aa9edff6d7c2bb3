//! Leaves HTTP/2 connections as Go's servers do (golang.org/x/net/http2, and so API servers):
//! one GOAWAY that names the last stream seen. Streams up to that one go on; frames of newer ones
//! are ignored; the connection ends with the last of its streams.

use std::{collections::HashSet, io, sync::Mutex, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, split},
    time::sleep,
};

/// How long Go's servers go on reading when all streams have ended.
const LINGER: Duration = Duration::from_secs(1);

/// Bytes before the first frame of a client (RFC 9113 section 3.4).
const PREFACE: usize = 24;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const GO_AWAY: u8 = 7;
const END_STREAM: u8 = 1;

/// Streams of one connection.
#[derive(Default)]
struct Streams {
    last: u32,
    seen: usize,
    left: bool,
    running: HashSet<u32>,
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

    /// Its stream has nothing more to come from the sender's side.
    fn ends(&self) -> bool {
        let last = matches!(self.kind, DATA | HEADERS) && self.flags & END_STREAM != 0;
        last || self.kind == RST_STREAM
    }
}

/// Relays between a client and a server, and leaves after `streams` of them. Tells whether it
/// came to that.
pub async fn leave_after<C, S>(streams: usize, client: C, server: S) -> bool
where
    C: AsyncRead + AsyncWrite + Unpin,
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (mut from_client, to_client) = split(client);
    let (mut from_server, mut to_server) = split(server);
    // Whole frames are written under its lock, by whichever direction.
    let to_client = tokio::sync::Mutex::new(to_client);
    let state = Mutex::new(Streams::default());
    let up = async {
        let mut preface = [0; PREFACE];
        from_client.read_exact(&mut preface).await?;
        to_server.write_all(&preface).await?;
        loop {
            let frame = Frame::read(&mut from_client).await?;
            let (passes, last) = state.lock().unwrap().comes(&frame, streams);
            if let Some(last) = last {
                let head = [0, 0, 8, GO_AWAY, 0, 0, 0, 0, 0];
                let leave = [&head[..], &last.to_be_bytes(), &[0; 4]].concat();
                write(&to_client, &leave).await?;
            }
            if passes {
                to_server.write_all(&frame.bytes).await?;
                to_server.flush().await?;
            }
        }
    };
    let down = async {
        loop {
            let frame = Frame::read(&mut from_server).await?;
            write(&to_client, &frame.bytes).await?;
            if state.lock().unwrap().goes(&frame) {
                // What is still unread when a connection closes would have it reset.
                sleep(LINGER).await;
                return to_client.lock().await.shutdown().await;
            }
        }
    };
    // An end, of whichever side, is no error here.
    let _: io::Result<()> = tokio::select! {
        ended = up => ended,
        ended = down => ended,
    };
    state.into_inner().unwrap().left
}

async fn write<W: AsyncWrite + Unpin>(to: &tokio::sync::Mutex<W>, bytes: &[u8]) -> io::Result<()> {
    let mut to = to.lock().await;
    to.write_all(bytes).await?;
    to.flush().await
}

impl Streams {
    /// Whether a frame of the client's is passed on; and the last stream's number where it is
    /// time to leave.
    fn comes(&mut self, frame: &Frame, most: usize) -> (bool, Option<u32>) {
        let mut leaves = None;
        if frame.stream > self.last && frame.kind == HEADERS && !self.left {
            self.last = frame.stream;
            self.seen += 1;
            self.running.insert(frame.stream);
            self.left = self.seen == most;
            leaves = self.left.then_some(self.last);
        }
        if frame.kind == RST_STREAM {
            self.running.remove(&frame.stream);
        }
        (frame.stream <= self.last, leaves)
    }

    /// Whether, with a frame of the server's, all is over.
    fn goes(&mut self, frame: &Frame) -> bool {
        if frame.ends() {
            self.running.remove(&frame.stream);
        }
        self.left && self.running.is_empty()
    }
}
