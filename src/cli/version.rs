//! `kubegate version`

use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::output;
use crate::kubeconfig;

pub(super) const EXAMPLES: &str = "\
Examples:
  kubegate version
  kubegate version -o json

Exit codes: 0 with the version on standard output, 1 if it cannot be written, 2 for bad flags.";

#[derive(Args, Debug)]
pub(super) struct Flags {
    /// Output format [default: one line]
    #[arg(short, long, value_enum, value_name = "FORMAT")]
    output: Option<Format>,
    /// Accepted as by kubectl, without effect: only this program's version is printed
    #[arg(long, hide = true)]
    client: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// JSON
    Json,
    /// YAML
    Yaml,
}

/// Prints the version of this program, without a request to a server.
pub(super) fn run(flags: &Flags) -> anyhow::Result<()> {
    match flags.output {
        None => output::print(concat!(
            "Client Version: v",
            env!("CARGO_PKG_VERSION"),
            "\n"
        )),
        Some(Format::Json) => output::print(&format!("{:#}\n", version())),
        Some(Format::Yaml) => output::print(&kubeconfig::yaml(&version())),
    }
}

/// Returns the fields of `kubectl version -o json` that apply to kubegate.
fn version() -> Value {
    json!({"clientVersion": {
        "major": env!("CARGO_PKG_VERSION_MAJOR"),
        "minor": env!("CARGO_PKG_VERSION_MINOR"),
        "gitVersion": concat!("v", env!("CARGO_PKG_VERSION")),
        "platform": format!("{}/{}", std::env::consts::OS, architecture()),
    }})
}

/// Returns the architecture by Go's name.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        "powerpc64" => "ppc64le",
        other => other,
    }
}
