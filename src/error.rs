//! What errors of every module share: the boxed type, and their text.

use std::{error::Error, fmt::Write as _};

/// An error of any type, which can be sent to another thread.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// Returns the error and its causes in one line. A cause whose text already ends the line is left
/// out, since some errors repeat their source in their own text.
#[must_use]
pub fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let part = error.to_string();
        if !text.ends_with(&part) {
            // Writing to a String does not fail.
            let _ = write!(text, ": {part}");
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Layered {
        text: &'static str,
        source: Option<Box<Layered>>,
    }

    fn layered(texts: &[&'static str]) -> Layered {
        let (text, causes) = texts.split_first().expect("an error has a text");
        let source = (!causes.is_empty()).then(|| Box::new(layered(causes)));
        Layered { text, source }
    }

    #[test]
    fn causes_follow_the_error_and_none_is_repeated() {
        for (texts, expected) in [
            (&["a"][..], "a"),
            (&["a", "b", "c"], "a: b: c"),
            (&["a: b", "b", "c"], "a: b: c"),
            (&["a", "b: c", "c"], "a: b: c"),
        ] {
            assert_eq!(with_causes(&layered(texts)), expected);
        }
    }
}
