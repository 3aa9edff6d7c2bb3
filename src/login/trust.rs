//! A server whose authority nobody here knows: it is shown, and trusted only by a fingerprint
//! that a human gives, never by leaving out the check.

use tower::ServiceExt as _;

use super::Error;
use crate::{
    credential::{
        self,
        issuer::{self, IssuerError},
    },
    dial::{self, Dialer, Environment, Offer, Tcp},
    kubeconfig::{self, Cluster},
    tls::{self, CertificateProbe, PresentedCertificate, Refusal},
};

/// Hexadecimal digits of a SHA-256.
const DIGITS: usize = 64;

/// The certificate, in PEM, among those that the server of `cluster` shows which has this
/// SHA-256 fingerprint; colons and case do not matter.
///
/// # Errors
/// Text that is no fingerprint; a server that shows no such certificate, or cannot be reached.
pub async fn pinned(cluster: &Cluster, fingerprint: &str) -> Result<String, Error> {
    let wanted = digits(fingerprint);
    if wanted.len() != DIGITS || !wanted.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(Error::BadFingerprint);
    }
    let shown = look(cluster).await?;
    let found = shown.iter().find(|one| digits(&one.sha256) == wanted);
    match found {
        Some(one) => Ok(one.pem.clone()),
        None => Err(Error::OtherFingerprint {
            server: cluster.server.to_string(),
            shown: table(&shown),
        }),
    }
}

/// Where `error` says that the authority behind the server of `cluster` is not known: the same,
/// with all that the server shows.
pub async fn explained(cluster: &Cluster, error: credential::Error) -> Error {
    if !is_about_authority(&error) {
        return error.into();
    }
    match look(cluster).await {
        Ok(shown) => Error::UnknownAuthority {
            server: cluster.server.to_string(),
            shown: table(&shown),
        },
        // What was wrong at first says more.
        Err(_) => error.into(),
    }
}

/// Says what to do where it is the OAuth server whose authority is not known.
#[must_use]
pub fn of_oauth(error: Error) -> Error {
    match error {
        Error::Credential(error) if is_about_authority(&error) => {
            Error::UnknownOauthAuthority(error)
        }
        error => error,
    }
}

fn is_about_authority(error: &credential::Error) -> bool {
    matches!(
        tls::refusal(error),
        Some(Refusal::UnknownIssuer { .. } | Refusal::IssuerKeyChanged { .. })
    )
}

/// What the server shows. Nothing is sent to it.
async fn look(cluster: &Cluster) -> Result<Vec<PresentedCertificate>, Error> {
    let environment = Environment::read(|name| std::env::var(name).ok());
    let host = kubeconfig::host(&cluster.server);
    let name = cluster.tls_server_name.as_deref().unwrap_or(host);
    let look = CertificateProbe::default();
    let connector = Dialer::new(cluster, &environment, Tcp::default())
        .and_then(|dialer| dial::connector(dialer, look.config(), name, Offer::Http1))
        .map_err(|error| credential::Error::from(IssuerError::Dial(error.into())))?;
    let connecting = connector.oneshot(cluster.server.clone());
    // It fails in any case, most often by our own doing.
    let failed = issuer::with_timeout("the API server", &cluster.server, connecting).await;
    let seen = look.presented();
    if !seen.is_empty() {
        return Ok(seen);
    }
    let server = cluster.server.to_string();
    Err(Error::Unseen {
        server,
        source: failed.and_then(Result::err).map(in_words),
    })
}

/// An error of the TLS library in words.
fn in_words(
    error: Box<dyn std::error::Error + Send + Sync>,
) -> Box<dyn std::error::Error + Send + Sync> {
    tls::tls_error(error.as_ref()).map_or(error, Into::into)
}

/// The certificates as they are shown to a human.
fn table(shown: &[PresentedCertificate]) -> String {
    let one = |one: &PresentedCertificate| {
        format!(
            "  subject  {}\n  issuer   {}\n  SHA-256  {}\n  valid    {} to {}\n",
            one.subject, one.issuer, one.sha256, one.from, one.until
        )
    };
    shown.iter().map(one).collect::<Vec<_>>().join("\n")
}

/// A fingerprint as it is compared: `sha256:` and colons are left out.
fn digits(text: &str) -> String {
    let lower = text.trim().to_ascii_lowercase();
    let bare = lower.strip_prefix("sha256:").unwrap_or(&lower);
    bare.replace(':', "")
}
