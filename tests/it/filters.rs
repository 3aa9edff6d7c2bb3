//! Filters: which hosts, paths and methods pass, and what each refusal says.

use crate::support::{Connection, Kubegate, Upstream, exchange, in_time, status};

/// A kubegate before an echoing server.
struct Fixture {
    upstream: Upstream,
    kubegate: Kubegate,
}

impl Fixture {
    async fn start(flags: &[&str]) -> Self {
        let upstream = Upstream::plain(Connection::echo).await;
        let kubegate = Kubegate::before(&upstream, flags);
        Self { upstream, kubegate }
    }

    async fn send(&self, method: &str, path: &str, lines: &str) -> String {
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{lines}\r\n"
        );
        exchange(&self.kubegate.address, head).await
    }

    /// The request passes, and its path arrives byte for byte.
    async fn passes(&self, method: &str, path: &str) {
        let response = self.send(method, path, "").await;
        assert_eq!(status(&response), 200, "{method} {path}: {response}");
        if method != "HEAD" {
            let line = format!("\r\n\r\n{method} {path} HTTP/1.1\r\n");
            assert!(response.contains(&line), "{method} {path}: {response}");
        }
    }

    /// The request is refused with `why`, and the server receives nothing.
    async fn refuses(&self, method: &str, path: &str, code: u16, why: &str) {
        self.refuses_with(method, path, "", code, why).await;
    }

    async fn refuses_with(&self, method: &str, path: &str, lines: &str, code: u16, why: &str) {
        let before = self.upstream.bytes();
        let response = self.send(method, path, lines).await;
        assert_eq!(status(&response), code, "{method} {path}: {response}");
        if method != "HEAD" {
            assert!(
                response.contains("\"kind\":\"Status\""),
                "{method} {path}: {response}"
            );
            assert!(response.contains(why), "{method} {path}: {response}");
        }
        assert_eq!(self.upstream.bytes(), before, "{method} {path}");
    }
}

const POD: &str = "/api/v1/namespaces/x/pods/p";
const WEBSOCKET: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// The status for a GET with these lines in place of `Host`.
async fn host(kubegate: &Kubegate, target: &str, lines: &str) -> u16 {
    let head = format!("GET {target} HTTP/1.1\r\nConnection: close\r\n{lines}\r\n");
    status(&exchange(&kubegate.address, head).await)
}

#[tokio::test]
async fn a_host_is_parsed_and_not_matched_as_text() {
    let Fixture { upstream, kubegate } = Fixture::start(&[]).await;
    for (name, code) in [
        ("evil.example", 403),
        ("evil.example:8001", 403),
        ("localhost.evil.example", 403),
        ("127.0.0.1.evil.example", 403),
        ("127.1", 403),
        ("127.0.0.2", 403),
        ("2130706433", 403),
        ("0x7f000001", 403),
        ("0.0.0.0:8001", 403),
        ("[::]:8001", 403),
        ("[::ffff:127.0.0.1]", 403),
        ("localhost.", 400),
        ("localhost.:8001", 400),
        ("user@localhost", 400),
        ("user:pw@localhost:8001", 400),
        ("localhost@evil.example", 400),
        ("localhost:", 400),
        ("localhost:0", 400),
        ("localhost:65536", 400),
        ("localhost:80a", 400),
        ("localhost:+80", 400),
        ("localhost:8001:8001", 400),
        ("localhost:8001, evil.example", 400),
        ("localhost/", 400),
        ("local%68ost", 400),
        ("::1", 400),
        ("[::1", 400),
        ("[::1]8001", 400),
        ("", 400),
        ("l\u{f6}calhost", 400),
    ] {
        let got = host(&kubegate, "/x", &format!("Host: {name}\r\n")).await;
        assert_eq!(got, code, "{name:?}");
    }
    assert_eq!(host(&kubegate, "/x", "").await, 400);
    assert_eq!(
        host(&kubegate, "/x", "Host: localhost\r\nhost: localhost\r\n").await,
        400
    );
    for target in [
        "http://evil.example/x",
        "http://localhost:8002/x",
        "http://127.0.0.1:8001/x",
        "https://localhost:8001/x",
    ] {
        let got = host(&kubegate, target, "Host: localhost\r\n").await;
        assert_eq!(got, 400, "{target}");
    }
    assert_eq!(upstream.connections(), 0);
    for name in [
        "localhost",
        "LocalHost:1",
        "localhost:65535",
        "127.0.0.1",
        "127.0.0.1:80",
        "[::1]",
        "[::1]:8001",
        "[0:0:0:0:0:0:0:1]:8001",
    ] {
        let got = host(&kubegate, "/x", &format!("Host: {name}\r\n")).await;
        assert_eq!(got, 200, "{name:?}");
        let got = host(
            &kubegate,
            &format!("http://{name}/x"),
            &format!("Host: {name}\r\n"),
        )
        .await;
        assert_eq!(got, 200, "{name:?}");
    }
}

