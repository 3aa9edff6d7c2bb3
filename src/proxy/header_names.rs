//! Header names as the servers behind us may read them.

use std::borrow::Cow;

use http::HeaderName;

/// The name with `-` for each `_`: some servers read `x_remote_user` as `x-remote-user`.
pub(super) fn canonical(name: &HeaderName) -> Cow<'_, str> {
    if name.as_str().contains('_') {
        name.as_str().replace('_', "-").into()
    } else {
        name.as_str().into()
    }
}
