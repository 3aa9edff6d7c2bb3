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

/// Bytes moved at a time.
const PIECE: usize = 16 * 1024;

/// Moves bytes both ways, each direction with its own end, until both have ended or one broke.
/// Each piece goes out at once. A tunnel on which nothing moves holds no buffer: bytes are read
/// to the stack, and only those that the other end does not take at once are kept.
pub(super) async fn join(
    mut one: impl AsyncRead + AsyncWrite + Unpin,
    mut other: impl AsyncRead + AsyncWrite + Unpin,
) -> io::Result<()> {
    let (mut there, mut back) = (Direction::default(), Direction::default());
    poll_fn(|cx| {
        let gone = there.poll(&mut one, &mut other, cx)?;
        let came = back.poll(&mut other, &mut one, cx)?;
        if gone.is_ready() && came.is_ready() {
            return Poll::Ready(Ok(()));
        }
        Poll::Pending
    })
    .await
}

#[derive(Default)]
struct Direction {
    /// Was read and is still to be written.
    held: Bytes,
    /// Written, but not flushed.
    unflushed: bool,
    /// There is no more to read.
    ended: bool,
    /// And the writer was told so.
    closed: bool,
}

impl Direction {
    fn poll(
        &mut self,
        reader: &mut (impl AsyncRead + Unpin),
        writer: &mut (impl AsyncWrite + Unpin),
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            while !self.held.is_empty() {
                let written = ready!(write(writer, &self.held, cx))?;
                self.held.advance(written);
            }
            // The allocation goes with the last byte of it.
            self.held = Bytes::new();
            if self.closed {
                return Poll::Ready(Ok(()));
            }
            if self.ended {
                ready!(Pin::new(&mut *writer).poll_shutdown(cx))?;
                self.closed = true;
                continue;
            }
            if self.move_piece(reader, writer, cx)?.is_pending() {
                if self.unflushed {
                    ready!(Pin::new(&mut *writer).poll_flush(cx))?;
                    self.unflushed = false;
                }
                return Poll::Pending;
            }
        }
    }

    /// Reads what there is, and writes what of it can be written now.
    fn move_piece(
        &mut self,
        reader: &mut (impl AsyncRead + Unpin),
        writer: &mut (impl AsyncWrite + Unpin),
        cx: &mut Context<'_>,
    ) -> io::Result<Poll<()>> {
        let mut piece = [MaybeUninit::uninit(); PIECE];
        let mut piece = ReadBuf::uninit(&mut piece);
        match Pin::new(reader).poll_read(cx, &mut piece) {
            Poll::Pending => return Ok(Poll::Pending),
            Poll::Ready(read) => read?,
        }
        let mut read = piece.filled();
        self.ended = read.is_empty();
        self.unflushed |= !self.ended;
        while !read.is_empty() {
            match write(writer, read, cx) {
                Poll::Ready(written) => read = &read[written?..],
                Poll::Pending => {
                    self.held = Bytes::copy_from_slice(read);
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

    /// A tunnel whose ends take so many bytes at a time.
    fn tunnel(narrow: usize) -> (DuplexStream, DuplexStream) {
        let (one, near) = duplex(narrow);
        let (far, other) = duplex(narrow);
        tokio::spawn(join(near, far));
        (one, other)
    }

    #[tokio::test]
    async fn what_is_not_taken_at_once_is_kept_in_order() {
        let sent: Vec<u8> = (0..300_000_u32).map(|n| (n % 251) as u8).collect();
        for narrow in [1, 1000, PIECE, PIECE + 1] {
            let (mut one, mut other) = tunnel(narrow);
            let mut got = Vec::new();
            let write = async {
                one.write_all(&sent).await.unwrap();
                one.shutdown().await.unwrap();
            };
            tokio::join!(write, async { other.read_to_end(&mut got).await.unwrap() });
            assert!(got == sent, "through {narrow} bytes");
        }
    }

    #[tokio::test]
    async fn an_end_is_passed_on_and_the_other_direction_lives() {
        let (mut one, mut other) = tunnel(16);
        one.shutdown().await.unwrap();
        assert_eq!(other.read(&mut [0; 1]).await.unwrap(), 0);
        other.write_all(b"still here").await.unwrap();
        let mut got = [0; 10];
        one.read_exact(&mut got).await.unwrap();
        assert_eq!(&got, b"still here");
    }

    #[tokio::test]
    async fn every_piece_is_flushed_before_more_is_waited_for() {
        let (mut one, near) = duplex(64);
        let (far, mut other) = duplex(64);
        // Passes nothing on before it is flushed.
        tokio::spawn(join(near, tokio::io::BufStream::new(far)));
        one.write_all(b"key").await.unwrap();
        let mut got = [0; 3];
        other.read_exact(&mut got).await.unwrap();
        assert_eq!(&got, b"key");
    }
}
