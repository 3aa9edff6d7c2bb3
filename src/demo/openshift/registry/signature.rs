//! Image signatures.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};

/// The only version of signatures that is accepted.
const SCHEMA_VERSION: u64 = 2;

/// A signature, in the registry's JSON.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Signature {
    #[serde(rename = "schemaVersion", default)]
    schema_version: u64,
    /// `sha256:DIGEST@NAME`.
    #[serde(default)]
    pub(super) name: String,
    #[serde(rename = "type", default)]
    kind: String,
    /// Base64.
    #[serde(default)]
    content: String,
}

impl Signature {
    /// Parses a signature. The error is the registry's description.
    pub(super) fn parse(body: &[u8]) -> Result<Self, String> {
        let mut signature: Self = serde_json::from_slice(body).map_err(|e| e.to_string())?;
        if signature.schema_version != SCHEMA_VERSION {
            return Err("only schemaVersion=2 is currently supported".to_owned());
        }
        if STANDARD.decode(&signature.content).is_err() {
            return Err("illegal base64 data".to_owned());
        }
        let parts = signature.name.split_once('@');
        if parts.is_none_or(|(image, name)| image.is_empty() || name.is_empty()) {
            return Err("the name must be of form <imageName>@<signatureName>".to_owned());
        }
        if signature.kind.is_empty() {
            "AtomicImageV1".clone_into(&mut signature.kind);
        }
        Ok(signature)
    }
}
