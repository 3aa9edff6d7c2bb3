//! Several contexts behind one door: each at its slug, with the rules of the path behind it.

mod limits;

use std::{
    collections::BTreeMap,
    fs,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use kubegate::{kubeconfig::Slug, serve};
use serde_json::{Value, json};
use tempfile::{TempDir, tempdir};

use crate::support::{
    Completed, Connection, Kubegate, Load, Upstream, cert, exchange, get, in_time, status,
};

/// How long a change may take to be in force.
const IN_FORCE: Duration = Duration::from_secs(2);

/// A context's name that is no DNS label.
const LONG: &str = "ns/host:6443/kube:admin";

/// Answers with its name and the request.
async fn server(name: &'static str) -> Upstream {
    let script = move |mut connection: Connection| async move {
        while let Some(request) = connection.request().await {
            let text = format!("server {name}: {}", request.head);
            connection.answer(&text).await;
        }
    };
    Upstream::tls("localhost", script).await
}

/// A kubeconfig whose contexts can change.
struct Config {
    folder: TempDir,
    contexts: BTreeMap<String, Value>,
}

impl Config {
    fn new(contexts: &[(&str, &Upstream)]) -> Self {
        let contexts = contexts.iter().map(|(name, server)| (*name, server.url()));
        let mut config = Self {
            folder: tempdir().unwrap(),
            contexts: BTreeMap::new(),
        };
        for (name, url) in contexts {
            config.set(name, &url);
        }
        config.write();
        config
    }

    fn set(&mut self, name: &str, url: &str) {
        let cluster = json!({"server": url, "certificate-authority": cert("ca.pem")});
        self.contexts.insert(name.to_owned(), cluster);
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("config")
    }

    /// Replaces the file at once.
    fn write(&self) {
        let names = || self.contexts.keys();
        let text = json!({
            "current-context": names().next(),
            "contexts": names().map(|name| json!({"name": name, "context": {"cluster": name, "user": name}}))
                .collect::<Vec<_>>(),
            "clusters": self.contexts.iter().map(|(name, cluster)| json!({"name": name, "cluster": cluster}))
                .collect::<Vec<_>>(),
            "users": names().map(|name| json!({"name": name, "user": {"token": format!("sesame-{}", Slug::of_context(name))}}))
                .collect::<Vec<_>>(),
        });
        let new = self.folder.path().join("new");
        fs::write(&new, text.to_string()).unwrap();
        fs::rename(new, self.path()).unwrap();
    }

    fn command(&self, args: &[&str]) -> std::process::Command {
        let path = self.path();
        let mut all = vec!["--port", "0", "--kubeconfig", path.to_str().unwrap()];
        all.extend(args);
        Kubegate::command(all)
    }

    fn start(&self, args: &[&str]) -> Kubegate {
        Kubegate::spawn(self.command(args))
    }
}

async fn list(kubegate: &Kubegate) -> Value {
    let response = get(&kubegate.address, "/clusters").await;
    assert_eq!(status(&response), 200, "{response}");
    assert!(
        response.contains("content-type: application/json"),
        "{response}"
    );
    let (_, body) = response.split_once("\r\n\r\n").unwrap();
    serde_json::from_str(body).unwrap()
}

fn field<'a>(list: &'a Value, name: &str, field: &str) -> &'a Value {
    let clusters = list["clusters"].as_array().unwrap();
    let cluster = clusters.iter().find(|cluster| cluster["name"] == name);
    &cluster.unwrap_or_else(|| panic!("no {name} in {list}"))[field]
}

#[tokio::test]
async fn each_context_is_served_at_its_slug_and_by_its_name() {
    let (a, b) = (server("a").await, server("b").await);
    let mut config = Config::new(&[("a", &a), (LONG, &b)]);
    config
        .contexts
        .insert("broken".to_owned(), json!({"server": "ftp://x"}));
    config.write();
    let kubegate = config.start(&["--all-contexts"]);
    let slug = Slug::of_context(LONG);
    let before = list(&kubegate).await;
    assert_eq!(field(&before, LONG, "slug"), slug.as_str());
    assert_eq!(field(&before, LONG, "path"), &format!("/clusters/{slug}/"));
    assert_eq!(field(&before, "a", "server"), &a.url());
    let by = field(&before, "a", "verifiedBy").as_str().unwrap();
    assert!(by.ends_with("ca.pem"), "{by}");
    for name in ["a", LONG] {
        assert_eq!(field(&before, name, "state"), "idle");
    }
    assert_eq!(field(&before, "broken", "state"), "failed");
    assert_eq!(before["default"], Value::Null);
    assert_eq!(
        (a.connections(), b.connections()),
        (0, 0),
        "before a first use"
    );
    for (path, shown) in [
        (
            "/clusters/a/api/v1/pods?limit=1",
            "server a: GET /api/v1/pods?limit=1 ",
        ),
        (
            &format!("/clusters/{slug}/version"),
            "server b: GET /version ",
        ),
        (
            "/clusters/ns/host:6443/kube:admin/api/v1/x%2Fy",
            "server b: GET /api/v1/x%2Fy ",
        ),
        (
            "/clusters/ns/host%3A6443/kube%3aadmin/apis",
            "server b: GET /apis ",
        ),
    ] {
        let response = get(&kubegate.address, path).await;
        assert!(response.contains(shown), "{path}: {response}");
        let token = if shown.contains("server a") {
            "a"
        } else {
            slug.as_str()
        };
        assert!(
            response.contains(&format!("Bearer sesame-{token}\r")),
            "{response}"
        );
    }
    let after = list(&kubegate).await;
    assert_eq!(field(&after, "a", "state"), "active");
    let broken = get(&kubegate.address, "/clusters/broken/api/v1/pods").await;
    assert_eq!(status(&broken), 503, "{broken}");
    assert!(
        broken.contains("the context \\\"broken\\\" cannot be used"),
        "{broken}"
    );
    let log = kubegate.log();
    assert!(log.contains(&format!(" bytes, context {slug}")), "{log}");
}

