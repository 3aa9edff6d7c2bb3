//! Pages in a browser: their own origin and allowed ones pass, all others get nothing done.

use crate::support::{Connection, Kubegate, Upstream, exchange, status};

const METHODS: [&str; 8] = [
    "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND",
];
const WEBSOCKET: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// One request to a kubegate on its own authority, with these header lines.
async fn send(kubegate: &Kubegate, method: &str, path: &str, lines: &str) -> String {
    send_to(kubegate, &kubegate.address, method, path, lines).await
}

async fn send_to(kubegate: &Kubegate, host: &str, method: &str, path: &str, lines: &str) -> String {
    exchange(
        &kubegate.address,
        format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{lines}\r\n"),
    )
    .await
}

/// The value of a response's header.
fn header<'a>(response: &'a str, name: &str) -> Option<&'a str> {
    let (head, _) = response.split_once("\r\n\r\n").unwrap();
    let mut lines = head.split("\r\n").filter_map(|line| line.split_once(": "));
    lines
        .find(|(key, _)| key.eq_ignore_ascii_case(name))
        .map(|(_, value)| value)
}

#[tokio::test]
async fn a_foreign_origin_is_403_for_every_method_and_reaches_nothing() {
    let upstream = Upstream::plain(Connection::echo).await;
    for flags in [&[][..], &["--disable-filter"], &["--accept-hosts=.*"]] {
        let kubegate = Kubegate::before(&upstream, flags);
        let before = upstream.connections();
        let port = kubegate.address.rsplit(':').next().unwrap();
        for method in METHODS {
            for lines in [
                "Origin: https://evil.example\r\n".to_owned(),
                "Origin: null\r\n".to_owned(),
                "Origin:\r\n".to_owned(),
                "Origin: http://127.0.0.1\r\n".to_owned(),
                "Origin: http://127.0.0.1:1\r\n".to_owned(),
                format!("Origin: http://localhost:{port}\r\n"),
                format!("Origin: http://127.0.0.1:{port}.evil.example\r\n"),
                "Origin: https://evil.example\r\nSec-Fetch-Site: same-origin\r\n".to_owned(),
                "Sec-Fetch-Site: cross-site\r\n".to_owned(),
                "Sec-Fetch-Site: same-site\r\n".to_owned(),
            ] {
                let response = send(&kubegate, method, "/api/v1/pods", &lines).await;
                assert_eq!(status(&response), 403, "{method} {lines:?}: {response}");
                assert_eq!(header(&response, "access-control-allow-origin"), None);
            }
        }
        assert_eq!(upstream.connections(), before);
        for method in METHODS {
            for lines in [
                String::new(),
                format!("Origin: http://{}\r\n", kubegate.address),
                format!(
                    "Origin: http://{}\r\nSec-Fetch-Site: same-origin\r\n",
                    kubegate.address
                ),
                "Sec-Fetch-Site: same-origin\r\n".to_owned(),
                "Sec-Fetch-Site: none\r\nSec-Fetch-Mode: navigate\r\n".to_owned(),
            ] {
                let response = send(&kubegate, method, "/api/v1/pods", &lines).await;
                assert_eq!(status(&response), 200, "{method} {lines:?}: {response}");
            }
        }
    }
}

