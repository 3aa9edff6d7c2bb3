//! [`SelfSigned`]: certificates of the local CA, each for exactly one name, made at its first use.

use std::{
    collections::HashMap,
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::Arc,
    time::SystemTime,
};

use arc_swap::ArcSwap;
use rustls::{
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use tokio::{sync::Mutex, task::spawn_blocking};

use super::HttpsError;
use crate::{
    credential::store::Store,
    error::with_causes,
    tls::{self, LocalAuthority},
};

/// How many certificates are kept.
const MAX_KEPT: usize = 1000;

/// Returns whether the proxy serves requests for a host.
pub type Serves = Box<dyn Fn(&str) -> bool + Send + Sync>;

/// Issues and keeps certificates. A certificate for several names would let a browser send requests for
/// one of them on a connection to another (RFC 9113 section 9.1.1).
pub struct SelfSigned {
    store: Store,
    serves: Serves,
    /// For clients that connect to an address, which send no name.
    addresses: Vec<IpAddr>,
    authority: Arc<Mutex<LocalAuthority>>,
    kept: ArcSwap<HashMap<Name, Issued>>,
}

/// A name in lower case; empty for the addresses.
type Name = Box<str>;

#[derive(Clone)]
struct Issued {
    identity: Arc<CertifiedKey>,
    made: SystemTime,
}

impl SelfSigned {
    /// Reads or makes the local CA in the state folder. Issues for `address` too, if it is a loopback
    /// address. Blocks.
    ///
    /// # Errors
    /// The state folder cannot be used, or what is in it.
    pub fn new(store: Store, address: Option<IpAddr>, serves: Serves) -> Result<Self, HttpsError> {
        let authority = store.local_authority(SystemTime::now());
        let authority = authority.map_err(HttpsError::LocalAuthority)?;
        let mut addresses = vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
        addresses.extend(address.filter(|one| one.is_loopback() && !addresses.contains(one)));
        Ok(Self {
            store,
            serves,
            addresses,
            authority: Arc::new(Mutex::new(authority)),
            kept: ArcSwap::default(),
        })
    }

    /// Makes the certificate for a name, unless there is one that is valid for long enough or the name
    /// is not served.
    pub(super) async fn prepare(self: &Arc<Self>, name: Option<&str>) {
        let name = normal(name);
        let now = SystemTime::now();
        if self.find(&name, now).is_some() || !self.is_served(&name) {
            return;
        }
        // One at a time.
        let authority = Arc::clone(&self.authority).lock_owned().await;
        if self.find(&name, now).is_some() {
            return;
        }
        let this = Arc::clone(self);
        let issuing = spawn_blocking(move || {
            let mut authority = authority;
            this.issue(&mut authority, &name, now)
                .map(|identity| this.keep(name, identity, now))
        });
        if let Ok(Err(error)) = issuing.await {
            tracing::warn!("{}", with_causes(&error));
        }
    }

    fn is_served(&self, name: &str) -> bool {
        let is_local = name == "localhost" || name.ends_with(".localhost");
        name.is_empty() || (is_local && (self.serves)(name))
    }

    fn issue(
        &self,
        authority: &mut LocalAuthority,
        name: &str,
        now: SystemTime,
    ) -> Result<Arc<CertifiedKey>, HttpsError> {
        if authority.needs_renewal(now) {
            let renewed = self.store.local_authority(now);
            *authority = renewed.map_err(HttpsError::LocalAuthority)?;
        }
        let issued: Result<_, tls::Error> = match name {
            "" => authority.issue_for_addresses(&self.addresses, now),
            name => authority.issue_for_name(name, now),
        };
        Ok(issued?)
    }

    fn find(&self, name: &str, now: SystemTime) -> Option<Arc<CertifiedKey>> {
        let kept = self.kept.load();
        let issued = kept.get(name)?;
        // A clock that was set back leaves a certificate that is not valid yet.
        let is_good = now >= issued.made && now < LocalAuthority::server_renewal(issued.made);
        is_good.then(|| Arc::clone(&issued.identity))
    }

    fn keep(&self, name: Name, identity: Arc<CertifiedKey>, made: SystemTime) {
        let mut kept = HashMap::clone(&self.kept.load());
        if kept.len() >= MAX_KEPT && !kept.contains_key(&name) {
            let oldest = kept.iter().min_by_key(|(_, issued)| issued.made);
            if let Some(oldest) = oldest.map(|(name, _)| name.clone()) {
                kept.remove(&oldest);
            }
        }
        kept.insert(name, Issued { identity, made });
        self.kept.store(Arc::new(kept));
    }
}

fn normal(name: Option<&str>) -> Name {
    name.unwrap_or_default().to_ascii_lowercase().into()
}

impl ResolvesServerCert for SelfSigned {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.find(&normal(hello.server_name()), SystemTime::now())
    }
}

impl fmt::Debug for SelfSigned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SelfSigned").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::{ffi::OsString, time::Duration};

    use super::*;

    fn issuing(folder: &std::path::Path) -> Arc<SelfSigned> {
        let state = OsString::from(folder);
        let store = Store::of_user(&|_| Some(state.clone())).unwrap();
        let serves = |name: &str| name == "localhost" || name.starts_with("app");
        let address = Some("127.0.0.5".parse().unwrap());
        Arc::new(SelfSigned::new(store, address, Box::new(serves)).unwrap())
    }

    #[tokio::test]
    async fn only_served_names_have_a_certificate_and_it_is_made_once() {
        let folder = tempfile::tempdir().unwrap();
        let issuing = issuing(folder.path());
        for (name, is_served) in [
            (None, true),
            (Some("localhost"), true),
            (Some("LOCALHOST"), true),
            (Some("app.localhost"), true),
            (Some("other.localhost"), false),
            (Some("app.example"), false),
            (Some("app"), false),
        ] {
            issuing.prepare(name).await;
            let found = || issuing.find(&normal(name), SystemTime::now());
            assert_eq!(found().is_some(), is_served, "{name:?}");
            let first = found();
            issuing.prepare(name).await;
            let is_same = match (&first, &found()) {
                (Some(one), Some(other)) => Arc::ptr_eq(one, other),
                _ => !is_served,
            };
            assert!(is_same, "{name:?}");
        }
        assert_eq!(issuing.addresses.len(), 3);
    }

    #[tokio::test]
    async fn a_limited_number_is_kept_the_newest_among_them() {
        let folder = tempfile::tempdir().unwrap();
        let issuing = issuing(folder.path());
        issuing.prepare(None).await;
        let identity = issuing.find("", SystemTime::now()).unwrap();
        let start = SystemTime::now();
        for number in 0..MAX_KEPT as u64 + 5 {
            let name = format!("app{number}.localhost").into();
            let made = start + Duration::from_millis(number);
            issuing.keep(name, identity.clone(), made);
        }
        let kept = issuing.kept.load();
        assert_eq!(kept.len(), MAX_KEPT);
        assert!(kept.contains_key("app1004.localhost"));
        assert!(!kept.contains_key("app0.localhost"));
    }

    #[tokio::test]
    async fn a_certificate_is_replaced_in_time() {
        let folder = tempfile::tempdir().unwrap();
        let issuing = issuing(folder.path());
        issuing.prepare(None).await;
        let now = SystemTime::now();
        let day = Duration::from_secs(24 * 60 * 60);
        assert!(issuing.find("", now + 14 * day).is_some());
        assert!(issuing.find("", now + 16 * day).is_none());
        assert!(issuing.find("", now - day).is_none());
    }
}
