//! Apps behind `services/*/proxy` and `pods/*/proxy` at origins of their own.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::{Connection, Kubegate, PATIENCE, Upstream, exchange, secrets, status};

const OPENED: &str = "Sec-Fetch-Site: none\r\nSec-Fetch-Mode: navigate\r\n\
                      Sec-Fetch-Dest: document\r\n";
const FROM_ANOTHER_SITE: &str = "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: navigate\r\n\
                                 Sec-Fetch-Dest: document\r\n";
const WEBSOCKET: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// The host of a service's or pod's origin at a running kubegate.
fn host(kubegate: &Kubegate, name: &str) -> String {
    let port = kubegate.address.rsplit(':').next().unwrap();
    format!("{name}.localhost:{port}")
}

async fn send(kubegate: &Kubegate, host: &str, method: &str, path: &str, lines: &str) -> String {
    exchange(
        &kubegate.address,
        format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{lines}\r\n"),
    )
    .await
}

/// The values of a response's header.
fn values<'a>(response: &'a str, name: &str) -> Vec<&'a str> {
    let (head, _) = response.split_once("\r\n\r\n").unwrap();
    let lines = head.split("\r\n").filter_map(|line| line.split_once(": "));
    lines
        .filter(|(key, _)| key.eq_ignore_ascii_case(name))
        .map(|(_, value)| value)
        .collect()
}

#[tokio::test]
async fn an_apps_host_reaches_the_proxy_of_that_app_alone() {
    let upstream = Upstream::plain(Connection::echo).await;
    // None of them opens or closes the way.
    for flags in [
        &[][..],
        &["--accept-hosts=^localhost$"],
        &["--disable-filter"],
        &["--api-prefix=/k8s/"],
    ] {
        let kubegate = Kubegate::before(&upstream, flags);
        for (name, base) in [
            (
                "grafana.m.svc",
                "/api/v1/namespaces/m/services/grafana/proxy",
            ),
            (
                "WEB.Grafana.m.svc",
                "/api/v1/namespaces/m/services/grafana:web/proxy",
            ),
            (
                "https-443.d.m.svc",
                "/api/v1/namespaces/m/services/https:d:443/proxy",
            ),
            (
                "80.n1.example.com.m.pod",
                "/api/v1/namespaces/m/pods/n1.example.com:80/proxy",
            ),
        ] {
            let host = host(&kubegate, name);
            for (path, below) in [
                ("/", "/"),
                ("/login?a=%2F", "/login?a=%2F"),
                (
                    "/api/v1/namespaces/m/secrets",
                    "/api/v1/namespaces/m/secrets",
                ),
                ("//api/v1/secrets", "//api/v1/secrets"),
                ("/static/x", "/static/x"),
                (&*format!("{base}/x?y"), "/x?y"),
            ] {
                let response = send(&kubegate, &host, "GET", path, "").await;
                assert_eq!(status(&response), 200, "{name}{path}: {response}");
                let line = format!("GET {base}{below} HTTP/1.1\r\n");
                assert!(response.contains(&line), "{name}{path}: {response}");
            }
        }
        let before = upstream.connections();
        let host = host(&kubegate, "grafana.m.svc");
        for path in [
            "/../../../secrets",
            "/%2e%2e/%2e%2e/secrets",
            "/..%2f..%2fsecrets",
            "/%2e%2e%5c..%5csecrets",
            "/a\\..\\..\\b",
            "/%c0%ae%c0%ae/x",
            "/%00",
            "*",
        ] {
            let response = send(&kubegate, &host, "GET", path, "").await;
            assert_eq!(status(&response), 400, "{path}: {response}");
        }
        assert_eq!(upstream.connections(), before);
    }
    let kubegate = Kubegate::before(&upstream, &[]);
    for name in [
        "m.svc",
        "x.a.b.m.svc",
        "grafana.m.svc.x.y",
        "65536.grafana.m.svc",
    ] {
        let host = host(&kubegate, name);
        let response = send(&kubegate, &host, "GET", "/", "").await;
        assert_eq!(status(&response), 403, "{name}: {response}");
    }
}

