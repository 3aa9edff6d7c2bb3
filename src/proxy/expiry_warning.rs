//! Adds a `Warning` header where the credential is about to expire for good. kubectl prints it, so that
//! the user can log in before that.

use std::time::SystemTime;

use http::{Response, StatusCode, header::WARNING};

use crate::credential::Credential;

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