#[tokio::test]
async fn the_host_is_checked_on_a_unix_socket_too() {
    let upstream = Upstream::plain(Connection::echo).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kubegate.sock");
    let path = path.to_str().unwrap();
    let _kubegate = Kubegate::before(&upstream, &["--unix-socket", path]);
    for (name, code) in [("localhost", "200"), ("evil.example", "403"), ("", "400")] {
        let mut client = Connection::open_unix(path).await;
        client
            .write(format!("GET /x HTTP/1.1\r\nHost: {name}\r\n\r\n"))
            .await;
        let head = in_time(client.head()).await.unwrap();
        assert!(
            head.starts_with(&format!("HTTP/1.1 {code} ")),
            "{name}: {head}"
        );
    }
}

#[tokio::test]
async fn accept_hosts_takes_patterns_as_kubectl_does() {
    let fixture = Fixture::start(&["--accept-hosts", r"^kubegate\.example$,^10\."]).await;
    for (name, code) in [
        ("kubegate.example:8001", 200),
        ("KUBEGATE.example", 200),
        ("10.1.2.3", 200),
        ("kubegate.example.evil", 403),
        ("kubegatexexample", 403),
        ("localhost", 403),
        ("kubegate.example.", 400),
    ] {
        let got = host(&fixture.kubegate, "/x", &format!("Host: {name}\r\n")).await;
        assert_eq!(got, code, "{name}");
    }
    let response = fixture.send("GET", "/x", "").await;
    assert!(response.contains("--accept-hosts"), "{response}");
    let fixture = Fixture::start(&["--accept-hosts", ".*"]).await;
    assert_eq!(
        host(&fixture.kubegate, "/x", "Host: any.example\r\n").await,
        200
    );
    let fixture = Fixture::start(&["--disable-filter"]).await;
    assert_eq!(
        host(&fixture.kubegate, "/x", "Host: any.example\r\n").await,
        200
    );
    // Malformed stays malformed.
    assert_eq!(
        host(&fixture.kubegate, "/x", "Host: u@any.example\r\n").await,
        400
    );
    assert_eq!(host(&fixture.kubegate, "/x", "").await, 400);
}

#[tokio::test]
async fn paths_and_methods_are_filtered_by_their_flags() {
    let fixture = Fixture::start(&["--accept-paths", "^/api/,^/version$"]).await;
    for path in ["/api/v1/pods", "/version", "/%61pi/v1", "/version?x=/other"] {
        fixture.passes("GET", path).await;
    }
    for path in ["/apis/apps/v1", "/version/", "/", "/healthz?x=/api/"] {
        fixture.refuses("GET", path, 403, "--accept-paths").await;
    }

    let fixture = Fixture::start(&["--reject-paths", "^/api/v1/secrets,/nodes/"]).await;
    for path in ["/api/v1/pods", "/api/v1/nodes", "/x?/nodes/"] {
        fixture.passes("GET", path).await;
    }
    for path in [
        "/api/v1/secrets",
        "/api/v1/%73ecrets",
        "/api//v1/secrets",
        "/api/./v1/secrets",
        "/api%2fv1/secrets",
        "/api/v1/nodes/n",
    ] {
        fixture.refuses("GET", path, 403, "--reject-paths").await;
    }

    let fixture = Fixture::start(&["--reject-methods", "^DELETE$,PATCH"]).await;
    for method in ["GET", "POST", "PUT", "delete"] {
        fixture.passes(method, "/api/v1/pods").await;
    }
    for method in ["DELETE", "PATCH"] {
        fixture
            .refuses(method, "/api/v1/pods", 403, "--reject-methods")
            .await;
    }

    let flags = [
        "--disable-filter",
        "--accept-paths=^/a$",
        "--reject-paths=.*",
        "--reject-methods=GET",
    ];
    let fixture = Fixture::start(&flags).await;
    fixture.passes("GET", "/api/v1/pods").await;
}

