//! [`EncodingIo`]: a client's stream that percent-encodes the targets of requests as hyper reads it.
//!
//! A byte is changed only in a request line, and only where it is certain that a request line starts.
//! hyper reads for one of three purposes:
//!
//! - A head is awaited, which hyper's timer shows. hyper has parsed all bytes that it was given
//!   before, and found no head or an incomplete one. A request line starts here if the bytes before
//!   end with an empty line: an incomplete head cannot, since the empty line would complete it. A
//!   request line also starts here if a body of known length ended exactly with the bytes before.
//! - A request whose body is complete is being served. hyper checks whether the client is still
//!   there, and only while it holds nothing unread. A request line starts here, unless the request
//!   may upgrade the connection.
//! - A body is read. The end of a chunked body is not known here.
//!
//! Of several requests that arrive in one read, only the first is known to start; the others stay as
//! they are. hyper would drop the rest of such a target from a raw `#` on, so the [`ConnectionState`]
//! is told of every line that may be such a request line.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{
    connection_state::{BytesAfterHead, ConnectionState, NextBytes},
    target_encoder::TargetEncoder,
    unencoded_hash::UnencodedHash,
};

/// See the module.
pub(super) struct EncodingIo<S> {
    stream: S,
    state: ConnectionState,
    /// The head that is being read, or the last one.
    head: Option<Head>,
    /// The number of requests before that head.
    request_number: u64,
    /// The last bytes that hyper was given.
    last_bytes: LastBytes,
    /// Encoded bytes that did not fit into hyper's buffer.
    overflow: Vec<u8>,
    /// Whether a request line that is not encoded has a raw `#`.
    unencoded_hash: UnencodedHash,
    /// Whether a head exceeded the memory for all heads.
    lacks_memory: bool,
}

/// A head that is being read.
struct Head {
    /// Whether it is known where the head starts.
    has_known_start: bool,
    target: TargetEncoder,
    /// The first byte of the method.
    method: Option<u8>,
    /// How many of its bytes were received.
    length: usize,
    /// How many bytes these are once encoded.
    encoded: usize,
    last_bytes: LastBytes,
}

impl<S> EncodingIo<S> {
    pub(super) fn new(stream: S, state: ConnectionState) -> Self {
        Self {
            stream,
            state,
            head: None,
            request_number: 0,
            // The start of a connection is like the end of a message.
            last_bytes: LastBytes::of(b"\n\r\n"),
            overflow: Vec::new(),
            unencoded_hash: UnencodedHash::default(),
            lacks_memory: false,
        }
    }

    /// Returns whether reading failed because a head exceeded the memory for all heads.
    pub(super) fn lacks_memory(&self) -> bool {
        self.lacks_memory
    }

    /// Returns how many bytes of the current head were received, and how many they are once the
    /// target is percent-encoded.
    pub(super) fn head_lengths(&self) -> Option<(usize, usize)> {
        self.head.as_ref().map(|head| (head.length, head.encoded))
    }

    /// Returns whether the target of the current head has a `#` before its path.
    pub(super) fn has_hash_before_path(&self) -> bool {
        let head = self.head.as_ref();
        head.is_some_and(|head| head.target.has_hash_before_path())
    }

    pub(super) fn into_inner(self) -> S {
        self.stream
    }

    pub(super) fn get_mut(&mut self) -> &mut S {
        &mut self.stream
    }

    /// Examines the bytes that were read into `buffer` behind `before`, and encodes what must be
    /// encoded.
    fn received(&mut self, buffer: &mut ReadBuf<'_>, before: usize) -> io::Result<()> {
        let number = self.state.request_number();
        if number != self.request_number {
            // The head has become a request.
            (self.request_number, self.head) = (number, None);
        }
        let length = buffer.filled().len() - before;
        if self.head.is_none() {
            let has_known_start = match self.state.next_bytes(self.last_bytes.is_empty_line()) {
                NextBytes::StartOfHead => {
                    self.state.start_encoded_line();
                    self.unencoded_hash = UnencodedHash::default();
                    true
                }
                NextBytes::Head => false,
                NextBytes::Other => {
                    let bytes = &buffer.filled()[before..];
                    let found = |before: &[u8]| self.state.received_hash(before);
                    self.unencoded_hash.find(bytes, found);
                    self.last_bytes.push(&buffer.filled()[before..]);
                    let empty_line = self.last_bytes.is_empty_line();
                    self.state.body_received(length, empty_line);
                    return Ok(());
                }
            };
            self.head = Some(Head::new(has_known_start));
        }
        let Some(head) = &mut self.head else {
            return Ok(());
        };
        head.length += length;
        if !self.state.reserve_for_head(head.length) {
            self.lacks_memory = true;
            return Err(io::Error::other("the heads of all requests hold too much"));
        }
        let follows_empty_lines = head.target.is_at_start();
        let encoded = head.target.encode(&buffer.filled()[before..]);
        if let Some(encoded) = &encoded {
            buffer.set_filled(before);
            let (now, later) = encoded.split_at(encoded.len().min(buffer.remaining()));
            buffer.put_slice(now);
            self.overflow = later.to_vec();
        }
        let bytes = encoded
            .as_deref()
            .unwrap_or_else(|| &buffer.filled()[before..]);
        let found = |before: &[u8]| self.state.received_hash(before);
        self.unencoded_hash.find(bytes, found);
        head.encoded += bytes.len();
        self.last_bytes.push(bytes);
        let after_head = head.bytes_after_end(bytes, follows_empty_lines);
        let empty_line = self.last_bytes.is_empty_line();
        self.state.head_received(after_head, empty_line);
        Ok(())
    }
}

