//! [`Error`]: why a pattern cannot be compiled.

/// Why a pattern cannot be compiled. The texts are Go's.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum Error {
    /// A backslash before a character that it cannot escape.
    #[error("invalid escape sequence: {0}")]
    Escape(String),
    /// The pattern ends in a backslash.
    #[error("trailing backslash at end of expression")]
    TrailingBackslash,
    /// `[` without `]`.
    #[error("missing closing ]")]
    MissingBracket,
    /// `(` without `)`.
    #[error("missing closing )")]
    MissingParen,
    /// `)` without `(`.
    #[error("unexpected )")]
    UnexpectedParen,
    /// A range that ends before it begins, or a class that does not exist.
    #[error("invalid character class range: {0}")]
    ClassRange(String),
    /// `(?` before something unknown.
    #[error("invalid or unsupported Perl syntax: {0}")]
    Perl(String),
    /// An invalid name of a group.
    #[error("invalid named capture: {0}")]
    Name(String),
    /// A repetition of nothing.
    #[error("missing argument to repetition operator: {0}")]
    MissingArgument(char),
    /// A repetition of a repetition.
    #[error("invalid nested repetition operator: {0}")]
    NestedRepeat(char),
    /// A count above 1000, or a range of counts that ends before it begins.
    #[error("invalid repeat count: {0}")]
    RepeatCount(String),
    /// Groups are nested too deeply.
    #[error("expression nests too deeply")]
    Depth,
    /// Found by the compiler: a Unicode class that does not exist, or a pattern that is too large.
    #[error(transparent)]
    Compile(Box<regex::Error>),
}