#[tokio::test]
async fn a_foreign_origin_is_403_for_every_upgrade_and_reaches_nothing() {
    let upstream = Upstream::plain(async |mut connection: Connection| {
        connection.head().await;
        connection
            .write("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
            .await;
    })
    .await;
    let kubegate = Kubegate::before(&upstream, &["--disable-filter"]);
    let paths = [
        "/api/v1/pods?watch=1",
        "/api/v1/namespaces/x/pods/p/exec?command=sh",
        "/api/v1/namespaces/x/pods/p/portforward",
    ];
    let spdy = "Connection: Upgrade\r\nUpgrade: SPDY/3.1\r\n";
    for path in paths {
        for upgrade in [WEBSOCKET, spdy] {
            for foreign in [
                "Origin: https://evil.example",
                "Origin: null",
                "Sec-Fetch-Site: cross-site",
            ] {
                let response =
                    send(&kubegate, "GET", path, &format!("{upgrade}{foreign}\r\n")).await;
                assert_eq!(status(&response), 403, "{path} {foreign}: {response}");
            }
        }
    }
    assert_eq!(upstream.connections(), 0);
    for path in paths {
        let own = format!("{WEBSOCKET}Origin: http://{}\r\n", kubegate.address);
        assert_eq!(status(&send(&kubegate, "GET", path, &own).await), 404);
        assert_eq!(status(&send(&kubegate, "GET", path, WEBSOCKET).await), 404);
    }
    assert_eq!(upstream.connections(), 2 * paths.len());
}

#[tokio::test]
async fn a_page_behind_dns_rebinding_is_403() {
    let upstream = Upstream::plain(Connection::echo).await;
    let kubegate = Kubegate::before(&upstream, &[]);
    let port = kubegate.address.rsplit(':').next().unwrap();
    let host = format!("evil.example:{port}");
    for lines in [
        format!("Origin: http://{host}\r\n"),
        "Sec-Fetch-Site: same-origin\r\n".to_owned(),
        String::new(),
    ] {
        let response = send_to(&kubegate, &host, "GET", "/api", &lines).await;
        assert_eq!(status(&response), 403, "{response}");
        assert!(response.contains("--accept-hosts"), "{response}");
    }
    assert_eq!(upstream.connections(), 0);
    // What turns the check of hosts off says so at the start.
    let kubegate = Kubegate::before(&upstream, &["--disable-filter"]);
    let own = format!("Origin: http://{host}\r\n");
    assert_eq!(
        status(&send_to(&kubegate, &host, "GET", "/api", &own).await),
        200
    );
    assert!(
        kubegate.log().to_lowercase().contains("rebinding"),
        "{}",
        kubegate.log()
    );
}

/// The headers that Chromium 156 sends to open a page, as a server recorded them at a
/// loopback name and at a name that resolves to it. The agent is cut short.
const AGENT: &str = "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 \
                     Chrome/156.0.0.0 Safari/537.36\r\n";
const OPENED: &str = "Sec-Fetch-Site: none\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-User: ?1\r\n\
                      Sec-Fetch-Dest: document\r\n";
/// The same for a frame of a page of the same origin. What is opened in a tab is sent on to its own
/// origin, if it is an app's.
const FRAMED: &str = "Sec-Fetch-Site: same-origin\r\nSec-Fetch-Mode: navigate\r\n\
                      Sec-Fetch-Dest: iframe\r\n";
/// The headers for the script of a service worker that a page of the same origin registers.
const SERVICE_WORKER: &str = "Service-Worker: script\r\nSec-Fetch-Site: same-origin\r\n\
                              Sec-Fetch-Mode: same-origin\r\nSec-Fetch-Dest: serviceworker\r\n";

const APP: &str = "/api/v1/namespaces/x/services/web/proxy/";
const LOG: &str = "/api/v1/namespaces/x/pods/p/log";
const SANDBOX: &str = "content-security-policy: sandbox allow-scripts allow-forms allow-popups\r\n";

/// An API server that responds with a page and all headers that affect the page's origin.
async fn with_a_page() -> Upstream {
    Upstream::plain(async |mut connection: Connection| {
        while let Some(head) = connection.head().await {
            let page = format!("<pre>{head}</pre>");
            connection
                .write(format!(
                    "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\
                     Content-Security-Policy: default-src 'self'\r\n\
                     Service-Worker-Allowed: /\r\nClear-Site-Data: \"*\"\r\n\
                     Strict-Transport-Security: max-age=9\r\nAlt-Svc: h3=\":443\"\r\n\
                     Access-Control-Allow-Origin: null\r\nAccess-Control-Allow-Credentials: true\r\n\
                     Set-Cookie: session=app\r\nX-App: 1\r\nContent-Length: {}\r\n\r\n{page}",
                    page.len()
                ))
                .await;
        }
    })
    .await
}

/// The response's head, each line with its line end.
fn head(response: &str) -> &str {
    let end = response.find("\r\n\r\n").unwrap();
    &response[..end + 2]
}

const WIDER: [&str; 6] = [
    "service-worker-allowed",
    "clear-site-data",
    "strict-transport-security",
    "alt-svc",
    "access-control-allow-origin",
    "access-control-allow-credentials",
];

#[tokio::test]
async fn a_page_of_a_pod_or_service_is_sandboxed_in_every_spelling() {
    let upstream = with_a_page().await;
    let kubegate = Kubegate::before(&upstream, &["--allow-exec"]);
    let browser = format!("{AGENT}{FRAMED}");
    for path in [
        APP,
        LOG,
        "/api/v1/namespaces/x/pods/p:8080/proxy/a?b",
        "/api/v1/namespaces/x/services/https:web:443/proxy/a",
        "/api/v1/nodes/n/proxy/logs/",
        "/api/v1/nodes/n:9100/proxy/metrics",
        "/api/v1/proxy/namespaces/x/services/web/a",
        "/api/v1/namespaces//pods/p/proxy/a",
        "/api/v1/namespaces/x/pods/p%2Fpr%6fxy%2Fa",
        "/api//v1/namespaces/x/pods/p/proxy/a",
        "/logs/pods/p.log",
    ] {
        for lines in [&browser, ""] {
            let response = send(&kubegate, "GET", path, lines).await;
            assert_eq!(status(&response), 200, "{path}: {response}");
            let head = head(&response);
            assert!(head.contains(SANDBOX), "{path}: {response}");
            let own = "content-security-policy: default-src 'self'\r\n";
            assert!(head.contains(own), "{path}: {response}");
            assert_eq!(header(&response, "x-content-type-options"), Some("nosniff"));
            for name in WIDER {
                assert_eq!(header(&response, name), None, "{path}: {response}");
            }
            assert_eq!(header(&response, "x-app"), Some("1"));
            // Browsers keep cookies by host, whatever the port: other servers would get it.
            let cookie = lines.is_empty().then_some("session=app");
            assert_eq!(
                header(&response, "set-cookie"),
                cookie,
                "{path}: {response}"
            );
        }
    }
    // A page from elsewhere, such as an aggregated API server, is one to a browser alone.
    for path in [
        "/apis/x.example/v1/things/page",
        "/debug/pprof/",
        "/api/v1/namespaces/x/pods/proxy",
    ] {
        let response = send(&kubegate, "GET", path, &browser).await;
        assert!(head(&response).contains(SANDBOX), "{path}: {response}");
        assert_eq!(header(&response, "set-cookie"), None, "{path}: {response}");
        let response = send(&kubegate, "GET", path, "").await;
        assert!(!head(&response).contains(SANDBOX), "{path}: {response}");
        assert_eq!(header(&response, "x-content-type-options"), None);
        let hsts = header(&response, "strict-transport-security");
        assert_eq!(hsts, Some("max-age=9"), "{path}: {response}");
    }
    assert!(
        kubegate.log().contains("--trust-proxied-pages"),
        "{}",
        kubegate.log()
    );
}

#[tokio::test]
async fn data_of_the_api_server_is_not_sandboxed() {
    let upstream = Upstream::plain(async |mut connection: Connection| {
        while connection.head().await.is_some() {
            connection
                .write(
                    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\
                     Strict-Transport-Security: max-age=9\r\nContent-Length: 2\r\n\r\n{}",
                )
                .await;
        }
    })
    .await;
    let kubegate = Kubegate::before(&upstream, &[]);
    for path in [
        "/api/v1/pods",
        "/version",
        "/api/v1/namespaces/x/pods/proxy",
    ] {
        for lines in [OPENED, ""] {
            let response = send(&kubegate, "GET", path, lines).await;
            assert_eq!(
                header(&response, "content-security-policy"),
                None,
                "{response}"
            );
            assert_eq!(header(&response, "x-content-type-options"), None);
            assert_eq!(
                header(&response, "strict-transport-security"),
                Some("max-age=9")
            );
        }
    }
}

#[tokio::test]
async fn our_own_error_for_such_a_page_is_sandboxed_too() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let kubegate = Kubegate::before_url(&format!("http://127.0.0.1:{port}"), &[]);
    let path = format!("{APP}<script>alert(1)</script>")
        .replace('<', "%3C")
        .replace('>', "%3E");
    let response = send(&kubegate, "GET", &path, FRAMED).await;
    assert_eq!(status(&response), 502, "{response}");
    assert!(head(&response).contains(SANDBOX), "{response}");
    let refused = send(&kubegate, "GET", "/api/v1/nodes/n/proxy/run", FRAMED).await;
    assert_eq!(status(&refused), 403, "{refused}");
    for response in [response, refused] {
        assert_eq!(
            header(&response, "x-content-type-options"),
            Some("nosniff"),
            "{response}"
        );
        assert_eq!(header(&response, "content-type"), Some("application/json"));
    }
}

