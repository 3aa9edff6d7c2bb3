//! `/version` and the health checks, which need no authentication.

use http::{Response, StatusCode};
use serde_json::json;

use crate::demo::{
    form::Form,
    kubernetes::encoding::{
        response::{self, Format},
        status::Status,
    },
    server::Body,
};

/// The version of a Kubernetes 1.35 server. It is always indented, as in real servers.
pub(crate) fn version(format: &Format) -> Result<Response<Body>, Status> {
    let version = json!({
        "major": "1",
        "minor": "35",
        "emulationMajor": "1",
        "emulationMinor": "35",
        "minCompatibilityMajor": "1",
        "minCompatibilityMinor": "34",
        "gitVersion": "v1.35.0+kubegate-demo",
        "gitCommit": "",
        "gitTreeState": "",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "",
        "compiler": "rustc",
        "platform": format!("{}/{}", std::env::consts::OS, architecture()),
    });
    let format = Format {
        pretty: true,
        ..format.clone()
    };
    response::json(StatusCode::OK, &version, &format)
}

/// The architecture by its name in Go, which clients expect.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// `ok`, or with `?verbose` the list of checks.
pub(crate) fn health(check: &str, query: &Form) -> Response<Body> {
    if !query.flag("verbose") {
        return response::text("ok");
    }
    let mut lines = ["ping", "log", "etcd", "informer-sync"]
        .map(|name| format!("[+]{name} ok"))
        .to_vec();
    lines.push(format!("{check} check passed\n"));
    response::text(lines.join("\n"))
}
