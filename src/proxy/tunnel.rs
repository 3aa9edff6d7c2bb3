//! [`join`]: two byte streams as one tunnel.

use std::{
    future::poll_fn,
    io,
    mem::MaybeUninit,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf as _, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// How many bytes are moved at a time.
const CHUNK: usize = 16 * 1024;

/// Which end of a tunnel failed.
#[derive(Debug)]
pub(super) enum Broken {
    Client(io::Error),
    Server(io::Error),
}

/// Moves bytes both ways, until both directions have ended or one failed. Each chunk is flushed at once.
/// An idle tunnel holds no buffer: bytes are read to the stack, and only those that the other end does
/// not accept at once are kept on the heap.
///
/// Once one end has closed its side, an error of the other end is no failure: exec and port-forward end
/// in this way. `count` is called with the bytes moved to the server and to the client so far.
pub(super) async fn join(
    mut client: impl AsyncRead + AsyncWrite + Unpin,
    mut server: impl AsyncRead + AsyncWrite + Unpin,
    count: impl Fn(u64, u64),
) -> Result<(), Broken> {
    let (mut up, mut down) = (Direction::default(), Direction::default());
    poll_fn(|cx| {
        let sent = up.poll(&mut client, &mut server, cx);
        let received = down.poll(&mut server, &mut client, cx);
        count(up.moved, down.moved);
        let has_ended = up.ended || down.ended;
        match (sent, received) {
            (Poll::Ready(Err(_)), _) | (_, Poll::Ready(Err(_))) if has_ended => Poll::Ready(Ok(())),
            (Poll::Ready(Err(End::Reader(e))), _) | (_, Poll::Ready(Err(End::Writer(e)))) => {
                Poll::Ready(Err(Broken::Client(e)))
            }
            (Poll::Ready(Err(End::Writer(e))), _) | (_, Poll::Ready(Err(End::Reader(e)))) => {
                Poll::Ready(Err(Broken::Server(e)))
            }
            (Poll::Ready(Ok(())), Poll::Ready(Ok(()))) => Poll::Ready(Ok(())),
            (Poll::Pending, _) | (_, Poll::Pending) => Poll::Pending,
        }
    })
    .await
}

/// The end of a direction that failed.
enum End {
    Reader(io::Error),
    Writer(io::Error),
}

#[derive(Default)]
struct Direction {
    /// Read, but not yet written.
    pending: Bytes,
    /// Whether bytes are written, but not flushed.
    unflushed: bool,
    /// Whether the reader has ended.
    ended: bool,
    /// Whether the writer has been shut down.
    closed: bool,
    /// Bytes read so far.
    moved: u64,
}

impl Direction {
    fn poll(
        &mut self,
        reader: &mut (impl AsyncRead + Unpin),
        writer: &mut (impl AsyncWrite + Unpin),
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), End>> {
        loop {
            while !self.pending.is_empty() {
                let written = ready!(write(writer, &self.pending, cx)).map_err(End::Writer)?;
                self.pending.advance(written);
            }
            // Frees the allocation once its last byte is written.
            self.pending = Bytes::new();
            if self.closed {
                return Poll::Ready(Ok(()));
            }
            if self.ended {
                ready!(Pin::new(&mut *writer).poll_shutdown(cx)).map_err(End::Writer)?;
                self.closed = true;
                continue;
            }
            if self.move_chunk(reader, writer, cx)?.is_pending() {
                if self.unflushed {
                    ready!(Pin::new(&mut *writer).poll_flush(cx)).map_err(End::Writer)?;
                    self.unflushed = false;
                }
                return Poll::Pending;
            }
        }
    }

    /// Reads one chunk, and writes as much of it as the writer accepts now.
    fn move_chunk(
        &mut self,
        reader: &mut (impl AsyncRead + Unpin),
        writer: &mut (impl AsyncWrite + Unpin),
        cx: &mut Context<'_>,
    ) -> Result<Poll<()>, End> {
        let mut chunk = [MaybeUninit::uninit(); CHUNK];
        let mut chunk = ReadBuf::uninit(&mut chunk);
        match Pin::new(reader).poll_read(cx, &mut chunk) {
            Poll::Pending => return Ok(Poll::Pending),
            Poll::Ready(read) => read.map_err(End::Reader)?,
        }
        let mut read = chunk.filled();
        self.ended = read.is_empty();
        self.moved += read.len() as u64;
        self.unflushed |= !self.ended;
        while !read.is_empty() {
            match write(writer, read, cx) {
                Poll::Ready(written) => read = &read[written.map_err(End::Writer)?..],
                Poll::Pending => {
                    self.pending = Bytes::copy_from_slice(read);
                    break;
                }
            }
        }
        Ok(Poll::Ready(()))
    }
}

fn write(
    writer: &mut (impl AsyncWrite + Unpin),
    bytes: &[u8],
    cx: &mut Context<'_>,
) -> Poll<io::Result<usize>> {
    match ready!(Pin::new(writer).poll_write(cx, bytes))? {
        0 => Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
        written => Poll::Ready(Ok(written)),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};

    use super::*;

    /// A tunnel whose ends accept `width` bytes at a time.
    fn tunnel(width: usize) -> (DuplexStream, DuplexStream) {
        let (one, near) = duplex(width);
        let (far, other) = duplex(width);
        tokio::spawn(join(near, far, |_, _| {}));
        (one, other)
    }

    #[tokio::test]
    async fn bytes_that_wait_for_the_writer_keep_their_order() {
        let sent: Vec<u8> = (0..300_000_u32).map(|n| (n % 251) as u8).collect();
        for width in [1, 1000, CHUNK, CHUNK + 1] {
            let (mut one, mut other) = tunnel(width);
            let mut got = Vec::new();
            let write = async {
                one.write_all(&sent).await.unwrap();
                one.shutdown().await.unwrap();
            };
            tokio::join!(write, async { other.read_to_end(&mut got).await.unwrap() });
            assert!(got == sent, "through {width} bytes");
        }
    }

    #[tokio::test]
    async fn a_closed_side_leaves_the_other_direction_open() {
        let (mut one, mut other) = tunnel(16);
        one.shutdown().await.unwrap();
        assert_eq!(other.read(&mut [0; 1]).await.unwrap(), 0);
        other.write_all(b"still here").await.unwrap();
        let mut got = [0; 10];
        one.read_exact(&mut got).await.unwrap();
        assert_eq!(&got, b"still here");
    }

    /// A stream whose reads, writes and shutdown fail.
    fn failing(read: io::ErrorKind) -> impl AsyncRead + AsyncWrite + Unpin {
        struct Failing(io::ErrorKind);
        impl AsyncRead for Failing {
            fn poll_read(
                self: Pin<&mut Self>,
                _: &mut Context<'_>,
                _: &mut ReadBuf<'_>,
            ) -> Poll<io::Result<()>> {
                Poll::Ready(Err(self.0.into()))
            }
        }
        impl AsyncWrite for Failing {
            fn poll_write(
                self: Pin<&mut Self>,
                _: &mut Context<'_>,
                _: &[u8],
            ) -> Poll<io::Result<usize>> {
                Poll::Ready(Err(self.0.into()))
            }
            fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
                Poll::Ready(Ok(()))
            }
            fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
                Poll::Ready(Err(self.0.into()))
            }
        }
        Failing(read)
    }

    #[tokio::test]
    async fn a_failure_names_its_end_unless_one_side_closed() {
        const RESET: io::ErrorKind = io::ErrorKind::ConnectionReset;
        let (client, _held) = duplex(16);
        let broken = join(client, failing(RESET), |_, _| {}).await;
        assert!(matches!(broken, Err(Broken::Server(_))), "{broken:?}");
        let (server, _held) = duplex(16);
        let broken = join(failing(RESET), server, |_, _| {}).await;
        assert!(matches!(broken, Err(Broken::Client(_))), "{broken:?}");
        for client_is_done in [true, false] {
            let (done, other) = duplex(16);
            drop(other);
            let joined = if client_is_done {
                join(done, failing(RESET), |_, _| {}).await
            } else {
                join(failing(RESET), done, |_, _| {}).await
            };
            assert!(joined.is_ok(), "{joined:?}");
        }
    }

    #[tokio::test]
    async fn every_chunk_is_flushed_before_the_next_read() {
        let (mut one, near) = duplex(64);
        let (far, mut other) = duplex(64);
        // Forwards nothing before a flush.
        tokio::spawn(join(near, tokio::io::BufStream::new(far), |_, _| {}));
        one.write_all(b"key").await.unwrap();
        let mut got = [0; 3];
        other.read_exact(&mut got).await.unwrap();
        assert_eq!(&got, b"key");
    }
}
