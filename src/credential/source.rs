//! The trait of all sources, and the credential that they return.

use std::{
    fmt,
    future::Future,
    path::PathBuf,
    pin::Pin,
    sync::Arc,
    time::{Duration, SystemTime},
};

use http::{HeaderName, HeaderValue};
use rustls::sign::CertifiedKey;

use super::{Error, ExpiryWarning, expiry_warning::warning};

/// What identifies the user of a request: a header, a client certificate, or both.
#[derive(Clone, Default)]
pub struct Credential {
    /// Value of `Authorization`, marked sensitive.
    pub authorization: Option<HeaderValue>,
    /// A header that goes with it, whose value is marked sensitive.
    pub header: Option<(HeaderName, HeaderValue)>,
    /// Shown in the TLS handshake. The same `Arc` for as long as its content is the same.
    pub certificate: Option<Arc<CertifiedKey>>,
    /// When its lifetime began, if that is known.
    pub issued_at: Option<SystemTime>,
    /// When it expires, by its issuer and by wall clock.
    pub expires_at: Option<SystemTime>,
    /// The command that the user must run to replace it; `None` if it is renewed automatically.
    pub renewed_by: Option<Arc<str>>,
    /// The warning before it expires, if only the user can renew it. Set by the cache.
    pub expiry_warning: Option<Arc<ExpiryWarning>>,
}

impl Credential {
    /// Whether both are equal in all respects.
    pub(super) fn is_identical_to(&self, other: &Self) -> bool {
        self.proves_the_same(other)
            && self.issued_at == other.issued_at
            && self.expires_at == other.expires_at
            && self.renewed_by == other.renewed_by
    }

    /// Returns the value of a `Warning` header for a 401 of the API server to this credential of
    /// `subject`; `None` if it is renewed automatically.
    pub(super) fn refusal_warning(&self, subject: &str) -> Option<HeaderValue> {
        let command = self.renewed_by.as_deref()?;
        warning(&format!(
            "{subject} is not accepted by the API server (401); run `{command}`"
        ))
    }

    /// Whether both are the same to the API server, apart from their expiry.
    pub(super) fn proves_the_same(&self, other: &Self) -> bool {
        let certificates = (&self.certificate, &other.certificate);
        self.authorization == other.authorization
            && self.header == other.header
            && match certificates {
                (Some(one), Some(other)) => Arc::ptr_eq(one, other),
                (one, other) => one.is_none() && other.is_none(),
            }
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential")
            .field("authorization", &self.authorization.is_some())
            .field("certificate", &self.certificate.is_some())
            .field("issued_at", &self.issued_at)
            .field("expires_at", &self.expires_at)
            .field("renewed_by", &self.renewed_by)
            .field("expiry_warning", &self.expiry_warning)
            .finish_non_exhaustive()
    }
}

/// A future that a [`Source`] returns.
pub type Fetch<'a> = Pin<Box<dyn Future<Output = Result<Credential, Error>> + Send + 'a>>;

/// Which credential a command needs that uses it once and then ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// The current one. While it is valid, no request is made, except once a minute for whether a session
    /// was revoked that the source could replace.
    Current,
    /// The current one, and when it expires, even if only a server knows that.
    WithExpiry,
    /// A new one in place of the current one, where a new one can be obtained without the user.
    Renewed,
}

/// One way to obtain a credential. It does no caching, sharing or retries, and limits its own time:
/// the cache never cancels a fetch.
pub trait Source: Send + Sync + 'static {
    /// Names the source in errors and logs: `exec plugin aws`, `token file /path`.
    fn subject(&self) -> String;

    /// Obtains a credential now.
    fn fetch(&self) -> Fetch<'_>;

    /// Obtains a credential for a command that uses it once and then ends.
    fn fetch_once(&self, _need: Need) -> Fetch<'_> {
        self.fetch()
    }

    /// Whether the inputs name another user than the one of the credential that was returned last. The
    /// cache then drops that one, even if there is no other. Asked after a call that failed.
    fn has_other_user(&self) -> bool {
        false
    }

    /// How often the cache calls the source.
    fn refresh_policy(&self) -> RefreshPolicy {
        RefreshPolicy::ISSUER
    }

    /// Checks whether the last credential is still current. Called after
    /// [`RefreshPolicy::recheck_after`], and when one of [`Source::files`] or the kubeconfig was
    /// changed, so it must be cheap.
    fn recheck<'a>(&'a self, last: &'a Credential) -> Fetch<'a> {
        match self.refresh_policy().recheck_after {
            Some(_) => self.fetch(),
            None => Box::pin(async { Ok(last.clone()) }),
        }
    }

    /// Files other than the kubeconfig in which another process may save a new credential, such as
    /// a saved login. Files that every recheck reads are left out.
    fn files(&self) -> Vec<PathBuf> {
        Vec::new()
    }

    /// Files in which the next login is saved. They are checked before a request fails because
    /// there is no credential, or because the API server rejected it. By default [`Source::files`].
    fn login_files(&self) -> Vec<PathBuf> {
        self.files()
    }

    /// Called when such a file, or the kubeconfig, was changed. A source that uses another cache
    /// passes this on.
    fn inputs_changed(&self) {}
}

/// How long a request waits for a credential by default.
const DEFAULT_MAX_WAIT: Duration = Duration::from_secs(30);

/// How often the cache calls a [`Source`], and how long requests wait for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RefreshPolicy {
    /// How long a credential is used before it is rechecked; `None` means until it expires.
    pub recheck_after: Option<Duration>,
    /// The longest pause between two tries after failures.
    pub max_backoff: Duration,
    /// How long a request waits if there is no valid credential; `None` means as long as the source
    /// takes.
    pub max_wait: Option<Duration>,
}

impl RefreshPolicy {
    /// For sources that run a process or call a server.
    pub const ISSUER: Self = Self {
        recheck_after: None,
        max_backoff: Duration::from_secs(60),
        max_wait: Some(DEFAULT_MAX_WAIT),
    };
    /// For files, whose changes must be in use within two seconds.
    pub const FILE: Self = Self {
        recheck_after: Some(Duration::from_secs(1)),
        max_backoff: Duration::from_secs(1),
        max_wait: Some(DEFAULT_MAX_WAIT),
    };
}