#[tokio::test]
async fn rules_see_the_path_of_the_api() {
    let upstream = Upstream::plain(Connection::echo).await;
    for (flags, method, code) in [
        (&["--read-only"][..], "GET", 403),
        (&["--read-only", "--allow-proxy"], "GET", 200),
        (&["--read-only", "--allow-proxy"], "POST", 403),
        (&["--reject-paths=/services/.*/proxy"], "GET", 403),
        (&["--reject-paths=^/private"], "GET", 200),
        (&["--accept-paths=^/api/v1/pods"], "GET", 403),
        (&["--reject-methods=^DELETE$"], "DELETE", 403),
        (&[], "DELETE", 200),
    ] {
        let kubegate = Kubegate::before(&upstream, flags);
        let host = host(&kubegate, "grafana.m.svc");
        let response = send(&kubegate, &host, method, "/private", "").await;
        assert_eq!(status(&response), code, "{flags:?} {method}: {response}");
    }
}

#[tokio::test]
async fn only_the_apps_own_pages_and_top_level_navigations_pass() {
    let upstream = Upstream::plain(Connection::echo).await;
    let kubegate = Kubegate::before(&upstream, &[]);
    let host = host(&kubegate, "a.m.svc");
    let other = host.replace("a.m", "b.m");
    for lines in [
        format!("Origin: http://{other}\r\n"),
        format!("Origin: http://{}\r\n", kubegate.address),
        "Origin: null\r\n".to_owned(),
        "Origin: https://evil.example\r\n".to_owned(),
        "Sec-Fetch-Site: same-site\r\nSec-Fetch-Mode: no-cors\r\n".to_owned(),
        "Sec-Fetch-Site: same-site\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: iframe\r\n"
            .to_owned(),
        format!("{FROM_ANOTHER_SITE}Sec-Purpose: prefetch\r\n"),
        format!("{FROM_ANOTHER_SITE}Origin: null\r\n"),
        format!("Origin: http://{other}\r\n{WEBSOCKET}"),
    ] {
        for method in ["GET", "POST", "DELETE"] {
            let response = send(&kubegate, &host, method, "/", &lines).await;
            assert_eq!(status(&response), 403, "{method} {lines}: {response}");
        }
    }
    // A form of another site.
    let response = send(&kubegate, &host, "POST", "/", FROM_ANOTHER_SITE).await;
    assert_eq!(status(&response), 403, "{response}");
    assert_eq!(upstream.connections(), 0);
    let same_site = FROM_ANOTHER_SITE.replace("cross-site", "same-site");
    let own = format!("Origin: http://{host}\r\n");
    for lines in [FROM_ANOTHER_SITE, &same_site, OPENED, &own, ""] {
        let response = send(&kubegate, &host, "GET", "/x", lines).await;
        assert_eq!(status(&response), 200, "{lines}: {response}");
    }
    assert_eq!(
        status(&send(&kubegate, &host, "POST", "/", &own).await),
        200
    );
    // The API's origin is another one to an app.
    let api = host.replace("a.m.svc.", "");
    let foreign = send(&kubegate, &api, "GET", "/api/v1/secrets", &own).await;
    assert_eq!(status(&foreign), 403, "{foreign}");
}

#[tokio::test]
async fn an_app_gets_its_cookies_and_one_origin_but_no_identity_of_the_client() {
    let upstream = Upstream::plain(Connection::echo).await;
    let kubegate = Kubegate::before(&upstream, &[]);
    let host = host(&kubegate, "a.m.svc");
    let lines = format!(
        "Origin: http://{host}\r\nReferer: http://{host}/d?x\r\nCookie: session=app\r\n\
         Authorization: Basic YTpi\r\nImpersonate-User: admin\r\nSec-Fetch-Site: same-origin\r\n"
    );
    let response = send(&kubegate, &host, "POST", "/x", &lines).await;
    assert_eq!(status(&response), 200, "{response}");
    let server = format!("http://localhost:{}", upstream.port());
    for line in [
        "cookie: session=app".to_owned(),
        format!("host: localhost:{}", upstream.port()),
        format!("origin: {server}"),
        format!("referer: {server}/api/v1/namespaces/m/services/a/proxy/d?x"),
    ] {
        assert!(
            response.contains(&format!("{line}\r\n")),
            "{line}: {response}"
        );
    }
    for absent in ["Basic", "admin"] {
        assert!(!response.contains(absent), "{absent}: {response}");
    }
}

