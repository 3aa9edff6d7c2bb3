//! `kubegate version`

use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::output;
use crate::kubeconfig;

pub(super) const EXAMPLES: &str = "\
Examples:
  kubegate version
  kubegate version -o json

Exit codes: 0 with the version on standard output, 1 where it cannot be written, 2 for bad flags.";

#[derive(Args, Debug)]
pub(super) struct Flags {
    /// In which form [default: one line]
    #[arg(short, long, value_enum, value_name = "FORM")]
    output: Option<Form>,
    /// The client's version alone, as kubectl calls it; no other is known here
    #[arg(long, hide = true)]
    client: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Form {
    /// JSON
    Json,
    /// YAML
    Yaml,
}

/// Prints the version of this program; asks no server.
pub(super) fn run(flags: &Flags) -> anyhow::Result<()> {
    match flags.output {
        None => output::print(concat!(
            "Client Version: v",
            env!("CARGO_PKG_VERSION"),
            "\n"
        )),
        Some(Form::Json) => output::print(&format!("{:#}\n", version())),
        Some(Form::Yaml) => output::print(&kubeconfig::yaml(&version())),
    }
}

/// The fields of `kubectl version -o json` that mean something here.
fn version() -> Value {
    json!({"clientVersion": {
        "major": env!("CARGO_PKG_VERSION_MAJOR"),
        "minor": env!("CARGO_PKG_VERSION_MINOR"),
        "gitVersion": concat!("v", env!("CARGO_PKG_VERSION")),
        "platform": format!("{}/{}", std::env::consts::OS, architecture()),
    }})
}

/// By the name that Go gives it.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        "powerpc64" => "ppc64le",
        other => other,
    }
}
