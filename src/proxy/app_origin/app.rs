//! [`App`]: a service or pod, as a host name and as a path of the API.

use std::fmt;

use crate::kubeconfig::{Slug, is_dns_label};

/// The longest host name (RFC 1035 section 2.3.4).
const MAX_NAME: usize = 253;
/// The label of a port that is left out. No port has this number.
const NO_PORT: &str = "0";
/// The prefix of a port's label where the app speaks TLS.
const HTTPS: &str = "https-";

/// What an app is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `services`, at `.svc`
    Service,
    /// `pods`, at `.pod`
    Pod,
}

impl Kind {
    fn of_label(label: &str) -> Option<Self> {
        match label {
            "svc" => Some(Self::Service),
            "pod" => Some(Self::Pod),
            _ => None,
        }
    }

    fn label(self) -> &'static str {
        match self {
            Self::Service => "svc",
            Self::Pod => "pod",
        }
    }

    fn plural(self) -> &'static str {
        match self {
            Self::Service => "services",
            Self::Pod => "pods",
        }
    }

    /// Whether a text can be a name: of a service a DNS label, of a pod labels with dots between.
    fn allows(self, name: &str) -> bool {
        match self {
            Self::Service => is_dns_label(name),
            Self::Pod => name.split('.').all(is_dns_label),
        }
    }
}

/// A service or pod with the port that its proxy leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct App {
    kind: Kind,
    namespace: String,
    name: String,
    /// Whether the API server speaks TLS to it.
    https: bool,
    /// A number, or the name of a service's port. Without one the API server chooses.
    port: Option<String>,
}

impl App {
    /// Returns an app; `None` if a part has a character that no such name has.
    #[must_use]
    pub fn new(
        kind: Kind,
        namespace: &str,
        name: &str,
        https: bool,
        port: Option<&str>,
    ) -> Option<Self> {
        let is_port = |port: &str| is_dns_label(port) && port != NO_PORT && !is_bad_number(port);
        let is_valid = is_dns_label(namespace) && kind.allows(name) && port.is_none_or(is_port);
        is_valid.then(|| Self {
            kind,
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            https,
            port: port.map(str::to_owned),
        })
    }

    /// Reads `/api/v1/namespaces/NS/services/[SCHEME:]NAME[:PORT]/proxy` and for pods, at the begin of
    /// a raw path. Returns the app and what follows, which is empty or begins with a slash.
    #[must_use]
    pub fn split_path(path: &str) -> Option<(Self, &str)> {
        let path = path.strip_prefix("/api/v1/namespaces/")?;
        let (namespace, path) = path.split_once('/')?;
        let (plural, path) = path.split_once('/')?;
        let kind = match plural {
            "services" => Kind::Service,
            "pods" => Kind::Pod,
            _ => return None,
        };
        let (id, path) = path.split_once('/')?;
        let rest = path.strip_prefix("proxy")?;
        if !rest.is_empty() && !rest.starts_with('/') {
            return None;
        }
        // `SplitSchemeNamePort` in k8s.io/apimachinery/pkg/util/net. Some clients encode the colon.
        let id = id.replace("%3A", ":").replace("%3a", ":");
        let mut parts = id.split(':');
        let (scheme, name, port) = match (parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some(name), None, None, None) => ("", name, ""),
            (Some(name), Some(port), None, None) => ("", name, port),
            (Some(scheme), Some(name), Some(port), None) => (scheme, name, port),
            _ => return None,
        };
        let https = match scheme {
            "" | "http" => false,
            "https" => true,
            _ => return None,
        };
        let port = (!port.is_empty()).then_some(port);
        Some((Self::new(kind, namespace, name, https, port)?, rest))
    }

    /// Returns the path of its proxy, without a slash at the end.
    #[must_use]
    pub fn proxy_path(&self) -> String {
        let Self {
            namespace, name, ..
        } = self;
        let plural = self.kind.plural();
        let (scheme, port) = match (self.https, &self.port) {
            // A scheme needs both colons.
            (true, port) => (
                "https:",
                format!(":{}", port.as_deref().unwrap_or_default()),
            ),
            (false, Some(port)) => ("", format!(":{port}")),
            (false, None) => ("", String::new()),
        };
        format!("/api/v1/namespaces/{namespace}/{plural}/{scheme}{name}{port}/proxy")
    }

    /// Returns what follows this app's own `.../proxy` at the begin of a path, once; the path itself
    /// where it begins otherwise.
    pub(super) fn own_path<'a>(&self, path: &'a str) -> &'a str {
        match Self::split_path(path) {
            Some((app, "")) if app == *self => "/",
            Some((app, rest)) if app == *self => rest,
            _ => path,
        }
    }

    fn of_labels(kind: Kind, labels: &str) -> Option<Self> {
        let (labels, namespace) = labels.rsplit_once('.')?;
        let (https, port, name) = match labels.split_once('.') {
            Some((label, name)) if kind == Kind::Service || is_pod_port(label) => {
                let (https, port) = read_port(label)?;
                (https, port, name)
            }
            _ => (false, None, labels),
        };
        Self::new(kind, namespace, name, https, port)
    }

    /// Returns its host name with `.localhost`; `None` where it would be too long, or would be read as
    /// another app's.
    fn host(&self, slug: Option<&Slug>) -> Option<String> {
        let Self {
            namespace, name, ..
        } = self;
        let scheme = if self.https { HTTPS } else { "" };
        let port = match &self.port {
            Some(port) => format!("{scheme}{port}."),
            None if self.https => format!("{scheme}{NO_PORT}."),
            // Without a port, the begin of such a pod's name would be taken for one.
            None if name
                .split_once('.')
                .is_some_and(|(label, _)| is_pod_port(label)) =>
            {
                format!("{NO_PORT}.")
            }
            None => String::new(),
        };
        let kind = self.kind.label();
        let slug = slug.map_or_else(String::new, |slug| format!(".{slug}"));
        let host = format!("{port}{name}.{namespace}.{kind}{slug}.localhost");
        let is_read_back = AppOrigin::parse(&host).is_some_and(|origin| origin.app == *self);
        is_read_back.then_some(host)
    }
}

