//! Clients that request much and never read it.

use std::{io, sync::Arc};

use serde_json::json;
use tokio::{io::AsyncWriteExt as _, net::TcpStream};

use super::{Client, open_many};

/// The path of the objects of [`fill`].
pub const FILLED: &str = "/api/v1/namespaces/demo/configmaps";

const MIB: usize = 1024 * 1024;

/// Stores objects of this size in total under [`FILLED`].
pub async fn fill(client: Client, mebibytes: usize) -> io::Result<()> {
    let text = "0123456789abcdef".repeat(MIB / 16);
    for n in 0..mebibytes {
        let name = format!("fill-{}-{n}", std::process::id());
        let object = json!({"metadata": {"name": name}, "data": {"text": text}});
        client.write(FILLED, Some(&object)).await?;
    }
    Ok(())
}

/// Sends `count` requests for `path`, each over its own connection.
pub async fn open(client: Client, path: &str, count: usize) -> io::Result<Vec<TcpStream>> {
    let request: Arc<str> = client.get(path).into();
    open_many(count, move || {
        let request = Arc::clone(&request);
        async move {
            let mut stream = TcpStream::connect(client.address).await?;
            stream.write_all(request.as_bytes()).await?;
            Ok(stream)
        }
    })
    .await
}
