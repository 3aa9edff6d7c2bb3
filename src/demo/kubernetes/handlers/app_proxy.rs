//! `services/*/proxy` and `pods/*/proxy`: passes a request on to the simulated app of a service or pod.
//!
//! As API servers do, it passes its own `Host` on, and puts the path of the proxy into the `Location` and
//! into the links of HTML (`Transport` in k8s.io/apimachinery/pkg/util/proxy).

mod app;

use http::{HeaderValue, Method, Request, Response, StatusCode, header};

use self::app::AppRequest;
use crate::demo::{
    kubernetes::{
        api_server::ApiServer,
        encoding::{request_object, status::Status},
        objects::{
            resources::{self, Resource},
            store::Key,
        },
    },
    request_body::RequestBody,
    server::{Body, full_body},
};

/// A path below the proxy of a service or pod.
pub(crate) struct ProxyPath {
    resource: &'static Resource,
    namespace: String,
    name: String,
    /// The path of the proxy, without a slash at its end.
    base: String,
    /// What follows; empty, or begins with a slash.
    path: String,
}

impl ProxyPath {
    /// Reads a path; `None` if it is another one.
    pub(crate) fn parse(path: &str) -> Option<Self> {
        let mut parts = path.strip_prefix("/api/v1/namespaces/")?.splitn(5, '/');
        let (namespace, plural, id) = (parts.next()?, parts.next()?, parts.next()?);
        let is_known = matches!(plural, "services" | "pods") && parts.next()? == "proxy";
        let resource = resources::find("", "v1", is_known.then_some(plural)?)?;
        let path = parts
            .next()
            .map_or_else(String::new, |rest| format!("/{rest}"));
        // `[https:]NAME:PORT`: every port leads to the same app.
        let id_parts: Vec<&str> = id.split(':').collect();
        let name = match id_parts[..] {
            [name] | [name, _] | [_, name, _] => name.to_owned(),
            _ => return None,
        };
        Some(Self {
            resource,
            namespace: namespace.to_owned(),
            name,
            base: format!("/api/v1/namespaces/{namespace}/{plural}/{id}/proxy"),
            path,
        })
    }

    /// What the API server makes of a URL of the app: one of its own host gets the path of the proxy.
    fn rewritten(&self, url: &str, host: &str) -> String {
        let (origin, path) = match url.find("://").map(|at| url.split_at(at + 3)) {
            Some((scheme, rest)) => match rest.strip_prefix(host) {
                Some(path) => (format!("{scheme}{host}"), path),
                None => return url.to_owned(),
            },
            None => (String::new(), url),
        };
        if !path.starts_with('/') || path.starts_with("//") || path.starts_with(&self.base) {
            return url.to_owned();
        }
        format!("{origin}{}{path}", self.base)
    }
}

/// Passes a request of an authenticated user on.
pub(crate) async fn respond(
    server: &ApiServer,
    mut request: Request<RequestBody>,
    proxied: &ProxyPath,
) -> Result<Response<Body>, Status> {
    let key = Key::new(proxied.resource, &proxied.namespace, &proxied.name);
    let known = server.store.get(&key);
    known.ok_or_else(|| Status::not_found(proxied.resource, &proxied.name))?;
    if proxied.path.is_empty() && request.method() == Method::GET {
        return Ok(redirect_to_root(proxied));
    }
    let files = resources::find("", "v1", "configmaps").and_then(|configmaps| {
        let key = Key::new(configmaps, &proxied.namespace, &proxied.name);
        server.store.get(&key)
    });
    let host = host(&request);
    let upgrade = hyper::upgrade::on(&mut request);
    let (head, body) = request.into_parts();
    let body = request_object::read(body).await?;
    let mut response = app::respond(AppRequest {
        name: &proxied.name,
        path: &proxied.path,
        host: &host,
        head: &head,
        body: &body,
        files: files.as_ref().map(|object| &object.value["data"]),
        upgrade,
    });
    let location = response.headers().get(header::LOCATION);
    let location = location.and_then(|location| location.to_str().ok());
    let location = location.map(|location| proxied.rewritten(location, &host));
    if let Some(location) = location.and_then(|location| HeaderValue::try_from(location).ok()) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    let is_page = response.headers().get(header::CONTENT_TYPE) == Some(&app::HTML);
    Ok(response.map(|body| {
        if is_page {
            full_body(with_links(proxied, &body))
        } else {
            full_body(body)
        }
    }))
}

/// As API servers do, which add a slash (`proxyRedirectsforRootPath`).
fn redirect_to_root(proxied: &ProxyPath) -> Response<Body> {
    let mut response = Response::new(full_body(""));
    *response.status_mut() = StatusCode::MOVED_PERMANENTLY;
    if let Ok(location) = HeaderValue::try_from(format!("{}/", proxied.base)) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

/// The host that the client sent: in HTTP/2 a part of the URI.
fn host<B>(request: &Request<B>) -> String {
    let authority = request
        .uri()
        .authority()
        .map(|host| host.as_str().to_owned());
    let header = request.headers().get(header::HOST);
    let header = header
        .and_then(|host| host.to_str().ok())
        .map(str::to_owned);
    authority.or(header).unwrap_or_default()
}

/// Puts the path of the proxy into links from the root.
fn with_links(proxied: &ProxyPath, page: &str) -> String {
    let mut page = page.to_owned();
    for attribute in ["href", "src", "action"] {
        let (from, to) = (
            format!("{attribute}=\"/"),
            format!("{attribute}=\"{}/", proxied.base),
        );
        page = page.replace(&from, &to);
    }
    page
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn urls_of_the_app_get_the_path_of_the_proxy_once() {
        let base = "/api/v1/namespaces/n/services/https:web:443/proxy";
        let proxied = ProxyPath::parse(&format!("{base}/a/b")).unwrap();
        assert_eq!((&*proxied.name, &*proxied.path), ("web", "/a/b"));
        for (url, rewritten) in [
            ("/login?a", format!("{base}/login?a")),
            ("https://api:1/login", format!("https://api:1{base}/login")),
            ("https://other/login", "https://other/login".to_owned()),
            ("//other/login", "//other/login".to_owned()),
            ("login", "login".to_owned()),
            (&format!("{base}/x"), format!("{base}/x")),
        ] {
            assert_eq!(proxied.rewritten(url, "api:1"), rewritten);
        }
        assert!(ProxyPath::parse("/api/v1/namespaces/n/services/web").is_none());
        assert!(ProxyPath::parse("/api/v1/namespaces/n/secrets/web/proxy/").is_none());
        assert_eq!(ProxyPath::parse(base).unwrap().path, "");
    }
}
