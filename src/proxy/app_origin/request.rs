//! Turns a request to an app's origin into one to the proxy of that app.

use http::{HeaderMap, Request, Uri, header::AUTHORIZATION, uri::PathAndQuery};

use super::app::{App, AppOrigin};
use crate::proxy::{
    contexts::ContextChoice,
    head_filter::{HeadFilter, HeadFilterLayer},
    header_names::{canonical, remove_where},
    refusal::Refusal,
    request_record::RequestRecord,
    websocket_token,
};

/// Rewrites requests that came to the origin of an app, and chooses their context. Belongs outside of
/// the route, and inside of the check of tokens, which a client may send as a credential.
#[must_use]
pub fn rewrite_layer() -> HeadFilterLayer<RewriteForApp> {
    HeadFilterLayer::new(RewriteForApp)
}

/// See [`rewrite_layer`].
#[derive(Debug)]
pub struct RewriteForApp;

impl HeadFilter for RewriteForApp {
    fn filter<B>(&self, request: &mut Request<B>) -> Result<(), Refusal> {
        let Some(origin) = request.extensions().get::<AppOrigin>() else {
            return Ok(());
        };
        let target = proxy_target(&origin.app, request.uri())?;
        let context = match &origin.slug {
            Some(slug) => ContextChoice::Slug(slug.clone()),
            None => ContextChoice::Default,
        };
        if let Some(record) = request.extensions().get::<RequestRecord>() {
            record.set_api_path(target.path());
        }
        request.extensions_mut().insert(context);
        *request.uri_mut() = target;
        remove_credentials(request.headers_mut());
        Ok(())
    }
}

/// Returns the path below the app's proxy, byte for byte. The layers below refuse `..` in every
/// spelling, backslashes and other text that a server could take for the way out of it.
fn proxy_target(app: &App, uri: &Uri) -> Result<Uri, Refusal> {
    let given = uri.path();
    // The absolute form may omit the path, which is "/" then (RFC 9110 section 4.2.3).
    let given = if given.is_empty() { "/" } else { given };
    let path = app.own_path(given);
    if !path.starts_with('/') {
        return Err(Refusal::malformed(
            "malformed target",
            "the request target of an app must begin with /",
        ));
    }
    let mut target = app.proxy_path();
    target.push_str(path);
    if let Some(query) = uri.query() {
        target.push('?');
        target.push_str(query);
    }
    let target = PathAndQuery::try_from(target)
        .map_err(|error| Refusal::malformed("malformed path", error.to_string()))?;
    Ok(Uri::from(target))
}

/// Removes what the API server would take for the identity of the caller. A page of the app may set
/// these headers, and a browser repeats a password for the app.
fn remove_credentials(headers: &mut HeaderMap) {
    headers.remove(AUTHORIZATION);
    websocket_token::remove(headers);
    remove_where(headers, |name| canonical(name).starts_with("impersonate-"));
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::proxy::{RequestInfo, request_info::Verb};

    const HOST: &str = "3000.grafana.m.svc.localhost";
    const BASE: &str = "/api/v1/namespaces/m/services/grafana:3000/proxy";

    fn rewritten(target: &str, headers: &[(&str, &str)]) -> Result<Request<()>, Refusal> {
        let mut request = Request::get(target);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut request = request.body(()).unwrap();
        let origin = AppOrigin::parse(HOST).unwrap();
        request.extensions_mut().insert(origin);
        RewriteForApp.filter(&mut request).map(|()| request)
    }

    #[test]
    fn every_path_ends_up_below_the_apps_proxy() {
        for (target, path) in [
            ("/", "/"),
            ("/login?next=/a%2Fb", "/login?next=/a%2Fb"),
            (
                "/api/v1/namespaces/m/secrets",
                "/api/v1/namespaces/m/secrets",
            ),
            ("http://3000.grafana.m.svc.localhost:8001", "/"),
            ("http://3000.grafana.m.svc.localhost:8001?a", "/?a"),
            ("http://3000.grafana.m.svc.localhost:8001/x", "/x"),
            ("//evil.example/x", "//evil.example/x"),
            (BASE, "/"),
            ("/api/v1/namespaces/m/services/grafana:3000/proxy?a", "/?a"),
            (
                "/api/v1/namespaces/m/services/grafana:3000/proxy/x?a",
                "/x?a",
            ),
            (
                "/api/v1/namespaces/m/services/other:3000/proxy/x",
                "/api/v1/namespaces/m/services/other:3000/proxy/x",
            ),
        ] {
            let request = rewritten(target, &[]).unwrap();
            assert_eq!(
                request.uri().to_string(),
                format!("{BASE}{path}"),
                "{target}"
            );
            let info = RequestInfo::read(&request).unwrap();
            let resource = info.resource().unwrap();
            assert_eq!(resource.subresource, "proxy", "{target}");
            assert_eq!(resource.name, "grafana:3000", "{target}");
            assert_ne!(resource.verb, Verb::Watch);
        }
        assert!(rewritten("*", &[]).is_err());
    }

    #[test]
    fn no_spelling_leaves_the_apps_proxy() {
        for target in [
            "/../../secrets",
            "/..",
            "/%2e%2e/%2e%2e/secrets",
            "/.%2E/secrets",
            "/..%2fsecrets",
            "/%2e%2e%2f%2e%2e%2fsecrets",
            "/a/..;/../b",
            "/..%5c..%5csecrets",
            "/a%5cb",
            "/a\\..\\b",
            "/%c0%ae%c0%ae/",
            "/%00",
            &format!("{BASE}/../../../secrets"),
            &format!("{BASE}/%2e%2e/x"),
        ] {
            let refused = match rewritten(target, &[]) {
                Ok(request) => RequestInfo::read(&request).is_err(),
                Err(_) => true,
            };
            assert!(refused, "{target}");
        }
        // Encoded twice, it is a name like any other.
        let request = rewritten("/%252e%252e/x", &[]).unwrap();
        assert!(RequestInfo::read(&request).is_ok());
    }

    #[test]
    fn credentials_for_the_api_server_are_removed() {
        let request = rewritten(
            "/",
            &[
                ("authorization", "Basic YTpi"),
                ("impersonate-user", "admin"),
                ("Impersonate_Group", "system:masters"),
                (
                    "sec-websocket-protocol",
                    "base64url.bearer.authorization.k8s.io.eA, v1",
                ),
                ("cookie", "session=app"),
            ],
        );
        let request = request.unwrap();
        let mut names: Vec<_> = request
            .headers()
            .keys()
            .map(http::HeaderName::as_str)
            .collect();
        names.sort_unstable();
        assert_eq!(names, ["cookie", "sec-websocket-protocol"]);
        assert_eq!(request.headers()["sec-websocket-protocol"], "v1");
    }

    #[test]
    fn other_requests_are_left_alone() {
        let mut request = Request::get("/api/v1/pods")
            .header("authorization", "Bearer x")
            .body(())
            .unwrap();
        RewriteForApp.filter(&mut request).unwrap();
        assert_eq!(request.uri(), "/api/v1/pods");
        assert!(request.headers().contains_key("authorization"));
    }
}
