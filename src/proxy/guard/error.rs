//! [`Error`]: a flag of the guard with an invalid value.

use super::filter::PatternError;

/// A flag with an invalid value.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A pattern is not a regular expression.
    #[error(
        "{flag}: {pattern:?} is not a valid Go regular expression (kubectl's syntax; lists \
         are split at commas that are not in {{n,m}}, brackets or \\Q..\\E)"
    )]
    Pattern {
        /// The flag that holds it.
        flag: &'static str,
        /// The pattern as given.
        pattern: String,
        /// What is wrong with it.
        source: PatternError,
    },
    /// An origin that no browser sends, or one that would let every page in.
    #[error("--allow-origin: {origin:?} {reason}")]
    Origin {
        /// The origin as given.
        origin: String,
        /// What is wrong and what to write instead.
        reason: &'static str,
    },
}
