//! What the program tells of itself: log lines on stderr.

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

/// The target of the lines that tell of each request.
const REQUESTS: &str = "kubegate::requests";

static REPEATS: OnceLock<Repeats> = OnceLock::new();

/// Begins to log: from verbosity 2 on each request, from 4 on what is done for it, from 6 on all. Only this program's own events and those of its trace layer are shown,
/// whatever the verbosity: what other libraries log of headers is not ours to vouch for.
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
        let write = move |level, text: &str| console::say_raw(&line.of_text(level, text));
        Repeats::new(Box::new(Instant::now), Box::new(write))
    });
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(console::log)
        // Colours are the line's own, and whatever else acts on a terminal is replaced there.
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

/// Writes how often messages came that were counted, where it is time. To be called every second.
pub fn tick() {
    if let Some(repeats) = REPEATS.get() {
        repeats.write_counts(false);
    }
}

/// Writes what was counted and is not written yet.
pub fn finish() {
    if let Some(repeats) = REPEATS.get() {
        repeats.write_counts(true);
    }
}
