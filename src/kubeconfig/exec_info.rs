//! Reads `KUBERNETES_EXEC_INFO`, by which client-go describes the cluster to an exec plugin.

use serde_json::{Map, Value};

use crate::kubeconfig::{
    Cluster, Error, cluster,
    exec::api_version,
    fields::{Entry, FieldLocation},
};

/// The name of the variable.
pub const EXEC_INFO: &str = "KUBERNETES_EXEC_INFO";

/// The `ExecCredential` that a plugin gets as its input.
#[derive(Clone, Debug)]
pub struct ExecInfo {
    /// `client.authentication.k8s.io/v1` or `.../v1beta1`, the version of the plugin's output.
    pub api_version: String,
    /// The API server, if the user's entry has `provideClusterInfo: true`.
    pub cluster: Option<Cluster>,
    /// Whether the client gives the cluster to entries with `provideClusterInfo: true`, as client-go
    /// does. The official client for .NET never does.
    pub can_have_cluster: bool,
}

/// The kind, as client-go and most others write it.
const KIND: &str = "ExecCredential";
/// The kind, as the official client for .NET writes it.
const KIND_OF_DOTNET: &str = "ExecCredentials";

impl ExecInfo {
    /// Parses the variable's value. Its `spec.cluster` has the fields of a kubeconfig's cluster.
    ///
    /// # Errors
    /// Text that is not an `ExecCredential` of a known version, or has an invalid cluster. The error
    /// does not repeat the text, which may contain the password of a proxy.
    pub fn read(text: &str) -> Result<Self, Error> {
        let bad = |problem: &str| Error::field("environment", EXEC_INFO, problem);
        let Ok(Value::Object(mut top)) = serde_json::from_str(text) else {
            return Err(bad("is not a JSON object; run this as a plugin of kubectl"));
        };
        let spec = match top.remove("spec") {
            Some(Value::Object(spec)) => spec,
            _ => Map::new(),
        };
        let location = FieldLocation::variable(EXEC_INFO);
        let top = Entry::new(location.clone(), top);
        let can_have_cluster = match top.fields().text("kind")? {
            Some(KIND) => true,
            Some(KIND_OF_DOTNET) => false,
            _ => return Err(bad("has a kind other than ExecCredential")),
        };
        let spec = Entry::new(location.clone(), spec);
        let cluster = match spec.fields().value("cluster") {
            Some(Value::Object(fields)) => {
                let entry = Entry::new(location, fields.clone());
                Some(cluster::Draft::from_entry(None, &entry)?.finish()?)
            }
            _ => None,
        };
        Ok(Self {
            api_version: api_version(&top.fields())?,
            cluster,
            can_have_cluster,
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    fn info(cluster: &Value) -> Result<ExecInfo, Error> {
        let version = "client.authentication.k8s.io/v1beta1";
        let spec = json!({"interactive": false, "cluster": cluster});
        ExecInfo::read(
            &json!({"kind": "ExecCredential", "apiVersion": version, "spec": spec}).to_string(),
        )
    }

    #[test]
    fn the_cluster_has_the_fields_of_a_kubeconfig() {
        let read = info(&json!({
            "server": "https://10.0.0.1:6443",
            "certificate-authority-data": "LS0tLS1CRUdJTg==",
            "tls-server-name": "api",
            "proxy-url": "http://me:hunter2@proxy:3128",
        }))
        .unwrap();
        assert_eq!(read.api_version, "client.authentication.k8s.io/v1beta1");
        let cluster = read.cluster.unwrap();
        assert_eq!(cluster.server, "https://10.0.0.1:6443/");
        assert_eq!(cluster.tls_server_name.as_deref(), Some("api"));
        assert_eq!(cluster.proxy_url.unwrap().port, 3128);
        let authority = cluster.certificate_authority.unwrap();
        assert_eq!(**authority.read().unwrap(), *b"-----BEGIN");
        assert!(info(&Value::Null).unwrap().cluster.is_none());
    }

    #[test]
    fn the_client_for_dotnet_is_known_by_its_kind() {
        for (kind, can_have_cluster) in [("ExecCredential", true), ("ExecCredentials", false)] {
            let version = "client.authentication.k8s.io/v1";
            let text = json!({"kind": kind, "apiVersion": version, "spec": {"interactive": true}});
            let read = ExecInfo::read(&text.to_string()).unwrap();
            assert_eq!(read.can_have_cluster, can_have_cluster, "{kind}");
        }
    }

    #[test]
    fn errors_name_the_field_and_do_not_show_its_value() {
        for (text, says) in [
            ("hunter2", "not a JSON"),
            (r#"{"kind": "hunter2"}"#, "kind"),
            (
                r#"{"kind": "ExecCredential", "apiVersion": "client.authentication.k8s.io/v9"}"#,
                "v9",
            ),
            (
                r#"{"kind": "ExecCredential", "apiVersion": "hunter2"}"#,
                "apiVersion",
            ),
        ] {
            let error = ExecInfo::read(text).unwrap_err().to_string();
            assert!(error.contains(EXEC_INFO) && error.contains(says), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
        for cluster in [
            json!({}),
            json!({"server": "ftp://hunter2"}),
            json!({"server": 1}),
        ] {
            let error = info(&cluster).unwrap_err().to_string();
            assert!(
                error.contains("server") && error.contains(EXEC_INFO),
                "{error}"
            );
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