#[tokio::test]
async fn no_page_installs_a_service_worker() {
    let upstream = with_a_page().await;
    let kubegate = Kubegate::before(&upstream, &[]);
    for path in [
        APP,
        LOG,
        "/api/v1/namespaces/x/pods/p/proxy/sw.js",
        "/apis/custom.example/v1/widgets/sw.js",
    ] {
        for lines in [
            SERVICE_WORKER,
            "Service-Worker: script\r\n",
            "Sec-Fetch-Dest: serviceworker\r\n",
        ] {
            let response = send(&kubegate, "GET", path, lines).await;
            assert_eq!(status(&response), 403, "{lines:?}: {response}");
            assert!(response.contains("--trust-proxied-pages"), "{response}");
        }
    }
    assert_eq!(upstream.connections(), 0);
    assert_eq!(status(&send(&kubegate, "GET", APP, FRAMED).await), 200);
}

#[tokio::test]
async fn trusted_pages_keep_everything_and_the_start_warns() {
    let upstream = with_a_page().await;
    let kubegate = Kubegate::before(&upstream, &["--trust-proxied-pages"]);
    for path in [APP, LOG] {
        let response = send(&kubegate, "GET", path, OPENED).await;
        assert!(!head(&response).contains(SANDBOX), "{response}");
        for name in WIDER.into_iter().chain(["set-cookie"]) {
            assert!(header(&response, name).is_some(), "{name}: {response}");
        }
        assert_eq!(
            status(&send(&kubegate, "GET", path, SERVICE_WORKER).await),
            200
        );
    }
    let cookie = format!("{OPENED}Cookie: session=app\r\n");
    let response = send(&kubegate, "GET", APP, &cookie).await;
    assert!(response.contains("session=app\r\n"), "{response}");
    let log = kubegate.log();
    let warning = log
        .lines()
        .find(|line| line.contains("--trust-proxied-pages"));
    assert!(warning.is_some_and(|line| line.contains("WARN")), "{log}");
}

