//! What the program tells of itself: log lines on stderr.

use std::io::IsTerminal as _;

use tracing_subscriber::{
    Layer as _, filter::Targets, layer::SubscriberExt as _, util::SubscriberInitExt as _,
};

/// Begins to log. Only this program's own events and those of its trace layer are shown,
/// whatever the verbosity: what other libraries log of headers is not ours to vouch for.
pub fn start(verbosity: u8) {
    let level = match verbosity {
        0..=3 => tracing::Level::INFO,
        4..=5 => tracing::Level::DEBUG,
        _ => tracing::Level::TRACE,
    };
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .with_filter(
            Targets::new()
                .with_target("kubegate", level)
                .with_target("tower_http", level.min(tracing::Level::DEBUG)),
        );
    tracing_subscriber::registry().with(lines).init();
}