/// An API server behind which an app answers with headers that depend on its origin.
async fn with_an_app() -> Upstream {
    Upstream::plain(async |mut connection: Connection| {
        while let Some(head) = connection.head().await {
            let host = head.split("\r\n").find_map(|line| {
                let (name, value) = line.split_once(": ")?;
                name.eq_ignore_ascii_case("host").then(|| value.to_owned())
            });
            let host = host.unwrap();
            let base = "/api/v1/namespaces/m/services/a/proxy";
            connection
                .write(format!(
                    "HTTP/1.1 302 Found\r\nLocation: http://{host}{base}/login?next=%2F\r\n\
                     Set-Cookie: one=1; Domain=svc.localhost; Path={base}/; HttpOnly\r\n\
                     Set-Cookie: two=2; Path=/deep; Secure\r\n\
                     Clear-Site-Data: \"*\"\r\nStrict-Transport-Security: max-age=9\r\n\
                     Content-Security-Policy: default-src 'self'\r\nX-App: 1\r\n\
                     Content-Length: 0\r\n\r\n"
                ))
                .await;
        }
    })
    .await
}

#[tokio::test]
async fn redirects_and_cookies_are_those_of_the_apps_origin() {
    let upstream = with_an_app().await;
    let kubegate = Kubegate::before(&upstream, &[]);
    let host = host(&kubegate, "a.m.svc");
    for lines in [OPENED, ""] {
        let response = send(&kubegate, &host, "GET", "/", lines).await;
        assert_eq!(status(&response), 302, "{response}");
        assert_eq!(values(&response, "location"), ["/login?next=%2F"]);
        assert_eq!(
            values(&response, "set-cookie"),
            ["one=1; Path=/; HttpOnly", "two=2; Path=/deep; Secure"]
        );
        assert_eq!(
            values(&response, "content-security-policy"),
            ["default-src 'self'"]
        );
        assert_eq!(values(&response, "x-app"), ["1"]);
        for name in ["clear-site-data", "strict-transport-security"] {
            assert_eq!(values(&response, name), [""; 0], "{response}");
        }
    }
}

#[tokio::test]
async fn a_browser_that_opens_an_app_at_the_api_is_sent_on() {
    let upstream = Upstream::plain(Connection::echo).await;
    let kubegate = Kubegate::before(&upstream, &["--api-prefix=/k8s/"]);
    let port = kubegate.address.rsplit(':').next().unwrap();
    let dashboard = "/k8s/api/v1/namespaces/kubernetes-dashboard/services/\
                     https:kubernetes-dashboard:/proxy/x?a=b";
    for api in ["localhost", "127.0.0.1"] {
        let api = format!("{api}:{port}");
        let response = send(&kubegate, &api, "GET", dashboard, OPENED).await;
        assert_eq!(status(&response), 307, "{response}");
        let to = host(
            &kubegate,
            "https-0.kubernetes-dashboard.kubernetes-dashboard.svc",
        );
        assert_eq!(values(&response, "location"), [format!("//{to}/x?a=b")]);
    }
    assert_eq!(upstream.connections(), 0);
    // Neither programs nor parts of a page.
    for lines in [
        "",
        "Sec-Fetch-Site: same-origin\r\nSec-Fetch-Dest: script\r\n",
    ] {
        let response = send(&kubegate, &kubegate.address, "GET", dashboard, lines).await;
        assert_eq!(status(&response), 200, "{response}");
    }
    // Nor is there a way around a rule.
    let strict = Kubegate::before(&upstream, &["--reject-paths=proxy"]);
    let path = "/api/v1/namespaces/m/pods/p/proxy/";
    let response = send(&strict, &strict.address, "GET", path, OPENED).await;
    assert_eq!(status(&response), 403, "{response}");
    let trusting = Kubegate::before(&upstream, &["--trust-proxied-pages"]);
    let response = send(&trusting, &trusting.address, "GET", path, OPENED).await;
    assert_eq!(status(&response), 200, "{response}");
}

