//! TLS of the listener, by the flags.

use std::{path::PathBuf, sync::Arc};

use crate::{
    cli::usage::bail_usage,
    credential::store::Store,
    printable::printable,
    proxy::guard::Guard,
    serve::{CertificateFiles, Certificates, HttpsError, HttpsListener, SelfSigned},
    settings::{ProxyFlags, TlsFlags},
};

/// TLS of the listener, and what clients need.
pub(super) struct Https {
    pub(super) listener: Arc<HttpsListener>,
    /// The certificate of the local CA, with `--tls-self-signed`.
    pub(super) authority_file: Option<PathBuf>,
}

/// Reads the files that the flags name, or makes the local CA; `None` without TLS. Everything is checked
/// before an address is bound.
pub(super) fn of_flags(flags: &ProxyFlags, guard: &Arc<Guard>) -> anyhow::Result<Option<Https>> {
    let tls = &flags.tls;
    check(tls)?;
    if !tls.is_on() {
        return Ok(None);
    }
    if flags.unix_socket().is_some() {
        bail_usage!(
            "--unix-socket needs no TLS, since only this machine's users can connect to it; leave out \
             --tls-self-signed, --tls-cert and --tls-key, or --unix-socket"
        );
    }
    let files = tls.tls_cert().zip(tls.tls_key());
    let (certificates, authority_file) = if let Some((certificate, key)) = files {
        let files = CertificateFiles {
            certificate: certificate.to_owned(),
            key: key.to_owned(),
        };
        (Certificates::Files(files), None)
    } else {
        let store = Store::of_user(&|name| std::env::var_os(name));
        let store = store.map_err(HttpsError::LocalAuthority)?;
        let file = store.authority_file();
        let guard = Arc::clone(guard);
        let serves = Box::new(move |name: &str| guard.serves_host(name));
        let issuing = SelfSigned::new(store, Some(flags.address), serves)?;
        (Certificates::SelfSigned(Arc::new(issuing)), Some(file))
    };
    let listener = HttpsListener::new(certificates, tls.client_ca())?;
    Ok(Some(Https {
        listener: Arc::new(listener),
        authority_file,
    }))
}

/// Returns the scheme before the address in the line on standard output, and the lines after it.
pub(super) fn greeting(https: Option<&Https>) -> (&'static str, String) {
    let Some(https) = https else {
        return ("", String::new());
    };
    let file = https.authority_file.as_ref().map(|file| {
        let file = printable(&file.display().to_string()).into_owned();
        format!("Clients verify it by the CA in {file} (curl --cacert)\n")
    });
    ("https://", file.unwrap_or_default())
}

/// Refuses flags that do not fit together.
fn check(tls: &TlsFlags) -> anyhow::Result<()> {
    match (tls.tls_self_signed, tls.tls_cert(), tls.tls_key()) {
        (true, None, None) | (false, Some(_), Some(_)) => Ok(()),
        (true, _, _) => bail_usage!(
            "--tls-self-signed excludes --tls-cert and --tls-key; give one or the other"
        ),
        (false, Some(_), None) => {
            bail_usage!("--tls-cert needs --tls-key, the file with its private key")
        }
        (false, None, Some(_)) => {
            bail_usage!("--tls-key needs --tls-cert, the file with the certificate")
        }
        (false, None, None) if tls.client_ca().is_some() => bail_usage!(
            "--client-ca needs TLS, in which clients show their certificates; add --tls-self-signed, or \
             --tls-cert and --tls-key"
        ),
        (false, None, None) => Ok(()),
    }
}
