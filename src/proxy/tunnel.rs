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

/// Which end of a tunnel broke it.
#[derive(Debug)]
pub(super) enum Broken {
    Client(io::Error),
    Server(io::Error),
}

/// Moves bytes both ways, each direction with its own end, until both have ended or one broke.
/// Each piece goes out at once. A tunnel on which nothing moves holds no buffer: bytes are read
/// to the stack, and only those that the other end does not take at once are kept.
///
/// Once one end has said that nothing more comes of it, the other may leave as it likes: exec and
/// port-forward end in this way. `count` is told of the bytes that were moved to the server and
/// to the client.
pub(super) async fn join(
    mut client: impl AsyncRead + AsyncWrite + Unpin,
    mut server: impl AsyncRead + AsyncWrite + Unpin,
    count: impl Fn(u64, u64),
) -> Result<(), Broken> {
    let (mut there, mut back) = (Direction::default(), Direction::default());
    poll_fn(|cx| {
        let gone = there.poll(&mut client, &mut server, cx);
        let came = back.poll(&mut server, &mut client, cx);
        count(there.moved, back.moved);
        let has_ended = there.ended || back.ended;
        match (gone, came) {
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

/// The end of a direction that broke.
enum End {
    Reader(io::Error),
    Writer(io::Error),
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
    /// Bytes that were read.
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
            while !self.held.is_empty() {
                let written = ready!(write(writer, &self.held, cx)).map_err(End::Writer)?;
                self.held.advance(written);
            }
            // The allocation goes with the last byte of it.
            self.held = Bytes::new();
            if self.closed {
                return Poll::Ready(Ok(()));
            }
            if self.ended {
                ready!(Pin::new(&mut *writer).poll_shutdown(cx)).map_err(End::Writer)?;
                self.closed = true;
                continue;
            }
            if self.move_piece(reader, writer, cx)?.is_pending() {
                if self.unflushed {
                    ready!(Pin::new(&mut *writer).poll_flush(cx)).map_err(End::Writer)?;
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
    ) -> Result<Poll<()>, End> {
        let mut piece = [MaybeUninit::uninit(); PIECE];
        let mut piece = ReadBuf::uninit(&mut piece);
        match Pin::new(reader).poll_read(cx, &mut piece) {
            Poll::Pending => return Ok(Poll::Pending),
            Poll::Ready(read) => read.map_err(End::Reader)?,
        }
        let mut read = piece.filled();
        self.ended = read.is_empty();
        self.moved += read.len() as u64;
        self.unflushed |= !self.ended;
        while !read.is_empty() {
            match write(writer, read, cx) {
                Poll::Ready(written) => read = &read[written.map_err(End::Writer)?..],
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
        tokio::spawn(join(near, far, |_, _| {}));
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

    /// What reads, or is written to, fails.
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
    async fn a_break_names_its_end_and_is_none_once_one_end_is_done() {
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
    async fn every_piece_is_flushed_before_more_is_waited_for() {
        let (mut one, near) = duplex(64);
        let (far, mut other) = duplex(64);
        // Passes nothing on before it is flushed.
        tokio::spawn(join(near, tokio::io::BufStream::new(far), |_, _| {}));
        one.write_all(b"key").await.unwrap();
        let mut got = [0; 3];
        other.read_exact(&mut got).await.unwrap();
        assert_eq!(&got, b"key");
    }
}
