//! Why an exec plugin gave no credential.

use std::{
    io,
    path::{Path, PathBuf},
    process::ExitStatus,
    sync::Arc,
    time::Duration,
};

use rustix::io::Errno;

/// What the system returns while it is short of a resource, or while the program is being written.
const TRANSIENT: [Errno; 5] = [
    Errno::AGAIN,
    Errno::NOMEM,
    Errno::MFILE,
    Errno::NFILE,
    Errno::TXTBSY,
];

/// Why an exec plugin gave no credential.
#[derive(Clone, Debug, thiserror::Error)]
pub enum PluginError {
    /// The plugin's program does not exist.
    #[error("exec plugin {} was not found{}{}", command.display(), where_searched(command), hint(install_hint.as_deref()))]
    NotFound {
        /// The program.
        command: PathBuf,
        /// `installHint` of the kubeconfig.
        install_hint: Option<String>,
    },
    /// The plugin's program cannot be started, or contact with it was lost.
    #[error("exec plugin {} {what}", command.display())]
    Unusable {
        /// The program.
        command: PathBuf,
        /// What is wrong, and what to do.
        what: &'static str,
        /// The system's error.
        source: Arc<io::Error>,
    },
    /// The plugin runs already above this process, and would run itself without end.
    #[error("exec plugin {} was not run, because {what}: this process was started by it; let exec in the kubeconfig's user run a program that obtains a token, or kubegate with the --context of another user", command.display())]
    Recursive {
        /// The program.
        command: PathBuf,
        /// What is wrong.
        what: &'static str,
    },
    /// The plugin needs a terminal, and there is none for it.
    #[error("exec plugin {} needs a terminal (interactiveMode: Always), but {what}", command.display())]
    NeedsTerminal {
        /// The program.
        command: PathBuf,
        /// Why it cannot have one.
        what: &'static str,
    },
    /// The plugin ended with a failure.
    #[error("exec plugin {} failed ({status}){}", command.display(), after_colon(stderr))]
    Failed {
        /// The program.
        command: PathBuf,
        /// How it ended.
        status: ExitStatus,
        /// The end of what it wrote to standard error, without secrets and control characters.
        stderr: String,
        /// Whether the log has all of that too.
        logged: bool,
    },
    /// The plugin took too long and was killed.
    #[error("exec plugin {} did not finish within {} s and was killed{}", command.display(), after.as_secs_f32(), after_colon(stderr))]
    TimedOut {
        /// The program.
        command: PathBuf,
        /// How long it was given.
        after: Duration,
        /// The end of what it wrote to standard error, without secrets and control characters.
        stderr: String,
        /// Whether the log has all of that too.
        logged: bool,
    },
    /// The plugin was stopped because this process is about to end.
    #[error("exec plugin {} was stopped because kubegate ends", command.display())]
    Stopped {
        /// The program.
        command: PathBuf,
    },
    /// The plugin succeeded, but what it printed is no credential.
    #[error("exec plugin {} printed no credential that can be used: {what}", command.display())]
    BadOutput {
        /// The program.
        command: PathBuf,
        /// What is wrong with it.
        what: String,
    },
}

impl PluginError {
    /// Refers to the log for the plugin's messages where the log has all of them.
    pub(in crate::credential) fn without_logged_messages(mut self) -> Self {
        if let Self::Failed { stderr, logged, .. } | Self::TimedOut { stderr, logged, .. } =
            &mut self
            && *logged
            && !stderr.is_empty()
        {
            "see its messages above".clone_into(stderr);
        }
        self
    }

    /// Whether another run may succeed without a change by a human.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::TimedOut { .. } | Self::Stopped { .. } => true,
            // Killed by a signal, for example by the out-of-memory killer.
            Self::Failed { status, .. } => status.code().is_none(),
            Self::Unusable { source, .. } => source
                .raw_os_error()
                .map(Errno::from_raw_os_error)
                .is_some_and(|errno| TRANSIENT.contains(&errno)),
            Self::NotFound { .. }
            | Self::Recursive { .. }
            | Self::NeedsTerminal { .. }
            | Self::BadOutput { .. } => false,
        }
    }

    /// What to do about it, where its text does not say so.
    #[must_use]
    pub fn remedy(&self) -> Option<&'static str> {
        Some(match self {
            Self::Failed { stderr, .. } if stderr.is_empty() => {
                "run it in a terminal to see what it needs"
            }
            Self::Failed { .. } => "if it asks for a login, log in by its own tool",
            Self::TimedOut { .. } => {
                "run it in a terminal to see what it waits for, or give it longer by --exec-timeout"
            }
            Self::Unusable { .. } | Self::NeedsTerminal { .. } => {
                "see exec in the kubeconfig's user"
            }
            Self::BadOutput { .. } => {
                "run it in a terminal to see what it prints, and see exec in the kubeconfig's user"
            }
            Self::NotFound { .. } | Self::Recursive { .. } | Self::Stopped { .. } => return None,
        })
    }
}

fn where_searched(command: &Path) -> &'static str {
    if command.components().count() == 1 {
        " in PATH"
    } else {
        ""
    }
}

fn hint(install_hint: Option<&str>) -> String {
    let default = "install it, or correct exec.command in the kubeconfig";
    format!("; {}", install_hint.map_or(default, str::trim))
}

fn after_colon(stderr: &str) -> String {
    if stderr.is_empty() {
        String::new()
    } else {
        format!(": {stderr}")
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;

    use super::*;

    fn not_started(errno: Errno) -> PluginError {
        PluginError::Unusable {
            command: "plugin".into(),
            what: "cannot be started",
            source: Arc::new(errno.into()),
        }
    }

    fn failed(status: i32) -> PluginError {
        PluginError::Failed {
            command: "plugin".into(),
            status: ExitStatus::from_raw(status),
            stderr: String::new(),
            logged: true,
        }
    }

    #[test]
    fn what_a_human_must_correct_is_not_transient() {
        let (by_signal, by_exit_code) = (failed(9), failed(1 << 8));
        for (error, transient) in [
            (not_started(Errno::NOMEM), true),
            (not_started(Errno::ACCESS), false),
            (not_started(Errno::TOOBIG), false),
            (by_signal, true),
            (by_exit_code, false),
        ] {
            assert_eq!(error.is_transient(), transient, "{error:?}");
        }
    }
}
