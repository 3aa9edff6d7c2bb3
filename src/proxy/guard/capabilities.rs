//! [`Capabilities`]: what a request gives access to beyond the API's own objects. One table says it,
//! and every rule about such requests asks the result.

use http::Method;

use crate::proxy::request_info::{Reading, Resource, Verb};

/// What a request gives access to, apart from objects of the API.
// Independent flags, except that `app` implies `proxied`, and `proxied` implies `untrusted`.
#[allow(clippy::struct_excessive_bools)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// The resource by which it runs commands in a container, a virtual machine or on a node, if it
    /// does.
    pub(super) commands: Option<&'static str>,
    /// Opens a connection to a port behind the API server.
    pub(super) connection: bool,
    /// Passes a request on to a server behind the API server.
    pub(super) proxied: bool,
    /// As `proxied`, except for what a kubelet reports of itself at its own port.
    pub(super) app: bool,
    /// The response's content does not come from the API server itself.
    pub(super) untrusted: bool,
}

/// The API groups that a row of the table is for.
#[derive(Clone, Copy)]
enum Groups {
    /// All of them. No known group serves another thing by these names.
    Any,
    /// All but the core group, that is, those of aggregated API servers.
    Named,
}

/// What a subresource gives access to.
#[derive(Clone, Copy)]
enum Access {
    Commands(&'static str),
    Connection,
    Proxied,
    Content,
}

use Access::{Commands, Connection, Content, Proxied};
use Groups::{Any, Named};

const ALL: &str = "*";

/// Which subresources give access to what. A request gets what each matching row gives.
///
/// The rows of named groups are those of `KubeVirt` (`subresources.kubevirt.io`: `virtualmachines` and
/// `virtualmachineinstances`); they hold for forks of it too, such as Deckhouse's.
static TABLE: [(Groups, &str, &str, Access); 16] = [
    (Any, "pods", "exec", Commands("pods/exec")),
    (Any, "pods", "attach", Commands("pods/attach")),
    (
        Any,
        "pods",
        "ephemeralcontainers",
        Commands("pods/ephemeralcontainers"),
    ),
    (Any, "nodes", "proxy", Commands("nodes/proxy")),
    (Named, ALL, "exec", Commands("the subresource exec")),
    (Named, ALL, "attach", Commands("the subresource attach")),
    (Named, ALL, "console", Commands("the subresource console")),
    (Named, ALL, "ssh", Commands("the subresource ssh")),
    (Named, ALL, "vnc", Commands("the subresource vnc")),
    (Named, ALL, "usbredir", Commands("the subresource usbredir")),
    (Any, "pods", "portforward", Connection),
    (Named, ALL, "portforward", Connection),
    (Named, ALL, "vsock", Connection),
    (Any, ALL, "proxy", Proxied),
    (Any, ALL, "log", Content),
    // Operator catalogues: images, SVG among them.
    (Named, "packagemanifests", "icon", Content),
];

/// The paths of a kubelet's reports about itself. Everything else in its API, such as `/run`, `/exec`,
/// `/containerLogs` and `/logs`, runs commands or could.
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

/// Non-resource paths below which an API server serves files that others wrote: its log folder, and
/// the content of an image registry.
const CONTENT_PATHS: [&str; 2] = ["/logs", "/v2"];

impl Capabilities {
    /// Reads what a request gives access to by one reading of its path, in any API group and version,
    /// wherever in the path an API path begins. kubectl's default pattern finds these places too.
    pub(super) fn of(method: &Method, upgrades: bool, reading: Reading<'_>) -> Self {
        let mut capabilities = Self::default();
        let is_plain_get = !upgrades && is_get(method);
        for resource in reading.resources() {
            capabilities.add(is_plain_get, &resource);
        }
        capabilities.untrusted |= CONTENT_PATHS.iter().any(|folder| {
            let inside = reading.path().strip_prefix(folder);
            inside.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        });
        capabilities
    }

    fn add(&mut self, is_plain_get: bool, resource: &Resource<'_>) {
        let Resource {
            resource: kind,
            name,
            ..
        } = *resource;
        let is_legacy_proxy = resource.verb == Verb::Proxy;
        let subresource = if is_legacy_proxy {
            "proxy"
        } else {
            resource.subresource
        };
        if subresource.is_empty() {
            return;
        }
        let is_report = kind == "nodes" && is_plain_get && KUBELET_REPORTS.contains(&resource.rest);
        if is_legacy_proxy && kind == "pods" {
            self.commands = Some("the legacy pods proxy");
        }
        for &(groups, of, part, access) in &TABLE {
            let is_in_group = matches!(groups, Any) || !resource.api_group.is_empty();
            if part != subresource || !is_in_group || (of != ALL && of != kind) {
                continue;
            }
            match access {
                Commands(_) if is_report => {}
                Commands(_) if is_legacy_proxy => self.commands = Some("the legacy nodes proxy"),
                Commands(what) => self.commands = Some(what),
                Connection => self.connection = true,
                Proxied => {
                    (self.proxied, self.untrusted) = (true, true);
                    // Any other port than the kubelet's own is an app's.
                    self.app |= !is_report || name.contains(':');
                }
                Content => self.untrusted = true,
            }
        }
    }

    /// What either of two readings of a path gives access to.
    pub(super) fn or(self, other: Self) -> Self {
        Self {
            commands: self.commands.or(other.commands),
            connection: self.connection || other.connection,
            proxied: self.proxied || other.proxied,
            app: self.app || other.app,
            untrusted: self.untrusted || other.untrusted,
        }
    }
}

/// Whether the API server reads the method as a get of a resource.
pub(super) fn is_get(method: &Method) -> bool {
    method == Method::GET || method == Method::HEAD
}
