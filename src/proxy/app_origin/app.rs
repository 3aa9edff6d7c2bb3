//! [`App`]: a service or pod, as a host name and as a path of the API.

use std::fmt;

use crate::kubeconfig::Slug;

/// The longest host name (RFC 1035 section 2.3.4), and the longest label of one.
const MAX_NAME: usize = 253;
const MAX_LABEL: usize = 63;
/// The label of a port that is left out. No port has this number.
const NO_PORT: &str = "0";
/// What begins the label of a port that is spoken to over TLS.
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
            Self::Service => is_label(name),
            Self::Pod => name.split('.').all(is_label),
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
        let is_port = |port: &str| is_label(port) && port != NO_PORT && !is_bad_number(port);
        let is_valid = is_label(namespace) && kind.allows(name) && port.is_none_or(is_port);
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

/// A DNS label (RFC 1123) in lower case.
fn is_label(text: &str) -> bool {
    let usual = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !text.is_empty()
        && text.len() <= MAX_LABEL
        && text.bytes().all(usual)
        && !text.starts_with('-')
        && !text.ends_with('-')
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
    is_label(port).then_some((https, (port != NO_PORT).then_some(port)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_host_name_leads_to_the_proxy_of_its_app_alone() {
        for (host, path, slug) in [
            (
                "grafana.monitoring.svc",
                "monitoring/services/grafana",
                None,
            ),
            ("3000.grafana.m.svc", "m/services/grafana:3000", None),
            (
                "http-web.grafana.m.svc",
                "m/services/grafana:http-web",
                None,
            ),
            ("https-443.dash.m.svc", "m/services/https:dash:443", None),
            ("https-web.dash.m.svc", "m/services/https:dash:web", None),
            ("https-0.dash.m.svc", "m/services/https:dash:", None),
            ("dash.m.svc.prod-eu", "m/services/dash", Some("prod-eu")),
            ("8080.web-0.shop.pod", "shop/pods/web-0:8080", None),
            ("web-0.shop.pod.prod", "shop/pods/web-0", Some("prod")),
            (
                "etcd-n1.example.com.kube-system.pod",
                "kube-system/pods/etcd-n1.example.com",
                None,
            ),
            (
                "https-6443.api.n1.example.k.pod",
                "k/pods/https:api.n1.example:6443",
                None,
            ),
            ("0.80.web.shop.pod", "shop/pods/80.web", None),
            // The label before `svc` is the namespace, whatever it is called.
            ("a.svc.svc", "svc/services/a", None),
            ("svc.pod.svc.pod.pod", "pod/pods/svc.pod.svc", None),
        ] {
            let origin = AppOrigin::parse(&format!("{host}.localhost")).unwrap();
            assert_eq!(
                origin.app.proxy_path(),
                format!("/api/v1/namespaces/{path}/proxy")
            );
            assert_eq!(origin.slug.as_ref().map(Slug::as_str), slug, "{host}");
            assert_eq!(origin.host().unwrap(), format!("{host}.localhost"));
        }
    }

    #[test]
    fn other_names_are_no_apps() {
        let long = format!("{}.m.svc.localhost", "a".repeat(64));
        let longer = format!("{}m.pod.localhost", "abcdefgh.".repeat(28));
        for name in [
            "localhost",
            "svc.localhost",
            "m.svc.localhost",
            "grafana.m.svc",
            "grafana.m.svc.example",
            "grafana.m.svc.localhost.example",
            "grafana.m.svc.cluster.local.localhost",
            "a.b.c.m.svc.localhost",
            "grafana.m.services.localhost",
            "grafana_x.m.svc.localhost",
            "Grafana.m.svc.localhost",
            "-grafana.m.svc.localhost",
            "grafana-.m.svc.localhost",
            "grafana..m.svc.localhost",
            ".m.svc.localhost",
            "65536.grafana.m.svc.localhost",
            "080.grafana.m.svc.localhost",
            "https-.grafana.m.svc.localhost",
            "grafana.m.svc.pr_od.localhost",
            &long,
            &longer,
        ] {
            assert_eq!(AppOrigin::parse(name), None, "{name}");
        }
    }

    #[test]
    fn a_path_of_the_api_is_split_into_app_and_rest() {
        for (path, host, rest) in [
            ("m/services/grafana/proxy/", "grafana.m.svc", "/"),
            ("m/services/grafana/proxy", "grafana.m.svc", ""),
            ("m/services/grafana:/proxy/a?b", "grafana.m.svc", "/a?b"),
            ("m/services/http:grafana:/proxy//a", "grafana.m.svc", "//a"),
            ("m/services/https:dash:/proxy/", "https-0.dash.m.svc", "/"),
            (
                "m/services/https%3Adash%3a443/proxy/",
                "https-443.dash.m.svc",
                "/",
            ),
            ("m/pods/web-0:80/proxy/x", "80.web-0.m.pod", "/x"),
            ("m/pods/80.web/proxy/", "0.80.web.m.pod", "/"),
        ] {
            let path = format!("/api/v1/namespaces/{path}");
            let (app, left) = App::split_path(&path).unwrap();
            let origin = AppOrigin { app, slug: None };
            assert_eq!(
                origin.host().unwrap(),
                format!("{host}.localhost"),
                "{path}"
            );
            assert_eq!(left, rest, "{path}");
        }
        for path in [
            "/api/v1/namespaces/m/services/grafana",
            "/api/v1/namespaces/m/services/grafana/proxyx",
            "/api/v1/namespaces/m/services/grafana/status",
            "/api/v1/namespaces/m/secrets/grafana/proxy/",
            "/api/v1/namespaces/m/services/ftp:grafana:1/proxy/",
            "/api/v1/namespaces/m/services/https:a:b:c/proxy/",
            "/api/v1/namespaces/m/services/../proxy/",
            "/api/v1/namespaces/m/services/%2e%2e/proxy/",
            "/api/v1/namespaces/m/services/a%2fb/proxy/",
            "/api/v1/namespaces//services/grafana/proxy/",
            "/api/v1/namespaces/M/services/Grafana/proxy/",
            "/api/v1/nodes/n/proxy/",
            "/apis/v1/namespaces/m/services/grafana/proxy/",
            "/x/api/v1/namespaces/m/services/grafana/proxy/",
        ] {
            assert_eq!(App::split_path(path), None, "{path}");
        }
    }

    #[test]
    fn a_port_whose_label_would_mean_another_app_has_no_host() {
        let path = "/api/v1/namespaces/m/services/kubelet:https-metrics/proxy/";
        let (app, _) = App::split_path(path).unwrap();
        assert_eq!(AppOrigin { app, slug: None }.host(), None);
    }

    #[test]
    fn the_apps_own_proxy_path_is_taken_off_once() {
        let (app, _) = App::split_path("/api/v1/namespaces/m/services/a:80/proxy/").unwrap();
        let base = app.proxy_path();
        for (path, own) in [
            ("/", "/"),
            ("/x?y", "/x?y"),
            (&format!("{base}/x?y"), "/x?y"),
            (&*base, "/"),
            (&format!("{base}{base}/x"), &*format!("{base}/x")),
            ("/api/v1/namespaces/m/services/http:a:80/proxy/x", "/x"),
            // Another port is another app.
            (
                "/api/v1/namespaces/m/services/a/proxy/x",
                "/api/v1/namespaces/m/services/a/proxy/x",
            ),
            (
                "/api/v1/namespaces/n/services/a:80/proxy/x",
                "/api/v1/namespaces/n/services/a:80/proxy/x",
            ),
        ] {
            assert_eq!(app.own_path(path), own, "{path}");
        }
    }
}
