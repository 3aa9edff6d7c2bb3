//! Compares the cluster of a login with a cluster entry: which fields lead to another server, or to the
//! same one by other means.

use http::Uri;
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::new_context::NewCluster;
use crate::{
    hex,
    kubeconfig::{
        Cluster, Pem, ProxyUrl, own_writes,
        server_url::{self, host, port},
    },
};

/// A field, or a pair of fields, that changes which server a cluster entry means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ClusterField {
    Server,
    CertificateAuthority,
    Insecure,
    TlsServerName,
    ProxyUrl,
}

impl ClusterField {
    const ALL: [Self; 5] = [
        Self::Server,
        Self::CertificateAuthority,
        Self::Insecure,
        Self::TlsServerName,
        Self::ProxyUrl,
    ];

    /// The keys of an entry.
    pub(super) fn keys(self) -> &'static [&'static str] {
        match self {
            Self::Server => &["server"],
            Self::CertificateAuthority => &["certificate-authority", "certificate-authority-data"],
            Self::Insecure => &["insecure-skip-tls-verify"],
            Self::TlsServerName => &["tls-server-name"],
            Self::ProxyUrl => &["proxy-url"],
        }
    }
}

/// Returns the fields in which an entry differs from `new`; all for an invalid entry.
pub(super) fn differences(entry: Option<&Cluster>, new: &NewCluster) -> Vec<ClusterField> {
    let Some(entry) = entry else {
        return ClusterField::ALL.to_vec();
    };
    let differs = |field: &ClusterField| match field {
        ClusterField::Server => {
            let server = server_url::parse(&new.server);
            server.map_or(true, |server| !is_same_server(&entry.server, &server))
        }
        ClusterField::CertificateAuthority => !has_same_authority(entry, new),
        ClusterField::Insecure => entry.insecure_skip_tls_verify != new.insecure_skip_tls_verify,
        ClusterField::TlsServerName => entry.tls_server_name != new.tls_server_name,
        ClusterField::ProxyUrl => {
            let proxy = new.proxy_url.as_ref();
            let proxy = proxy.map(|url| ProxyUrl::read(url.expose()));
            entry.proxy_url.as_ref().map(Ok) != proxy.as_ref().map(Result::as_ref)
        }
    };
    ClusterField::ALL.into_iter().filter(differs).collect()
}

/// Returns the SHA-256 of the fields of an entry that say which server it means. It stands in a note of
/// the entry, in place of its certificates and the password of its proxy.
pub(super) fn digest(entry: &Value) -> String {
    let keys = ClusterField::ALL.into_iter().flat_map(ClusterField::keys);
    let fields: Map<String, Value> = keys
        .filter_map(|key| Some(((*key).to_owned(), entry.get(key)?.clone())))
        .collect();
    let text = Zeroizing::new(Value::Object(fields).to_string());
    let digest = own_writes::sha256(text.as_bytes());
    hex::encode(&digest)
}

/// Whether two URLs lead to the same server, however they are spelt.
pub(super) fn is_same_server(one: &Uri, other: &Uri) -> bool {
    let parts = |url: &Uri| {
        let path = url.path().trim_end_matches('/').to_owned();
        (
            url.scheme().cloned(),
            host(url).to_ascii_lowercase(),
            port(url),
            path,
        )
    };
    parts(one) == parts(other)
}

/// Whether two clusters are one API server: at one address, a name or an authority of its own tells another.
pub(super) fn is_same_api_server(one: &Cluster, other: &Cluster) -> bool {
    let authorities = (&one.certificate_authority, &other.certificate_authority);
    let has_same_authority = match authorities {
        (None, None) => true,
        (Some(one), Some(other)) => {
            one == other || other.read().is_ok_and(|other| is_text_of(one, &other))
        }
        _ => false,
    };
    is_same_server(&one.server, &other.server)
        && one.proxy_url == other.proxy_url
        && one.tls_server_name == other.tls_server_name
        && has_same_authority
}