impl Head {
    fn new(has_known_start: bool) -> Self {
        let target = if has_known_start {
            TargetEncoder::new()
        } else {
            TargetEncoder::finished()
        };
        Self {
            has_known_start,
            target,
            method: None,
            length: 0,
            encoded: 0,
            last_bytes: LastBytes::default(),
        }
    }

    /// Returns how many of the next `bytes` come after the head's end. `follows_empty_lines` says
    /// whether nothing but empty lines came before them.
    fn bytes_after_end(&mut self, bytes: &[u8], follows_empty_lines: bool) -> BytesAfterHead {
        let ends_with_empty_line = LastBytes::of(bytes).is_empty_line();
        let guess = if ends_with_empty_line {
            BytesAfterHead::Probably(0)
        } else {
            BytesAfterHead::Unknown
        };
        if !self.has_known_start {
            return guess;
        }
        let is_line_break = |byte: &&u8| matches!(byte, b'\r' | b'\n');
        let skipped = if follows_empty_lines {
            bytes.iter().take_while(is_line_break).count()
        } else {
            0
        };
        let bytes = &bytes[skipped..];
        let Some(first) = bytes.first() else {
            return BytesAfterHead::Unknown;
        };
        let method = *self.method.get_or_insert(*first);
        // GET and HEAD requests usually have no body, and a wrong guess does no harm without one.
        // This saves searching them for the head's end.
        if ends_with_empty_line && matches!(method, b'G' | b'H') {
            return guess;
        }
        let end = self.last_bytes.end_of_head(bytes);
        self.last_bytes.push(bytes);
        end.map_or(BytesAfterHead::Unknown, |end| {
            BytesAfterHead::Exactly(bytes.len() - end)
        })
    }
}

/// The last three bytes of a stream.
#[derive(Clone, Copy, Default)]
struct LastBytes([u8; 3]);

impl LastBytes {
    fn of(bytes: &[u8]) -> Self {
        let mut last = Self::default();
        last.push(bytes);
        last
    }

    fn push(&mut self, bytes: &[u8]) {
        let length = self.0.len();
        let last = &bytes[bytes.len().saturating_sub(length)..];
        self.0.copy_within(last.len().., 0);
        self.0[length - last.len()..].copy_from_slice(last);
    }

    /// Returns whether the stream ends with an empty line.
    fn is_empty_line(self) -> bool {
        self.0.ends_with(b"\n\n") || self.0.ends_with(b"\n\r\n")
    }

    /// Returns where the first empty line ends in the next `bytes`.
    fn end_of_head(self, bytes: &[u8]) -> Option<usize> {
        let [.., mut before_last, mut last] = self.0;
        for (index, byte) in bytes.iter().enumerate() {
            if *byte == b'\n' && (last == b'\n' || (last == b'\r' && before_last == b'\n')) {
                return Some(index + 1);
            }
            (before_last, last) = (last, *byte);
        }
        None
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for EncodingIo<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if !this.overflow.is_empty() {
            let length = this.overflow.len().min(buffer.remaining());
            buffer.put_slice(&this.overflow[..length]);
            this.overflow.drain(..length);
            if this.overflow.is_empty() {
                // The memory must not be held for as long as the connection lasts.
                this.overflow = Vec::new();
            }
            return Poll::Ready(Ok(()));
        }
        loop {
            let before = buffer.filled().len();
            ready!(Pin::new(&mut this.stream).poll_read(cx, buffer))?;
            if buffer.filled().len() == before {
                return Poll::Ready(Ok(()));
            }
            this.received(buffer, before)?;
            // An empty read would mean that the client has closed.
            if buffer.filled().len() > before {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for EncodingIo<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
