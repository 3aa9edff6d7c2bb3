//! The last words to a client that is not served, and the end of a connection whose client still
//! sends.
//!
//! A connection that is closed while bytes still come is reset, and with it goes what was said and
//! not yet read (RFC 9112 section 9.6).

use std::{
    future::{Future as _, poll_fn},
    io,
    mem::MaybeUninit,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf},
    time::{Instant, Sleep, sleep, timeout},
};

/// How long a client may take to ask, or to take what is said.
const TIME: Duration = Duration::from_secs(2);

/// How long a client may send nothing while it is read on.
const SILENCE: Duration = Duration::from_secs(2);

/// How long it is read on at all.
const PATIENCE: Duration = Duration::from_secs(30);

/// How much is read on: more than any API server takes.
const SIZE: usize = 64 * 1024 * 1024;

/// Says `words`, and closes when the client has.
pub(super) async fn say<S>(words: &[u8], mut stream: S)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    // Nothing depends on it: a client that is gone or takes too long is closed on.
    if let Ok(Ok(())) = timeout(TIME, write(words, &mut stream)).await {
        let mut linger = Linger::new();
        poll_fn(|cx| linger.poll(&mut stream, cx)).await;
    }
}

/// The same to a client that has asked nothing yet: it is let ask first, as not all clients
/// listen before they do. Takes no longer than [`TIME`].
pub(super) async fn answer<S>(words: &[u8], mut stream: S)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let _ = timeout(TIME, async {
        stream.read_u8().await?;
        say(words, stream).await;
        io::Result::Ok(())
    })
    .await;
}

async fn write<S>(words: &[u8], stream: &mut S) -> io::Result<()>
where
    S: AsyncWrite + Unpin,
{
    stream.write_all(words).await?;
    stream.shutdown().await
}

/// Reads on until the client has closed, for a bounded while.
pub(super) struct Linger {
    /// Ends when the client has been silent for too long.
    silent: Pin<Box<Sleep>>,
    until: Instant,
    left: usize,
}

impl Linger {
    pub(super) fn new() -> Self {
        Self {
            silent: Box::pin(sleep(SILENCE)),
            until: Instant::now() + PATIENCE,
            left: SIZE,
        }
    }

    /// Ready when the client has closed or has had its time.
    pub(super) fn poll<S>(&mut self, stream: &mut S, cx: &mut Context<'_>) -> Poll<()>
    where
        S: AsyncRead + Unpin,
    {
        let mut scratch = [MaybeUninit::uninit(); 16 * 1024];
        loop {
            let mut read = ReadBuf::uninit(&mut scratch);
            let Poll::Ready(result) = Pin::new(&mut *stream).poll_read(cx, &mut read) else {
                return self.silent.as_mut().poll(cx);
            };
            let length = read.filled().len();
            self.left = self.left.saturating_sub(length);
            let now = Instant::now();
            if result.is_err() || length == 0 || self.left == 0 || now >= self.until {
                return Poll::Ready(());
            }
            self.silent.as_mut().reset(self.until.min(now + SILENCE));
        }
    }
}
