//! HOW A USER BECOMES A CREDENTIAL.
//!
//! A [`Source`] obtains, a [`Credential`] is what is obtained, and one [`Cache`] over all kinds
//! owns expiry, single flight and the last good value. One file per kind; [`from_user`] picks
//! among them by what the kubeconfig says.

mod announcement;
mod anonymous;
mod api_server;
mod authorization;
mod basic;
mod blocking;
mod cache;
mod client_cert;
mod error;
mod exec;
pub mod ibm_iam;
pub mod issuer;
mod jwt;
pub mod oauth;
pub mod oidc;
pub mod openshift;
mod outlook;
mod own;
mod pkce;
pub mod plugin;
pub mod secret_file;
mod static_token;
pub mod store;
mod token_file;
mod token_request;
mod token_secret;
mod whoami;

use std::{
    fmt,
    future::Future,
    path::PathBuf,
    pin::Pin,
    sync::Arc,
    time::{Duration, SystemTime},
};

use http::{HeaderValue, uri::Scheme};
use rustls::sign::CertifiedKey;

pub use announcement::Announcement;
pub use authorization::bearer;
pub use cache::Cache;
pub use error::{Error, Failing};
pub use exec::end_plugins;
pub use outlook::{End, Outlook};
pub use own::{place as place_of_login, source as of_login};
pub use pkce::{Pkce, random_text};
pub use whoami::{Identity, bearing, whoami};

use crate::{
    kubeconfig::{Cluster, Login, Target},
    secret::Secret,
    settings::{self, ServiceAccountFlags},
};

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
    pub announcement: Option<Arc<Announcement>>,
}

impl Credential {
    /// Whether nothing at all differs.
    fn is(&self, other: &Self) -> bool {
        self.proves_the_same(other)
            && self.issued_at == other.issued_at
            && self.expires_at == other.expires_at
            && self.renewed_by == other.renewed_by
    }

