//! What a request reaches beyond the API's own objects: one table, read once for each reading of
//! a path. Every rule that concerns such requests looks at the [`Capabilities`] made here.

use super::{
    Wanted,
    attributes::{Attributes, Verb},
};

/// What a request reaches, apart from objects of the API.
// Each is a fact of its own, not a state.
#[allow(clippy::struct_excessive_bools)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// Runs commands in a container, a virtual machine or on a node: the resource by which.
    pub(super) commands: Option<&'static str>,
    /// Opens a connection to a port behind the API server.
    pub(super) connection: bool,
    /// Passes a request on to a server behind the API server.
    pub(super) proxied: bool,
    /// As `proxied`, but for what a kubelet reports of itself at its own port.
    pub(super) app: bool,
    /// Is answered with content that somebody other than the API server wrote.
    pub(super) foreign: bool,
}

/// The API groups that a row of the table is for.
#[derive(Clone, Copy)]
enum Groups {
    /// All of them. The guard knows no group that would serve another thing by these names.
    Any,
    /// All but the core group: those of aggregated API servers.
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

/// Which subresources give access to what; a request has what all rows that it matches give.
///
/// The rows of named groups are those of `KubeVirt` (`subresources.kubevirt.io`: `virtualmachines` and
/// `virtualmachineinstances`), and hold for others that do alike, such as Deckhouse's.
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

/// What a kubelet answers about itself. Everything else of its API, `/run`, `/exec`,
/// `/containerLogs` and `/logs` among it, runs commands or could.
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

/// Paths of no API group below which files are served that anybody may have written: the
/// server's log folder, and what is in an image registry.
const CONTENT_PATHS: [&str; 2] = ["/logs", "/v2"];

impl Capabilities {
    /// Reads what `wanted` reaches by `path`, whatever the method, API group and version.
    ///
    /// An API server may stand below a path (`/k8s/clusters/c-1/api/v1/...`) or behind another
    /// one's proxy, so an API path counts wherever in the path it begins. kubectl's default
    /// pattern, too, finds the latter.
    pub(super) fn of(wanted: &Wanted<'_>, path: &str) -> Self {
        let mut reach = Self::default();
        for (at, _) in path.match_indices("/api") {
            if let Some(attributes) = Attributes::parse(wanted.method, &path[at..], None) {
                reach.add(wanted, &attributes);
            }
        }
        reach.foreign |= CONTENT_PATHS.iter().any(|folder| {
            let inside = path.strip_prefix(folder);
            inside.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        });
        reach
    }

    fn add(&mut self, wanted: &Wanted<'_>, attributes: &Attributes<'_>) {
        let Attributes { resource, name, .. } = *attributes;
        let legacy = attributes.verb == Verb::Proxy;
        let subresource = if legacy {
            "proxy"
        } else {
            attributes.subresource
        };
        if subresource.is_empty() {
            return;
        }
        let kubelet = resource == "nodes";
        let reports =
            kubelet && wanted.is_plain_get() && KUBELET_REPORTS.contains(&attributes.rest);
        if legacy && resource == "pods" {
            self.commands = Some("the legacy pods proxy");
        }
        for &(groups, of, part, access) in &TABLE {
            let named = matches!(groups, Any) || !attributes.group.is_empty();
            if part != subresource || !named || (of != ALL && of != resource) {
                continue;
            }
            match access {
                Commands(_) if reports => {}
                Commands(_) if legacy => self.commands = Some("the legacy nodes proxy"),
                Commands(what) => self.commands = Some(what),
                Connection => self.connection = true,
                Proxied => {
                    (self.proxied, self.foreign) = (true, true);
                    // By another port than its own, an app of the node's answers.
                    self.app |= !reports || name.contains(':');
                }
                Content => self.foreign = true,
            }
        }
    }

    /// What either of two readings of a path reaches.
    pub(super) fn or(self, other: Self) -> Self {
        Self {
            commands: self.commands.or(other.commands),
            connection: self.connection || other.connection,
            proxied: self.proxied || other.proxied,
            app: self.app || other.app,
            foreign: self.foreign || other.foreign,
        }
    }
}