/// A kubegate with the one context `prod`.
fn with_context(upstream: &Upstream) -> (tempfile::TempDir, Kubegate) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config");
    let config = json!({
        "current-context": "prod",
        "contexts": [{"name": "prod", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": upstream.url()}}],
        "users": [{"name": "u", "user": {}}],
    });
    std::fs::write(&file, config.to_string()).unwrap();
    let kubegate = Kubegate::start(["--kubeconfig", file.to_str().unwrap()]);
    (folder, kubegate)
}

#[tokio::test]
async fn an_apps_host_may_name_the_context() {
    let upstream = Upstream::plain(Connection::echo).await;
    let (_folder, kubegate) = with_context(&upstream);
    let app = host(&kubegate, "80.a.m.svc.prod");
    let response = send(&kubegate, &app, "GET", "/clusters/x", "").await;
    assert_eq!(status(&response), 200, "{response}");
    let line = "GET /api/v1/namespaces/m/services/a:80/proxy/clusters/x HTTP/1.1\r\n";
    assert!(response.contains(line), "{response}");
    // The log has the path of the API, which names the app.
    let line = line.replace(" HTTP/1.1\r\n", " 200 ");
    let until = Instant::now() + PATIENCE;
    while !kubegate.log().contains(&line) {
        assert!(Instant::now() < until, "{}", kubegate.log());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let unknown = host(&kubegate, "80.a.m.svc.none");
    let response = send(&kubegate, &unknown, "GET", "/", "").await;
    assert_eq!(status(&response), 404, "{response}");
    // A browser stays in the context that it asked for.
    let path = "/clusters/prod/api/v1/namespaces/m/services/a:80/proxy/x";
    let response = send(&kubegate, &kubegate.address, "GET", path, OPENED).await;
    assert_eq!(status(&response), 307, "{response}");
    assert_eq!(values(&response, "location"), [format!("//{app}/x")]);
}

#[tokio::test]
async fn an_app_may_have_a_service_worker_only_where_its_origin_names_the_context() {
    let upstream = Upstream::plain(Connection::echo).await;
    let (_folder, kubegate) = with_context(&upstream);
    let worker = "Service-Worker: script\r\nSec-Fetch-Site: same-origin\r\n\
                  Sec-Fetch-Mode: same-origin\r\nSec-Fetch-Dest: serviceworker\r\n";
    let app = host(&kubegate, "a.m.svc");
    let response = send(&kubegate, &app, "GET", "/sw.js", worker).await;
    assert_eq!(status(&response), 403, "{response}");
    assert!(response.contains("CONTEXT.localhost"), "{response}");
    let app = host(&kubegate, "a.m.svc.prod");
    let response = send(&kubegate, &app, "GET", "/sw.js", worker).await;
    assert_eq!(status(&response), 200, "{response}");
}

#[tokio::test]
async fn a_link_of_another_site_to_the_api_gets_a_page_to_go_on_from() {
    let upstream = Upstream::plain(Connection::echo).await;
    for flags in [&[][..], &["--disable-filter"]] {
        let kubegate = Kubegate::before(&upstream, flags);
        let path = "/api/v1/namespaces/x/secrets?code=%3Cb%3E&x=1";
        let same_site = FROM_ANOTHER_SITE.replace("cross-site", "same-site");
        for lines in [FROM_ANOTHER_SITE, &same_site] {
            let response = send(&kubegate, &kubegate.address, "GET", path, lines).await;
            assert_eq!(status(&response), 403, "{response}");
            assert_eq!(
                values(&response, "content-type"),
                ["text/html; charset=utf-8"]
            );
            assert_eq!(values(&response, "cache-control"), ["no-store"]);
            assert_eq!(values(&response, "x-frame-options"), ["DENY"]);
            assert_eq!(values(&response, "referrer-policy"), ["no-referrer"]);
            assert_eq!(
                values(&response, "cross-origin-opener-policy"),
                ["same-origin"]
            );
            let policy = values(&response, "content-security-policy")[0];
            assert!(policy.contains("default-src 'none'"), "{policy}");
            assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
            assert!(
                response.contains("secrets?code=&#60;b&#62;&#38;x=1"),
                "{response}"
            );
            let link = "href=\"/api/v1/namespaces/x/secrets?code=%3Cb%3E&#38;x=1\"";
            assert!(response.contains(link), "{response}");
        }
        // Whatever a script can send gets no page.
        for lines in [
            "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: no-cors\r\nSec-Fetch-Dest: image\r\n",
            "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: iframe\r\n",
            "Sec-Fetch-Site: cross-site\r\n",
            "Origin: https://evil.example\r\nSec-Fetch-Site: cross-site\r\n\
             Sec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\n",
        ] {
            let response = send(&kubegate, &kubegate.address, "GET", path, lines).await;
            assert_eq!(status(&response), 403, "{response}");
            assert_eq!(values(&response, "content-type"), ["application/json"]);
        }
        let response = send(
            &kubegate,
            &kubegate.address,
            "POST",
            path,
            FROM_ANOTHER_SITE,
        )
        .await;
        assert_eq!(status(&response), 403, "{response}");
        assert_eq!(values(&response, "content-type"), ["application/json"]);
        // Nor does a host that is not accepted.
        if flags.is_empty() {
            let response = send(&kubegate, "evil.example", "GET", path, FROM_ANOTHER_SITE).await;
            assert_eq!(values(&response, "content-type"), ["application/json"]);
        }
        assert_eq!(upstream.connections(), 0);
    }
    // Going on is a request of the page itself.
    let kubegate = Kubegate::before(&upstream, &[]);
    let own = OPENED.replace("none", "same-origin");
    let response = send(&kubegate, &kubegate.address, "GET", "/api/v1/pods", &own).await;
    assert_eq!(status(&response), 200, "{response}");
}

/// The value of a `Set-Cookie` up to its attributes.
fn cookie(response: &str) -> &str {
    let set = values(response, "set-cookie")[0];
    set.split(';').next().unwrap()
}

#[tokio::test]
async fn where_tokens_are_required_a_browser_gets_a_cookie_of_each_apps_origin() {
    const TOKEN: &str = "a-token-of-the-door-for-apps";
    secrets::register(TOKEN);
    let folder = tempfile::tempdir().unwrap();
    let tokens = folder.path().join("tokens");
    std::fs::write(&tokens, format!("alice {TOKEN}\n")).unwrap();
    let upstream = Upstream::plain(Connection::echo).await;
    let flags = ["--require-token-file", tokens.to_str().unwrap()];
    let kubegate = Kubegate::before(&upstream, &flags);
    let own = kubegate.address.as_str();
    let app = host(&kubegate, "80.a.m.svc");

    // What `kubegate open` does, and then the browser.
    let bearer = format!("Authorization: Bearer {TOKEN}\r\n");
    let opened = send(&kubegate, own, "POST", "/.kubegate/open", &bearer).await;
    let opened: serde_json::Value =
        serde_json::from_str(opened.split_once("\r\n\r\n").unwrap().1).unwrap();
    let entered = send(
        &kubegate,
        own,
        "GET",
        opened["path"].as_str().unwrap(),
        OPENED,
    )
    .await;
    assert_eq!(status(&entered), 303, "{entered}");
    let lines = format!("{OPENED}Cookie: {}\r\n", cookie(&entered));

    let path = "/api/v1/namespaces/m/services/a:80/proxy/x?y";
    let sent_on = send(&kubegate, own, "GET", path, &lines).await;
    assert_eq!(status(&sent_on), 307, "{sent_on}");
    let to = values(&sent_on, "location")[0];
    let entrance = to.strip_prefix(&format!("//{app}")).unwrap();
    assert!(entrance.starts_with("/.kubegate/enter?code="), "{to}");
    // A redirect to another site's host leaves out cookies of SameSite=Strict, its page does not.
    let entered = send(&kubegate, &app, "GET", entrance, FROM_ANOTHER_SITE).await;
    assert_eq!(status(&entered), 200, "{entered}");
    assert!(entered.contains("content=\"0; url=/x?y\""), "{entered}");
    let own_page = OPENED.replace("none", "same-origin");
    let with_cookie = format!("{own_page}Cookie: session=app; {}\r\n", cookie(&entered));
    let response = send(&kubegate, &app, "GET", "/x?y", &with_cookie).await;
    assert_eq!(status(&response), 200, "{response}");
    assert!(response.contains("cookie: session=app\r\n"), "{response}");
    assert!(!response.contains("kubegate-"), "{response}");
    // It is good at that app alone, and the address was good once.
    let other = host(&kubegate, "80.b.m.svc");
    let response = send(&kubegate, &other, "GET", "/", &with_cookie).await;
    assert_eq!(status(&response), 401, "{response}");
    let again = send(&kubegate, &app, "GET", entrance, FROM_ANOTHER_SITE).await;
    assert_eq!(status(&again), 403, "{again}");
    // A link of another site leaves the cookie out: the page goes on with it.
    let response = send(&kubegate, &app, "GET", "/x", FROM_ANOTHER_SITE).await;
    assert_eq!(status(&response), 403, "{response}");
    assert_eq!(values(&response, "x-frame-options"), ["DENY"]);
    assert_eq!(
        status(&send(&kubegate, &app, "GET", "/x", OPENED).await),
        401
    );
}
