//! Trust in a server whose certificate authority is not known: its certificates are shown, and one is
//! trusted only by a fingerprint that the user gives. Verification is never left out.

use std::error::Error as StdError;

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

/// The number of hexadecimal digits of a SHA-256.
const DIGITS: usize = 64;

/// Returns the certificate of the server of `cluster` that has this SHA-256 fingerprint, in PEM. Colons
/// and case do not matter.
///
/// # Errors
/// Text that is not a fingerprint; a server that has no such certificate or cannot be reached.
pub(super) async fn certificate_with_fingerprint(
    cluster: &Cluster,
    fingerprint: &str,
) -> Result<String, Error> {
    let wanted = digits(fingerprint);
    if wanted.len() != DIGITS || !wanted.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(Error::BadFingerprint);
    }
    let presented = presented_certificates(cluster).await?;
    let found = presented.iter().find(|one| digits(&one.sha256) == wanted);
    match found {
        Some(one) => Ok(one.pem.clone()),
        None => Err(Error::OtherFingerprint {
            server: cluster.server.to_string(),
            shown: table(&presented),
        }),
    }
}

/// Adds the certificates of the server of `cluster` to an error about its authority. Returns every
/// other error as it is.
pub(super) async fn with_certificates(cluster: &Cluster, error: credential::Error) -> Error {
    if !is_about_authority(&error) {
        return error.into();
    }
    match presented_certificates(cluster).await {
        Ok(presented) => Error::UnknownAuthority {
            server: cluster.server.to_string(),
            shown: table(&presented),
        },
        // The first error says more than this one.
        Err(_) => error.into(),
    }
}

/// Says of an error about the authority of the OAuth server what to do.
#[must_use]
pub(super) fn of_oauth_server(error: Error) -> Error {
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

/// Returns the certificates that the server presents. Sends nothing after the handshake.
async fn presented_certificates(cluster: &Cluster) -> Result<Vec<PresentedCertificate>, Error> {
    let environment = Environment::read(|name| std::env::var(name).ok());
    let host = kubeconfig::host(&cluster.server);
    let name = cluster.tls_server_name.as_deref().unwrap_or(host);
    let probe = CertificateProbe::default();
    let connector = Dialer::new(cluster, &environment, Tcp::default())
        .and_then(|dialer| dial::connector(dialer, probe.config(), name, Offer::Http1))
        .map_err(|error| credential::Error::from(IssuerError::Dial(error.into())))?;
    let connecting = connector.oneshot(cluster.server.clone());
    // Always fails: the probe refuses every certificate.
    let failed = issuer::with_timeout("the API server", &cluster.server, connecting).await;
    let presented = probe.presented();
    if !presented.is_empty() {
        return Ok(presented);
    }
    let server = cluster.server.to_string();
    Err(Error::NoCertificate {
        server,
        source: failed.and_then(Result::err).map(described),
    })
}

/// Replaces an error of the TLS library by our description of it.
fn described(error: Box<dyn StdError + Send + Sync>) -> Box<dyn StdError + Send + Sync> {
    tls::tls_error(error.as_ref()).map_or(error, Into::into)
}

/// Formats certificates for the terminal.
fn table(certificates: &[PresentedCertificate]) -> String {
    let one = |one: &PresentedCertificate| {
        format!(
            "  subject  {}\n  issuer   {}\n  SHA-256  {}\n  valid    {} to {}\n",
            one.subject, one.issuer, one.sha256, one.from, one.until
        )
    };
    certificates.iter().map(one).collect::<Vec<_>>().join("\n")
}

/// Returns the digits of a fingerprint in lower case, without `sha256:` and colons.
fn digits(text: &str) -> String {
    let lower = text.trim().to_ascii_lowercase();
    let bare = lower.strip_prefix("sha256:").unwrap_or(&lower);
    bare.replace(':', "")
}
