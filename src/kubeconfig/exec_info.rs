//! What client-go tells an exec plugin: `KUBERNETES_EXEC_INFO`, from the plugin's side.

use serde_json::{Map, Value};

use crate::kubeconfig::{
    Cluster, Error, cluster,
    exec::api_version,
    fields::{Entry, Place},
};

/// The variable.
pub const EXEC_INFO: &str = "KUBERNETES_EXEC_INFO";

/// An `ExecCredential` as a plugin is given it.
#[derive(Clone, Debug)]
pub struct ExecInfo {
    /// `client.authentication.k8s.io/v1` or `.../v1beta1`, in which the answer must be.
    pub api_version: String,
    /// The API server, where the user's entry has `provideClusterInfo: true`.
    pub cluster: Option<Cluster>,
}

impl ExecInfo {
    /// Reads the variable's text. Its `spec.cluster` has the fields of a kubeconfig's cluster.
    ///
    /// # Errors
    /// What is no `ExecCredential` of a known version, or has a cluster that cannot be used. The
    /// text is not repeated: it may hold the password of a proxy.
    pub fn read(text: &str) -> Result<Self, Error> {
        let bad = |problem: &str| Error::field("environment", EXEC_INFO, problem);
        let Ok(Value::Object(mut top)) = serde_json::from_str(text) else {
            return Err(bad("is no JSON object; run this as a plugin of kubectl"));
        };
        let spec = match top.remove("spec") {
            Some(Value::Object(spec)) => spec,
            _ => Map::new(),
        };
        let place = Place::variable(EXEC_INFO);
        let top = Entry::new(place.clone(), top);
        if top.fields().text("kind")? != Some("ExecCredential") {
            return Err(bad("has a kind other than ExecCredential"));
        }
        let spec = Entry::new(place.clone(), spec);
        let cluster = match spec.fields().value("cluster") {
            Some(Value::Object(fields)) => {
                let entry = Entry::new(place, fields.clone());
                Some(cluster::Draft::from_entry(None, &entry)?.finish()?)
            }
            _ => None,
        };
        Ok(Self {
            api_version: api_version(&top.fields())?,
            cluster,
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
    fn a_cluster_has_what_the_kubeconfig_says_of_it() {
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
    fn what_is_wrong_is_named_and_not_repeated() {
        for (text, says) in [
            ("hunter2", "no JSON"),
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
