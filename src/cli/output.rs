//! Prints the results of commands on standard output.

use std::io;

use anyhow::Context as _;
use clap::ValueEnum;
use serde_json::Value;

use crate::{console, kubeconfig, printable::printable};

/// `-o`
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// JSON
    Json,
    /// YAML
    Yaml,
    /// Only the names, one per line
    Name,
}

/// Prints text for the user.
pub(super) fn print(text: &str) -> anyhow::Result<()> {
    written(console::print(text))
}

/// Prints data for a program, unchanged.
pub(super) fn print_data(data: impl AsRef<[u8]>) -> anyhow::Result<()> {
    written(console::print_data(data.as_ref()))
}

fn written(outcome: io::Result<()>) -> anyhow::Result<()> {
    match outcome {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(ReaderGone.into()),
        outcome => outcome.context("cannot write to standard output"),
    }
}

/// The program that reads standard output has ended, as `head` does after the first lines. The command
/// then ends without a message, as a process that SIGPIPE ends.
#[derive(Debug, thiserror::Error)]
#[error("cannot write to standard output: its reader has ended")]
pub(super) struct ReaderGone;

impl ReaderGone {
    /// What a shell reports of a process that SIGPIPE ended.
    pub(super) const EXIT_CODE: u8 = 128 + 13;
}

/// Prints `value`, or only `names`.
pub(super) fn print_as(format: Format, value: &Value, names: &[&str]) -> anyhow::Result<()> {
    match format {
        Format::Json => written(console::print_json(&format!("{value:#}\n"))),
        Format::Yaml => written(console::print_json(&kubeconfig::yaml(value))),
        Format::Name => {
            let lines = names.iter().map(|name| format!("{}\n", printable(name)));
            print(&lines.collect::<String>())
        }
    }
}

/// Prints YAML whose quoted strings are JSON.
pub(super) fn print_yaml(text: &str) -> anyhow::Result<()> {
    written(console::print_json(text))
}

/// Prints a table as kubectl does: each column as wide as its widest cell, three spaces apart.
pub(super) fn print_table(rows: &[Vec<String>]) -> anyhow::Result<()> {
    let rows: Vec<Vec<_>> = rows
        .iter()
        .map(|row| row.iter().map(|cell| printable(cell)).collect())
        .collect();
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in &rows {
        let cells = row.iter().zip(&widths);
        let cells = cells.map(|(cell, width)| format!("{cell:<width$}"));
        text.push_str(cells.collect::<Vec<_>>().join("   ").trim_end());
        text.push('\n');
    }
    print(&text)
}

/// Formats a duration as kubectl formats an age: in the largest unit, or in two if the first is small.
pub(super) fn span(seconds: u64) -> String {
    let units = [("d", 86_400), ("h", 3600), ("m", 60), ("s", 1)];
    let Some(at) = units.iter().position(|(_, unit)| seconds >= *unit) else {
        return "0s".to_owned();
    };
    let (name, unit) = units[at];
    let whole = format!("{}{name}", seconds / unit);
    match units.get(at + 1) {
        Some((smaller, small)) if seconds / unit < 10 && seconds % unit >= *small => {
            format!("{whole}{}{smaller}", seconds % unit / small)
        }
        _ => whole,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_has_one_or_two_units() {
        for (seconds, text) in [
            (0, "0s"),
            (59, "59s"),
            (61, "1m1s"),
            (120, "2m"),
            (3599, "59m"),
            (86_399, "23h"),
            (90_061, "1d1h"),
            (10 * 86_400 + 7200, "10d"),
        ] {
            assert_eq!(span(seconds), text);
        }
    }
}