fn has_same_authority(entry: &Cluster, new: &NewCluster) -> bool {
    match (&entry.certificate_authority, &new.certificate_authority) {
        (None, None) => true,
        (Some(entry), Some(new)) => is_text_of(entry, new),
        _ => false,
    }
}

/// Whether both are the same PEM text, whatever its line ends. A file that cannot be read differs.
fn is_text_of(pem: &Pem, other: &[u8]) -> bool {
    let text = |pem: &[u8]| -> Vec<u8> {
        let text = pem.iter().filter(|byte| !byte.is_ascii_whitespace());
        text.copied().collect()
    };
    pem.read().is_ok_and(|pem| text(&pem) == text(other))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::{
        kubeconfig::{Overrides, resolve},
        secret::Secret,
    };

    fn cluster(server: &str) -> Cluster {
        let flags = Overrides {
            server: Some(server.to_owned()),
            ..Overrides::default()
        };
        resolve(None, &flags, &|_| None).unwrap().cluster
    }

    #[test]
    fn each_field_that_leads_elsewhere_is_a_difference() {
        let server = "https://h:443/k8s/clusters/c-abc";
        let entry = cluster(server);
        let same = NewCluster::of(&entry, server.to_owned(), None).unwrap();
        assert_eq!(differences(Some(&entry), &same), []);
        for (change, expected) in [
            (
                (|new: &mut NewCluster| new.server = "https://h/k8s/clusters/c-xyz".to_owned())
                    as fn(&mut NewCluster),
                ClusterField::Server,
            ),
            (
                |new| new.certificate_authority = Some(b"x".to_vec()),
                ClusterField::CertificateAuthority,
            ),
            (
                |new| new.insecure_skip_tls_verify = true,
                ClusterField::Insecure,
            ),
            (
                |new| new.tls_server_name = Some("a".to_owned()),
                ClusterField::TlsServerName,
            ),
            (
                |new| new.proxy_url = Some(Secret::new("http://p:1")),
                ClusterField::ProxyUrl,
            ),
        ] {
            let mut new = same.clone();
            change(&mut new);
            assert_eq!(differences(Some(&entry), &new), [expected]);
        }
        assert_eq!(differences(None, &same), ClusterField::ALL);
    }

    #[test]
    fn spellings_of_one_server_are_no_difference() {
        for (one, other) in [
            ("https://H", "https://h:443/"),
            ("https://h:443/a", "https://h/a/"),
        ] {
            let new = NewCluster {
                server: other.to_owned(),
                ..NewCluster::default()
            };
            assert_eq!(differences(Some(&cluster(one)), &new), [], "{one} {other}");
        }
    }

    #[test]
    fn a_name_proxy_or_authority_of_its_own_tells_another_api_server() {
        let of = |fields: &str| {
            let text = format!("{{server: 'https://h:6443', {fields}}}");
            let text = format!("clusters: [{{name: c, cluster: {text}}}]");
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("config");
            std::fs::write(&path, text).unwrap();
            let flags = Overrides {
                cluster: Some("c".to_owned()),
                ..Overrides::default()
            };
            resolve(Some(&path), &flags, &|_| None).unwrap().cluster
        };
        let ca = |data| format!("certificate-authority-data: {data}");
        for fields in [
            "",
            "tls-server-name: a",
            "proxy-url: 'http://p:1'",
            &ca("YQ=="),
        ] {
            assert!(is_same_api_server(&of(fields), &of(fields)), "{fields}");
        }
        // A line end is no difference.
        assert!(is_same_api_server(&of(&ca("YQ==")), &of(&ca("YQo="))));
        for (one, other) in [
            ("tls-server-name: a", "tls-server-name: b"),
            ("tls-server-name: a", ""),
            ("", "proxy-url: 'http://p:1'"),
            ("", &ca("YQ==")),
            (&ca("YQ=="), &ca("Yg==")),
        ] {
            assert!(!is_same_api_server(&of(one), &of(other)), "{one} {other}");
        }
    }
}
