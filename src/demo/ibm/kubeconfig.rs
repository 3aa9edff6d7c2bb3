//! The kubeconfig that the container service provides for a cluster.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Value, json};

use super::{clusters::Cluster, fixtures::USER};

/// Builds a kubeconfig, with the `id_token` and `refresh_token` of `tokens`.
pub(super) fn build(
    cluster: &Cluster,
    server: &str,
    issuer: &str,
    tokens: Option<&Value>,
) -> Value {
    let name = format!("{}/{}", cluster.name, cluster.id);
    let mut connection = json!({"server": server});
    if let Some(ca) = &cluster.ca_pem {
        connection["certificate-authority-data"] = BASE64_STANDARD.encode(ca).into();
    }
    let user = format!("{USER}/{}", cluster.account);
    json!({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": name,
        "contexts": [{
            "name": name,
            "context": {"cluster": name, "user": user, "namespace": "default"},
        }],
        "clusters": [{"name": name, "cluster": connection}],
        "users": [{"name": user, "user": self::user(cluster, issuer, tokens)}],
    })
}

fn user(cluster: &Cluster, issuer: &str, tokens: Option<&Value>) -> Value {
    if cluster.is_openshift {
        return json!({"token": ""});
    }
    let mut config = json!({
        "client-id": "kube",
        "client-secret": "kube",
        "idp-issuer-url": format!("{issuer}/identity"),
    });
    if let Some(tokens) = tokens {
        config["id-token"] = tokens["id_token"].clone();
        config["refresh-token"] = tokens["refresh_token"].clone();
    }
    json!({"auth-provider": {"name": "oidc", "config": config}})
}
