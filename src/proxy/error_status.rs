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
        Error::UnusableContext { .. } => (StatusCode::SERVICE_UNAVAILABLE, None),
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
        warning: match error {
            Error::Credential(e) => e.login_warning(),
            Error::Unresolved(e) => e.downcast_ref().and_then(credential::Error::login_warning),
            _ => None,
        },
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
    let Some(kind) = kind(error) else {
        tracing::debug!(status, "{message}");
        return;
    };
    // The circuit breaker ends an outage when the server is back.
    let until = match error {
        Error::Upstream(e) if e.is_outage() => e.server(),
        _ => None,
    };
    tracing::warn!(repeats = kind, until, status, "{message}");
}

/// Returns the fixed name by which the log counts an error, or `None` for what it only shows at a
/// higher verbosity. The name never depends on text of a request or of a response, so neither can
/// hide another kind of error.
fn kind(error: &Error) -> Option<&'static str> {
    match error {
        Error::Refused(refusal) => Some(refusal.rule),
        Error::UnusableContext { .. } => Some("unusable context"),
        Error::NoDestination => Some("no destination"),
        Error::UnexpectedSwitch => Some("unexpected 101"),
        Error::BadFraming { .. } => Some("response framing"),
        Error::BadUpgrade { .. } => Some("response to an upgrade"),
        Error::Upstream(e) => e.server().map(|_| e.kind()),
        // The credential's source has logged these.
        Error::Credential(_) | Error::Unresolved(_) => None,
    }
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
    use std::{collections::HashSet, sync::Arc};

    use super::*;
    use crate::proxy::refusal::Refusal;

    fn connect(text: &str) -> upstream::Error {
        upstream::Error::Connect {
            server: "api.example:6443".to_owned(),
            source: Arc::new(std::io::Error::other(text.to_owned())),
        }
    }

    #[test]
    fn each_upstream_failure_has_a_kind_of_its_own() {
        let server = || "api.example:6443".to_owned();
        let source = || Arc::new(std::io::Error::other("x"));
        let errors = [
            connect("connection refused"),
            upstream::Error::Untrusted {
                server: server(),
                refusal: Box::new(tls::Refusal::Unreadable),
            },
            upstream::Error::ConnectTimeout {
                server: server(),
                limit: RETRY,
            },
            upstream::Error::Unreachable {
                server: server(),
                source: source(),
            },
            upstream::Error::Unresponsive {
                server: server(),
                waited: RETRY,
            },
            upstream::Error::Broken {
                server: server(),
                source: source(),
            },
            upstream::Error::HeadTooLarge {
                server: server(),
                max_headers: 1,
            },
            upstream::Error::Busy {
                server: server(),
                under_way: 1,
            },
        ];
        let kinds: HashSet<_> = errors.iter().map(upstream::Error::kind).collect();
        assert_eq!(kinds.len(), errors.len(), "{kinds:?}");
        let outages = errors.iter().filter(|error| error.is_outage()).count();
        assert_eq!(outages, 6);
        let refused = kind(&Error::Upstream(connect("refused")));
        assert_eq!(refused, kind(&Error::Upstream(connect("reset"))));
        assert_eq!(refused, Some("cannot connect"));
    }

    #[test]
    fn a_kind_holds_no_text_of_a_request() {
        let refused = |message: &str| kind(&Error::Refused(Refusal::forbidden("a rule", message)));
        assert_eq!(refused("http://a"), Some("a rule"));
        assert_eq!(refused("http://b"), Some("a rule"));
        let upgrade = |answered: &str| {
            kind(&Error::BadUpgrade {
                asked: "websocket",
                answered: answered.to_owned(),
            })
        };
        assert_eq!(upgrade("a"), upgrade("b"));
    }
}
