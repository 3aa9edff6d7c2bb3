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

/// The value of an answer's header.
fn header<'a>(answer: &'a str, name: &str) -> Option<&'a str> {
    let (head, _) = answer.split_once("\r\n\r\n").unwrap();
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
                let answer = send(&kubegate, method, "/api/v1/pods", &lines).await;
                assert_eq!(status(&answer), 403, "{method} {lines:?}: {answer}");
                assert_eq!(header(&answer, "access-control-allow-origin"), None);
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
                let answer = send(&kubegate, method, "/api/v1/pods", &lines).await;
                assert_eq!(status(&answer), 200, "{method} {lines:?}: {answer}");
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
                let answer = send(&kubegate, "GET", path, &format!("{upgrade}{foreign}\r\n")).await;
                assert_eq!(status(&answer), 403, "{path} {foreign}: {answer}");
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
async fn a_page_that_rebinds_its_name_to_us_is_403() {
    let upstream = Upstream::plain(Connection::echo).await;
    let kubegate = Kubegate::before(&upstream, &[]);
    let port = kubegate.address.rsplit(':').next().unwrap();
    let host = format!("evil.example:{port}");
    for lines in [
        format!("Origin: http://{host}\r\n"),
        "Sec-Fetch-Site: same-origin\r\n".to_owned(),
        String::new(),
    ] {
        let answer = send_to(&kubegate, &host, "GET", "/api", &lines).await;
        assert_eq!(status(&answer), 403, "{answer}");
        assert!(answer.contains("--accept-hosts"), "{answer}");
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

#[tokio::test]
async fn allowed_origins_pass_and_may_read_what_comes_back() {
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
                let answer = send(&kubegate, method, "/api/v1/pods", &lines).await;
                assert_eq!(status(&answer), 200, "{method}: {answer}");
                assert_eq!(header(&answer, "access-control-allow-origin"), Some(origin));
                assert!(
                    header(&answer, "vary")
                        .unwrap()
                        .to_lowercase()
                        .contains("origin")
                );
                if method != "HEAD" {
                    assert!(
                        answer.contains(&format!("origin: {origin}\r\n")),
                        "{answer}"
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
            let answer = send(&kubegate, "GET", "/api", &format!("Origin: {foreign}\r\n")).await;
            assert_eq!(status(&answer), 403, "{foreign}: {answer}");
            assert_eq!(header(&answer, "access-control-allow-origin"), None);
        }
        // Whom nobody asked for their origin is told nothing of others'.
        let answer = send(&kubegate, "GET", "/api", "").await;
        assert_eq!(
            header(&answer, "access-control-allow-origin"),
            None,
            "{answer}"
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
        let answer = send(&kubegate, "OPTIONS", "/api/v1/pods", &lines).await;
        assert_eq!(status(&answer), 200, "{answer}");
        assert_eq!(
            header(&answer, "access-control-allow-origin"),
            Some("https://ui.example")
        );
        assert_eq!(
            header(&answer, "access-control-allow-methods"),
            Some("PATCH")
        );
        assert_eq!(
            header(&answer, "access-control-allow-headers"),
            Some("authorization,content-type")
        );
        for origin in ["https://evil.example", "null"] {
            let lines = format!("Origin: {origin}\r\n{ask}");
            let answer = send(&kubegate, "OPTIONS", "/api/v1/pods", &lines).await;
            assert_eq!(status(&answer), 403, "{answer}");
            for name in ["origin", "methods", "headers"] {
                assert_eq!(
                    header(&answer, &format!("access-control-allow-{name}")),
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
        let answer = send(&kubegate, "GET", path, "Origin: https://ui.example\r\n").await;
        assert_eq!(status(&answer), code, "{answer}");
        assert_eq!(
            header(&answer, "access-control-allow-origin"),
            Some("https://ui.example")
        );
    }
}

#[tokio::test]
async fn static_files_are_served_to_own_pages_alone() {
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
        let answer = send(&kubegate, "GET", path, "Sec-Fetch-Site: same-origin\r\n").await;
        assert_eq!(status(&answer), 200, "{answer}");
        assert!(answer.ends_with(&format!("\r\n\r\n{body}")), "{answer}");
        assert_eq!(header(&answer, "content-type"), Some(kind));
        for lines in [
            "Origin: https://evil.example\r\n",
            "Sec-Fetch-Site: cross-site\r\n",
        ] {
            let answer = send(&kubegate, "GET", path, lines).await;
            assert_eq!(status(&answer), 403, "{answer}");
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
        let answer = send(&kubegate, "GET", path, "").await;
        assert!((400..500).contains(&status(&answer)), "{path}: {answer}");
        assert!(
            !answer.contains("hidden") && !answer.contains("root:"),
            "{path}: {answer}"
        );
    }
    assert_eq!(upstream.connections(), 0);
    // The rest is the API.
    assert_eq!(status(&send(&kubegate, "GET", "/api", "").await), 200);

    let kubegate = Kubegate::before(&upstream, &["-w", www, "-P", "/ui"]);
    let answer = send(&kubegate, "GET", "/ui/app.js", "").await;
    assert!(answer.ends_with("\r\n\r\nrun()"), "{answer}");
}
