//! [`HttpsListener`]: TLS on accepted connections.
//!
//! | concern | file |
//! |---|---|
//! | the files of `--tls-cert` and `--tls-key` | `certificate_files` |
//! | the certificates of `--tls-self-signed` | `self_signed` |
//! | the handshake | `handshake` |

mod certificate_files;
mod error;
mod handshake;
mod self_signed;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use arc_swap::ArcSwap;
use rustls::{
    ServerConfig, pki_types::CertificateDer, server::ResolvesServerCert, sign::SingleCertAndKey,
};
use tokio::{
    task::spawn_blocking,
    time::{MissedTickBehavior, interval},
};

pub(super) use self::handshake::Handshake;
pub use self::{
    certificate_files::CertificateFiles,
    error::HttpsError,
    self_signed::{SelfSigned, Serves},
};
use super::file_watcher::FileWatcher;
use crate::{error::with_causes, tls};

/// How often the files are checked for changes.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// How long before the end of a certificate the first warning is logged.
const EXPIRY_NOTICE: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// How long after a warning the next one is logged.
const EXPIRY_NOTICE_INTERVAL: Duration = Duration::from_secs(24 * 60 * 60);

/// Where the listener's certificate comes from.
#[derive(Clone, Debug)]
pub enum Certificates {
    /// `--tls-cert` and `--tls-key`
    Files(CertificateFiles),
    /// `--tls-self-signed`
    SelfSigned(Arc<SelfSigned>),
}

/// TLS of the listener.
#[derive(Debug)]
pub struct HttpsListener {
    certificates: Certificates,
    /// `--client-ca`
    client_ca: Option<PathBuf>,
    configs: ArcSwap<Configs>,
}

/// The configurations of handshakes. A reload replaces all.
#[derive(Debug)]
struct Configs {
    source: Source,
    /// When the certificate of `--tls-cert` expires.
    not_after: Option<SystemTime>,
    /// HTTP/2 and HTTP/1.1.
    serving: Arc<ServerConfig>,
    /// HTTP/1.1 alone, for a response that is written without looking at the request.
    rejecting: Arc<ServerConfig>,
}

/// What the configurations are made of. A certificate determines its key.
#[derive(Debug, PartialEq, Eq)]
struct Source {
    /// The chain of `--tls-cert`.
    chain: Vec<CertificateDer<'static>>,
    /// The certificates of `--client-ca`.
    authorities: Option<Vec<CertificateDer<'static>>>,
}

impl HttpsListener {
    /// Reads the files. Blocks.
    ///
    /// # Errors
    /// A file that cannot be read or used; a certificate that has expired or is not valid yet.
    pub fn new(certificates: Certificates, client_ca: Option<&Path>) -> Result<Self, HttpsError> {
        let client_ca = client_ca.map(Path::to_owned);
        let configs = configs(&certificates, client_ca.as_deref())?;
        Ok(Self {
            certificates,
            client_ca,
            configs: ArcSwap::from_pointee(configs),
        })
    }

    /// Reads the files again whenever they have changed, until the runtime ends. Files that cannot be used
    /// change nothing.
    pub async fn watch(self: Arc<Self>) {
        let mut files = self.files();
        if files.is_empty() {
            return;
        }
        let mut watcher = FileWatcher::default();
        watcher.watch(files.drain(..));
        let mut checks = interval(CHECK_INTERVAL);
        checks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut noticed = None;
        // Why the files were last refused. They may become good without a change of their content (chmod).
        let mut refused: Option<String> = None;
        loop {
            checks.tick().await;
            self.warn_of_expiry(SystemTime::now(), &mut noticed);
            let this = Arc::clone(&self);
            let tries_again = refused.is_some();
            let checking = spawn_blocking(move || {
                let changed = watcher.check().any || tries_again;
                let reload = || configs(&this.certificates, this.client_ca.as_deref());
                (watcher, changed.then(reload))
            });
            // Fails only while the runtime shuts down.
            let Ok((checked, configs)) = checking.await else {
                return;
            };
            watcher = checked;
            let before = configs.as_ref().and_then(|_| refused.take());
            match configs {
                // Others would void the tickets of clients.
                Some(Ok(configs)) if configs.source != self.configs.load().source => {
                    tracing::info!("reloaded the certificates of the listener");
                    self.configs.store(Arc::new(configs));
                }
                Some(Err(error)) => {
                    let why = with_causes(&error);
                    if before.as_ref() != Some(&why) {
                        tracing::warn!(
                            "not reloaded, the last good certificates stay in use: {why}"
                        );
                    }
                    refused = Some(why);
                }
                Some(Ok(_)) | None => {}
            }
        }
    }

