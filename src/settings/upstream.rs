//! Flags for the connections to the API server.

use std::time::Duration;

use clap::Args;

use super::duration;

/// How long connections to the API server may take, last, and say nothing.
// The doc comments are the help's text.
#[allow(clippy::doc_markdown)]
#[derive(Args, Clone, Copy, Debug)]
pub struct UpstreamFlags {
    /// How long a connection to the API server may take to come about, TLS included
    #[arg(long, value_name = "DURATION", default_value = "4s", value_parser = some_duration)]
    pub upstream_connect_timeout: Duration,
    /// Silence of the API server after which a waiting request has it asked for a sign of life
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = some_duration)]
    pub upstream_ping_after: Duration,
    /// How long that may take before requests go another way, or are answered 504
    #[arg(long, value_name = "DURATION", default_value = "1500ms", value_parser = some_duration)]
    pub upstream_ping_timeout: Duration,
    /// Silence without a sign of life after which watches, tunnels and running answers end
    #[arg(long, value_name = "DURATION", default_value = "12s", value_parser = some_duration)]
    pub upstream_silence_timeout: Duration,
    /// How long a connection without a request is kept; 0 for ever
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = duration)]
    pub upstream_idle_timeout: Duration,
    /// Age at which a connection takes no more requests; 0 for none
    #[arg(long, value_name = "DURATION", default_value = "30m", value_parser = duration)]
    pub upstream_max_age: Duration,
}

fn some_duration(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        Duration::ZERO => Err("give a duration above zero, such as 5s".to_owned()),
        some => Ok(some),
    }
}
