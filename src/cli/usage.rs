//! The exit code: 2 where the command line itself is wrong, whatever files and servers say, else 1.

use std::{error::Error as StdError, fmt, process::ExitCode};

use crate::{error::BoxError, kubeconfig, proxy::guard};

/// As clap's own.
const USAGE: u8 = 2;

/// What is wrong with the command line, and what to write instead.
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

/// The exit code of a command that failed.
#[must_use]
pub fn exit_code(error: &anyhow::Error) -> ExitCode {
    // What a plan found wrong comes in a box, which hides its type from the chain.
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
            .is_some_and(kubeconfig::Error::is_of_flags)
}
