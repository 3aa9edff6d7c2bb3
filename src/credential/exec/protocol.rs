//! `ExecCredential`, the JSON that goes to a plugin and comes back from it.

use std::time::SystemTime;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde::{Deserialize, Serialize};
use serde_json::error::Category;
use zeroize::Zeroizing;

use crate::{
    kubeconfig::{self, Cluster, ProxyUrl},
    secret::Secret,
};

const KIND: &str = "ExecCredential";

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

/// `Cluster` of `client.authentication.k8s.io`; like client-go it leaves out what is empty.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct ClusterInfo<'a> {
    server: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    tls_server_name: Option<&'a str>,
    #[serde(skip_serializing_if = "is_false")]
    insecure_skip_tls_verify: bool,
    /// PEM, once more in base64.
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate_authority_data: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    proxy_url: Option<String>,
    #[serde(skip_serializing_if = "is_false")]
    disable_compression: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    config: Option<&'a serde_json::Value>,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde asks for a reference
fn is_false(flag: &bool) -> bool {
    !flag
}

/// The value of `KUBERNETES_EXEC_INFO`. `cluster` is given where `provideClusterInfo` is set.
///
/// # Errors
/// The certificate authority's file cannot be read.
pub(super) fn request(
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

/// What a plugin gave.
pub(super) struct Answer {
    pub(super) token: Option<Secret>,
    /// Certificate and key, as PEM.
    pub(super) pair: Option<(Secret, Secret)>,
    pub(super) expires_at: Option<SystemTime>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Reply {
    kind: Option<String>,
    api_version: Option<String>,
    status: Option<Status>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    token: Option<Secret>,
    client_certificate_data: Option<Secret>,
    client_key_data: Option<Secret>,
    expiration_timestamp: Option<String>,
}

/// Reads what a plugin printed; the error says what is wrong without showing any of it that
/// could be secret.
pub(super) fn answer(stdout: &[u8], api_version: &str) -> Result<Answer, String> {
    if stdout.trim_ascii().is_empty() {
        return Err("nothing on standard output".to_owned());
    }
    let reply: Reply = serde_json::from_slice(stdout).map_err(|error| broken(&error))?;
    match reply.api_version {
        Some(version) if version == api_version => {}
        Some(version) => {
            let version = version.get(..80).unwrap_or(&version);
            return Err(format!(
                "apiVersion {version:?} where {api_version} was asked for"
            ));
        }
        None => return Err("no apiVersion".to_owned()),
    }
    if reply.kind.as_deref() != Some(KIND) {
        return Err(format!("a kind other than {KIND}"));
    }
    let status = reply.status.ok_or("no status")?;
    let given = |text: Option<Secret>| text.filter(|text| !text.expose().is_empty());
    let token = given(status.token);
    let certificate = given(status.client_certificate_data);
    let pair = match (certificate, given(status.client_key_data)) {
        (Some(certificate), Some(key)) => Some((certificate, key)),
        (None, None) => None,
        (Some(_), None) => return Err("clientCertificateData without clientKeyData".to_owned()),
        (None, Some(_)) => return Err("clientKeyData without clientCertificateData".to_owned()),
    };
    if token.is_none() && pair.is_none() {
        return Err("neither a token nor a client certificate in its status".to_owned());
    }
    let expires_at = status.expiration_timestamp.as_deref();
    Ok(Answer {
        token,
        pair,
        expires_at: expires_at.map(time).transpose()?,
    })
}

fn time(text: &str) -> Result<SystemTime, String> {
    let time = text.parse::<jiff::Timestamp>();
    time.map(SystemTime::from)
        .map_err(|_| "an expirationTimestamp that is not a time by RFC 3339".to_owned())
}

/// serde's own words may quote the value that it does not like.
fn broken(error: &serde_json::Error) -> String {
    let what = match error.classify() {
        Category::Data => "a field of the wrong type",
        Category::Eof => "JSON that breaks off",
        Category::Syntax | Category::Io => "something that is not JSON",
    };
    format!("{what} (line {}, column {})", error.line(), error.column())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::time::Duration;

    use serde_json::{Value, json};

    use super::*;
    use crate::kubeconfig::{Pem, ProxyScheme};

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

    fn asked(cluster: Option<&Cluster>) -> Value {
        serde_json::from_str(&request(V1, false, cluster).unwrap()).unwrap()
    }

    #[test]
    fn the_request_has_no_cluster_unless_it_is_to_have_one() {
        let expected = json!({
            "kind": "ExecCredential",
            "apiVersion": V1,
            "spec": {"interactive": false},
        });
        assert_eq!(asked(None), expected);
        let expected = json!({"server": "https://10.0.0.1:6443"});
        assert_eq!(asked(Some(&cluster()))["spec"]["cluster"], expected);
    }

    #[test]
    fn the_request_has_all_that_the_kubeconfig_says_of_the_cluster() {
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
        assert_eq!(asked(Some(&cluster))["spec"]["cluster"], expected);
    }

    #[test]
    fn a_certificate_authority_in_a_file_is_handed_over_as_its_content() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        let cluster = Cluster {
            certificate_authority: Some(Pem::File {
                path: path.clone(),
                origin: "cluster x".to_owned(),
            }),
            ..cluster()
        };
        let error = request(V1, false, Some(&cluster)).unwrap_err();
        assert!(error.to_string().contains("ca.pem"), "{error}");
        std::fs::write(&path, "PEM").unwrap();
        let data = &asked(Some(&cluster))["spec"]["cluster"]["certificate-authority-data"];
        assert_eq!(data, "UEVN");
    }

    fn reply(status: &Value) -> Vec<u8> {
        json!({"kind": "ExecCredential", "apiVersion": V1, "status": status})
            .to_string()
            .into_bytes()
    }

    #[test]
    fn an_answer_has_a_token_or_a_pair_or_both() {
        let both = json!({"token": "t", "clientCertificateData": "c", "clientKeyData": "k"});
        let answer = answer(&reply(&both), V1).unwrap();
        assert_eq!(answer.token.unwrap().expose(), "t");
        let (certificate, key) = answer.pair.unwrap();
        assert_eq!((certificate.expose(), key.expose()), ("c", "k"));
        assert_eq!(answer.expires_at, None);
    }

    #[test]
    fn what_an_answer_leaves_empty_or_null_is_not_there() {
        let status = json!({
            "token": "t", "clientCertificateData": "", "clientKeyData": null,
            "expirationTimestamp": null, "somethingNew": {},
        });
        let answer = answer(&reply(&status), V1).unwrap();
        assert!(answer.token.is_some() && answer.pair.is_none() && answer.expires_at.is_none());
    }

    #[test]
    fn the_expiry_is_a_time_by_rfc_3339() {
        for (text, seconds) in [
            ("2026-03-05T17:30:20Z", 1_772_731_820),
            ("2026-03-05T18:30:20+01:00", 1_772_731_820),
            ("2026-03-05T17:30:20.000-00:00", 1_772_731_820),
        ] {
            let status = json!({"token": "t", "expirationTimestamp": text});
            let end = answer(&reply(&status), V1).unwrap().expires_at.unwrap();
            let expected = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
            assert_eq!(end, expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_answer_is_refused_for_its_reason_and_not_shown() {
        let ok = json!({"token": "hunter2"});
        assert!(answer(&reply(&ok), V1).is_ok());
        let text = |text: &str| text.as_bytes().to_vec();
        for (stdout, reason) in [
            (text(" \n"), "nothing"),
            (text("hunter2"), "not JSON"),
            (text("{\"status\": {\"token\": \"hunter2"), "breaks off"),
            (text("{\"status\": \"hunter2\"}"), "wrong type"),
            (reply(&json!({"token": 5})), "wrong type"),
            (text("{\"kind\": \"ExecCredential\"}"), "no apiVersion"),
            (text("{\"apiVersion\": \"v1\"}"), "apiVersion \"v1\""),
            (
                text("{\"apiVersion\": \"client.authentication.k8s.io/v1\", \"kind\": \"x\"}"),
                "kind",
            ),
            (reply(&Value::Null), "no status"),
            (reply(&json!({})), "neither"),
            (
                reply(&json!({"clientCertificateData": "hunter2"})),
                "without clientKeyData",
            ),
            (
                reply(&json!({"token": "t", "clientKeyData": "hunter2"})),
                "without clientCertificateData",
            ),
            (
                reply(&json!({"token": "hunter2", "expirationTimestamp": "hunter2"})),
                "expirationTimestamp",
            ),
        ] {
            let error = answer(&stdout, V1).err().unwrap();
            assert!(error.contains(reason), "{error}, not {reason}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
