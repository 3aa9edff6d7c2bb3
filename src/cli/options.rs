//! `kubegate options`

use super::{help, output};

pub(super) const EXAMPLES: &str = "\
Examples:
  kubegate options
  kubegate --context staging whoami

Exit codes: 0 with the flags on standard output, 1 if they cannot be written, 2 for bad flags.";

/// Prints the flags that every command takes.
pub(super) fn run() -> anyhow::Result<()> {
    let flags = help::connection_flags().render_help();
    output::print(&flags.to_string())
}
