//! [`UpstreamHeader`]: a header that every request to an API server gets.

use std::{path::PathBuf, str::FromStr};

use http::HeaderName;

use crate::secret::Secret;

/// Headers that have a meaning of their own for kubegate, for a connection or for a body.
const RESERVED: [&str; 17] = [
    "authorization",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "host",
    "http2-settings",
    "keep-alive",
    "origin",
    "proxy-authenticate",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "x-http-method-override",
];

const RESERVED_PREFIXES: [&str; 3] = ["impersonate-", "sec-websocket-", "x-remote-"];

/// A header for the server in front of an API server, such as Cloudflare Access.
#[derive(Clone, Debug)]
pub struct UpstreamHeader {
    /// Its name.
    pub name: HeaderName,
    /// Its value.
    pub value: HeaderSource,
}

/// Where the value of a header comes from.
#[derive(Clone, Debug)]
pub enum HeaderSource {
    /// A file, which is read again when it changes.
    File(PathBuf),
    /// The settings file.
    Words(Secret),
}

impl FromStr for UpstreamHeader {
    type Err = String;

    /// Reads `NAME: @FILE`. No error repeats the text, which may be a secret.
    fn from_str(text: &str) -> Result<Self, String> {
        let (name, value) = text
            .split_once(':')
            .ok_or("give NAME: @FILE, such as CF-Access-Client-Secret: @/path/to/file")?;
        let file = value.trim().strip_prefix('@').filter(|f| !f.is_empty());
        let file = file.ok_or(
            "give the file of the value as @FILE; a value in words is visible to other users here, and \
             can stand in the settings file: [contexts.\"NAME\".upstream-headers]",
        )?;
        Ok(Self {
            name: header_name(name.trim())?,
            value: HeaderSource::File(file.into()),
        })
    }
}

/// Parses the name of a header that may be added.
///
/// # Errors
/// It is no name of a header, or one that kubegate or HTTP itself decides about.
pub(super) fn header_name(text: &str) -> Result<HeaderName, String> {
    let name = HeaderName::from_str(text).map_err(|_| "give the name of a header".to_owned())?;
    // Some servers read an underscore as a dash.
    let read = name.as_str().replace('_', "-");
    if read == "authorization" {
        return Err(
            "Authorization is the credential for the API server, which the kubeconfig or \
             --token chooses"
                .to_owned(),
        );
    }
    let is_reserved = RESERVED.contains(&read.as_str());
    if is_reserved || RESERVED_PREFIXES.iter().any(|p| read.starts_with(p)) {
        return Err(format!(
            "{name} cannot be set, since it says who the user is (--as) or belongs to a connection or body"
        ));
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_of_a_front_is_taken_with_a_file_alone() {
        for text in [
            "CF-Access-Client-Id: @/f",
            "proxy-authorization:@f",
            "X-A:  @f ",
        ] {
            assert!(UpstreamHeader::from_str(text).is_ok(), "{text}");
        }
        for text in [
            "X-A",
            "X-A: hunter2",
            "X-A: @",
            ": @f",
            "X A: @f",
            "Authorization: @f",
            "authorization: @f",
            "Host: @f",
            "Impersonate-User: @f",
            "impersonate_user: @f",
            "Connection: @f",
            "Transfer_Encoding: @f",
            "Sec-WebSocket-Protocol: @f",
            "Upgrade: @f",
        ] {
            let error = UpstreamHeader::from_str(text).map(|header| header.name);
            assert!(error.is_err(), "{text}");
            assert!(!format!("{error:?}").contains("hunter2"));
        }
    }
}
