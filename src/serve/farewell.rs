//! The last words to a client that is not served.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// How long the client may take to read them.
const TIME: Duration = Duration::from_secs(2);

/// How much it may still send meanwhile.
const SIZE: u64 = 1024 * 1024;

/// Says `words`, and closes when the client has. A connection that is closed while bytes still
/// come is reset, and with it goes what was said and not yet read (RFC 9112 section 9.6).
pub(super) async fn say<S>(words: &[u8], mut stream: S)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let said = async {
        stream.write_all(words).await?;
        stream.shutdown().await?;
        tokio::io::copy(&mut stream.take(SIZE), &mut tokio::io::sink()).await
    };
    // Nothing depends on it: a client that is gone or takes too long is closed on.
    let _ = tokio::time::timeout(TIME, said).await;
}