#[tokio::test]
async fn patterns_are_gos_regular_expressions() {
    // Go's syntax, and commas that are part of an expression.
    let list = r"^/\Qa.b(\E$,^/x{2,3}$,^/[,y]$,^/\d$,^/\101$,^/z{$,^/(?U)w+$,^/\<$";
    let fixture = Fixture::start(&["--reject-paths", list]).await;
    for path in [
        "/a.b(", "/xx", "/xxx", "/,", "/y", "/7", "/A", "/z{", "/ww", "/%3C",
    ] {
        fixture.refuses("GET", path, 403, "--reject-paths").await;
    }
    for path in [
        "/axb(", "/x", "/x{2", "/3}$", "/%D9%A4", "/101", "/z", "/<w",
    ] {
        fixture.passes("GET", &path.replace('<', "%3C")).await;
    }
    let fixture = Fixture::start(&["--accept-hosts", r"^\Qkubegate.example\E$,^h\d{1,2}$"]).await;
    for (name, code) in [
        ("kubegate.example", 200),
        ("h12", 200),
        ("kubegatexexample", 403),
        ("h123", 403),
    ] {
        let got = host(&fixture.kubegate, "/x", &format!("Host: {name}\r\n")).await;
        assert_eq!(got, code, "{name}");
    }
    let fixture = Fixture::start(&[
        "--reject-methods",
        r"^\QPUT\E|DELETE\z",
        "--accept-paths",
        r"^/\pL+$",
    ]);
    let fixture = fixture.await;
    fixture.passes("GET", "/x").await;
    fixture.refuses("PUT", "/x", 403, "--reject-methods").await;
    fixture.refuses("GET", "/1", 403, "--accept-paths").await;
}

#[test]
fn a_pattern_that_go_refuses_is_named_at_the_start() {
    for (flag, pattern, why) in [
        ("--accept-hosts", "a**", "nested repetition"),
        ("--accept-paths", r"\C", "escape"),
        ("--reject-paths", "(?=a)", "Perl"),
        ("--reject-methods", "a{1001}", "repeat count"),
    ] {
        let args = [
            "--server",
            "http://127.0.0.1:1",
            "--port",
            "0",
            flag,
            pattern,
        ];
        let refused = Kubegate::refused(Kubegate::command(args));
        assert_ne!(refused.code, Some(0));
        for part in [flag, pattern, why] {
            assert!(refused.stderr.contains(part), "{part}: {}", refused.stderr);
        }
    }
}

