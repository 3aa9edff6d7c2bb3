//! [`Route`]: a path that leads to another server than the API server.

use std::{path::PathBuf, str::FromStr};

use http::{Uri, uri::Scheme};

/// A path that leads to another server than the API server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The path, with slashes at both ends.
    pub path: String,
    /// The https URL that the path stands for.
    pub url: Uri,
    /// The context whose credential the server gets; `None` means the only one.
    pub context: Option<String>,
    /// The file with the certificate authorities of the server; `None` means the system's.
    pub certificate_authority: Option<PathBuf>,
}

impl FromStr for Route {
    type Err = String;

    /// Reads `PATH=URL`. No error repeats the URL, which may have a password.
    fn from_str(text: &str) -> Result<Self, String> {
        let (path, url) = text
            .split_once('=')
            .ok_or("give PATH=URL, such as /registry/=https://registry.example")?;
        Ok(Self {
            path: route_path(path)?,
            url: route_url(url)?,
            context: None,
            certificate_authority: None,
        })
    }
}

/// Parses the path of a route. Only characters are allowed that every server reads in one way.
///
/// # Errors
/// It is no path, or the root.
pub(super) fn route_path(text: &str) -> Result<String, String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | '~');
    let inner = text.strip_prefix('/').ok_or("the path must begin with /")?;
    let inner = inner.strip_suffix('/').unwrap_or(inner);
    if inner.is_empty() {
        return Err("the path / would hide the API; give one below it, such as /registry/".into());
    }
    let is_segment = |s: &str| !matches!(s, "" | "." | "..") && s.chars().all(is_plain);
    if !inner.split('/').all(is_segment) {
        return Err(
            "give a path of letters, digits and -._~ between slashes, without . and ..".into(),
        );
    }
    Ok(format!("/{inner}/"))
}

/// Parses the URL of a route.
///
/// # Errors
/// It is no https URL, or has more than a host, a port and a path.
pub(super) fn route_url(text: &str) -> Result<Uri, String> {
    let url = Uri::from_str(text).map_err(|_| "the URL cannot be read")?;
    if url.scheme() != Some(&Scheme::HTTPS) {
        return Err(
            "the URL must begin with https://, since the credential is sent there".to_owned(),
        );
    }
    let authority = url.authority().map_or("", |authority| authority.as_str());
    if authority.contains('@') {
        return Err(
            "the URL must not have a user or password; the server gets the credential of the \
                    context"
                .to_owned(),
        );
    }
    if text.contains(['?', '#']) {
        return Err("the URL must not have a query or fragment".to_owned());
    }
    if url
        .path()
        .split('/')
        .any(|segment| matches!(segment, "." | ".."))
    {
        return Err("the path of the URL must not have . or .. segments".to_owned());
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_route_is_a_path_and_an_https_url() {
        for (text, path, url) in [
            (
                "/ibm/=https://containers.cloud.ibm.com",
                "/ibm/",
                "https://containers.cloud.ibm.com/",
            ),
            (
                "/a/b=https://r.example:5000/v2/",
                "/a/b/",
                "https://r.example:5000/v2/",
            ),
            ("/a=https://r.example/x=y", "/a/", "https://r.example/x=y"),
        ] {
            let route = Route::from_str(text).unwrap();
            assert_eq!(
                (route.path.as_str(), route.url.to_string().as_str()),
                (path, url)
            );
        }
    }

    #[test]
    fn other_routes_are_refused_without_a_word_of_their_url() {
        for (text, part) in [
            ("/a", "PATH=URL"),
            ("a=https://hunter2.example", "begin with /"),
            ("/=https://hunter2.example", "hide the API"),
            ("=https://hunter2.example", "begin with /"),
            ("/a/../b=https://hunter2.example", ".."),
            ("/a//b=https://hunter2.example", "slashes"),
            ("/a%2e=https://hunter2.example", "letters"),
            ("/a=http://hunter2.example", "https://"),
            ("/a=hunter2.example", "https://"),
            ("/a=https://me:hunter2@r.example", "password"),
            ("/a=https://hunter2.example/?x", "query"),
            ("/a=https://hunter2.example/#x", "fragment"),
            ("/a=https://hunter2.example/../x", ".."),
            ("/a=https://hunter2 .example", "cannot be read"),
        ] {
            let error = Route::from_str(text).unwrap_err();
            assert!(
                error.contains(part) && !error.contains("hunter2"),
                "{text}: {error}"
            );
        }
    }
}
