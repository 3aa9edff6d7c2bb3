//! Answers say when the credential that they came by is about to end for good, so that whoever
//! reads `Warning` headers, as kubectl does, can log in before that.

use std::time::SystemTime;

use http::{Response, StatusCode, header::WARNING};

use crate::credential::Credential;

/// Adds the announcement of `credential` to an answer, where it has one that is due. Those of
/// the API server's own stay.
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