#[tokio::test]
async fn no_path_reaches_another_context_than_the_one_judged() {
    let (a, b) = (server("a").await, server("b").await);
    let config = Config::new(&[("a", &a), ("b", &b), ("a/b", &b)]);
    let kubegate = config.start(&["--all-contexts", "--default-context", "a"]);
    for path in [
        "/clusters/a/../b/api",
        "/clusters/a/%2e%2e/b/api",
        "/clusters/a//b/api",
        "/clusters/a/./b/api",
        "//clusters/b/api",
        "/%63lusters/b/api",
        "/clusters%2Fb/api",
        "/clusters/b%2Fapi",
        "/x/../clusters/b/api",
        "/clusters/%2e%2e/api",
    ] {
        let response = get(&kubegate.address, path).await;
        assert_eq!(status(&response), 400, "{path}: {response}");
    }
    assert_eq!((a.connections(), b.connections()), (0, 0));
    let absolute = "GET http://localhost/clusters/b/api HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let response = exchange(&kubegate.address, absolute).await;
    assert!(response.contains("server b: GET /api "), "{response}");
}

#[tokio::test]
async fn a_redirect_leads_to_the_same_context() {
    let script = move |mut connection: Connection| async move {
        while connection.request().await.is_some() {
            let moved = "HTTP/1.1 307 Temporary Redirect\r\nLocation: /api/v1/login\r\n\
                         Content-Length: 0\r\n\r\n";
            connection.write(moved).await;
        }
    };
    let moving = Upstream::tls("localhost", script).await;
    let other = server("other").await;
    let config = Config::new(&[("moving", &moving), ("other", &other)]);
    let kubegate = config.start(&["--all-contexts", "--default-context", "other"]);
    let response = get(&kubegate.address, "/clusters/moving/api").await;
    assert_eq!(status(&response), 307, "{response}");
    let location = "location: /clusters/moving/api/v1/login\r\n";
    assert!(response.contains(location), "{response}");
}

#[tokio::test]
async fn the_rules_for_paths_judge_what_is_behind_the_slug() {
    let (a, b) = (server("a").await, server("b").await);
    let config = Config::new(&[("a", &a), (LONG, &b)]);
    let kubegate = config.start(&[
        "--all-contexts",
        "--read-only",
        "--accept-paths",
        "^/api/v1/namespaces/x",
    ]);
    let by_slug = format!("/clusters/{}", Slug::of_context(LONG));
    for base in [
        "/clusters/a",
        by_slug.as_str(),
        "/clusters/ns/host:6443/kube:admin",
    ] {
        let ask = async |method: &str, path: &str| {
            let head = format!(
                "{method} {base}{path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
            );
            status(&exchange(&kubegate.address, head).await)
        };
        assert_eq!(ask("GET", "/api/v1/namespaces/x/pods").await, 200);
        assert_eq!(ask("GET", "/api/v1/namespaces/y/pods").await, 403);
        assert_eq!(ask("GET", "/api/v1/pods").await, 403);
        assert_eq!(ask("DELETE", "/api/v1/namespaces/x/pods/p").await, 403);
        assert_eq!(ask("POST", "/api/v1/namespaces/x/pods/p/exec").await, 403);
    }
}