    /// Warns of a certificate that expires soon, unless `noticed` says that this was done not long ago.
    fn warn_of_expiry(&self, now: SystemTime, noticed: &mut Option<SystemTime>) {
        let not_after = self.configs.load().not_after;
        let Some(not_after) = not_after.filter(|end| now + EXPIRY_NOTICE > *end) else {
            return;
        };
        if noticed.is_some_and(|at| now < at + EXPIRY_NOTICE_INTERVAL) {
            return;
        }
        *noticed = Some(now);
        if let Ok(left) = not_after.duration_since(now) {
            tracing::warn!(
                "--tls-cert expires in {} h; replace its file, which is read again",
                left.as_secs() / 3600
            );
        } else {
            tracing::warn!(
                "--tls-cert has expired, and clients refuse it; replace its file, which is read again"
            );
        }
    }

    fn files(&self) -> Vec<PathBuf> {
        let mut files: Vec<_> = self.client_ca.iter().cloned().collect();
        if let Certificates::Files(pair) = &self.certificates {
            files.extend(pair.paths());
        }
        files
    }
}

fn configs(certificates: &Certificates, client_ca: Option<&Path>) -> Result<Configs, HttpsError> {
    let mut not_after = None;
    let (chain, resolver): (_, Arc<dyn ResolvesServerCert>) = match certificates {
        Certificates::Files(files) => {
            let identity = files.read(SystemTime::now())?;
            let chain = identity.cert.clone();
            not_after = tls::identity::not_after(&identity);
            (chain, Arc::new(SingleCertAndKey::from(identity)))
        }
        Certificates::SelfSigned(issuing) => (Vec::new(), Arc::clone(issuing) as _),
    };
    let authorities = client_ca
        .map(certificate_files::read_authorities)
        .transpose()?;
    let config = tls::server::listener_config(resolver, authorities.clone())?;
    let with_alpn = |protocols: &[&[u8]]| {
        let mut config = config.clone();
        config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        Arc::new(config)
    };
    Ok(Configs {
        source: Source { chain, authorities },
        not_after,
        serving: with_alpn(&[b"h2", b"http/1.1"]),
        rejecting: with_alpn(&[b"http/1.1"]),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_certificate_is_warned_of_once_a_day_in_its_last_week() {
        let file = |name: &str| {
            Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("certs")
                .join(name)
        };
        let files = CertificateFiles {
            certificate: file("localhost.pem"),
            key: file("localhost.key"),
        };
        let listener = HttpsListener::new(Certificates::Files(files), None).unwrap();
        let end = listener.configs.load().not_after.unwrap();
        let mut noticed = None;
        let mut is_warned_of = |now| {
            let before = noticed;
            listener.warn_of_expiry(now, &mut noticed);
            noticed != before
        };
        let day = EXPIRY_NOTICE_INTERVAL;
        assert!(!is_warned_of(end - 8 * day));
        assert!(is_warned_of(end - 6 * day));
        assert!(!is_warned_of(end - 6 * day + day / 2));
        assert!(is_warned_of(end - 5 * day));
        assert!(is_warned_of(end + day));
    }
}
