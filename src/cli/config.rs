//! `kubegate config`: what it can do. `settings_report` does it.

use clap::Subcommand;

pub(super) const EXAMPLES: &str = "\
Examples:
  kubegate config check
  kubegate config show --config ./kubegate.toml
  $EDITOR \"$(kubegate config path | head -n 1)\"

Exit codes: 0 if the settings can be used, 1 if they cannot, 2 for bad flags.";

#[derive(Clone, Copy, Debug, Subcommand)]
pub(super) enum Action {
    /// Check the settings files
    #[command(after_help = EXAMPLES)]
    Check,
    /// Print the settings that count, with where each comes from and without secrets
    #[command(after_help = EXAMPLES)]
    Show,
    /// Print where the settings files are: first the one for settings of your own, existing or not
    #[command(after_help = EXAMPLES)]
    Path,
}
