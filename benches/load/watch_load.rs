//! `watch-load`: opens many watches, tunnels or connections that never read through a proxy for a
//! Kubernetes API server. Prints how long that takes and the memory of the proxy.
#![allow(missing_docs)]

#[path = "mod.rs"]
mod load;

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context as _, ensure};
use clap::{ArgGroup, Parser};
use http::Uri;
use serde_json::{Map, Value};

use load::{Client, Process, gets::Gets, idle, stuck, tunnels::Tunnels, watches::Watches};

#[derive(Parser)]
#[command(group = ArgGroup::new("what").required(true))]
struct Flags {
    /// URL of the proxy, without TLS: http://127.0.0.1:PORT
    #[arg(long)]
    url: Uri,
    /// Open N watches, make one change, and wait until every watch has sent it
    #[arg(long, value_name = "N", group = "what")]
    watches: Option<usize>,
    /// Open N WebSocket tunnels to the demo's pod `hello`, and send a message through each
    #[arg(long, value_name = "N", group = "what")]
    tunnels: Option<usize>,
    /// Open N connections that request --path and never read the response
    #[arg(long, value_name = "N", group = "what")]
    stuck: Option<usize>,
    /// Path of the watches, or of the requests whose responses are not read
    #[arg(long, default_value = "/api/v1/namespaces/default/configmaps?watch=1")]
    path: String,
    /// Before that, store config maps of this size in the namespace `demo`
    #[arg(long, value_name = "MIB", default_value_t = 0)]
    fill: usize,
    /// Process ID of the proxy, to read its memory
    #[arg(long)]
    pid: u32,
    /// Seconds without activity on the connections
    #[arg(long, value_name = "SECONDS", default_value_t = 3)]
    idle: u64,
    /// Print one line of JSON instead of one line per figure
    #[arg(long)]
    json: bool,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let flags = Flags::parse();
    load::descriptors::raise_limit()?;
    let host = flags.url.authority().context("--url names no host")?;
    let address: SocketAddr = host.as_str().parse().context("--url: give IP:PORT")?;
    let client = Client { address };
    let process = Process { id: flags.pid };
    if flags.fill > 0 {
        stuck::fill(client, flags.fill).await?;
    }
    let figures = if let Some(count) = flags.watches {
        watches(client, process, &flags, count).await?
    } else if let Some(count) = flags.tunnels {
        tunnels(client, process, &flags, count).await?
    } else {
        let count = flags.stuck.unwrap_or_default();
        stuck(client, process, &flags, count).await?
    };
    if flags.json {
        println!("{}", Value::Object(figures));
    } else {
        for (name, value) in figures {
            println!("{name:18} {value}");
        }
    }
    Ok(())
}

type Figures = Map<String, Value>;

fn figures<const N: usize>(of: [(&str, Value); N]) -> Figures {
    let named = of.map(|(name, value)| (name.to_owned(), value));
    named.into_iter().collect()
}

async fn watches(
    client: Client,
    process: Process,
    flags: &Flags,
    count: usize,
) -> anyhow::Result<Figures> {
    let before = process.resident_kb()?;
    let opening = Gets::start(client);
    let mut watches = Watches::open(client, &flags.path, count).await?;
    let opening = opening.stop().await?;
    let gets = Gets::start(client);
    idle(Duration::from_secs(flags.idle)).await;
    let with = process.resident_kb()?;
    let spent = process.cpu()?;
    let delivered = watches.change_once().await?;
    let spent = process.cpu()?.saturating_sub(spent);
    let gets = gets.stop().await?;
    Ok(figures([
        ("watches", count.into()),
        ("opened_ms", load::ms(watches.opened_in)),
        ("delivered_ms", load::ms(delivered)),
        ("delivery_cpu_ms", load::ms(spent)),
        ("rss_before_kb", before.into()),
        ("rss_with_kb", with.into()),
        ("rss_after_kb", process.resident_kb()?.into()),
        ("get_p50_ms", load::ms(gets.at(0.5))),
        ("get_p99_ms", load::ms(gets.at(0.99))),
        ("get_max_ms", load::ms(gets.at(1.0))),
        ("opening_get_p99_ms", load::ms(opening.at(0.99))),
    ]))
}

async fn tunnels(
    client: Client,
    process: Process,
    flags: &Flags,
    count: usize,
) -> anyhow::Result<Figures> {
    let before = process.resident_kb()?;
    let mut tunnels = Tunnels::open(client, count).await?;
    idle(Duration::from_secs(flags.idle)).await;
    let with = process.resident_kb()?;
    let echoed = tunnels.echo().await?;
    idle(Duration::from_secs(1)).await;
    Ok(figures([
        ("tunnels", count.into()),
        ("opened_ms", load::ms(tunnels.opened_in)),
        ("echoed_ms", load::ms(echoed)),
        ("rss_before_kb", before.into()),
        ("rss_with_kb", with.into()),
        ("rss_after_kb", process.resident_kb()?.into()),
    ]))
}

async fn stuck(
    client: Client,
    process: Process,
    flags: &Flags,
    count: usize,
) -> anyhow::Result<Figures> {
    ensure!(
        !flags.path.contains("watch="),
        "--stuck needs a --path with a long response, such as /api/v1/configmaps with --fill 12"
    );
    let before = process.resident_kb()?;
    let held = stuck::open(client, &flags.path, count).await?;
    let (mut most, mut last) = (before, before);
    for _ in 0..flags.idle.max(1) * 10 {
        idle(Duration::from_millis(100)).await;
        last = process.resident_kb()?;
        most = most.max(last);
    }
    drop(held);
    Ok(figures([
        ("stuck", count.into()),
        ("rss_before_kb", before.into()),
        ("rss_with_kb", last.into()),
        ("rss_most_kb", most.into()),
    ]))
}
