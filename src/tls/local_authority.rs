//! [`LocalAuthority`]: a CA that issues certificates for loopback names alone.

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr},
    sync::Arc,
    time::{Duration, SystemTime},
};

use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    NameConstraints, SanType, SerialNumber, date_time_ymd,
};
use rustls::{
    pki_types::{CertificateDer, PrivatePkcs8KeyDer},
    sign::CertifiedKey,
};
use zeroize::Zeroizing;

use super::{Error, certificate::Certificate, pem, provider};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// How long the CA's certificate is valid.
const CA_LIFETIME: Duration = DAY.saturating_mul(2 * 365);

/// The CA's certificate is renewed once it is valid for less than this. The key stays, so that clients
/// that were given the earlier certificate have this long to get the new one.
const CA_RENEWAL: Duration = DAY.saturating_mul(365);

/// How long a server certificate is valid.
const SERVER_LIFETIME: Duration = DAY.saturating_mul(30);

/// Certificates are valid from this long before they are made, for clients whose clock is slow.
const CLOCK_SKEW: Duration = Duration::from_secs(60 * 60);

const COMMON_NAME: &str = "kubegate local CA";

/// A CA whose name constraints (RFC 5280 section 4.2.1.10) let it issue for `localhost` and names below
/// it, 127.0.0.0/8 and `::1` alone: its key cannot be used to impersonate any other server.
pub struct LocalAuthority {
    certificate: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate chain (leaf first) and its key.
pub struct IssuedIdentity {
    /// The chain without the CA.
    pub chain: Vec<CertificateDer<'static>>,
    /// The key.
    pub key: PrivatePkcs8KeyDer<'static>,
}

impl IssuedIdentity {
    /// The chain, in PEM.
    #[must_use]
    pub fn chain_pem(&self) -> String {
        self.chain.iter().map(pem::of_certificate).collect()
    }

    /// The key, in PEM.
    #[must_use]
    pub fn key_pem(&self) -> Zeroizing<String> {
        pem::of_private_key(&self.key)
    }
}

impl LocalAuthority {
    /// Generates a CA.
    ///
    /// # Errors
    /// The system has no random numbers.
    pub fn generate(now: SystemTime) -> Result<Self, Error> {
        Self::with_key(KeyPair::generate().map_err(Error::Issue)?, now)
    }

    /// Makes a new certificate for the CA's key in `key_pem`. The origin is for error messages.
    ///
    /// # Errors
    /// No key that can be read.
    pub fn with_key_pem(key_pem: &[u8], origin: &str, now: SystemTime) -> Result<Self, Error> {
        Self::with_key(key_pair(key_pem, origin)?, now)
    }

    /// Reads a CA. The origins are for error messages.
    ///
    /// # Errors
    /// No key or certificate that can be read, or ones that do not belong together.
    pub fn from_pem(
        key_pem: &[u8],
        key_origin: &str,
        certificate_pem: &[u8],
        certificate_origin: &str,
    ) -> Result<Self, Error> {
        let key = key_pair(key_pem, key_origin)?;
        let certificates = pem::certificates(certificate_pem, certificate_origin)?;
        let mismatch = || Error::KeyMismatch {
            certificate: certificate_origin.to_owned(),
            key: key_origin.to_owned(),
        };
        let certificate = certificates.into_iter().next().ok_or_else(mismatch)?;
        let parsed = Certificate::parse(&certificate).ok_or_else(mismatch)?;
        // The key stands at the end of the `SubjectPublicKeyInfo`.
        if !parsed.public_key().ends_with(key.public_key_raw()) {
            return Err(mismatch());
        }
        let issuer = Issuer::new(authority_params(), key);
        Ok(Self {
            certificate,
            issuer,
        })
    }

    fn with_key(key: KeyPair, now: SystemTime) -> Result<Self, Error> {
        let mut params = authority_params();
        set_validity(&mut params, now, CA_LIFETIME);
        // By default it is made of the key, and would stay the same in a renewed certificate.
        let mut serial = [0; 16];
        ::aws_lc_rs::rand::fill(&mut serial)
            .map_err(|_| Error::Issue(rcgen::Error::RingUnspecified))?;
        serial[0] &= 0x7f;
        params.serial_number = Some(SerialNumber::from_slice(&serial));
        let certificate = params.self_signed(&key).map_err(Error::Issue)?;
        Ok(Self {
            certificate: certificate.der().clone(),
            issuer: Issuer::new(params, key),
        })
    }

    /// Whether the CA's certificate expires too soon, or is not valid yet.
    #[must_use]
    pub fn needs_renewal(&self, now: SystemTime) -> bool {
        let Some(parsed) = Certificate::parse(&self.certificate) else {
            return true;
        };
        let validity = parsed.validity();
        seconds(now) < *validity.start() || seconds(now + CA_RENEWAL) > *validity.end()
    }

