//! The basis of the tests: the compiled program, scripted API servers, raw clients.

mod cable;
mod connection;
pub mod frames;
mod go_away;
mod http2;
mod kubeconfig;
mod kubegate;
mod load;
mod process;
pub mod raw_http2;
mod relay;
mod responses;
pub mod secrets;
mod served;
mod terminal;
mod tls_client;
mod upstream;

pub use cable::{Cable, Cut, FAR};
pub use connection::{Connection, Message};
pub use http2::Frames;
pub use kubeconfig::kubeconfig;
pub use kubegate::{Kubegate, NO_HOME, Refused, command_like};
pub use load::{Completed, Load};
pub use process::ServerProcess;
pub use relay::Relay;
pub use served::{Served, ServerOptions};
pub use terminal::on_terminal;
pub use tls_client::TlsClient;
pub use upstream::{Handed, Upstream, certified, tls_config};

use std::{
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpStream, UnixStream},
};

/// The timeout of everything that tests wait for. It is far longer than anything takes.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A file of `certs/`.
pub fn cert(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("certs")
        .join(name)
}

/// Waits for `future`. Fails the test after [`PATIENCE`].
pub async fn in_time<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(PATIENCE, future)
        .await
        .expect("it hangs")
}

/// Waits until a counter has started and no longer changes. Returns its value.
pub async fn halt(progress: &AtomicUsize) -> usize {
    loop {
        let before = progress.load(Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(300)).await;
        if before > 0 && progress.load(Ordering::SeqCst) == before {
            return before;
        }
    }
}

/// Sends `bytes` over a new connection and reads until the other end closes. An address that begins with
/// `https://` is that of a listener with a certificate of `certs/ca.pem`.
pub async fn exchange(address: &str, bytes: impl AsRef<[u8]>) -> String {
    if address.starts_with("https://") {
        let mut connection = Connection::open(address).await;
        connection.write(bytes).await;
        return searched(&in_time(connection.rest()).await);
    }
    let mut stream = TcpStream::connect(address).await.unwrap();
    // The server may respond and close before it has read all of it.
    let _ = in_time(stream.write_all(bytes.as_ref())).await;
    let mut response = Vec::new();
    // A reset after the response is an ordinary end here.
    let _ = in_time(stream.read_to_end(&mut response)).await;
    searched(&response)
}

/// Checks that a response of kubegate itself has no secret in it.
fn searched(response: &[u8]) -> String {
    let response = String::from_utf8_lossy(response).into_owned();
    if response.contains(r#""message":"kubegate: "#) {
        secrets::assert_none("an answer", &response);
    }
    response
}

/// Like [`exchange`], over a unix socket.
pub async fn exchange_unix(path: &Path, bytes: impl AsRef<[u8]>) -> String {
    let mut stream = UnixStream::connect(path).await.unwrap();
    stream.write_all(bytes.as_ref()).await.unwrap();
    let mut response = Vec::new();
    let _ = in_time(stream.read_to_end(&mut response)).await;
    searched(&response)
}

/// Sends a GET request that closes its connection. Returns the response, head and body.
pub async fn get(address: &str, path: &str) -> String {
    let head = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    exchange(address, head).await
}

/// The status of a response.
pub fn status(response: &str) -> u16 {
    response
        .split(' ')
        .nth(1)
        .and_then(|code| code.parse().ok())
        .unwrap_or_else(|| panic!("no status in {response:?}"))
}
