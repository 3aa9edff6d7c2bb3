//! A TCP relay that can be frozen: connections are accepted and stay open, but no bytes pass.

use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
};

/// A relay to a server. It stops with the test.
pub struct Relay {
    address: SocketAddr,
    frozen: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Relay {
    /// Starts a relay to a port of this machine.
    pub async fn before(port: u16) -> Self {
        Self::far_before(port, Duration::ZERO).await
    }

    /// Like [`Self::before`], with a delay of each new connection.
    pub async fn far_before(port: u16, delay: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (frozen, freezing) = watch::channel(false);
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let freezing = freezing.clone();
                tokio::spawn(async move {
                    tokio::time::sleep(delay).await;
                    join(client, port, freezing).await;
                });
            }
        });
        Self {
            address,
            frozen,
            task,
        }
    }

    /// `https://localhost:PORT`
    pub fn url(&self) -> String {
        format!("https://localhost:{}", self.address.port())
    }

    /// Stops accepting connections. Existing ones stay open.
    pub fn close(&self) {
        self.task.abort();
    }

    pub fn freeze(&self) {
        self.frozen.send_replace(true);
    }

    pub fn thaw(&self) {
        self.frozen.send_replace(false);
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn join(client: TcpStream, port: u16, frozen: watch::Receiver<bool>) {
    let server = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::join!(
        pass(from_client, to_server, frozen.clone()),
        pass(from_server, to_client, frozen)
    );
}

/// Copies bytes in one direction while the relay is not frozen, until either end closes.
async fn pass(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut frozen: watch::Receiver<bool>,
) {
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(n @ 1..) = from.read(&mut buffer).await {
        // An error means that the test has ended.
        if frozen.wait_for(|frozen| !frozen).await.is_err()
            || to.write_all(&buffer[..n]).await.is_err()
        {
            return;
        }
    }
    let _ = frozen.wait_for(|frozen| !frozen).await;
    let _ = to.shutdown().await;
}
