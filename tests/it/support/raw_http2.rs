//! An HTTP/2 client frame by frame (RFC 9113 section 4.1), for what no library sends.

use super::{
    Connection, TlsClient,
    frames::{DATA, END_HEADERS, END_STREAM, Frame, GO_AWAY, HEADERS, RST_STREAM},
    in_time,
};

pub const PRIORITY: u8 = 2;
pub const SETTINGS: u8 = 4;
pub const PUSH_PROMISE: u8 = 5;
pub const PING: u8 = 6;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;

pub const ACK: u8 = 1;
pub const PADDED: u8 = 8;

pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A frame in bytes.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: impl AsRef<[u8]>) -> Vec<u8> {
    let payload = payload.as_ref();
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut bytes = length[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// A header block without compression (RFC 7541 section 6.2.2).
pub fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, value) in fields {
        bytes.push(0);
        for text in [name, value] {
            length(&mut bytes, text.len());
            bytes.extend(text.as_bytes());
        }
    }
    bytes
}

/// A length as an integer with a prefix of 7 bits (RFC 7541 section 5.1).
fn length(bytes: &mut Vec<u8>, length: usize) {
    if length < 127 {
        bytes.push(u8::try_from(length).unwrap());
        return;
    }
    bytes.push(127);
    let mut rest = length - 127;
    while rest >= 128 {
        bytes.push(u8::try_from(rest % 128).unwrap() | 128);
        rest /= 128;
    }
    bytes.push(u8::try_from(rest).unwrap());
}

/// The fields of an ordinary GET, and more.
pub fn get<'a>(path: &'a str, more: &[(&'a str, &'a str)]) -> Vec<u8> {
    let mut fields = vec![
        (":method", "GET"),
        (":scheme", "https"),
        (":authority", "localhost"),
        (":path", path),
    ];
    fields.extend(more);
    block(&fields)
}

/// How the server ends a stream or the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// GOAWAY with this code, and then the connection.
    Connection(u32),
    /// `RST_STREAM` with this code.
    Stream(u32),
    /// The connection, without GOAWAY.
    Closed,
    /// The stream, by a whole response.
    Served,
}

/// A client's end of a connection.
pub struct RawHttp2(pub Connection);

impl RawHttp2 {
    /// Connects, and sends the preface and empty SETTINGS.
    pub async fn open(address: &str) -> Self {
        let mut this = Self::silent(address).await;
        this.send([PREFACE, &frame(SETTINGS, 0, 0, [])].concat())
            .await;
        this
    }

    /// Connects, and sends nothing.
    pub async fn silent(address: &str) -> Self {
        Self(TlsClient::new(&[b"h2"]).connect(address).await.unwrap())
    }

    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.write(bytes).await;
    }

    /// Sends a whole GET request.
    pub async fn get(&mut self, stream: u32, path: &str) {
        let head = frame(HEADERS, END_HEADERS | END_STREAM, stream, get(path, &[]));
        self.send(head).await;
    }

    /// The next frame; `None` at the end.
    pub async fn next(&mut self) -> Option<Frame> {
        let head = in_time(self.0.exactly(9)).await?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let payload = in_time(self.0.exactly(length as usize)).await?;
        Some(Frame {
            kind: head[3],
            flags: head[4],
            stream: u32::from_be_bytes([head[5], head[6], head[7], head[8]]),
            payload,
        })
    }

    /// The next frame of a kind.
    pub async fn next_of(&mut self, kind: u8) -> Frame {
        loop {
            let frame = self.next().await.expect("the connection has ended");
            if frame.kind == kind {
                return frame;
            }
        }
    }

    /// Waits for the head of the response on a stream, and returns its first byte: the index of the
    /// status in the static table, or a literal.
    pub async fn status_byte(&mut self, stream: u32) -> u8 {
        loop {
            let frame = self.next_of(HEADERS).await;
            if frame.stream == stream {
                return frame.payload[0];
            }
        }
    }

    /// How the server ends what was sent.
    pub async fn ended(&mut self) -> Ended {
        while let Some(frame) = self.next().await {
            match frame.kind {
                GO_AWAY => return Ended::Connection(code(&frame.payload[4..8])),
                RST_STREAM => return Ended::Stream(code(&frame.payload)),
                _ => {}
            }
        }
        Ended::Closed
    }

    /// How the server ends a stream.
    pub async fn stream_ended(&mut self, stream: u32) -> Ended {
        while let Some(frame) = self.next().await {
            match frame.kind {
                GO_AWAY => return Ended::Connection(code(&frame.payload[4..8])),
                RST_STREAM if frame.stream == stream => {
                    return Ended::Stream(code(&frame.payload));
                }
                HEADERS | DATA if frame.stream == stream && frame.flags & END_STREAM != 0 => {
                    return Ended::Served;
                }
                _ => {}
            }
        }
        Ended::Closed
    }

    /// How the server ends the connection, whatever it sends before.
    pub async fn connection_ended(&mut self) -> Ended {
        loop {
            match self.ended().await {
                Ended::Stream(_) => {}
                end => return end,
            }
        }
    }

    /// Whether the connection serves a request on this stream still.
    pub async fn serves(&mut self, stream: u32) -> bool {
        self.get(stream, "/still").await;
        self.status_byte(stream).await == OK
    }
}

/// `:status: 200` (RFC 7541, appendix A).
pub const OK: u8 = 0x88;

fn code(bytes: &[u8]) -> u32 {
    u32::from_be_bytes(bytes.try_into().unwrap())
}
