//! The last words to a client that is not served.

use std::{io, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    time::timeout,
};

/// How long all of it may take.
const TIME: Duration = Duration::from_secs(2);

/// How much the client may still send meanwhile.
const SIZE: u64 = 1024 * 1024;

/// Says `words`, and closes when the client has. A connection that is closed while bytes still
/// come is reset, and with it goes what was said and not yet read (RFC 9112 section 9.6).
pub(super) async fn say<S>(words: &[u8], stream: S)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    // Nothing depends on it: a client that is gone or takes too long is closed on.
    let _ = timeout(TIME, close(words, stream)).await;
}

/// The same to a client that has asked nothing yet: it is let ask first, as not all clients
/// listen before they do.
pub(super) async fn answer<S>(words: &[u8], mut stream: S)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let _ = timeout(TIME, async {
        stream.read_u8().await?;
        close(words, stream).await
    })
    .await;
}

async fn close<S>(words: &[u8], mut stream: S) -> io::Result<u64>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    stream.write_all(words).await?;
    stream.shutdown().await?;
    tokio::io::copy(&mut stream.take(SIZE), &mut tokio::io::sink()).await
}
