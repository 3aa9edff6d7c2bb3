//! HTTP/2 frame by frame, for servers that libraries cannot simulate (RFC 9113, section 4.1).

use tokio::sync::mpsc;

use super::{Connection, Upstream, in_time, tls_config};

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const RST_STREAM: u8 = 3;
pub const GO_AWAY: u8 = 7;
const CONTINUATION: u8 = 9;
const SETTINGS: u8 = 4;
const WINDOW_UPDATE: u8 = 8;

pub const END_STREAM: u8 = 1;
pub const END_HEADERS: u8 = 4;

pub const NO_ERROR: u32 = 0;
pub const REFUSED_STREAM: u32 = 7;
pub const CANCEL: u32 = 8;

/// `:status: 200` (RFC 7541, appendix A).
const OK: &[u8] = &[0x88];

/// The flow control window, large enough for all that clients send here.
const WINDOW: u32 = 16 * 1024 * 1024;

/// The server's end of one connection.
pub struct Framed(Connection);

#[derive(Debug)]
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

/// HTTP/2 connections that the test itself serves.
pub struct HandedFrames(mpsc::UnboundedReceiver<Connection>);

impl Upstream {
    /// Speaks only HTTP/2. The test itself serves each connection frame by frame.
    pub async fn http2_frames() -> (Self, HandedFrames) {
        let (sender, handed) = mpsc::unbounded_channel();
        let upstream = Self::with(tls_config("localhost", &[b"h2"]), move |connection| {
            // An error means that the test has ended.
            let _ = sender.send(connection);
            std::future::ready(())
        });
        (upstream.await, HandedFrames(handed))
    }
}

impl HandedFrames {
    /// The next connection.
    pub async fn next(&mut self) -> Framed {
        Framed::begin(in_time(self.0.recv()).await.unwrap()).await
    }
}

impl Framed {
    async fn begin(mut connection: Connection) -> Self {
        let preface = in_time(connection.exactly(24)).await.unwrap();
        assert!(preface.starts_with(b"PRI * HTTP/2.0"));
        let mut this = Self(connection);
        // SETTINGS_INITIAL_WINDOW_SIZE
        let settings = [&[0, 4][..], &WINDOW.to_be_bytes()].concat();
        this.send(SETTINGS, 0, 0, &settings).await;
        this.send(WINDOW_UPDATE, 0, 0, &WINDOW.to_be_bytes()).await;
        this
    }

    /// The next frame that belongs to a stream; `None` at the end.
    pub async fn next(&mut self) -> Option<Frame> {
        loop {
            let head = in_time(self.0.exactly(9)).await?;
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            let payload = in_time(self.0.exactly(length as usize)).await?;
            if matches!(head[3], DATA | HEADERS | RST_STREAM) {
                return Some(Frame {
                    kind: head[3],
                    flags: head[4],
                    stream: u32::from_be_bytes([head[5], head[6], head[7], head[8]]),
                    payload,
                });
            }
        }
    }

    /// The next request, with no other in between. Returns its stream and its body.
    pub async fn request(&mut self) -> (u32, Vec<u8>) {
        let head = self.next().await.unwrap();
        assert_eq!(head.kind, HEADERS, "{head:?}");
        let (mut ended, mut body) = (head.flags & END_STREAM != 0, Vec::new());
        while !ended {
            let frame = self.next().await.unwrap();
            assert_eq!((frame.kind, frame.stream), (DATA, head.stream), "{frame:?}");
            body.extend(frame.payload);
            ended = frame.flags & END_STREAM != 0;
        }
        (head.stream, body)
    }

    /// Sends a complete response.
    pub async fn answer(&mut self, stream: u32) {
        self.send(HEADERS, END_HEADERS, stream, OK).await;
        self.send(DATA, END_STREAM, stream, b"ok").await;
    }

    /// Sends a 103 before a response.
    pub async fn inform(&mut self, stream: u32) {
        self.send(HEADERS, END_HEADERS, stream, b"\x08\x03103")
            .await;
    }

    /// Sends a response with this header block, in frames of 16 KiB like Go's servers.
    pub async fn answer_with(&mut self, stream: u32, block: &[u8], body: &[u8]) {
        let mut parts = block.chunks(16 * 1024).peekable();
        let mut kind = HEADERS;
        while let Some(part) = parts.next() {
            let flags = if parts.peek().is_none() {
                END_HEADERS
            } else {
                0
            };
            self.send(kind, flags, stream, part).await;
            kind = CONTINUATION;
        }
        self.send(DATA, END_STREAM, stream, body).await;
    }

    /// Sends the beginning of a response.
    pub async fn begin_answer(&mut self, stream: u32) {
        self.send(HEADERS, END_HEADERS, stream, OK).await;
        self.send(DATA, 0, stream, b"ok").await;
    }

    pub async fn reset(&mut self, stream: u32, error: u32) {
        self.send(RST_STREAM, 0, stream, &error.to_be_bytes()).await;
    }

    pub async fn go_away(&mut self, last: u32) {
        let payload = [last.to_be_bytes(), NO_ERROR.to_be_bytes()].concat();
        self.send(GO_AWAY, 0, 0, &payload).await;
    }

    async fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let head = [&length[1..], &[kind, flags], &stream.to_be_bytes()].concat();
        self.0.write([&head, payload].concat()).await;
    }
}
