//! [`ReadAhead`]: a stream that is read in large pieces.
//!
//! TLS reads 4 KiB at first, and never more than one record. After each read of that size the
//! kernel announces a larger receive window to the server, and the server acts on it. So here one
//! read takes everything that has arrived. A stream holds a buffer only while it has unread bytes.

use std::{
    cell::RefCell,
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};

use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::{
    client::legacy::connect::{Connected, Connection},
    rt::TokioIo,
};
use tokio_util::io::poll_read_buf;

/// The most bytes of one read, about six TLS records. A client that never reads may hold as many.
const SIZE: usize = 104 * 1024;
/// Buffers that a thread keeps for its next reads.
const MAX_SPARE: usize = 4;

thread_local! {
    static BUFFERS: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// A stream that is read in large pieces: one read takes everything that has arrived.
pub struct ReadAhead<S> {
    io: S,
    unread: Option<Unread>,
}

/// Bytes that were read from the stream, and are not returned yet.
struct Unread {
    bytes: Vec<u8>,
    from: usize,
}

impl<S> ReadAhead<S> {
    pub(crate) fn new(io: S) -> Self {
        Self { io, unread: None }
    }
}

impl<S: Read + Unpin> ReadAhead<S> {
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Unread>> {
        let buffer = BUFFERS.with_borrow_mut(Vec::pop);
        let mut bytes = buffer.unwrap_or_else(|| Vec::with_capacity(SIZE));
        let mut io = TokioIo::new(&mut self.io);
        let polled = poll_read_buf(Pin::new(&mut io), cx, &mut bytes);
        if let Poll::Ready(Ok(_)) = polled {
            return Poll::Ready(Ok(Unread { bytes, from: 0 }));
        }
        give_back(bytes);
        ready!(polled)?;
        Poll::Pending
    }
}

fn give_back(mut bytes: Vec<u8>) {
    bytes.clear();
    BUFFERS.with_borrow_mut(|buffers| {
        if buffers.len() < MAX_SPARE {
            buffers.push(bytes);
        }
    });
}

impl<S: Read + Unpin> Read for ReadAhead<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let mut unread = match this.unread.take() {
            Some(unread) => unread,
            None => ready!(this.poll_fill(cx))?,
        };
        let rest = &unread.bytes[unread.from..];
        let taken = rest.len().min(buffer.remaining());
        buffer.put_slice(&rest[..taken]);
        if taken < rest.len() {
            unread.from += taken;
            this.unread = Some(unread);
        } else {
            give_back(unread.bytes);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: Write + Unpin> Write for ReadAhead<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, slices)
    }
}

impl<S: Connection> Connection for ReadAhead<S> {
    fn connected(&self) -> Connected {
        self.io.connected()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex},
        time::timeout,
    };

    use super::*;

    type Stream = TokioIo<ReadAhead<TokioIo<DuplexStream>>>;

    fn streams() -> (DuplexStream, Stream) {
        let (server, client) = duplex(4 * SIZE);
        (server, TokioIo::new(ReadAhead::new(TokioIo::new(client))))
    }

    fn holds_a_buffer(stream: &Stream) -> bool {
        stream.inner().unread.is_some()
    }

    #[tokio::test]
    async fn every_byte_is_read_once_and_in_order_in_any_sizes() {
        let sent = (0..=250_u8).cycle().take(3 * SIZE).collect::<Vec<_>>();
        for piece in [1, 5, 4096, 16_413, SIZE, 4 * SIZE] {
            let (mut server, mut stream) = streams();
            server.write_all(&sent).await.unwrap();
            drop(server);
            let (mut got, mut into) = (Vec::new(), vec![0; piece]);
            loop {
                let read = stream.read(&mut into).await.unwrap();
                if read == 0 {
                    break;
                }
                got.extend_from_slice(&into[..read]);
            }
            assert!(got == sent, "{piece} at a time");
        }
    }

    #[tokio::test]
    async fn what_has_arrived_is_read_at_once_and_no_buffer_is_kept() {
        let (mut server, mut stream) = streams();
        for round in 0..3 {
            server.write_all(b"a few bytes").await.unwrap();
            let mut into = [0; 5];
            stream.read_exact(&mut into).await.unwrap();
            assert!(holds_a_buffer(&stream), "the control, in round {round}");
            let mut into = [0; 100];
            let read = stream.read(&mut into).await.unwrap();
            assert_eq!(&into[..read], b" bytes");
            assert!(!holds_a_buffer(&stream), "round {round}");
            let more = timeout(std::time::Duration::from_millis(20), stream.read(&mut into));
            more.await.unwrap_err();
            assert!(!holds_a_buffer(&stream), "round {round}, while it waits");
        }
    }

    #[tokio::test]
    async fn unread_bytes_of_one_stream_never_appear_in_another() {
        let (mut servers, mut clients) = (Vec::new(), Vec::new());
        for n in 0..20_u8 {
            let (mut server, client) = streams();
            server.write_all(&vec![n; SIZE + 7]).await.unwrap();
            servers.push(server);
            clients.push(client);
        }
        for round in 0..2 {
            for (client, n) in clients.iter_mut().zip(0_u8..) {
                let mut into = vec![0; SIZE / 2];
                client.read_exact(&mut into).await.unwrap();
                assert!(into.iter().all(|&byte| byte == n), "{n} in round {round}");
            }
        }
    }

    #[tokio::test]
    async fn a_thread_keeps_few_buffers() {
        let (mut servers, mut clients) = (Vec::new(), Vec::new());
        for _ in 0..3 * MAX_SPARE {
            let (mut server, mut client) = streams();
            server.write_all(b"ab").await.unwrap();
            client.read_u8().await.unwrap();
            servers.push(server);
            clients.push(client);
        }
        for client in &mut clients {
            client.read_u8().await.unwrap();
        }
        assert_eq!(BUFFERS.with_borrow(Vec::len), MAX_SPARE);
    }
}
