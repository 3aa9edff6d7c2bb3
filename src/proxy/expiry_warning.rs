//! Adds a `Warning` header where the credential is about to expire for good, or has ended. kubectl prints
//! it, so that the user knows how to log in.

use std::time::SystemTime;

use http::{Response, StatusCode, header::WARNING};

use crate::credential::{Cache, Credential};

/// Adds the expiry warning of `credential` to a response, if one is due. Warnings of the API server stay.
pub(super) fn with_expiry_warning<B>(
    mut response: Response<B>,
    credential: &Credential,
) -> Response<B> {
    if let Some(warning) = &credential.expiry_warning
        && response.status() != StatusCode::SWITCHING_PROTOCOLS
        && let Some(header) = warning.header(SystemTime::now())
    {
        response.headers_mut().append(WARNING, header.clone());
    }
    response
}

/// Adds a warning with the command to log in to a 401 of the API server to `used`, if a human must do that.
pub(super) fn with_login_warning<B>(
    mut response: Response<B>,
    credentials: &Cache,
    used: &Credential,
) -> Response<B> {
    if let Some(warning) = credentials.login_warning(used) {
        response.headers_mut().append(WARNING, warning);
    }
    response
}
