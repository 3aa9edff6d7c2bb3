//! Kubeconfigs of the simplest form.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Value, json};

/// A kubeconfig with the context `c` for `server`, whose CA is `ca`, and for the user `jane`.
pub fn kubeconfig(server: &str, ca: &str, user: &Value) -> String {
    json!({
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "jane"}}],
        "clusters": [{"name": "c", "cluster": {
            "server": server,
            "certificate-authority-data": BASE64_STANDARD.encode(ca),
        }}],
        "users": [{"name": "jane", "user": user}],
    })
    .to_string()
}
