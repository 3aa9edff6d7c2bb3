//! Chooses the status, the time to retry and the remedy for each [`Error`]. A refusal brings its own
//! status; for every other error it is chosen here.

use std::{borrow::Cow, time::Duration};

use http::StatusCode;

use super::{error::Error, status::ErrorResponse};
use crate::{credential, descriptors, error::with_causes, tls, upstream};

/// How long a client should wait before it tries again, when all our file descriptors are in use.
const RETRY: Duration = Duration::from_secs(1);
/// The longest time to retry that a client is told. client-go tries 429 and every 5xx that has a
/// `Retry-After` ten times: with a longer time `kubectl` would show the error a minute later.
const LONGEST_RETRY: Duration = Duration::from_secs(2);

/// Chooses the response to an error.
pub(super) fn error_response(error: &Error) -> ErrorResponse {
    let (status, retry_after) = match error {
        Error::Refused(refusal) => (refusal.status, None),
        Error::Credential(e) if e.is_transient() => (
            StatusCode::SERVICE_UNAVAILABLE,
            e.retry_after().filter(|wait| *wait <= LONGEST_RETRY),
        ),
        Error::Credential(_) => (StatusCode::UNAUTHORIZED, None),
        Error::Unresolved(e) => match e.downcast_ref() {
            Some(credential::Error::LoginNeeded { .. }) => (StatusCode::UNAUTHORIZED, None),
            _ => (StatusCode::SERVICE_UNAVAILABLE, None),
        },
        Error::NoDestination => (StatusCode::INTERNAL_SERVER_ERROR, None),
        Error::UnexpectedSwitch | Error::BadFraming { .. } | Error::BadUpgrade { .. } => {
            (StatusCode::BAD_GATEWAY, None)
        }
        // Without a time to retry: another try does not find the server sooner, and a request that
        // broke off may have been carried out.
        Error::Upstream(e) => match e {
            upstream::Error::Connect { source, .. } if descriptors::ran_out(source.as_ref()) => {
                (StatusCode::SERVICE_UNAVAILABLE, Some(RETRY))
            }
            // It waited for longer than a retry would help.
            upstream::Error::Busy { .. } => (StatusCode::SERVICE_UNAVAILABLE, None),
            upstream::Error::ConnectTimeout { .. }
            | upstream::Error::Unreachable { .. }
            | upstream::Error::Unresponsive { .. } => (StatusCode::GATEWAY_TIMEOUT, None),
            upstream::Error::Connect { .. }
            | upstream::Error::Untrusted { .. }
            | upstream::Error::Broken { .. }
            | upstream::Error::HeadTooLarge { .. } => (StatusCode::BAD_GATEWAY, None),
            upstream::Error::ClientBody { .. } => (StatusCode::BAD_REQUEST, None),
            upstream::Error::PathTooLong => (StatusCode::URI_TOO_LONG, None),
        },
    };
    ErrorResponse {
        status,
        message: with_causes(error) + &remedy(error),
        retry_after,
        close: match error {
            Error::Refused(refusal) => refusal.close,
            // What follows a broken body or a failed upgrade is not a request.
            Error::Upstream(upstream::Error::ClientBody { .. })
            | Error::BadFraming { .. }
            | Error::BadUpgrade { .. } => true,
            _ => false,
        },
    }
}

/// Logs an error. Hundreds of requests may fail for one reason: the log names it once, and counts them.
pub(super) fn log_error(error: &Error, response: &ErrorResponse) {
    let (status, message) = (response.status.as_u16(), &response.message);
    match error {
        Error::Refused(_)
        | Error::NoDestination
        | Error::UnexpectedSwitch
        | Error::BadFraming { .. }
        | Error::BadUpgrade { .. } => {
            tracing::warn!(
                request_repeats = without_quotes(message),
                status,
                "{message}"
            );
        }
        Error::Upstream(e) if e.server().is_some() => {
            // The circuit breaker logs under the same name when the server is back.
            let server = e.server().unwrap_or_default();
            tracing::warn!(repeats = server, status, "{message}");
        }
        // The credential's source has logged these.
        Error::Upstream(_) | Error::Credential(_) | Error::Unresolved(_) => {
            tracing::debug!(status, "{message}");
        }
    }
}

/// Returns what messages of one kind have in common: all but numbers and quoted text.
fn without_quotes(message: &str) -> String {
    let mut text = String::with_capacity(message.len());
    let mut chars = message.chars();
    while let Some(c) = chars.next() {
        if c.is_ascii_digit() {
            continue;
        }
        text.push(c);
        if c != '"' {
            continue;
        }
        while let Some(quoted) = chars.next() {
            match quoted {
                '\\' => drop(chars.next()),
                '"' => break,
                _ => {}
            }
        }
    }
    text
}

/// Returns what to do about an error, where its own text does not say it.
fn remedy(error: &Error) -> Cow<'static, str> {
    Cow::Borrowed(match error {
        Error::Unresolved(e) => {
            let remedy = e.downcast_ref().and_then(credential::Error::remedy);
            let remedy = remedy.map(|remedy| format!("; {remedy}"));
            return remedy.unwrap_or_default().into();
        }
        Error::Credential(e) => {
            let remedy = e.remedy().map(|remedy| format!("; {remedy}"));
            return remedy.unwrap_or_default().into();
        }
        Error::Upstream(upstream::Error::Connect { source, .. })
            if tls::is_not_tls(source.as_ref()) =>
        {
            "; if it serves plain HTTP on this port, use an http:// URL"
        }
        // Its text says what to do.
        Error::Upstream(upstream::Error::Connect { source, .. })
            if tls::tls_error(source.as_ref()).is_some() =>
        {
            ""
        }
        Error::Upstream(upstream::Error::Connect { source, .. })
            if descriptors::ran_out(source.as_ref()) =>
        {
            "; there are no file descriptors for more connections: close some, or raise ulimit -n"
        }
        Error::Upstream(upstream::Error::Connect { .. }) => {
            "; check that the API server runs and that the kubeconfig's cluster, or --server, \
             names it"
        }
        Error::Upstream(
            upstream::Error::ConnectTimeout { .. } | upstream::Error::Unreachable { .. },
        ) => {
            "; check that this machine can reach it (network, VPN, HTTPS_PROXY or the cluster's \
             proxy-url)"
        }
        Error::Upstream(upstream::Error::Busy { .. }) => {
            "; wait until some have ended, or raise ulimit -n, which limits the number of connections"
        }
        _ => "",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_message_quotes_does_not_change_its_kind() {
        let path =
            |path: &str| without_quotes(&format!("the path {path:?} matches no pattern of 3"));
        assert_eq!(path("/a"), "the path \" matches no pattern of ");
        assert_eq!(path("/a"), path("/b\"c\\"));
        assert_ne!(path("/a"), without_quotes("the method PUT is refused"));
    }
}