    /// Whether both would look the same to the API server, whatever their expiry.
    fn proves_the_same(&self, other: &Self) -> bool {
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
            .field("announcement", &self.announcement)
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
    fn pace(&self) -> Pace {
        Pace::ISSUER
    }

    /// Looks whether the last credential still stands, at a cost that bears being paid every
    /// [`Pace::recheck_after`]; called then, and when one of [`Source::files`] or the kubeconfig
    /// was changed.
    fn recheck<'a>(&'a self, last: &'a Credential) -> Fetch<'a> {
        match self.pace().recheck_after {
            Some(_) => self.fetch(),
            None => Box::pin(async { Ok(last.clone()) }),
        }
    }

    /// Files beside the kubeconfig in which others may leave a new credential, such as a saved
    /// login; none that [`Pace::recheck_after`] has looked at anyway.
    fn files(&self) -> Vec<PathBuf> {
        Vec::new()
    }

    /// Files in which a human's next login rests, or whatever else begins a new session: looked at
    /// again before a request is told that there is no credential, or that the API server refused
    /// it. By default [`Source::files`].
    fn logins(&self) -> Vec<PathBuf> {
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
pub struct Pace {
    /// How long a credential is used before it is looked at again; `None`: until it expires.
    pub recheck_after: Option<Duration>,
    /// The longest pause between two tries while fetching fails.
    pub retry_within: Duration,
    /// How long a request waits for a credential where none holds; `None`: for as long as the
    /// source takes.
    pub patience: Option<Duration>,
}

impl Pace {
    /// For what costs a process or a call to somebody.
    pub const ISSUER: Self = Self {
        recheck_after: None,
        retry_within: Duration::from_secs(60),
        patience: Some(PATIENCE),
    };
    /// For files, whose change must be in force within two seconds.
    pub const FILE: Self = Self {
        recheck_after: Some(Duration::from_secs(1)),
        retry_within: Duration::from_secs(1),
        patience: Some(PATIENCE),
    };
}

/// Makes the cache for the user that the kubeconfig and flags chose. What stands in a file or
/// field is checked at once, so that a mistake shows at start; a plugin runs when it is needed, for
/// as long as `exec_timeout` says (`--exec-timeout`; zero is without end).
///
/// # Errors
/// A certificate and key that cannot be read or do not match, a token file without fallback that
/// cannot be used, a token or password that cannot be sent.
pub fn from_user(target: &Target, exec_timeout: Option<Duration>) -> Result<Arc<Cache>, Error> {
    let user = &target.user;
    let name = user.name.as_deref();
    let login: Option<Arc<dyn Source>> = match &user.login {
        Login::None => None,
        Login::Token(token) => Some(token_source(target, token)?),
        Login::TokenFile { path, fallback } => {
            let source = token_file::TokenFile::new(path.clone(), fallback.as_ref())?;
            Some(Arc::new(source))
        }
        Login::Basic { username, password } => {
            Some(Arc::new(basic::Basic::new(name, username, password)?))
        }
        Login::Oidc(config) if ibm_iam::WrittenByIbm::is(config) => Some(Arc::new(
            ibm_iam::WrittenByIbm::new(config.clone(), &target.cluster)?,
        )),
        Login::Oidc(config) => Some(Arc::new(oidc::Oidc::new(config.clone())?)),
        Login::Exec(config) => Some(match settings::Login::of_exec(config) {
            Some(login) => own::source(&login, target.home())?,
            None => Arc::new(exec::Exec::new(config, &target.cluster, exec_timeout)),
        }),
    };
    let certificate = match &user.certificate {
        Some(pair) => Some(client_cert::ClientCert::new(pair.clone())?),
        None => None,
    };
    let source: Arc<dyn Source> = match (certificate, login) {
        (Some(certificate), Some(login)) => {
            Arc::new(client_cert::WithCertificate::new(certificate, login))
        }
        (Some(certificate), None) => Arc::new(certificate),
        (None, Some(login)) => login,
        (None, None) => Arc::new(anonymous::Anonymous),
    };
    Ok(Cache::new(source))
}

/// The source for a token that stands in the kubeconfig. That of an `OpenShift` session has an
/// end, of which its server can be asked.
fn token_source(target: &Target, token: &Secret) -> Result<Arc<dyn Source>, Error> {
    let is_https = target.home().server.scheme() == Some(&Scheme::HTTPS);
    Ok(if is_https && is_session(token) {
        let access = openshift::Access::new(target.home(), None);
        Arc::new(openshift::SavedSession::given(access, token)?)
    } else {
        let user = target.user.name.as_deref();
        Arc::new(static_token::StaticToken::new(user, token)?)
    })
}

fn is_session(token: &Secret) -> bool {
    token.expose().starts_with(openshift::TOKEN_PREFIX)
}

/// The service account that `flags` choose, whose tokens `base`, the user's own credential, is
/// used to ask the API server for; `base` itself where they choose none.
///
/// # Errors
/// A server that is not reached over https, or whose authority cannot be read.
pub fn as_service_account(
    cluster: &Cluster,
    flags: &ServiceAccountFlags,
    base: Arc<Cache>,
) -> Result<Arc<Cache>, Error> {
    let source: Arc<dyn Source> = if let Some(account) = &flags.service_account {
        let audiences = &flags.service_account_audience;
        let lifetime = flags.service_account_lifetime;
        let source = token_request::TokenRequest::new(cluster, base, account, audiences, lifetime)?;
        Arc::new(source)
    } else if let Some(secret) = &flags.service_account_secret {
        Arc::new(token_secret::TokenSecret::new(cluster, base, secret)?)
    } else {
        return Ok(base);
    };
    Ok(Cache::new(source))
}

/// Whether [`from_user`] would make the same of both: what it made for `before` can stay.
#[must_use]
pub fn is_same_source(before: &Target, now: &Target) -> bool {
    let user = &now.user;
    let asks_about_cluster = match &user.login {
        Login::Exec(config) => {
            config.provide_cluster_info || settings::Login::of_exec(config).is_some()
        }
        Login::Token(token) => is_session(token),
        _ => false,
    };
    before.user.is_configured_as(user)
        && !(asks_about_cluster && (&before.cluster, before.home()) != (&now.cluster, now.home()))
}

#[cfg(test)]
mod tests;
