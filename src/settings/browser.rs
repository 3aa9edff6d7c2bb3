//! Flags of the logins that use a browser. kubelogin has them too.

use std::time::Duration;

use clap::Args;

use super::values::{duration, go_bool};

/// How long a person may take for a login.
const AUTHENTICATION_TIMEOUT: Duration = Duration::from_secs(300);

/// How a login uses the browser, and how long it waits for the person who logs in.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Browser")]
pub struct BrowserFlags {
    /// Print the URL for the login and wait for it, without opening a browser
    #[arg(long, visible_alias = "skip-open-browser", value_name = "BOOL", value_parser = go_bool,
          num_args = 0..=1, require_equals = true, default_missing_value = "true",
          default_value = "false", hide_default_value = true, hide_possible_values = true)]
    pub no_browser: bool,
    /// Command that opens a URL, in place of BROWSER and the desktop's: %s stands for the URL, which
    /// otherwise comes last
    #[arg(long, value_name = "COMMAND")]
    pub browser_command: Option<String>,
    /// How long a person may take for the login, such as 180 or 3m; 0 for no limit
    #[arg(long, visible_alias = "authentication-timeout-sec", value_name = "DURATION",
          default_value = "5m", value_parser = duration)]
    pub authentication_timeout: Duration,
}

impl BrowserFlags {
    /// Returns how long a person may take; `None` means without limit.
    #[must_use]
    pub fn timeout(&self) -> Option<Duration> {
        Some(self.authentication_timeout).filter(|limit| !limit.is_zero())
    }
}

impl Default for BrowserFlags {
    fn default() -> Self {
        Self {
            no_browser: false,
            browser_command: None,
            authentication_timeout: AUTHENTICATION_TIMEOUT,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use clap::{Command, FromArgMatches as _};

    use super::*;

    fn parsed(args: &[&str]) -> BrowserFlags {
        let command = BrowserFlags::augment_args(Command::new("login").no_binary_name(true));
        BrowserFlags::from_arg_matches(&command.try_get_matches_from(args).unwrap()).unwrap()
    }

    #[test]
    fn the_names_of_kubelogin_mean_the_same() {
        let none = parsed(&[]);
        assert!(!none.no_browser && none.browser_command.is_none());
        assert_eq!(none.timeout(), BrowserFlags::default().timeout());
        for (args, no_browser, timeout) in [
            (
                &["--skip-open-browser", "--authentication-timeout-sec=60"][..],
                true,
                Some(60),
            ),
            (
                &["--no-browser=true", "--authentication-timeout", "3m"],
                true,
                Some(180),
            ),
            (
                &["--skip-open-browser=false", "--authentication-timeout=0"],
                false,
                None,
            ),
        ] {
            let flags = parsed(args);
            assert_eq!(flags.no_browser, no_browser, "{args:?}");
            assert_eq!(
                flags.timeout(),
                timeout.map(Duration::from_secs),
                "{args:?}"
            );
        }
    }
}
