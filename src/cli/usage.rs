//! The exit code of a failed command: 2 if the command line is wrong, whatever files and servers hold,
//! else 1.

use std::{error::Error as StdError, fmt, process::ExitCode};

use crate::{error::BoxError, kubeconfig, login, proxy::guard};

/// The code that clap itself uses.
const USAGE: u8 = 2;

/// An error in the command line, with what to write instead.
#[derive(Debug)]
pub(super) struct Usage(String);

impl Usage {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl StdError for Usage {}

/// Returns from the function with a [`Usage`], as anyhow's `bail!` does with any other error.
macro_rules! bail_usage {
    ($($message:tt)*) => {
        return Err($crate::cli::usage::Usage::new(format!($($message)*)).into())
    };
}
pub(super) use bail_usage;

/// Returns the exit code of a command that failed.
#[must_use]
pub fn exit_code(error: &anyhow::Error) -> ExitCode {
    // The error of a target source comes in a box, which hides its type from the chain.
    let boxed = error.downcast_ref::<BoxError>();
    let boxed = boxed.is_some_and(|error| anyhow::Chain::new(error.as_ref()).any(is_usage));
    if boxed || error.chain().any(is_usage) {
        return ExitCode::from(USAGE);
    }
    ExitCode::FAILURE
}

fn is_usage(error: &(dyn StdError + 'static)) -> bool {
    error.is::<Usage>()
        || error.is::<guard::Error>()
        || error
            .downcast_ref()
            .is_some_and(login::Error::is_of_command_line)
        || error
            .downcast_ref()
            .is_some_and(kubeconfig::Error::is_of_flags)
}
