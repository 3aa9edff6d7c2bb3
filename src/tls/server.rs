//! TLS for a listener: the proxy's own, the demo's control plane, and the servers of the tests.

use std::sync::Arc;

use rustls::{
    RootCertStore, ServerConfig,
    crypto::aws_lc_rs::Ticketer,
    pki_types::{CertificateDer, PrivateKeyDer},
    server::{ResolvesServerCert, WebPkiClientVerifier, danger::ClientCertVerifier},
};

use super::{Error, provider};

/// Returns the configuration of a listener for TLS 1.2 and 1.3 that presents `chain` (leaf first) and
/// supports the application protocols `alpn` in order of preference (`b"h2"`, `b"http/1.1"`). With
/// `client_ca`, clients may present a certificate, which that CA must have signed; without it, none is
/// requested.
///
/// # Errors
/// A key that does not belong to the chain, or a CA that cannot be used.
pub fn server_config(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    alpn: &[&[u8]],
    client_ca: Option<CertificateDer<'static>>,
) -> Result<ServerConfig, Error> {
    let builder = ServerConfig::builder_with_provider(provider().clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::Listener(error.into()))?;
    let builder = match client_ca {
        Some(ca) => builder.with_client_cert_verifier(client_verifier([ca])?),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder
        .with_single_cert(chain, key)
        .map_err(|error| Error::Listener(error.into()))?;
    config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
    Ok(config)
}

/// Returns the configuration of the proxy's listener: TLS 1.2 and 1.3 with session tickets, and the
/// certificate that `resolver` chooses. With `client_authorities`, clients may present a certificate,
/// which one of them must have signed. Tickets of one configuration are void under another, so that no
/// client certificate outlives the authority that it was checked against.
///
/// # Errors
/// A CA that cannot be used.
pub fn listener_config(
    resolver: Arc<dyn ResolvesServerCert>,
    client_authorities: Option<Vec<CertificateDer<'static>>>,
) -> Result<ServerConfig, Error> {
    let builder = ServerConfig::builder_with_provider(provider().clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::Listener(error.into()))?;
    let builder = match client_authorities {
        Some(authorities) => builder.with_client_cert_verifier(client_verifier(authorities)?),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_cert_resolver(resolver);
    config.ticketer = Ticketer::new().map_err(|error| Error::Listener(error.into()))?;
    Ok(config)
}

fn client_verifier(
    authorities: impl IntoIterator<Item = CertificateDer<'static>>,
) -> Result<Arc<dyn ClientCertVerifier>, Error> {
    let mut roots = RootCertStore::empty();
    for authority in authorities {
        roots
            .add(authority)
            .map_err(|error| Error::Listener(error.into()))?;
    }
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider().clone())
        .allow_unauthenticated()
        .build()
        .map_err(Error::ClientAuthority)
}
