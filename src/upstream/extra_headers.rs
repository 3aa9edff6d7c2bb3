//! [`ExtraHeaders`]: headers that every request to one API server gets.

use std::sync::Arc;

use arc_swap::ArcSwap;
use http::{HeaderMap, HeaderName, HeaderValue};

/// Headers with their values as they are now. Clones share their state.
#[derive(Clone, Debug)]
pub struct ExtraHeaders(Arc<ArcSwap<Vec<(HeaderName, HeaderValue)>>>);

impl ExtraHeaders {
    /// Adds these headers, whose values are marked as sensitive.
    #[must_use]
    pub fn new(headers: Vec<(HeaderName, HeaderValue)>) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(sensitive(headers))))
    }

    /// Adds these headers from now on. Returns whether they differ.
    #[must_use]
    pub fn replace(&self, headers: Vec<(HeaderName, HeaderValue)>) -> bool {
        let differ = **self.0.load() != headers;
        if differ {
            self.0.store(Arc::new(sensitive(headers)));
        }
        differ
    }

    /// Adds them to the headers of a request, in place of those with the same names. Some servers read an
    /// underscore in a name as a dash.
    pub(super) fn apply(&self, headers: &mut HeaderMap) {
        for (name, value) in &**self.0.load() {
            let is_alike = |other: &&HeaderName| {
                other.as_str().contains('_') && other.as_str().replace('_', "-") == name.as_str()
            };
            let alike: Vec<_> = headers.keys().filter(is_alike).cloned().collect();
            for other in alike {
                headers.remove(other);
            }
            headers.insert(name, value.clone());
        }
    }
}

fn sensitive(mut headers: Vec<(HeaderName, HeaderValue)>) -> Vec<(HeaderName, HeaderValue)> {
    for (_, value) in &mut headers {
        value.set_sensitive(true);
    }
    headers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_replaces_the_clients_and_is_never_shown() {
        let name = HeaderName::from_static("x-front");
        let extra = ExtraHeaders::new(vec![(name.clone(), HeaderValue::from_static("hunter2"))]);
        let mut headers = HeaderMap::new();
        for name in ["x-front", "x_front", "x-other"] {
            headers.append(name, HeaderValue::from_static("a"));
            headers.append(name, HeaderValue::from_static("b"));
        }
        extra.apply(&mut headers);
        assert_eq!(headers.get_all(&name).iter().count(), 1);
        assert_eq!(headers[&name], "hunter2");
        assert!(!headers.contains_key("x_front"));
        assert_eq!(headers.get_all("x-other").iter().count(), 2);
        assert!(!format!("{extra:?} {headers:?}").contains("hunter2"));
        assert!(!extra.replace(vec![(name.clone(), HeaderValue::from_static("hunter2"))]));
        assert!(extra.replace(vec![(name.clone(), HeaderValue::from_static("new"))]));
        extra.apply(&mut headers);
        assert_eq!(headers[&name], "new");
        assert!(headers[&name].is_sensitive());
    }
}