#[tokio::test]
async fn what_runs_commands_is_refused_in_every_spelling() {
    let fixture = Fixture::start(&[]).await;
    for path in [
        "/api/v1/namespaces/x/pods/p/exec",
        "/api/v1/namespaces/x/pods/p/exec?command=sh&stdin=true",
        "/api/v1/namespaces/x/pods/p/exec/",
        "/api/v1/namespaces/x/pods/p/attach",
        "/api/v1/namespaces/x/pods/p/ephemeralcontainers",
        "/api/v1/namespaces/x/pods/p/%65xec",
        "/api/v1/namespaces/x/pods/p/e%78ec",
        "/api/v1/namespaces/x/pods/p//exec",
        "/api//v1/namespaces/x/pods/p/exec",
        "//api/v1/namespaces/x/pods/p/exec",
        "/api/v1/namespaces/x/pods/p/./exec",
        "/api/v1/namespaces/x/pods/p/%2e/exec",
        "/api/v1/namespaces/x/pods/p%2fexec",
        "/api/v1/namespaces/x/pods/p%2Fexec",
        "/api/v1/namespaces/x%2fpods/p/exec",
        "/%61pi/v1/namespaces/x/pods/p/attach",
        "/api/v1/proxy/namespaces/x/pods/p/run",
        "/api/v1/proxy/nodes/n/run/x/p/c",
        "/api/v1/nodes/n/proxy/run/x/p/c",
        "/api/v1/nodes/n/proxy/exec/x/p/c",
        "/api/v1/nodes/n:10250/proxy/",
        "/api/v1/nodes/n/proxy",
        "/api/v1/nodes/n/proxy/metrics/..%2frun",
    ] {
        for method in ["GET", "POST", "PATCH"] {
            let code = if path.contains("..") { 400 } else { 403 };
            let why = if code == 403 { "--allow-exec" } else { ".." };
            fixture.refuses(method, path, code, why).await;
            fixture
                .refuses_with(method, path, WEBSOCKET, code, why)
                .await;
        }
    }
    for path in [
        "/api/v1/namespaces/x/pods/exec-demo",
        "/api/v1/namespaces/x/pods/exec",
        "/api/v1/namespaces/exec/pods/attach/log",
        "/api/v1/namespaces/x/pods/p?x=/exec",
        "/api/v1/namespaces/x/pods/p/log?container=exec",
        "/api/v1/namespaces/x/configmaps/c/exec",
        "/api/v1/namespaces/x/pods/p/%252e%252e/exec2",
        "/api/v1/namespaces/x/services/web/proxy/exec",
        "/api/v1/nodes/n/proxy/metrics",
        "/api/v1/nodes/n/proxy/metrics/cadvisor",
        "/api/v1/nodes/n/proxy/stats/summary",
        "/api/v1/nodes/n/proxy/configz",
        "/api/v1/nodes/n/proxy/healthz",
        "/api/v1/nodes/n",
    ] {
        fixture.passes("GET", path).await;
    }
    fixture.passes("POST", &format!("{POD}/portforward")).await;
    fixture
        .refuses("POST", "/api/v1/nodes/n/proxy/metrics", 403, "--allow-exec")
        .await;
    fixture
        .refuses_with(
            "GET",
            "/api/v1/nodes/n/proxy/metrics",
            WEBSOCKET,
            403,
            "--allow-exec",
        )
        .await;
}

#[tokio::test]
async fn three_flags_allow_what_runs_commands() {
    for flag in ["--allow-exec", "--disable-filter", "--reject-paths="] {
        let fixture = Fixture::start(&[flag]).await;
        for path in ["exec?command=sh", "attach", "ephemeralcontainers", "%65xec"] {
            fixture.passes("POST", &format!("{POD}/{path}")).await;
        }
        fixture.passes("GET", "/api/v1/nodes/n/proxy/run/x").await;
    }
    // An explicit list decides alone.
    let fixture = Fixture::start(&["--reject-paths", "/attach$"]).await;
    fixture.passes("POST", &format!("{POD}/exec")).await;
    fixture
        .refuses("POST", &format!("{POD}/attach"), 403, "--reject-paths")
        .await;
    let fixture = Fixture::start(&["--allow-exec=false"]).await;
    fixture
        .refuses("POST", &format!("{POD}/exec"), 403, "--allow-exec")
        .await;
}

#[tokio::test]
async fn ambiguous_paths_are_400_and_never_a_redirect() {
    for flags in [&[][..], &["--disable-filter"]] {
        let fixture = Fixture::start(flags).await;
        for path in [
            "/..",
            "/a/../b",
            "/a/%2e%2e/b",
            "/a/%2E./b",
            "/a/..",
            "/a%2f..%2fb",
            "/..%2Fb",
            "/%00",
            "/a%0Ab",
            "/a%0d%0aX:%20y",
            "/a%09b",
            "/%7F",
            "/%7f",
            "/a%5cb",
            "/a%5Cb",
            "/%c0%af",
            "/%",
            "/%2",
            "/%zz",
        ] {
            fixture.refuses("GET", path, 400, "the path").await;
        }
        for path in [
            "/a/.../b",
            "/a..b",
            "/%252e%252e/",
            "/?x=/../%00",
            "/a//b",
            "/./a",
        ] {
            fixture.passes("GET", path).await;
        }
    }
}

