//! [`ReadAhead`]: a stream that is read in large pieces.
//!
//! TLS asks for 4 KiB at first and for one record at most. Each read of that size makes the
//! kernel tell the server that there is room again, and do what the server does about it; so here
//! one read takes what has come. A stream of which nothing is left over keeps no memory for it.

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

/// Bytes that are read at once, some six records of TLS. A client that never reads may hold them.
const SIZE: usize = 104 * 1024;
/// Buffers that a thread keeps for its next reads.
const SPARE: usize = 4;

thread_local! {
    static BUFFERS: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// A stream that is read in large pieces: one read takes what has come.
pub struct ReadAhead<S> {
    io: S,
    left: Option<Left>,
}

/// What was read and not yet asked for.
struct Left {
    bytes: Vec<u8>,
    from: usize,
}

impl<S> ReadAhead<S> {
    pub(crate) fn new(io: S) -> Self {
        Self { io, left: None }
    }
}

impl<S: Read + Unpin> ReadAhead<S> {
    fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Left>> {
        let buffer = BUFFERS.with_borrow_mut(Vec::pop);
        let mut bytes = buffer.unwrap_or_else(|| Vec::with_capacity(SIZE));
        let mut io = TokioIo::new(&mut self.io);
        let polled = poll_read_buf(Pin::new(&mut io), cx, &mut bytes);
        if let Poll::Ready(Ok(_)) = polled {
            return Poll::Ready(Ok(Left { bytes, from: 0 }));
        }
        give_back(bytes);
        ready!(polled)?;
        Poll::Pending
    }
}

fn give_back(mut bytes: Vec<u8>) {
    bytes.clear();
    BUFFERS.with_borrow_mut(|buffers| {
        if buffers.len() < SPARE {
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
        let mut left = match this.left.take() {
            Some(left) => left,
            None => ready!(this.poll_more(cx))?,
        };
        let rest = &left.bytes[left.from..];
        let taken = rest.len().min(buffer.remaining());
        buffer.put_slice(&rest[..taken]);
        if taken < rest.len() {
            left.from += taken;
            this.left = Some(left);
        } else {
            give_back(left.bytes);
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

    fn keeps_memory(stream: &Stream) -> bool {
        stream.inner().left.is_some()
    }

    #[tokio::test]
    async fn every_byte_comes_once_and_in_order_whatever_is_asked_for_at_a_time() {
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
    async fn what_has_come_is_there_at_once_and_no_memory_is_kept_behind_it() {
        let (mut server, mut stream) = streams();
        for round in 0..3 {
            server.write_all(b"a few bytes").await.unwrap();
            let mut into = [0; 5];
            stream.read_exact(&mut into).await.unwrap();
            assert!(keeps_memory(&stream), "the control, in round {round}");
            let mut into = [0; 100];
            let read = stream.read(&mut into).await.unwrap();
            assert_eq!(&into[..read], b" bytes");
            assert!(!keeps_memory(&stream), "round {round}");
            let more = timeout(std::time::Duration::from_millis(20), stream.read(&mut into));
            more.await.unwrap_err();
            assert!(!keeps_memory(&stream), "round {round}, while it waits");
        }
    }

    #[tokio::test]
    async fn what_is_left_of_one_stream_never_comes_out_of_another() {
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
        for _ in 0..3 * SPARE {
            let (mut server, mut client) = streams();
            server.write_all(b"ab").await.unwrap();
            client.read_u8().await.unwrap();
            servers.push(server);
            clients.push(client);
        }
        for client in &mut clients {
            client.read_u8().await.unwrap();
        }
        assert_eq!(BUFFERS.with_borrow(Vec::len), SPARE);
    }
}
