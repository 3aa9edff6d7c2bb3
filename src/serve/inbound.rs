//! [`Inbound`]: a client's stream as hyper reads it, with what is raw in a request line encoded.
//!
//! What is read is a request line only where that is certain; there alone a byte is ever changed.
//! hyper wants bytes for one of three purposes:
//!
//! - A head is awaited, of which hyper's timer tells. hyper has then parsed all that it was given
//!   before, and found nothing or an incomplete head. A line begins here if what it was given ends
//!   with an empty line: had that belonged to a head, the head would be complete. It begins here
//!   as well if a body of known length ended exactly with what it was given.
//! - A request is being served, whose body has come: hyper looks whether the client is still there,
//!   and only while it holds nothing unread. A line begins here, unless the request may upgrade.
//! - A body is read. Nothing is known of where it ends if it comes in chunks.
//!
//! Of several requests that come in one piece, only the first is known to begin; the others stay
//! as they are.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{
    exchange::{Exchange, Pending},
    request_line::RequestLine,
};

/// See the module.
pub(super) struct Inbound<S> {
    stream: S,
    exchange: Exchange,
    /// The head that is being read, or the last one.
    head: Option<Head>,
    /// The number of the exchange before that head.
    number: u64,
    /// The end of what was given to hyper.
    tail: Tail,
    /// What hyper had no room for.
    held: Vec<u8>,
    /// Whether a head found no memory.
    crowded: bool,
}

/// A head that is being read.
struct Head {
    /// Whether it is known where it began.
    known: bool,
    line: RequestLine,
    /// The first byte of the method.
    method: Option<u8>,
    /// Bytes of it that the client has sent.
    length: usize,
    /// Bytes that they became.
    encoded: usize,
    /// Its own end so far.
    tail: Tail,
}

impl<S> Inbound<S> {
    pub(super) fn new(stream: S, exchange: Exchange) -> Self {
        Self {
            stream,
            exchange,
            head: None,
            number: 0,
            // A connection begins as if a message had ended.
            tail: Tail::of(b"\n\r\n"),
            held: Vec::new(),
            crowded: false,
        }
    }

    /// Whether reading failed because all heads together hold too much.
    pub(super) fn is_crowded(&self) -> bool {
        self.crowded
    }

    /// How many bytes of the current head were received, and how many they are once the target is
    /// percent-encoded.
    pub(super) fn head_lengths(&self) -> Option<(usize, usize)> {
        self.head.as_ref().map(|head| (head.length, head.encoded))
    }

    pub(super) fn into_inner(self) -> S {
        self.stream
    }

    pub(super) fn get_mut(&mut self) -> &mut S {
        &mut self.stream
    }

    /// Looks at the bytes that have come behind `before`, and changes what must be changed.
    fn came(&mut self, buffer: &mut ReadBuf<'_>, before: usize) -> io::Result<()> {
        let number = self.exchange.number();
        if number != self.number {
            // The head has become a request.
            (self.number, self.head) = (number, None);
        }
        let came = buffer.filled().len() - before;
        if self.head.is_none() {
            let Some(known) = self.exchange.begins_head(self.tail.is_empty_line()) else {
                self.tail.push(&buffer.filled()[before..]);
                self.exchange.body_came(came, self.tail.is_empty_line());
                return Ok(());
            };
            self.head = Some(Head::new(known));
        }
        let Some(head) = &mut self.head else {
            return Ok(());
        };
        head.length += came;
        if !self.exchange.head_may_hold(head.length) {
            self.crowded = true;
            return Err(io::Error::other("the heads of all requests hold too much"));
        }
        let blank = head.line.is_at_start();
        let replaced = head.line.read(&buffer.filled()[before..]);
        if let Some(replaced) = &replaced {
            buffer.set_filled(before);
            let (now, later) = replaced.split_at(replaced.len().min(buffer.remaining()));
            buffer.put_slice(now);
            self.held = later.to_vec();
        }
        let bytes = replaced
            .as_deref()
            .unwrap_or_else(|| &buffer.filled()[before..]);
        head.encoded += bytes.len();
        self.tail.push(bytes);
        let behind = head.behind(bytes, blank);
        self.exchange.head_came(behind, self.tail.is_empty_line());
        Ok(())
    }
}

impl Head {
    fn new(known: bool) -> Self {
        let line = if known {
            RequestLine::new()
        } else {
            RequestLine::ended()
        };
        Self {
            known,
            line,
            method: None,
            length: 0,
            encoded: 0,
            tail: Tail::default(),
        }
    }

    /// How many of the next `bytes` come behind the head's end; `blank` tells whether nothing but
    /// empty lines came before.
    fn behind(&mut self, bytes: &[u8], blank: bool) -> Pending {
        let ends = Tail::of(bytes).is_empty_line();
        let guess = if ends {
            Pending::Guessed(0)
        } else {
            Pending::Unknown
        };
        if !self.known {
            return guess;
        }
        let is_blank = |byte: &&u8| matches!(byte, b'\r' | b'\n');
        let skipped = if blank {
            bytes.iter().take_while(is_blank).count()
        } else {
            0
        };
        let bytes = &bytes[skipped..];
        let Some(first) = bytes.first() else {
            return Pending::Unknown;
        };
        let method = *self.method.get_or_insert(*first);
        // A GET and a HEAD have no body as a rule, and then nothing depends on it: they are
        // spared the search.
        if ends && matches!(method, b'G' | b'H') {
            return guess;
        }
        let end = self.tail.end_of_head(bytes);
        self.tail.push(bytes);
        end.map_or(Pending::Unknown, |end| Pending::Known(bytes.len() - end))
    }
}

/// The last bytes of something.
#[derive(Clone, Copy, Default)]
struct Tail([u8; 3]);

impl Tail {
    fn of(bytes: &[u8]) -> Self {
        let mut tail = Self::default();
        tail.push(bytes);
        tail
    }

    fn push(&mut self, bytes: &[u8]) {
        let length = self.0.len();
        let last = &bytes[bytes.len().saturating_sub(length)..];
        self.0.copy_within(last.len().., 0);
        self.0[length - last.len()..].copy_from_slice(last);
    }

    /// Whether they end a line that is empty.
    fn is_empty_line(self) -> bool {
        self.0.ends_with(b"\n\n") || self.0.ends_with(b"\n\r\n")
    }

    /// Where the first empty line ends in the `bytes` that come next.
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

impl<S: AsyncRead + Unpin> AsyncRead for Inbound<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if !this.held.is_empty() {
            let length = this.held.len().min(buffer.remaining());
            buffer.put_slice(&this.held[..length]);
            this.held.drain(..length);
            if this.held.is_empty() {
                // Not kept for as long as the connection lasts.
                this.held = Vec::new();
            }
            return Poll::Ready(Ok(()));
        }
        loop {
            let before = buffer.filled().len();
            ready!(Pin::new(&mut this.stream).poll_read(cx, buffer))?;
            if buffer.filled().len() == before {
                return Poll::Ready(Ok(()));
            }
            this.came(buffer, before)?;
            // To give nothing would be to say that the client has ended.
            if buffer.filled().len() > before {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Inbound<S> {
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

#[cfg(test)]
mod tests;
