//! Errors about IBM Cloud.

use crate::credential::Error;

/// The name of the vendor in errors.
pub(super) const VENDOR: &str = "IBM Cloud";

/// Returns an error that a later call does not resolve. `problem` says what is wrong and what to do.
pub(super) fn ibm_error(problem: String) -> Error {
    Error::Vendor {
        vendor: VENDOR,
        problem,
        transient: false,
        retry_after: None,
    }
}
