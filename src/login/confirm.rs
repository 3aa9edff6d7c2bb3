//! Confirmation of a server that the command line does not name, so that no password is sent to one
//! that was not meant.

use super::{Error, terminal};
use crate::{kubeconfig::Target, printable::printable};

/// Asks on the terminal whether the current context's server is meant.
///
/// # Errors
/// [`Error::NotMeant`] if it is not; [`Error::NotNamed`] if there is no terminal.
pub(super) fn confirm(target: &Target) -> Result<(), Error> {
    let shown = |text: &str| printable(text).into_owned();
    let context = shown(target.context.as_deref().unwrap_or_default());
    let server = shown(&target.cluster.url());
    let prompt = format!("Log in to {server} (the current context, {context})? [y/N] ");
    match terminal::confirm(&prompt, "cluster", "name it") {
        Ok(true) => Ok(()),
        Ok(false) => Err(Error::NotMeant),
        Err(Error::NoTerminal { .. }) => Err(Error::NotNamed { context, server }),
        Err(error) => Err(error),
    }
}
