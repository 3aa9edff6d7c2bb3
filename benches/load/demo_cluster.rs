//! `demo-cluster`: the demo control plane as a process, as the upstream of proxies. It writes
//! `kubeconfig`, `ca.pem` and `token` to a folder, prints its URL, and serves until its standard
//! input ends.
#![allow(missing_docs, unreachable_pub)]

mod descriptors;

use std::{fs, io, path::PathBuf, time::Duration};

use clap::Parser;
use kubegate::demo::ControlPlane;
use serde_json::json;

/// Longer than any run.
const TOKEN_TTL: Duration = Duration::from_secs(24 * 3600);

#[derive(Parser)]
struct Flags {
    /// Folder for `kubeconfig`, `ca.pem` and `token`
    #[arg(long)]
    folder: PathBuf,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let Flags { folder } = Flags::parse();
    fs::create_dir_all(&folder)?;
    let folder = folder.canonicalize()?;
    descriptors::raise_limit()?;
    let cluster = ControlPlane::start(TOKEN_TTL).await?;
    let (token, _) = cluster.token();
    let ca = folder.join("ca.pem");
    let kubeconfig = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "demo",
        "contexts": [{"name": "demo", "context": {"cluster": "demo", "user": "demo"}}],
        "clusters": [{"name": "demo", "cluster": {
            "server": cluster.url(),
            "certificate-authority": ca,
        }}],
        "users": [{"name": "demo", "user": {"token": token.expose()}}],
    });
    fs::write(&ca, cluster.ca_pem())?;
    fs::write(folder.join("token"), token.expose())?;
    fs::write(folder.join("kubeconfig"), kubeconfig.to_string())?;
    println!("{}", cluster.url());
    let ended = || io::copy(&mut io::stdin(), &mut io::sink());
    tokio::task::spawn_blocking(ended).await??;
    Ok(())
}
