//! Header names: as the servers behind us may read them, and removal by name.

use std::borrow::Cow;

use http::{HeaderMap, HeaderName};

/// The name with `-` for each `_`: some servers read `x_remote_user` as `x-remote-user`.
pub(super) fn canonical(name: &HeaderName) -> Cow<'_, str> {
    if name.as_str().contains('_') {
        name.as_str().replace('_', "-").into()
    } else {
        name.as_str().into()
    }
}

/// Removes the headers whose names the predicate accepts.
pub(super) fn remove_where(headers: &mut HeaderMap, predicate: impl Fn(&HeaderName) -> bool) {
    let removed: Vec<HeaderName> = headers
        .keys()
        .filter(|name| predicate(name))
        .cloned()
        .collect();
    for name in removed {
        headers.remove(name);
    }
}
