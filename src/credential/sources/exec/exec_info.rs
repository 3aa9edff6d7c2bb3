//! `KUBERNETES_EXEC_INFO`: the `ExecCredential` that a plugin gets.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde::Serialize;
use zeroize::Zeroizing;

use crate::kubeconfig::{self, Cluster, ProxyUrl};

pub(super) const KIND: &str = "ExecCredential";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Request<'a> {
    kind: &'static str,
    api_version: &'a str,
    spec: Spec<'a>,
}

#[derive(Serialize)]
struct Spec<'a> {
    interactive: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    cluster: Option<ClusterInfo<'a>>,
}

/// `Cluster` of `client.authentication.k8s.io`. As in client-go, empty fields are omitted.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct ClusterInfo<'a> {
    server: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    tls_server_name: Option<&'a str>,
    #[serde(skip_serializing_if = "is_false")]
    insecure_skip_tls_verify: bool,
    /// The PEM text in base64.
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate_authority_data: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    proxy_url: Option<String>,
    #[serde(skip_serializing_if = "is_false")]
    disable_compression: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    config: Option<&'a serde_json::Value>,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde passes a reference
fn is_false(flag: &bool) -> bool {
    !flag
}

/// Returns the value of `KUBERNETES_EXEC_INFO`. `cluster` is given if `provideClusterInfo` is set.
///
/// # Errors
/// The certificate authority's file cannot be read.
pub(super) fn encode(
    api_version: &str,
    interactive: bool,
    cluster: Option<&Cluster>,
) -> Result<Zeroizing<String>, kubeconfig::Error> {
    let cluster = cluster.map(cluster_info).transpose()?;
    let spec = Spec {
        interactive,
        cluster,
    };
    let request = Request {
        kind: KIND,
        api_version,
        spec,
    };
    let text = serde_json::to_string(&request);
    Ok(Zeroizing::new(
        text.expect("strings, flags and a JSON value"),
    ))
}

fn cluster_info(cluster: &Cluster) -> Result<ClusterInfo<'_>, kubeconfig::Error> {
    let authority = match &cluster.certificate_authority {
        Some(pem) => Some(BASE64_STANDARD.encode(&*pem.read()?)),
        None => None,
    };
    Ok(ClusterInfo {
        server: cluster.url(),
        tls_server_name: cluster.tls_server_name.as_deref(),
        insecure_skip_tls_verify: cluster.insecure_skip_tls_verify,
        certificate_authority_data: authority,
        proxy_url: cluster.proxy_url.as_ref().map(ProxyUrl::to_text),
        disable_compression: cluster.disable_compression,
        config: cluster.exec_config.as_ref(),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        kubeconfig::{Pem, ProxyScheme},
        secret::Secret,
    };

    const V1: &str = "client.authentication.k8s.io/v1";

    fn cluster() -> Cluster {
        Cluster {
            name: None,
            server: "https://10.0.0.1:6443".parse().unwrap(),
            certificate_authority: None,
            insecure_skip_tls_verify: false,
            tls_server_name: None,
            proxy_url: None,
            disable_compression: false,
            exec_config: None,
        }
    }

    fn encoded(cluster: Option<&Cluster>) -> Value {
        serde_json::from_str(&encode(V1, false, cluster).unwrap()).unwrap()
    }

    #[test]
    fn the_request_has_the_cluster_only_on_demand() {
        let expected = json!({
            "kind": "ExecCredential",
            "apiVersion": V1,
            "spec": {"interactive": false},
        });
        assert_eq!(encoded(None), expected);
        let expected = json!({"server": "https://10.0.0.1:6443"});
        assert_eq!(encoded(Some(&cluster()))["spec"]["cluster"], expected);
    }

    #[test]
    fn the_request_has_all_fields_of_the_cluster() {
        let cluster = Cluster {
            server: "https://host/path".parse().unwrap(),
            certificate_authority: Some(Pem::Inline {
                data: Zeroizing::new(b"PEM".to_vec()),
                origin: String::new(),
            }),
            insecure_skip_tls_verify: true,
            tls_server_name: Some("name".to_owned()),
            proxy_url: Some(ProxyUrl {
                scheme: ProxyScheme::Http,
                host: "::1".to_owned(),
                port: 3128,
                credentials: Some(("me@x".to_owned(), Secret::new("a:b/c"))),
            }),
            disable_compression: true,
            exec_config: Some(json!({"audience": "x"})),
            ..cluster()
        };
        let expected = json!({
            "server": "https://host/path",
            "tls-server-name": "name",
            "insecure-skip-tls-verify": true,
            "certificate-authority-data": "UEVN",
            "proxy-url": "http://me%40x:a%3Ab%2Fc@[::1]:3128",
            "disable-compression": true,
            "config": {"audience": "x"},
        });
        assert_eq!(encoded(Some(&cluster))["spec"]["cluster"], expected);
    }

    #[test]
    fn a_certificate_authority_in_a_file_is_passed_as_its_content() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        let cluster = Cluster {
            certificate_authority: Some(Pem::File {
                path: path.clone(),
                origin: "cluster x".to_owned(),
            }),
            ..cluster()
        };
        let error = encode(V1, false, Some(&cluster)).unwrap_err();
        assert!(error.to_string().contains("ca.pem"), "{error}");
        std::fs::write(&path, "PEM").unwrap();
        let data = &encoded(Some(&cluster))["spec"]["cluster"]["certificate-authority-data"];
        assert_eq!(data, "UEVN");
    }
}
