//! Compiles Go's regular expressions with the `regex` crate.
//!
//! kubectl compiles the patterns of its flags with Go's `regexp`. The syntax of the two differs
//! (`\Q..\E`, octal escapes, a `{` that stands for itself), and so does the meaning of what both
//! accept (`\d`, `\w`, `\s` and `\b` are ASCII in Go; `&&`, `--` and `[` within a class are operators in
//! Rust; `\<` is a character in Go). So a pattern is parsed by the rules of Go's `regexp/syntax` with
//! its flags for Perl, and each part is written in a form that means the same in every context. Which
//! match is preferred, and captures, do not matter: the filter asks only whether there is a match.

mod class;
mod error;
mod escape;
mod input;
mod translate;
mod write;

use regex::{Regex, RegexBuilder};

pub use error::Error;

/// How much memory a compiled pattern may take, as in Go.
const MAX_SIZE: usize = 128 << 20;

/// Compiles a pattern that Go's `regexp.Compile` accepts, to match as in Go.
pub(super) fn compile(pattern: &str) -> Result<Regex, Error> {
    RegexBuilder::new(&translate::translate(pattern)?)
        // Each group of the pattern, and those that are put around its parts.
        .nest_limit(4 * translate::MAX_DEPTH)
        .size_limit(MAX_SIZE)
        .build()
        .map_err(|error| Error::Compile(Box::new(error)))
}

#[cfg(test)]
mod tests;
