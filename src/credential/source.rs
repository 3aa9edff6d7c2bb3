//! One way to obtain a credential, and what is obtained.

use std::{
    fmt,
    future::Future,
    path::PathBuf,
    pin::Pin,
    sync::Arc,
    time::{Duration, SystemTime},
};

use http::HeaderValue;
use rustls::sign::CertifiedKey;

use super::{Error, ExpiryWarning};

/// What makes a request somebody's: a header, a client certificate, or both.
#[derive(Clone, Default)]
pub struct Credential {
    /// Value of `Authorization`, marked sensitive.
    pub authorization: Option<HeaderValue>,
    /// Shown in the TLS handshake. The same `Arc` for as long as its content is the same.
    pub certificate: Option<Arc<CertifiedKey>>,
    /// When it began, where that is known.
    pub issued_at: Option<SystemTime>,
    /// When the issuer says that it ends, by wall clock.
    pub expires_at: Option<SystemTime>,
    /// What a human must run to have the next one; `None` where it renews itself.
    pub renewed_by: Option<Arc<str>>,
    /// What is said before it ends, where nobody but a human can renew it. The cache's to set.
    pub expiry_warning: Option<Arc<ExpiryWarning>>,
}

impl Credential {
    /// Whether nothing at all differs.
    pub(super) fn is(&self, other: &Self) -> bool {
        self.proves_the_same(other)
            && self.issued_at == other.issued_at
            && self.expires_at == other.expires_at
            && self.renewed_by == other.renewed_by
    }

    /// Whether both would look the same to the API server, whatever their expiry.
    pub(super) fn proves_the_same(&self, other: &Self) -> bool {
        let certificates = (&self.certificate, &other.certificate);
        self.authorization == other.authorization
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
            .field("announcement", &self.expiry_warning)
            .finish()
    }
}

/// A future that a [`Source`] returns.
pub type Fetch<'a> = Pin<Box<dyn Future<Output = Result<Credential, Error>> + Send + 'a>>;

/// One way to obtain a credential. It knows nothing of caching, sharing or retries, and bounds
/// its own time: the cache never ends a fetch.
pub trait Source: Send + Sync + 'static {
    /// Names it in errors and logs: `exec plugin aws`, `token file /path`.
    fn subject(&self) -> String;

    /// Obtains a credential now.
    fn fetch(&self) -> Fetch<'_>;

    /// How often the cache may and must ask.
    fn refresh_policy(&self) -> RefreshPolicy {
        RefreshPolicy::ISSUER
    }

    /// Looks whether the last credential still stands, at a cost that bears being paid every
    /// [`RefreshPolicy::recheck_after`]; called then, and when one of [`Source::files`] or the kubeconfig
    /// was changed.
    fn recheck<'a>(&'a self, last: &'a Credential) -> Fetch<'a> {
        match self.refresh_policy().recheck_after {
            Some(_) => self.fetch(),
            None => Box::pin(async { Ok(last.clone()) }),
        }
    }

    /// Files beside the kubeconfig in which others may leave a new credential, such as a saved
    /// login; none that [`RefreshPolicy::recheck_after`] has looked at anyway.
    fn files(&self) -> Vec<PathBuf> {
        Vec::new()
    }

    /// Files in which a human's next login rests, or whatever else begins a new session: looked at
    /// again before a request is told that there is no credential, or that the API server refused
    /// it. By default [`Source::files`].
    fn login_files(&self) -> Vec<PathBuf> {
        self.files()
    }

    /// Told when such a file, or the kubeconfig, was changed. A source that stands on another
    /// cache tells that one.
    fn inputs_changed(&self) {}
}

/// How long a request waits for a credential, unless its source says otherwise.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often the cache asks a [`Source`], and how long it may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RefreshPolicy {
    /// How long a credential is used before it is looked at again; `None`: until it expires.
    pub recheck_after: Option<Duration>,
    /// The longest pause between two tries while fetching fails.
    pub max_backoff: Duration,
    /// How long a request waits for a credential where none holds; `None`: for as long as the
    /// source takes.
    pub max_wait: Option<Duration>,
}

impl RefreshPolicy {
    /// For what costs a process or a call to somebody.
    pub const ISSUER: Self = Self {
        recheck_after: None,
        max_backoff: Duration::from_secs(60),
        max_wait: Some(PATIENCE),
    };
    /// For files, whose change must be in force within two seconds.
    pub const FILE: Self = Self {
        recheck_after: Some(Duration::from_secs(1)),
        max_backoff: Duration::from_secs(1),
        max_wait: Some(PATIENCE),
    };
}