#[tokio::test]
async fn only_cookies_of_programs_reach_apps() {
    let upstream = Upstream::plain(Connection::echo).await;
    let kubegate = Kubegate::before(&upstream, &[]);
    let own = format!("Origin: http://{}\r\n", kubegate.address);
    let pod = "/api/v1/namespaces/x/pods/p:80/proxy/a";
    for (path, lines, passes) in [
        (APP, "", true),
        (pod, "", true),
        ("/api/v1/proxy/namespaces/x/services/web/a", "", true),
        (APP, "User-Agent: python-requests/2\r\n", true),
        (APP, FRAMED, false),
        (pod, FRAMED, false),
        (APP, "Sec-Fetch-Mode: cors\r\n", false),
        (APP, &own, false),
        (LOG, "", false),
        (LOG, FRAMED, false),
        ("/api/v1/pods", "", false),
        ("/api/v1/pods", FRAMED, false),
        ("/", &own, false),
    ] {
        let lines = format!("{lines}Cookie: a=1; session=app\r\nCookie: b=2\r\n");
        let response = send(&kubegate, "GET", path, &lines).await;
        assert_eq!(status(&response), 200, "{response}");
        assert_eq!(
            response.contains("session=app"),
            passes,
            "{path} {lines}: {response}"
        );
        assert_eq!(
            response.contains("b=2"),
            passes,
            "{path} {lines}: {response}"
        );
    }
}

