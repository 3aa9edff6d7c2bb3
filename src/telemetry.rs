//! The log: lines on standard error.

mod line;
mod repeats;

use std::{sync::OnceLock, time::Instant};

use tracing::level_filters::LevelFilter;
use tracing_subscriber::{
    Layer as _, filter::Targets, layer::SubscriberExt as _, util::SubscriberInitExt as _,
};

use crate::console;
use line::{Line, Lines};
use repeats::Repeats;

/// The target of the log lines about each request.
const REQUESTS: &str = "kubegate::requests";

static REPEATS: OnceLock<Repeats> = OnceLock::new();

/// Starts to log. Verbosity 2 adds a line for each request, 4 how it is served, and 6 everything.
/// Only events of kubegate and of its trace layer are logged at any verbosity, because other
/// libraries may log headers with secrets.
pub fn start(verbosity: u8) {
    let level = match verbosity {
        0..=3 => tracing::Level::INFO,
        4..=5 => tracing::Level::DEBUG,
        _ => tracing::Level::TRACE,
    };
    let requests = if verbosity < 2 {
        LevelFilter::OFF
    } else {
        LevelFilter::INFO
    };
    let line = Line {
        is_coloured: console::log_is_coloured(),
    };
    let repeats = REPEATS.get_or_init(|| {
        let write = move |level, text: &str| console::write_log_line(&line.of_text(level, text));
        Repeats::new(Box::new(Instant::now), Box::new(write))
    });
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(console::log)
        // `Line` writes the colours and replaces all other control characters.
        .with_ansi(false)
        .with_ansi_sanitization(false)
        .event_format(Lines { line, repeats })
        .with_filter(
            Targets::new()
                .with_target("kubegate", level)
                .with_target(REQUESTS, requests)
                .with_target("tower_http", level.min(tracing::Level::DEBUG)),
        );
    tracing_subscriber::registry().with(lines).init();
}

/// Writes the counts of repeated messages whose minute is over. To be called every second.
pub fn tick() {
    if let Some(repeats) = REPEATS.get() {
        repeats.write_counts(false);
    }
}

/// Writes all counts of repeated messages that are not written yet.
pub fn finish() {
    if let Some(repeats) = REPEATS.get() {
        repeats.write_counts(true);
    }
}