#[tokio::test]
async fn the_root_serves_no_api_of_several_contexts_unless_one_is_the_default() {
    let (a, b) = (server("a").await, server("b").await);
    let config = Config::new(&[("a", &a), ("b", &b), ("c", &b)]);
    let kubegate = config.start(&["--context", "a", "--context", "b"]);
    for path in [
        "/",
        "/api/v1/pods",
        "/api/v1/namespaces/x/pods/p/exec",
        "/clusters/c/api",
    ] {
        let response = get(&kubegate.address, path).await;
        assert_eq!(status(&response), 404, "{path}: {response}");
        assert!(
            response.contains("/clusters/a/, /clusters/b/"),
            "{response}"
        );
        assert!(response.contains(r#""reason":"NotFound""#), "{response}");
    }
    let slash = get(&kubegate.address, "/clusters/a?x=y").await;
    assert_eq!(status(&slash), 307, "{slash}");
    assert!(slash.contains("location: /clusters/a/?x=y\r"), "{slash}");
    let post = "POST /clusters HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(status(&exchange(&kubegate.address, post).await), 405);
    let kubegate = config.start(&["--all-contexts", "--default-context", "b"]);
    let response = get(&kubegate.address, "/api/v1/pods").await;
    assert!(
        response.contains("server b: GET /api/v1/pods "),
        "{response}"
    );
    let response = get(&kubegate.address, "/clusters/a/api").await;
    assert!(response.contains("server a: "), "{response}");
    assert_eq!(list(&kubegate).await["default"], "b");
    assert!(kubegate.log().contains("`kubectl --raw` before 1.37 drops"));
}

#[tokio::test]
async fn the_only_context_is_at_the_root_and_at_its_slug() {
    let (a, b) = (server("a").await, server("b").await);
    let config = Config::new(&[(LONG, &a), ("other", &b)]);
    let kubegate = config.start(&["--context", LONG]);
    let slug = Slug::of_context(LONG);
    for path in [
        "/api",
        &format!("/clusters/{slug}/api"),
        &format!("/clusters/{LONG}/api"),
    ] {
        let response = get(&kubegate.address, path).await;
        assert!(response.contains("server a: GET /api "), "{response}");
    }
    let found = list(&kubegate).await;
    assert_eq!(found["clusters"].as_array().unwrap().len(), 1);
    assert_eq!(field(&found, LONG, "state"), "active");
    // As before, for servers that have such paths themselves.
    let response = get(&kubegate.address, "/clusters/other/api").await;
    assert!(
        response.contains("server a: GET /clusters/other/api "),
        "{response}"
    );
    let exec = get(
        &kubegate.address,
        &format!("/clusters/{slug}/api/v1/namespaces/x/pods/p/exec"),
    )
    .await;
    assert_eq!(status(&exec), 403, "{exec}");
}

#[tokio::test]
async fn the_slug_of_the_only_context_follows_the_current_context() {
    let (a, b) = (server("a").await, server("b").await);
    let mut config = Config::new(&[("b", &b)]);
    let kubegate = config.start(&["--follow-current-context"]);
    assert!(
        kubegate.log().contains("kubectl keeps what it discovers"),
        "{}",
        kubegate.log()
    );
    assert_eq!(list(&kubegate).await["default"], "b");
    config.set("a", &a.url());
    config.write();
    let changed = Instant::now();
    while !get(&kubegate.address, "/clusters/a/x")
        .await
        .contains("server a: GET /x ")
    {
        assert!(changed.elapsed() < IN_FORCE, "{}", kubegate.log());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(list(&kubegate).await["default"], "a");
}

#[tokio::test]
async fn a_wrong_choice_of_contexts_is_refused_before_anything_is_bound() {
    let a = server("a").await;
    let mut config = Config::new(&[("a", &a), ("b", &a)]);
    let slug = Slug::of_context("A");
    for (args, shown) in [
        (&["--context", "a", "--context", "none"][..], "none"),
        (
            &["--context", "a", "--context", "a"],
            "--context \"a\" is given twice",
        ),
        (&["--context", "a", "--context", "broken"], "broken"),
        (&["--context", "a", "--all-contexts"], "--all-contexts"),
        (&["--all-contexts", "--server", "https://x"], "--server"),
        (&["--all-contexts", "--token", "x"], "--token"),
        (
            &["--all-contexts", "--insecure-skip-tls-verify"],
            "--insecure-skip-tls-verify",
        ),
        (
            &["--all-contexts", "--follow-current-context"],
            "--follow-current-context",
        ),
        (&["--all-contexts", "--ibm-cluster", "x"], "--ibm-cluster"),
        (&["--all-contexts", "--default-context", "none"], "none"),
        (
            &["--context", "a", "--context", "b", "--default-context", "c"],
            "--default-context",
        ),
        (&["--default-context", "a"], "--default-context"),
        (
            &["--all-contexts", "--api-prefix", "/clusters/a"],
            "--api-prefix",
        ),
        (
            &[
                "--all-contexts",
                "--www",
                "/tmp",
                "--www-prefix",
                "/clusters/",
            ],
            "--www-prefix",
        ),
    ] {
        config
            .contexts
            .insert("broken".to_owned(), json!({"server": "ftp://x"}));
        config.write();
        let refused = Kubegate::refused(config.command(args));
        assert!(matches!(refused.code, Some(1 | 2)), "{args:?}: {refused:?}");
        assert!(refused.stderr.contains(shown), "{args:?}: {refused:?}");
        assert!(
            refused.stdout.is_empty() && !refused.stderr.contains("panicked"),
            "{refused:?}"
        );
    }
    config.set("A", &a.url());
    config.set(slug.as_str(), &a.url());
    config.write();
    let refused = Kubegate::refused(config.command(&["--all-contexts"]));
    assert!(
        refused.stderr.contains(&format!("/clusters/{slug}/")),
        "{refused:?}"
    );
}

/// Asserts that each request got the answer of its context's server: those with an even number of `a`.
fn assert_all_answered(completed: &[Completed]) {
    assert!(completed.len() > 1000, "{}", completed.len());
    for one in completed {
        assert_eq!(status(&one.response), 200, "{}", one.response);
        let server = if one.number % 2 == 0 {
            "server a"
        } else {
            "server "
        };
        assert!(one.response.contains(server), "{}", one.response);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn contexts_come_change_and_go_while_requests_run_and_none_fails() {
    let (a, b, c) = (server("a").await, server("b").await, server("c").await);
    let quiet = server("quiet").await;
    let (watched, mut handed) = Upstream::handed().await;
    let mut config = Config::new(&[
        ("a", &a),
        ("b", &b),
        ("quiet", &quiet),
        ("watched", &watched),
    ]);
    let kubegate = config.start(&["--all-contexts"]);
    let mut client = Connection::open(&kubegate.address).await;
    client
        .write("GET /clusters/watched/api/v1/pods?watch=1 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await;
    let mut watch = in_time(handed.next()).await;
    in_time(watch.request()).await.unwrap();
    watch
        .write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        .await;
    in_time(client.head()).await.unwrap();
    let mut passes = async |event: &str| {
        watch
            .write(format!("{:x}\r\n{event}\r\n", event.len()))
            .await;
        assert_eq!(in_time(client.chunk()).await.unwrap(), event.as_bytes());
    };
    passes("{}\n").await;
    let sent = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&sent);
    let load = Load::of(&kubegate.address, move |number| {
        counted.store(number, Ordering::SeqCst);
        let context = if number % 2 == 0 { "a" } else { "b" };
        format!("GET /clusters/{context}/load")
    });
    let reaches = async |path: &str, mark: &str| {
        let changed = Instant::now();
        loop {
            let response = get(&kubegate.address, path).await;
            if response.contains(mark) {
                return;
            }
            assert!(
                changed.elapsed() < IN_FORCE,
                "{path}: {response}\n{}",
                kubegate.log()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    reaches("/clusters/b/x", "server b:").await;
    // After each change, one request to a context that no change concerns.
    let mut asked = 0;
    let mut ask_quiet = async || {
        asked += 1;
        reaches("/clusters/quiet/x", "server quiet:").await;
        asked
    };
    for round in 0..3 {
        // Added.
        config.set("c", &c.url());
        config.write();
        reaches("/clusters/c/x", "server c:").await;
        ask_quiet().await;
        passes(&format!("{{\"round\":{round}}}\n")).await;
        // Changed.
        let to = if round % 2 == 0 { &c } else { &b };
        config.set("b", &to.url());
        config.write();
        let mark = if round % 2 == 0 {
            "server c:"
        } else {
            "server b:"
        };
        reaches("/clusters/b/x", mark).await;
        ask_quiet().await;
        // Renamed.
        let cluster = config.contexts.remove("c").unwrap();
        config.contexts.insert(LONG.to_owned(), cluster);
        config.write();
        reaches("/clusters/c/x", "HTTP/1.1 404").await;
        ask_quiet().await;
        reaches(&format!("/clusters/{LONG}/x"), "server c:").await;
        ask_quiet().await;
        // Broken, which changes nothing, and removed.
        fs::write(config.path(), "{").unwrap();
        tokio::time::sleep(Duration::from_millis(1200)).await;
        config.contexts.remove(LONG);
        config.write();
        reaches(&format!("/clusters/{LONG}/x"), "HTTP/1.1 404").await;
        ask_quiet().await;
        passes("{}\n").await;
    }
    assert_all_answered(&load.off().await);
    // What was not changed kept its connections, of which each worker has one for one request at a time.
    let asked = ask_quiet().await;
    let connections = quiet.connections();
    assert!(asked > serve::worker_count(), "{asked} requests");
    assert!(
        connections <= serve::worker_count(),
        "{connections} connections for {asked} requests"
    );
    assert!(
        !kubegate
            .log()
            .contains("not reloaded, the last good configuration stays in use: context")
    );
}
