//! `kubegate completions`

use clap::CommandFactory as _;
use clap_complete::Shell;

use super::{Cli, output};

pub(super) const EXAMPLES: &str = "\
Examples:
  source <(kubegate completions bash)
  kubegate completions zsh > \"${fpath[1]}/_kubegate\"
  kubegate completions fish > ~/.config/fish/completions/kubegate.fish
  kubegate completions powershell | Out-String | Invoke-Expression

Exit codes: 0 with the script on standard output, 1 where it cannot be written, 2 for bad flags.";

/// Prints the script to stdout.
pub(super) fn run(shell: Shell) -> anyhow::Result<()> {
    // Not straight to stdout: clap panics where that is closed early, as by `| head`.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "kubegate", &mut script);
    output::print_data(script)
}
