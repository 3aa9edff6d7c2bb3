//! What the client that runs this program as its exec plugin says.

use crate::kubeconfig::{self, EXEC_INFO, ExecApiVersion, ExecInfo};

/// Reads `KUBERNETES_EXEC_INFO`. The official clients for JavaScript and Java do not set it.
pub(super) fn read() -> Result<Option<ExecInfo>, kubeconfig::Error> {
    let text = std::env::var(EXEC_INFO).unwrap_or_default();
    if text.is_empty() {
        return Ok(None);
    }
    ExecInfo::read(&text).map(Some)
}

/// Returns the version of the output: the one that the client asks for, else that of the flag.
pub(super) fn output_version(info: Option<&ExecInfo>, flag: Option<ExecApiVersion>) -> String {
    match info {
        Some(info) => info.api_version.clone(),
        None => flag.unwrap_or_default().name().to_owned(),
    }
}
