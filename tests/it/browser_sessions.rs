//! `kubegate open`: a browser gets in by a one-use address and a cookie, where tokens are required.

use std::{fs, os::unix::process::CommandExt as _, time::Instant};

use tempfile::{TempDir, tempdir};

use crate::support::{
    Connection, Kubegate, PATIENCE, Refused, Upstream, exchange, secrets, status,
};

const ALICE: &str = "alices-token-of-the-door-01";
const BOB: &str = "bobs-token-of-the-door-0123";

/// A proxy that requires a token, and the files of tokens.
struct Fixture {
    folder: TempDir,
    upstream: Upstream,
    kubegate: Kubegate,
}

impl Fixture {
    async fn start(flags: &[&str]) -> Self {
        for token in [ALICE, BOB] {
            secrets::register(token);
        }
        let folder = tempdir().unwrap();
        let upstream = Upstream::plain(Connection::echo).await;
        let tokens = folder.path().join("tokens");
        fs::write(&tokens, format!("alice {ALICE}\nbob {BOB}\n")).unwrap();
        fs::write(folder.path().join("token"), format!("{ALICE}\n")).unwrap();
        let mut all = vec!["--require-token-file", tokens.to_str().unwrap()];
        all.extend(flags);
        let kubegate = Kubegate::before(&upstream, &all);
        Self {
            folder,
            upstream,
            kubegate,
        }
    }

    fn port(&self) -> &str {
        self.kubegate.address.rsplit_once(':').unwrap().1
    }

    fn token_file(&self) -> String {
        self.folder.path().join("token").display().to_string()
    }

    fn open(&self, args: &[&str]) -> Refused {
        let mut command = Kubegate::command(["open", "--port", self.port()]);
        command.args(args);
        Kubegate::refused(command)
    }

    /// The path of a one-use address.
    fn address(&self, args: &[&str]) -> String {
        let token = self.token_file();
        let opened = self.open(&[&["--token-file", &token, "--no-browser"], args].concat());
        assert_eq!(opened.code, Some(0), "{opened:?}");
        let base = format!("http://{}", self.kubegate.address);
        let path = opened.stdout.trim_end().strip_prefix(&base);
        path.unwrap_or_else(|| panic!("{opened:?}")).to_owned()
    }

    async fn send(&self, request_line: &str, lines: &str) -> String {
        let host = &self.kubegate.address;
        let head =
            format!("{request_line} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{lines}\r\n");
        exchange(&self.kubegate.address, head).await
    }

    /// Opens a one-use address. Returns the cookie as a `Cookie` line.
    async fn enter(&self) -> String {
        let response = self.send(&format!("GET {}", self.address(&[])), "").await;
        assert_eq!(status(&response), 303, "{response}");
        cookie(&response)
    }
}

/// The `Cookie` line that a browser sends after a response.
fn cookie(response: &str) -> String {
    let line = header(response, "set-cookie").expect("a cookie");
    let pair = line.split(';').next().unwrap();
    secrets::register(pair.split_once('=').unwrap().1);
    format!("Cookie: theme=dark; {pair}; x=y\r\n")
}