#[tokio::test]
async fn read_only_passes_only_reads_and_reviews() {
    let fixture = Fixture::start(&["--read-only"]).await;
    for (method, path) in [
        ("GET", "/api/v1/pods"),
        ("HEAD", "/api/v1/pods"),
        ("GET", "/api/v1/pods?watch=1"),
        ("GET", "/version"),
        ("GET", "/openapi/v3"),
        ("GET", "/api/v1/namespaces/x/pods/p/log?follow=true"),
        ("GET", "/api/v1/nodes/n/proxy/metrics"),
        (
            "POST",
            "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
        ),
        (
            "POST",
            "/apis/authorization.k8s.io/v1/namespaces/x/localsubjectaccessreviews",
        ),
        ("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews"),
        ("POST", "/apis/authentication.k8s.io/v1/tokenreviews"),
    ] {
        fixture.passes(method, path).await;
    }
    for (method, path) in [
        ("POST", "/api/v1/namespaces/x/pods"),
        ("POST", "/api/v1/namespaces/x/pods?dryRun=All"),
        ("PUT", POD),
        ("PATCH", POD),
        ("DELETE", POD),
        ("DELETE", "/api/v1/namespaces/x/pods"),
        ("POST", "/api/v1/namespaces/x/serviceaccounts/s/token"),
        ("POST", "/api/v1/namespaces/x/pods/p/eviction"),
        ("POST", "/apis/example.com/v1/selfsubjectaccessreviews"),
        (
            "PUT",
            "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
        ),
        ("POST", "/version"),
        ("OPTIONS", "/api/v1/pods"),
        ("POST", "/api/v1/namespaces/x/services/web/proxy/"),
        ("GET", "/api/v1/namespaces/x/pods/p/exec?command=sh"),
        ("GET", "/api/v1/nodes/n/proxy/run"),
        ("POST", "/api/v1/namespaces/x/pods/p/portforward"),
        ("FROB", "/api/v1/pods"),
        ("GET", "/api/v1/namespaces/x/pods/p/portforward"),
    ] {
        fixture.refuses(method, path, 403, "--read-only").await;
    }
    for path in [
        "/api/v1/namespaces/x/pods/p/exec",
        "/api/v1/namespaces/x/pods/p/portforward",
        "/api/v1/namespaces/x/services/web/proxy/socket",
        "/version",
        "/api/v1/pods",
    ] {
        fixture
            .refuses_with("GET", path, WEBSOCKET, 403, "--read-only")
            .await;
    }
    // As curl --http2 sends it. The offer of HTTP/2 is not passed on.
    let h2c = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAAA\r\n";
    let response = fixture.send("GET", "/api/v1/pods", h2c).await;
    assert_eq!(status(&response), 200, "{response}");
    assert!(!response.to_lowercase().contains("upgrade"), "{response}");
    // A watch may be a WebSocket; that the server does not upgrade is its own answer.
    let upstream = Upstream::plain(async |mut connection: Connection| {
        connection.head().await;
        connection
            .write("HTTP/1.1 404 Not Found\r\nX-From: the server\r\nContent-Length: 0\r\n\r\n")
            .await;
    })
    .await;
    let kubegate = Kubegate::before(&upstream, &["--read-only", "--allow-exec"]);
    let fixture = Fixture { upstream, kubegate };
    for path in ["/api/v1/pods?watch=1", "/api/v1/watch/pods"] {
        let response = fixture.send("GET", path, WEBSOCKET).await;
        assert!(
            response.contains("x-from: the server\r\n"),
            "{path}: {response}"
        );
    }
    // Whatever else is allowed.
    fixture
        .refuses("POST", &format!("{POD}/exec"), 403, "--read-only")
        .await;
}

#[tokio::test]
async fn read_only_passes_a_get_of_an_app_with_allow_proxy() {
    const APPS: [&str; 4] = [
        "/api/v1/namespaces/x/services/web/proxy/reset",
        "/api/v1/namespaces/x/pods/p:8080/proxy/",
        "/api/v1/namespaces/x/pods/p%2Fproxy%2Freset",
        "/api/v1/nodes/n:9100/proxy/metrics",
    ];
    let closed = Fixture::start(&["--read-only"]).await;
    let open = Fixture::start(&["--read-only", "--allow-proxy"]).await;
    for path in APPS {
        closed.refuses("GET", path, 403, "--allow-proxy").await;
        open.passes("GET", path).await;
        open.refuses("POST", path, 403, "--read-only").await;
        open.refuses_with("GET", path, WEBSOCKET, 403, "--read-only")
            .await;
    }
    closed.passes("GET", "/api/v1/nodes/n/proxy/metrics").await;
    let run = "/api/v1/nodes/n:10250/proxy/run/x/p/c";
    open.refuses("GET", run, 403, "--read-only").await;
}

