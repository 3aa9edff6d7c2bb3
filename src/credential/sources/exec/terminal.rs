//! Whether a plugin may use the terminal.

use std::io::{IsTerminal as _, stdin};

use super::error::PluginError;
use crate::{
    credential::Error,
    kubeconfig::{ExecConfig, InteractiveMode},
};

/// Whether the plugin gets standard input, by its `interactiveMode`.
pub(super) fn is_interactive(
    config: &ExecConfig,
    available: fn() -> Result<(), &'static str>,
) -> Result<bool, Error> {
    match (config.interactive_mode, available()) {
        (InteractiveMode::Never, _) | (InteractiveMode::IfAvailable, Err(_)) => Ok(false),
        (_, Ok(())) => Ok(true),
        (InteractiveMode::Always, Err(what)) => Err(Error::Plugin(PluginError::NeedsTerminal {
            command: config.command.clone(),
            what,
        })),
    }
}

/// Whether standard input is a terminal that a plugin can read from; if not, why.
pub(super) fn available() -> Result<(), &'static str> {
    if !stdin().is_terminal() {
        return Err("standard input is not a terminal");
    }
    // A background process that reads from the terminal is stopped with its group (SIGTTIN), and
    // so would this process be.
    match rustix::termios::tcgetpgrp(stdin()) {
        Ok(foreground) if foreground == rustix::process::getpgrp() => Ok(()),
        _ => Err("kubegate runs in the background"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_mode_and_the_terminal_decide_whether_a_plugin_is_interactive() {
        let mut config = ExecConfig {
            api_version: "client.authentication.k8s.io/v1".into(),
            command: "plugin".into(),
            args: Vec::new(),
            env: Vec::new(),
            provide_cluster_info: false,
            interactive_mode: InteractiveMode::Never,
            install_hint: None,
        };
        let (yes, no) = (|| Ok(()), || Err("there is none"));
        for (mode, with, without) in [
            (InteractiveMode::Never, Some(false), Some(false)),
            (InteractiveMode::IfAvailable, Some(true), Some(false)),
            (InteractiveMode::Always, Some(true), None),
        ] {
            config.interactive_mode = mode;
            assert_eq!(is_interactive(&config, yes).ok(), with, "{mode:?}");
            assert_eq!(is_interactive(&config, no).ok(), without, "{mode:?}");
        }
        let error = is_interactive(&config, no).unwrap_err().to_string();
        assert!(
            error.contains("plugin") && error.contains("there is none"),
            "{error}"
        );
    }
}