    /// Whether clients accept the CA's certificate.
    #[must_use]
    pub fn is_valid(&self, now: SystemTime) -> bool {
        let parsed = Certificate::parse(&self.certificate);
        parsed.is_some_and(|parsed| parsed.validity().contains(&seconds(now)))
    }

    /// The CA's certificate, in PEM.
    #[must_use]
    pub fn certificate_pem(&self) -> String {
        pem::of_certificate(&self.certificate)
    }

    /// The CA's key, in PEM.
    #[must_use]
    pub fn key_pem(&self) -> Zeroizing<String> {
        Zeroizing::new(self.issuer.key().serialize_pem())
    }

    /// Issues a server certificate for one DNS name.
    ///
    /// # Errors
    /// The name is no DNS name.
    pub fn issue_for_name(&self, name: &str, now: SystemTime) -> Result<Arc<CertifiedKey>, Error> {
        let name = name.try_into().map_err(Error::Issue)?;
        self.issue_for_server(vec![SanType::DnsName(name)], now)
    }

    /// Issues a server certificate for IP addresses.
    ///
    /// # Errors
    /// The system has no random numbers.
    pub fn issue_for_addresses(
        &self,
        addresses: &[IpAddr],
        now: SystemTime,
    ) -> Result<Arc<CertifiedKey>, Error> {
        let names = addresses.iter().copied().map(SanType::IpAddress);
        self.issue_for_server(names.collect(), now)
    }

    /// When a server certificate that is issued at `now` has to be replaced.
    #[must_use]
    pub fn server_renewal(now: SystemTime) -> SystemTime {
        now + SERVER_LIFETIME / 2
    }

    fn issue_for_server(
        &self,
        names: Vec<SanType>,
        now: SystemTime,
    ) -> Result<Arc<CertifiedKey>, Error> {
        let mut params = named("kubegate");
        params.subject_alt_names = names;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        set_validity(&mut params, now, SERVER_LIFETIME);
        let IssuedIdentity { chain, key } = self.issue(params)?;
        let key = provider().key_provider.load_private_key(key.into());
        let key = key.map_err(|error| Error::Listener(error.into()))?;
        Ok(Arc::new(CertifiedKey::new(chain, key)))
    }

    /// Issues a client certificate, by which `--client-ca` with this CA knows a client as `name`.
    ///
    /// # Errors
    /// The system has no random numbers.
    pub fn issue_for_client(
        &self,
        name: &str,
        lifetime: Duration,
        now: SystemTime,
    ) -> Result<IssuedIdentity, Error> {
        let mut params = named(name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        set_validity(&mut params, now, lifetime);
        self.issue(params)
    }

    fn issue(&self, mut params: CertificateParams) -> Result<IssuedIdentity, Error> {
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        let key = KeyPair::generate().map_err(Error::Issue)?;
        let certificate = params.signed_by(&key, &self.issuer).map_err(Error::Issue)?;
        Ok(IssuedIdentity {
            chain: vec![certificate.der().clone()],
            key: PrivatePkcs8KeyDer::from(key.serialize_der()),
        })
    }
}

fn key_pair(pem: &[u8], origin: &str) -> Result<KeyPair, Error> {
    let key = pem::private_key(pem, origin)?;
    KeyPair::try_from(&key).map_err(|_| Error::BadKey {
        origin: origin.to_owned(),
        what: "it is damaged, or no key of a CA".to_owned(),
    })
}

fn authority_params() -> CertificateParams {
    let mut params = named(COMMON_NAME);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.name_constraints = Some(NameConstraints {
        permitted_subtrees: vec![
            // And every name below it.
            GeneralSubtree::DnsName("localhost".to_owned()),
            GeneralSubtree::IpAddress(CidrSubnet::V4([127, 0, 0, 0], [255, 0, 0, 0])),
            GeneralSubtree::IpAddress(CidrSubnet::V6(Ipv6Addr::LOCALHOST.octets(), [0xff; 16])),
        ],
        excluded_subtrees: Vec::new(),
    });
    params
}

fn named(common_name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::CommonName, common_name);
    params
}

fn set_validity(params: &mut CertificateParams, now: SystemTime, lifetime: Duration) {
    let since_1970 = now
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    let now = date_time_ymd(1970, 1, 1) + since_1970;
    params.not_before = now - CLOCK_SKEW;
    params.not_after = now + lifetime;
}

fn seconds(time: SystemTime) -> i64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH);
    i64::try_from(since.unwrap_or_default().as_secs()).unwrap_or(i64::MAX)
}

/// Hides the key.
impl fmt::Debug for LocalAuthority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalAuthority").finish_non_exhaustive()
    }
}

