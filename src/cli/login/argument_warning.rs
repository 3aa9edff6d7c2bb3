//! The warning about a secret on the command line.

/// Warns that a secret, such as `password`, is an argument. `instead` says how else to give it.
pub(super) fn warn_of_argument(what: &str, instead: &str) {
    tracing::warn!(
        "the {what} is on the command line, where other users of this machine can see it; give it by \
         {instead}"
    );
}
