//! Finds the cause of a failed connection in a chain of errors.

use std::{error::Error as StdError, io, sync::Arc};

use rustls::{AlertDescription, CertificateError, InvalidMessage, OtherError};

use super::{Refusal, TlsError};

/// Finds the [`Refusal`] in the error of a failed connection, at any depth.
#[must_use]
pub fn refusal<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a Refusal> {
    find(error, |error| error.downcast_ref())
}

/// Returns the error of rustls in `error`, at any depth.
#[must_use]
pub fn tls_error(error: &(dyn StdError + 'static)) -> Option<TlsError> {
    let found = find(error, |error| error.downcast_ref::<rustls::Error>());
    found.cloned().map(TlsError::from)
}

/// Returns the [`TlsError`] in `error`, or else `error` itself.
#[must_use]
pub fn readable(error: Arc<dyn StdError + Send + Sync>) -> Arc<dyn StdError + Send + Sync> {
    match tls_error(&*error) {
        Some(error) => Arc::new(error),
        None => error,
    }
}

/// Whether a connection failed because the server does not speak TLS.
#[must_use]
pub fn is_not_tls(error: &(dyn StdError + 'static)) -> bool {
    let not_tls = rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType);
    find(error, |error| {
        error
            .downcast_ref::<rustls::Error>()
            .filter(|e| **e == not_tls)
    })
    .is_some()
}

/// Whether the server refused the connection because it supports none of the offered application
/// protocols (RFC 7301 section 3.2).
#[must_use]
pub fn is_alpn_refusal(error: &(dyn StdError + 'static)) -> bool {
    let refused = rustls::Error::AlertReceived(AlertDescription::NoApplicationProtocol);
    find(error, |error| {
        error
            .downcast_ref::<rustls::Error>()
            .filter(|e| **e == refused)
    })
    .is_some()
}

/// Returns the kind of the operating system's error, if that made a connection fail.
#[must_use]
pub fn io_error_kind(error: &(dyn StdError + 'static)) -> Option<io::ErrorKind> {
    find(error, |error| {
        error
            .downcast_ref::<io::Error>()
            .filter(|e| e.kind() != io::ErrorKind::Other)
    })
    .map(io::Error::kind)
}

/// Returns the first error of the chain for which `wanted` returns something.
fn find<'a, T>(
    mut error: &'a (dyn StdError + 'static),
    wanted: impl Fn(&'a (dyn StdError + 'static)) -> Option<&'a T>,
) -> Option<&'a T> {
    loop {
        if let Some(found) = wanted(error) {
            return Some(found);
        }
        // `source` of these types does not return the error that they wrap.
        let wrapped = if let Some(error) = error.downcast_ref::<TlsError>() {
            Some(error.inner() as &(dyn StdError + 'static))
        } else if let Some(error) = error.downcast_ref::<io::Error>() {
            error
                .get_ref()
                .map(|inner| inner as &(dyn StdError + 'static))
        } else if let Some(error) = error.downcast_ref::<rustls::Error>() {
            certificate_error(error)
        } else {
            error
                .downcast_ref::<Arc<dyn StdError + Send + Sync>>()
                .map(|inner| &**inner as &(dyn StdError + 'static))
        };
        error = match wrapped {
            Some(inner) => inner,
            None => error.source()?,
        };
    }
}

fn certificate_error(error: &rustls::Error) -> Option<&(dyn StdError + 'static)> {
    match error {
        rustls::Error::InvalidCertificate(CertificateError::Other(OtherError(inner))) => {
            Some(inner.as_ref())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("connect")]
    struct Connect(#[source] io::Error);

    #[test]
    fn a_refusal_is_found_under_any_wrapping() {
        let wrong = Refusal::WrongPurpose {
            subject: "CN=x".to_owned(),
        };
        let io = io::Error::new(
            io::ErrorKind::InvalidData,
            rustls::Error::from(wrong.clone()),
        );
        assert_eq!(refusal(&Connect(io::Error::other(io))), Some(&wrong));
        assert_eq!(refusal(&wrong), Some(&wrong));
    }

    #[test]
    fn other_errors_hold_no_refusal() {
        let reset = io::Error::from(io::ErrorKind::ConnectionReset);
        assert_eq!(refusal(&Connect(reset)), None);
        let unknown = rustls::Error::from(CertificateError::UnknownIssuer);
        assert_eq!(refusal(&io::Error::other(unknown)), None);
    }
}
