//! Flags for the connections to the API server.

use std::time::Duration;

use clap::Args;

use super::values::duration;

/// The time limits of connections to the API server.
// The doc comments are the help texts.
#[allow(clippy::doc_markdown)]
#[derive(Args, Clone, Copy, Debug)]
pub struct UpstreamFlags {
    /// How long connecting to the API server may take, TLS included
    #[arg(long, value_name = "DURATION", default_value = "4s", value_parser = positive_duration)]
    pub upstream_connect_timeout: Duration,
    /// How long the API server may be silent before it is probed, while a request waits
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = positive_duration)]
    pub upstream_ping_after: Duration,
    /// How long a probe may take before requests take another connection, or fail with 504
    #[arg(long, value_name = "DURATION", default_value = "1500ms", value_parser = positive_duration)]
    pub upstream_ping_timeout: Duration,
    /// How long an API server that answers no probe may be silent before watches, tunnels and
    /// responses in progress end
    #[arg(long, value_name = "DURATION", default_value = "12s", value_parser = positive_duration)]
    pub upstream_silence_timeout: Duration,
    /// How long an idle connection is kept; 0 for no limit
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = duration)]
    pub upstream_idle_timeout: Duration,
    /// Age at which a connection takes no more requests; 0 for no limit
    #[arg(long, value_name = "DURATION", default_value = "30m", value_parser = duration)]
    pub upstream_max_age: Duration,
}

fn positive_duration(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        Duration::ZERO => Err("give a duration above zero, such as 5s".to_owned()),
        duration => Ok(duration),
    }
}