#[tokio::test]
async fn over_plain_http_beyond_loopback_names_an_unmarked_browser_is_403() {
    let upstream = Upstream::plain(Connection::echo).await;
    for flags in [
        &["--accept-hosts", r"^kg\.example$,localhost$"][..],
        &["--disable-filter"],
        &[
            "--accept-hosts",
            ".*",
            "--allow-origin",
            "https://ui.example",
        ],
    ] {
        let kubegate = Kubegate::before(&upstream, flags);
        let port = kubegate.address.rsplit(':').next().unwrap();
        let host = format!("kg.example:{port}");
        let before = upstream.connections();
        let own_page = format!("{AGENT}Referer: http://{host}{APP}\r\n");
        for lines in [
            AGENT,
            // A frame, an image, a script of a foreign page, as Chromium sends it there.
            &format!("{AGENT}Referer: http://evil.example/\r\nAccept-Language: en-US,en;q=0.9\r\n"),
            // One of a pod's page, in our own origin.
            &own_page,
            // Firefox lets a page choose the agent and leave the referrer out.
            "User-Agent: curl/8.0\r\nAccept-Language: en-US,en;q=0.5\r\n",
            "Referer: https://evil.example/\r\n",
        ] {
            for method in ["GET", "HEAD", "POST"] {
                let response = send_to(&kubegate, &host, method, "/api/v1/secrets", lines).await;
                assert_eq!(status(&response), 403, "{method} {lines:?}: {response}");
                assert!(method == "HEAD" || response.contains("https"), "{response}");
            }
            // So is it for an upgrade, should a browser ever send one without an Origin.
            let lines = format!("{lines}{WEBSOCKET}");
            let response = send_to(&kubegate, &host, "GET", "/api/v1/pods?watch=1", &lines).await;
            assert_eq!(status(&response), 403, "{response}");
        }
        assert_eq!(upstream.connections(), before);
        let from_tls = format!("{AGENT}{OPENED}");
        let own_origin = format!("{AGENT}Origin: http://{host}\r\n");
        let own_referer = format!("User-Agent: tool/1\r\nReferer: http://{host}/\r\n");
        for lines in [
            "",
            "User-Agent: curl/8.14.1\r\nAccept: */*\r\n",
            "User-Agent: kubectl/v1.37.1 (linux/amd64) kubernetes/abc\r\nAccept-Encoding: gzip\r\n",
            "User-Agent: Mozilla/5.0 (Windows NT; Windows NT 10.0; en-US) \
             WindowsPowerShell/5.1.22621.4391\r\n",
            "User-Agent: Mozilla/5.0 (Macintosh; Darwin 23.5.0; en-US) PowerShell/7.4.2\r\n",
            // Behind https before us, browsers mark what they send.
            &from_tls,
            &own_origin,
            &own_referer,
        ] {
            let response = send_to(&kubegate, &host, "GET", "/api/v1/pods", lines).await;
            assert_eq!(status(&response), 200, "{lines:?}: {response}");
        }
        for name in ["localhost", "kubegate.localhost"] {
            let host = format!("{name}:{port}");
            let response = send_to(&kubegate, &host, "GET", "/api/v1/pods", AGENT).await;
            assert_eq!(status(&response), 200, "{host}: {response}");
        }
        assert!(
            kubegate.log().contains("loopback names"),
            "{}",
            kubegate.log()
        );
    }
    let kubegate = Kubegate::before(&upstream, &[]);
    assert!(
        !kubegate.log().contains("loopback names"),
        "{}",
        kubegate.log()
    );
}

#[tokio::test]
async fn allowed_origins_pass_and_may_read_the_response() {
    let upstream = Upstream::plain(Connection::echo).await;
    for flags in [
        &["--allow-origin=https://ui.example,http://localhost:3000"][..],
        &[
            "--allow-origin=https://ui.example,http://localhost:3000",
            "--disable-filter",
        ],
    ] {
        let kubegate = Kubegate::before(&upstream, flags);
        for origin in ["https://ui.example", "http://localhost:3000"] {
            // The API server serves no OPTIONS that a page would read.
            for method in METHODS.into_iter().filter(|method| *method != "OPTIONS") {
                let lines = format!("Origin: {origin}\r\nSec-Fetch-Site: cross-site\r\n");
                let response = send(&kubegate, method, "/api/v1/pods", &lines).await;
                assert_eq!(status(&response), 200, "{method}: {response}");
                assert_eq!(
                    header(&response, "access-control-allow-origin"),
                    Some(origin)
                );
                assert!(
                    header(&response, "vary")
                        .unwrap()
                        .to_lowercase()
                        .contains("origin")
                );
                if method != "HEAD" {
                    assert!(
                        response.contains(&format!("origin: {origin}\r\n")),
                        "{response}"
                    );
                }
            }
        }
        for foreign in [
            "https://ui.example:8443",
            "http://ui.example",
            "https://a.ui.example",
            "null",
        ] {
            let response = send(&kubegate, "GET", "/api", &format!("Origin: {foreign}\r\n")).await;
            assert_eq!(status(&response), 403, "{foreign}: {response}");
            assert_eq!(header(&response, "access-control-allow-origin"), None);
        }
        // A request without an Origin gets no CORS headers.
        let response = send(&kubegate, "GET", "/api", "").await;
        assert_eq!(
            header(&response, "access-control-allow-origin"),
            None,
            "{response}"
        );
    }
}