/// Hides the key.
impl fmt::Debug for IssuedIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IssuedIdentity").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use rustls::{
        RootCertStore,
        pki_types::{ServerName, UnixTime},
    };
    use webpki::EndEntityCert;

    use super::*;

    fn now() -> SystemTime {
        SystemTime::UNIX_EPOCH + DAY * 20_000
    }

    /// Whether the certificate is accepted for the name at `at` by a client that trusts `authority`.
    fn is_valid(
        authority: &LocalAuthority,
        identity: &CertifiedKey,
        name: &str,
        at: SystemTime,
    ) -> bool {
        let mut roots = RootCertStore::empty();
        roots.add(authority.certificate.clone()).unwrap();
        let leaf = EndEntityCert::try_from(&identity.cert[0]).unwrap();
        let at = at.duration_since(SystemTime::UNIX_EPOCH).unwrap();
        let chain = leaf.verify_for_usage(
            provider().signature_verification_algorithms.all,
            &roots.roots,
            &[],
            UnixTime::since_unix_epoch(at),
            webpki::KeyUsage::server_auth(),
            None,
            None,
        );
        let name = ServerName::try_from(name).unwrap();
        chain.is_ok() && leaf.verify_is_valid_for_subject_name(&name).is_ok()
    }

    #[test]
    fn it_is_trusted_for_loopback_names_alone() {
        let authority = LocalAuthority::generate(now()).unwrap();
        for (name, is_trusted) in [
            ("localhost", true),
            ("grafana.monitoring.svc.localhost", true),
            ("localhost.example", false),
            ("kubernetes.default.svc", false),
            ("xlocalhost", false),
        ] {
            let identity = authority.issue_for_name(name, now()).unwrap();
            assert_eq!(
                is_valid(&authority, &identity, name, now()),
                is_trusted,
                "{name}"
            );
            assert!(!is_valid(&authority, &identity, "other.localhost", now()));
        }
        for (address, is_trusted) in [
            ("127.0.0.1", true),
            ("127.9.9.9", true),
            ("::1", true),
            ("10.0.0.1", false),
            ("::2", false),
        ] {
            let addresses = [address.parse().unwrap()];
            let identity = authority.issue_for_addresses(&addresses, now()).unwrap();
            let is_valid = is_valid(&authority, &identity, address, now());
            assert_eq!(is_valid, is_trusted, "{address}");
        }
    }

    #[test]
    fn a_renewed_certificate_and_the_earlier_one_verify_what_either_issues() {
        let before = LocalAuthority::generate(now()).unwrap();
        let later = now() + DAY * 366;
        assert!(!before.needs_renewal(now() + DAY * 364) && before.needs_renewal(later));
        assert!(before.needs_renewal(now() - DAY), "it is not valid yet");
        let key = before.key_pem();
        let renewed = LocalAuthority::with_key_pem(key.as_bytes(), "key.pem", later).unwrap();
        assert!(!renewed.needs_renewal(later));
        assert_ne!(renewed.certificate_pem(), before.certificate_pem());
        let identity = renewed.issue_for_name("localhost", later).unwrap();
        assert!(is_valid(&before, &identity, "localhost", later));
        assert!(is_valid(&renewed, &identity, "localhost", later));
        assert!(!is_valid(
            &renewed,
            &identity,
            "localhost",
            later + DAY * 31
        ));
        assert!(LocalAuthority::server_renewal(later) < later + DAY * 30);
    }

    #[test]
    fn it_is_read_back_and_a_foreign_key_is_refused() {
        let authority = LocalAuthority::generate(now()).unwrap();
        let (key, certificate) = (authority.key_pem(), authority.certificate_pem());
        let read = |key: &str| {
            LocalAuthority::from_pem(key.as_bytes(), "key.pem", certificate.as_bytes(), "ca.pem")
        };
        let identity = read(&key).unwrap().issue_for_name("localhost", now());
        assert!(is_valid(&authority, &identity.unwrap(), "localhost", now()));
        let other = LocalAuthority::generate(now()).unwrap();
        let error = read(&other.key_pem()).unwrap_err().to_string();
        assert!(
            error.contains("key.pem") && error.contains("ca.pem"),
            "{error}"
        );
        assert!(read("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n").is_err());
        let shown = format!("{authority:?}");
        assert_eq!(shown, "LocalAuthority { .. }");
    }

    #[test]
    fn a_client_certificate_has_the_name_and_serves_clients_alone() {
        let authority = LocalAuthority::generate(now()).unwrap();
        let issued = authority.issue_for_client("alice", DAY, now()).unwrap();
        let chain = &issued.chain;
        let name = |at| super::super::identity::client_name(chain, at);
        assert_eq!(name(now()).as_deref(), Some("alice"));
        assert_eq!(name(now() + DAY * 2), None);
        let leaf = Certificate::parse(&chain[0]).unwrap();
        assert!(!leaf.allows_server_auth());
        let (certificate, key) = (issued.chain_pem(), issued.key_pem());
        let (certificate, key) = (certificate.as_bytes(), key.as_bytes());
        let pair = super::super::identity::certified_key(certificate, "c", key, "k");
        assert_eq!(pair.unwrap().cert, *chain);
    }
}
