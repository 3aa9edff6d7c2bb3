//! Sends a response to a client that is not served, and closes the connection.

use std::{future::poll_fn, io, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    time::timeout,
};

use super::lingering_close::LingeringClose;

/// How long a client may take to send its request, or to read the response.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Writes `response`, and closes when the client has closed.
pub(super) async fn send_and_close<S>(response: &[u8], mut stream: S)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    // A client that is gone or too slow needs no lingering close.
    if let Ok(Ok(())) = timeout(TIMEOUT, write(response, &mut stream)).await {
        let mut linger = LingeringClose::new();
        poll_fn(|cx| linger.poll(&mut stream, cx)).await;
    }
}

/// Waits for the first byte of a request before it sends the response, since some clients do not
/// read before they have sent. Takes at most [`TIMEOUT`].
pub(super) async fn send_after_request<S>(response: &[u8], mut stream: S)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let _ = timeout(TIMEOUT, async {
        stream.read_u8().await?;
        send_and_close(response, stream).await;
        io::Result::Ok(())
    })
    .await;
}

async fn write<S>(response: &[u8], stream: &mut S) -> io::Result<()>
where
    S: AsyncWrite + Unpin,
{
    stream.write_all(response).await?;
    stream.shutdown().await
}
