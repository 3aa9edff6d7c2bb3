//! What runs commands in containers or on nodes, told by resource and subresource.

use super::{
    Wanted,
    attributes::{Attributes, Verb},
};

/// What a kubelet answers about itself. Everything else of its API, `/run`, `/exec`,
/// `/containerLogs` and `/logs` among it, stays behind `--allow-exec`.
const KUBELET_REPORTS: [&str; 11] = [
    "configz",
    "healthz",
    "healthz/log",
    "healthz/ping",
    "healthz/syncloop",
    "metrics",
    "metrics/cadvisor",
    "metrics/probes",
    "metrics/resource",
    "metrics/slis",
    "stats/summary",
];

/// The resource by which a request could run commands, whatever its method, API group and
/// version.
///
/// An API server may stand below a path (`/k8s/clusters/c-1/api/v1/...`) or behind another
/// one's proxy, so an API path counts wherever in the path it begins. kubectl's default
/// pattern, too, finds the latter.
pub(super) fn run_by(wanted: &Wanted<'_>, path: &str) -> Option<&'static str> {
    path.match_indices("/api").find_map(|(at, _)| {
        let attributes = Attributes::parse(wanted.method, &path[at..], None)?;
        let what = match (attributes.resource, attributes.subresource) {
            ("pods", "exec") => "pods/exec",
            ("pods", "attach") => "pods/attach",
            ("pods", "ephemeralcontainers") => "pods/ephemeralcontainers",
            ("nodes", "proxy") => "nodes/proxy",
            ("nodes", _) if attributes.verb == Verb::Proxy => "the legacy nodes proxy",
            ("pods", _) if attributes.verb == Verb::Proxy => "the legacy pods proxy",
            _ => return None,
        };
        let kubelet = attributes.resource == "nodes";
        let report = kubelet && wanted.is_plain_get() && KUBELET_REPORTS.contains(&attributes.rest);
        (!report).then_some(what)
    })
}