#[tokio::test]
async fn preflights_of_allowed_origins_are_answered_here_and_foreign_ones_refused() {
    let upstream = Upstream::plain(Connection::echo).await;
    for flags in [
        &["--allow-origin=https://ui.example"][..],
        &["--allow-origin=https://ui.example", "--disable-filter"],
        &["--allow-origin=https://ui.example", "--read-only"],
    ] {
        let kubegate = Kubegate::before(&upstream, flags);
        let before = upstream.connections();
        let ask = "Access-Control-Request-Method: PATCH\r\n\
                   Access-Control-Request-Headers: authorization,content-type\r\n";
        let lines = format!("Origin: https://ui.example\r\n{ask}");
        let response = send(&kubegate, "OPTIONS", "/api/v1/pods", &lines).await;
        assert_eq!(status(&response), 200, "{response}");
        assert_eq!(
            header(&response, "access-control-allow-origin"),
            Some("https://ui.example")
        );
        assert_eq!(
            header(&response, "access-control-allow-methods"),
            Some("PATCH")
        );
        assert_eq!(
            header(&response, "access-control-allow-headers"),
            Some("authorization,content-type")
        );
        for origin in ["https://evil.example", "null"] {
            let lines = format!("Origin: {origin}\r\n{ask}");
            let response = send(&kubegate, "OPTIONS", "/api/v1/pods", &lines).await;
            assert_eq!(status(&response), 403, "{response}");
            for name in ["origin", "methods", "headers"] {
                assert_eq!(
                    header(&response, &format!("access-control-allow-{name}")),
                    None
                );
            }
        }
        assert_eq!(upstream.connections(), before);
    }
}

#[tokio::test]
async fn an_allowed_page_may_read_refusals_and_failures_too() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let url = format!("http://127.0.0.1:{port}");
    let kubegate = Kubegate::before_url(&url, &["--allow-origin=https://ui.example"]);
    for (path, code) in [
        ("/api", 502),
        ("/api/v1/namespaces/x/pods/p/exec", 403),
        ("/a/../b", 400),
    ] {
        let response = send(&kubegate, "GET", path, "Origin: https://ui.example\r\n").await;
        assert_eq!(status(&response), code, "{response}");
        assert_eq!(
            header(&response, "access-control-allow-origin"),
            Some("https://ui.example")
        );
    }
}

#[tokio::test]
async fn static_files_are_served_only_to_own_pages() {
    let upstream = Upstream::plain(Connection::echo).await;
    let folder = tempfile::tempdir().unwrap();
    let www = folder.path().join("www");
    std::fs::create_dir(&www).unwrap();
    std::fs::write(www.join("index.html"), "<h1>home</h1>").unwrap();
    std::fs::write(www.join("app.js"), "run()").unwrap();
    std::fs::write(folder.path().join("secret"), "hidden").unwrap();
    let www = www.to_str().unwrap();
    let kubegate = Kubegate::before(&upstream, &["--www", www]);
    for (path, body, kind) in [
        ("/static/", "<h1>home</h1>", "text/html"),
        ("/static/app.js", "run()", "text/javascript"),
    ] {
        let response = send(&kubegate, "GET", path, "Sec-Fetch-Site: same-origin\r\n").await;
        assert_eq!(status(&response), 200, "{response}");
        assert!(response.ends_with(&format!("\r\n\r\n{body}")), "{response}");
        assert_eq!(header(&response, "content-type"), Some(kind));
        for lines in [
            "Origin: https://evil.example\r\n",
            "Sec-Fetch-Site: cross-site\r\n",
        ] {
            let response = send(&kubegate, "GET", path, lines).await;
            assert_eq!(status(&response), 403, "{response}");
        }
    }
    for path in [
        "/static/../secret",
        "/static/%2e%2e/secret",
        "/static/..%2fsecret",
        "/static//etc/passwd",
        "/static/%2fetc/passwd",
        "/static/none",
    ] {
        let response = send(&kubegate, "GET", path, "").await;
        assert!(
            (400..500).contains(&status(&response)),
            "{path}: {response}"
        );
        assert!(
            !response.contains("hidden") && !response.contains("root:"),
            "{path}: {response}"
        );
    }
    assert_eq!(upstream.connections(), 0);
    // The rest is the API.
    assert_eq!(status(&send(&kubegate, "GET", "/api", "").await), 200);

    let kubegate = Kubegate::before(&upstream, &["-w", www, "-P", "/ui"]);
    let response = send(&kubegate, "GET", "/ui/app.js", "").await;
    assert!(response.ends_with("\r\n\r\nrun()"), "{response}");
}