/// What a person calls the app.
impl fmt::Display for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = self.kind.plural();
        write!(f, "{plural}/{} in {}", self.name, self.namespace)
    }
}

/// An app in one of the contexts, by the host name of its origin. Among the extensions of a request
/// that came to such a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppOrigin {
    /// The service or pod.
    pub app: App,
    /// The context that the host names, if it names one.
    pub slug: Option<Slug>,
}

impl AppOrigin {
    /// Reads `[PORT.]SERVICE.NAMESPACE.svc[.SLUG].localhost` or
    /// `[PORT.]POD.NAMESPACE.pod[.SLUG].localhost`, in lower case. `None` for every other name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        let labels = name.strip_suffix(".localhost")?;
        if name.len() > MAX_NAME {
            return None;
        }
        let (before, last) = labels.rsplit_once('.')?;
        // The last label wins, so that no context can be named like a kind.
        let (kind, labels, slug) = if let Some(kind) = Kind::of_label(last) {
            (kind, before, None)
        } else {
            let (labels, kind) = before.rsplit_once('.')?;
            (Kind::of_label(kind)?, labels, Some(last))
        };
        let slug = match slug {
            Some(slug) => Some(Slug::from_label(slug)?),
            None => None,
        };
        let app = App::of_labels(kind, labels)?;
        Some(Self { app, slug })
    }

    /// Returns its host name; `None` for an app that has none, because it would be too long or be read
    /// as another app's.
    #[must_use]
    pub fn host(&self) -> Option<String> {
        self.app.host(self.slug.as_ref())
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether a text is a number, but of no port.
fn is_bad_number(text: &str) -> bool {
    is_number(text) && (text.starts_with('0') || text.parse::<u16>().is_err())
}

/// Whether the first label before a pod's name is a port. Unlike services, pods have only numbers:
/// the API server does not look up names there.
fn is_pod_port(label: &str) -> bool {
    is_number(label.strip_prefix(HTTPS).unwrap_or(label))
}

/// Reads `PORT`, `https-PORT`, `0` or `https-0`.
fn read_port(label: &str) -> Option<(bool, Option<&str>)> {
    let (https, port) = match label.strip_prefix(HTTPS) {
        Some(port) => (true, port),
        None => (false, label),
    };
    is_dns_label(port).then_some((https, (port != NO_PORT).then_some(port)))
}

#[cfg(test)]
mod tests;