#[tokio::test]
async fn no_header_names_another_method_where_a_rule_checks_it() {
    for flags in [&["--read-only"][..], &["--reject-methods", "DELETE"]] {
        let fixture = Fixture::start(flags).await;
        for name in [
            "X-HTTP-Method-Override",
            "X-HTTP-Method",
            "X-Method-Override",
            "X_HTTP_Method_Override",
        ] {
            let line = format!("{name}: DELETE\r\n");
            let why = name.to_lowercase();
            fixture
                .refuses_with("GET", "/api/v1/pods", &line, 403, &why)
                .await;
        }
        fixture.passes("GET", "/api/v1/pods").await;
    }
    let fixture = Fixture::start(&[]).await;
    let response = fixture
        .send("GET", "/api/v1/pods", "X-HTTP-Method: GET\r\n")
        .await;
    assert_eq!(status(&response), 200, "{response}");
}

#[tokio::test]
async fn a_rejected_path_is_rejected_in_every_form() {
    let fixture = Fixture::start(&["--reject-paths", "^/api/v1/secrets$"]).await;
    for path in [
        "/api/v1/secrets",
        "/api/v1/secrets/",
        "/api/v1/secrets//",
        "/api/v1/secrets%2F",
        "/api/v1//secrets",
        "/api/v1/./secrets/",
        "/api/v1/namespaces//secrets",
        "/api/v1/namespaces%2F%2Fsecrets/",
        "/api/v1/watch/secrets",
        "/api/v1/watch/secrets/?watch=1",
    ] {
        fixture.refuses("GET", path, 403, "--reject-paths").await;
    }
    for path in [
        "/api/v1/secrets/s",
        "/api/v1/namespaces/x/secrets/",
        "/api/v1/namespaces/secrets",
        "/api/v1/pods/",
    ] {
        fixture.passes("GET", path).await;
    }
    let fixture = Fixture::start(&["--accept-paths", "^/api/v1/namespaces/"]).await;
    fixture.passes("GET", "/api/v1/namespaces/x/secrets/").await;
    for path in [
        "/api/v1/namespaces//secrets",
        "/api/v1/namespaces%2f/secrets",
    ] {
        fixture.refuses("GET", path, 403, "--accept-paths").await;
    }
}

#[tokio::test]
async fn consoles_of_virtual_machines_are_refused_like_exec() {
    let vm = |version: &str, part: &str| {
        format!(
            "/apis/subresources.kubevirt.io/{version}/namespaces/x/virtualmachineinstances/m/{part}"
        )
    };
    let fixture = Fixture::start(&[]).await;
    for part in ["console", "vnc", "vnc/screenshot", "usbredir", "%63onsole"] {
        for version in ["v1", "v1alpha3"] {
            let path = vm(version, part);
            fixture.refuses("GET", &path, 403, "--allow-exec").await;
            fixture
                .refuses_with("GET", &path, WEBSOCKET, 403, "--allow-exec")
                .await;
        }
    }
    for part in ["portforward/22/tcp", "vsock?port=9", "guestosinfo", ""] {
        fixture.passes("GET", &vm("v1", part)).await;
    }
    let open = Fixture::start(&["--allow-exec"]).await;
    open.passes("GET", &vm("v1", "console")).await;
    let fixture = Fixture::start(&["--read-only", "--allow-exec", "--allow-proxy"]).await;
    for part in [
        "console",
        "vnc",
        "usbredir",
        "portforward/22",
        "vsock?port=9",
    ] {
        fixture
            .refuses("GET", &vm("v1", part), 403, "--read-only")
            .await;
    }
    fixture.passes("GET", &vm("v1", "guestosinfo")).await;
}