fn header<'a>(response: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = response.lines();
    lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_one_use_address_becomes_a_cookie_of_this_origin() {
    let fixture = Fixture::start(&[]).await;
    let path = fixture.address(&["/api/v1/pods?limit=1"]);
    let response = fixture
        .send(&format!("GET {path}"), "Sec-Fetch-Site: none\r\n")
        .await;
    assert_eq!(status(&response), 303, "{response}");
    assert_eq!(header(&response, "location"), Some("/api/v1/pods?limit=1"));
    assert_eq!(header(&response, "cache-control"), Some("no-store"));
    assert_eq!(header(&response, "referrer-policy"), Some("no-referrer"));
    let set = header(&response, "set-cookie").unwrap();
    let name = format!("kubegate-{}=", fixture.port());
    assert!(set.starts_with(&name), "{set}");
    for part in [
        "; Path=/;",
        "; Max-Age=",
        "; HttpOnly;",
        "; SameSite=Strict",
    ] {
        assert!(set.contains(part), "{set}");
    }
    assert!(!set.contains("Domain") && !set.contains("Secure"), "{set}");
    // Once.
    let again = fixture.send(&format!("GET {path}"), "").await;
    assert_eq!(status(&again), 403, "{again}");
    assert!(again.contains("kubegate open"), "{again}");
    let cookie = cookie(&response);
    let response = fixture.send("GET /api/v1/pods", &cookie).await;
    assert_eq!(status(&response), 200, "{response}");
    assert!(!response.to_lowercase().contains("cookie"), "{response}");
    let log = fixture.kubegate.log();
    assert!(log.contains("client alice"), "{log}");
    assert!(!log.contains("code="), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cookie_is_never_passed_on_and_brings_no_authorization() {
    let fixture = Fixture::start(&[]).await;
    let cookie = fixture.enter().await;
    let app = "GET /api/v1/namespaces/x/services/grafana/proxy/";
    let lines = format!("{cookie}Authorization: Bearer of-the-app\r\n");
    let response = fixture.send(app, &lines).await;
    assert_eq!(status(&response), 200, "{response}");
    assert!(response.contains("theme=dark; x=y"), "{response}");
    assert!(!response.contains("kubegate-"), "{response}");
    assert!(!response.contains("of-the-app"), "{response}");
    // The token takes precedence over nothing: a request with both passes too.
    let lines = format!("{cookie}Authorization: Bearer {BOB}\r\n");
    let response = fixture.send(app, &lines).await;
    assert_eq!(status(&response), 200, "{response}");
    assert!(!response.contains("kubegate-"), "{response}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cookie_is_no_pass_for_other_origins_hosts_and_sites() {
    let fixture = Fixture::start(&[]).await;
    let cookie = fixture.enter().await;
    for lines in [
        "Origin: https://evil.example\r\n",
        "Origin: null\r\n",
        "Origin: http://localhost:1\r\n",
        "Sec-Fetch-Site: cross-site\r\n",
        "Sec-Fetch-Site: same-site\r\n",
    ] {
        for request in [
            "GET /api/v1/pods",
            "POST /api/v1/namespaces",
            "GET /.kubegate/enter?code=x",
        ] {
            let response = fixture.send(request, &format!("{cookie}{lines}")).await;
            assert_eq!(status(&response), 403, "{request} {lines} {response}");
        }
    }
    let own = format!("{cookie}Origin: http://{}\r\n", fixture.kubegate.address);
    let response = fixture.send("POST /api/v1/namespaces", &own).await;
    assert_eq!(status(&response), 200, "{response}");
    // Another host of this proxy is another origin.
    let host = format!("localhost:{}", fixture.port());
    let head = format!("GET /x HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{cookie}\r\n");
    let response = exchange(&fixture.kubegate.address, head).await;
    assert_eq!(status(&response), 401, "{response}");
    // A page gets no address by the cookie of its browser.
    let response = fixture.send("POST /.kubegate/open", &own).await;
    assert_eq!(status(&response), 401, "{response}");
    assert_eq!(fixture.upstream.connections(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cookie_ends_with_its_token() {
    let fixture = Fixture::start(&[]).await;
    let cookie = fixture.enter().await;
    assert_eq!(status(&fixture.send("GET /x", &cookie).await), 200);
    fs::write(fixture.folder.path().join("tokens"), format!("bob {BOB}\n")).unwrap();
    let until = Instant::now() + PATIENCE;
    loop {
        let response = fixture.send("GET /x", &cookie).await;
        if status(&response) == 401 {
            break;
        }
        assert!(Instant::now() < until, "{response}");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_reserved_path_never_reaches_the_api_server() {
    let fixture = Fixture::start(&["--api-prefix", "/"]).await;
    let token = format!("Authorization: Bearer {ALICE}\r\n");
    for (request, with_token, without) in [
        ("GET /.kubegate/", 404, 401),
        ("GET /.kubegate", 404, 401),
        ("GET /%2ekubegate/x", 404, 401),
        ("GET //.kubegate/open", 404, 401),
        ("GET /.kubegate/open", 405, 405),
        ("POST /.kubegate/enter?code=x", 405, 405),
        ("HEAD /.kubegate/enter?code=x", 405, 405),
        ("GET /.kubegate/enter", 403, 403),
        ("GET /.kubegate/enter?code=x", 403, 403),
        ("POST /.kubegate/open", 200, 401),
        ("POST /.kubegate/open?path=//evil.example", 400, 400),
        ("POST /.kubegate/open?host=a/b", 400, 400),
    ] {
        for (lines, expected) in [(token.as_str(), with_token), ("", without)] {
            let response = fixture.send(request, lines).await;
            assert_eq!(status(&response), expected, "{request} {lines} {response}");
        }
    }
    assert_eq!(fixture.upstream.connections(), 0);
}

/// An address for an app's origin is good there alone.
#[tokio::test(flavor = "multi_thread")]
async fn an_address_is_good_at_the_host_that_it_was_made_for() {
    let fixture = Fixture::start(&["--accept-hosts", r"^127\.0\.0\.1$,\.localhost$"]).await;
    let token = format!("Authorization: Bearer {ALICE}\r\n");
    let app = format!("grafana.monitoring.svc.localhost:{}", fixture.port());
    let opened = fixture
        .send(
            &format!("POST /.kubegate/open?host={app}&path=%2Fd%2Fx"),
            &token,
        )
        .await;
    assert_eq!(status(&opened), 200, "{opened}");
    let path = opened
        .split('"')
        .find(|text| text.starts_with("/.kubegate/enter"));
    let request = format!("GET {}", path.unwrap());
    assert_eq!(status(&fixture.send(&request, "").await), 403);
    let head = format!("{request} HTTP/1.1\r\nHost: {app}\r\nConnection: close\r\n\r\n");
    let response = exchange(&fixture.kubegate.address, head).await;
    assert_eq!(status(&response), 303, "{response}");
    assert_eq!(header(&response, "location"), Some("/d/x"));
    let cookie = cookie(&response);
    let response = fixture.send("GET /x", &cookie).await;
    assert_eq!(status(&response), 401, "{response}");
}

#[tokio::test(flavor = "multi_thread")]
async fn open_says_what_is_missing() {
    let fixture = Fixture::start(&[]).await;
    let ended = fixture.open(&["--no-browser"]);
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), ""));
    assert!(ended.stderr.contains("--token-file"), "{ended:?}");
    let wrong = fixture.folder.path().join("wrong");
    fs::write(&wrong, "another-token-0123456789").unwrap();
    let ended = fixture.open(&["--token-file", wrong.to_str().unwrap()]);
    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.contains("401") && ended.stderr.contains("--require-token-file"));
    assert!(!ended.stderr.contains("another-token"), "{ended:?}");
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port().to_string();
    drop(free);
    let ended = fixture.open(&["--port", &port]);
    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.contains("--port"), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn open_runs_the_browser_and_needs_no_token_where_none_is_required() {
    let upstream = Upstream::plain(Connection::echo).await;
    let kubegate = Kubegate::before(&upstream, &[]);
    let (_, port) = kubegate.address.rsplit_once(':').unwrap();
    let folder = tempdir().unwrap();
    let seen = folder.path().join("seen");
    let browser = format!(
        "sh -c 'echo \"$1\" > {0}.new; mv {0}.new {0}' browser",
        seen.display()
    );
    let open = [
        "open",
        "/version",
        "--port",
        port,
        "--browser-command",
        &browser,
    ];
    let ended = Kubegate::refused(Kubegate::command(open));
    assert_eq!(
        (ended.code, ended.stdout.as_str()),
        (Some(0), ""),
        "{ended:?}"
    );
    let until = Instant::now() + PATIENCE;
    while !seen.exists() {
        assert!(Instant::now() < until, "no browser ran");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let url = fs::read_to_string(&seen).unwrap();
    assert_eq!(url, format!("http://{}/version\n", kubegate.address));
}

#[tokio::test(flavor = "multi_thread")]
async fn open_sends_the_token_to_no_server_of_another_user() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("NOT TESTED: only root can start a server of another user");
        return;
    }
    secrets::register(ALICE);
    let upstream = Upstream::plain(Connection::echo).await;
    let folder = tempdir().unwrap();
    let tokens = folder.path().join("tokens");
    fs::write(&tokens, format!("alice {ALICE}\n")).unwrap();
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(folder.path(), open).unwrap();
    let mut command = Kubegate::command(["--server", &upstream.url(), "--token", "sesame"]);
    let path = tokens.to_str().unwrap();
    command.args(["--port", "0", "--require-token-file", path]);
    command.uid(54321).gid(54321);
    let other = Kubegate::spawn(command);
    let (_, port) = other.address.rsplit_once(':').unwrap();
    for (extra, code) in [(&[][..], 1), (&["--allow-uid=54321"], 0)] {
        let mut command = Kubegate::command(["open", "--no-browser", "--port", port]);
        command.args(["--token-file", path]).args(extra);
        let ended = Kubegate::refused(command);
        assert_eq!(ended.code, Some(code), "{ended:?}");
        assert_eq!(ended.stderr.contains("uid 54321"), code == 1, "{ended:?}");
    }
}

/// The cookie of an https origin, and what speaks for the server there.
#[tokio::test(flavor = "multi_thread")]
async fn open_enters_over_tls_with_a_secure_cookie() {
    secrets::register(ALICE);
    let folder = tempdir().unwrap();
    let upstream = Upstream::plain(Connection::echo).await;
    let tokens = folder.path().join("tokens");
    fs::write(&tokens, format!("alice {ALICE}\n")).unwrap();
    let file = tokens.to_str().unwrap();
    let mut command = Kubegate::command(["--server", &upstream.url(), "--token", "sesame"]);
    command.args([
        "--port",
        "0",
        "--tls-self-signed",
        "--require-token-file",
        file,
    ]);
    command.env("XDG_STATE_HOME", folder.path());
    let kubegate = Kubegate::spawn(command);
    let port = kubegate.address.rsplit_once(':').unwrap().1;
    let open = |state: &std::path::Path, args: &[&str]| {
        let mut command = Kubegate::command(["open", "--no-browser", "--port", port]);
        command.args(["--token-file", file]).args(args);
        command.env("XDG_STATE_HOME", state);
        Kubegate::refused(command)
    };
    let authority = folder.path().join("kubegate/local-ca/ca.pem");
    let authority = authority.to_str().unwrap();
    for args in [&["--tls-self-signed"][..], &["--tls-ca", authority]] {
        let opened = open(folder.path(), args);
        assert_eq!(opened.code, Some(0), "{opened:?}");
        let url = opened.stdout.trim_end();
        let base = format!("https://127.0.0.1:{port}/.kubegate/enter?code=");
        assert!(url.starts_with(&base), "{url}");
        let mut curl = std::process::Command::new("curl");
        curl.args([
            "--silent",
            "--include",
            "--max-time",
            "20",
            "--cacert",
            authority,
            url,
        ]);
        let response = String::from_utf8(curl.output().unwrap().stdout).unwrap();
        assert!(response.contains(" 303"), "{response}");
        let set = header(&response, "set-cookie").unwrap();
        assert!(
            set.starts_with(&format!("__Host-kubegate-{port}=")),
            "{set}"
        );
        assert!(set.ends_with("; Secure"), "{set}");
    }
    // Another CA, and no TLS at all.
    let other = folder.path().join("other");
    fs::create_dir_all(other.join("kubegate/local-ca")).unwrap();
    let ca = crate::support::cert("ca.pem");
    fs::copy(ca, other.join("kubegate/local-ca/ca.pem")).unwrap();
    let refused = open(&other, &["--tls-self-signed"]);
    assert_eq!(refused.code, Some(1));
    assert!(
        refused.stderr.contains("does not prove itself"),
        "{refused:?}"
    );
    assert_eq!(open(folder.path(), &[]).code, Some(1));
}
