//! `--www`: static files beside the API.

use std::{fs, os::unix::net::UnixListener, path::Path};

use tempfile::tempdir;

use crate::support::{Connection, Kubegate, Refused, Upstream, exchange, get, status};

/// An API server that is never connected to.
const NOWHERE: [&str; 2] = ["--server", "https://127.0.0.1:1"];

/// Runs the program with an API server to proxy to; it must end by itself.
fn run_beside(args: &[&str]) -> Refused {
    let mut command = Kubegate::command(NOWHERE);
    command.args(args);
    Kubegate::refused(command)
}

fn start_beside(args: &[&str]) -> Kubegate {
    Kubegate::start(NOWHERE.iter().chain(args))
}

fn site(folder: &Path) {
    fs::create_dir_all(folder.join("www/nested")).unwrap();
    for (name, text) in [
        ("secret", "out of reach"),
        ("www/index.html", "<p>front</p>"),
        ("www/a b.txt", "spaced"),
        ("www/nested/index.html", "<p>nested</p>"),
        ("www/nested/deep.js", "deep"),
    ] {
        fs::write(folder.join(name), text).unwrap();
    }
}

#[tokio::test]
async fn static_files_are_served_beside_the_api() {
    let folder = tempdir().unwrap();
    site(folder.path());
    let www = folder.path().join("www");
    let upstream = Upstream::plain(Connection::echo).await;
    let kubegate = Kubegate::start(["-s", &upstream.url(), "-w", www.to_str().unwrap()]);
    for (path, text) in [
        ("/static/", "<p>front</p>"),
        ("/static/index.html", "<p>front</p>"),
        ("/static/a%20b.txt", "spaced"),
        ("/static/nested/", "<p>nested</p>"),
        ("/static/nested/deep.js?v=1", "deep"),
        ("/version", "GET /version HTTP/1.1"),
        ("/statics", "GET /statics HTTP/1.1"),
    ] {
        let response = get(&kubegate.address, path).await;
        assert_eq!(status(&response), 200, "{path}: {response}");
        assert!(response.contains(text), "{path}: {response}");
    }
    assert_eq!(status(&get(&kubegate.address, "/static/no.txt").await), 404);
    // A folder without a trailing slash is redirected to the folder, under the prefix.
    for (path, to) in [
        ("/static/nested", "/static/nested/"),
        ("/static", "/static/"),
        ("/static?a=b", "/static/?a=b"),
    ] {
        let response = get(&kubegate.address, path).await;
        assert!(matches!(status(&response), 301 | 307), "{response}");
        let location = response.split("\r\nlocation: ").nth(1).unwrap();
        let location = location.split("\r\n").next().unwrap();
        assert_eq!(location, to, "{response}");
    }
    assert_eq!(upstream.connections(), 1);
}

#[tokio::test]
async fn static_files_are_confined_to_their_folder() {
    let folder = tempdir().unwrap();
    site(folder.path());
    let www = folder.path().join("www");
    let upstream = Upstream::plain(Connection::echo).await;
    let kubegate = Kubegate::start([
        "-s",
        &upstream.url(),
        "-w",
        www.to_str().unwrap(),
        "-P",
        "/ui",
    ]);
    let control = get(&kubegate.address, "/ui/nested/deep.js").await;
    assert_eq!(status(&control), 200, "{control}");
    for path in [
        "/ui/../secret",
        "/ui/..%2fsecret",
        "/ui/..%2Fsecret",
        "/ui/%2e%2e/secret",
        "/ui/%2e%2e%2fsecret",
        "/ui/nested/../../secret",
        "/ui/..%5csecret",
        "/ui//../secret",
    ] {
        let response = get(&kubegate.address, path).await;
        assert!(
            (400..500).contains(&status(&response)),
            "{path}: {response}"
        );
        assert!(!response.contains("out of reach"), "{path}: {response}");
    }
    assert_eq!(upstream.connections(), 0);
}

#[tokio::test]
#[allow(clippy::too_many_lines)]
async fn pipes_devices_and_outside_links_are_not_found_at_once() {
    let folder = tempdir().unwrap();
    site(folder.path());
    let www = folder.path().join("www");
    let pipe = std::process::Command::new("mkfifo")
        .arg(www.join("pipe"))
        .status();
    assert!(pipe.unwrap().success());
    let _socket = UnixListener::bind(www.join("socket")).unwrap();
    fs::create_dir(www.join(".git")).unwrap();
    fs::create_dir(www.join("..data")).unwrap();
    for name in [".env", ".git/config", "..data/page", "nested/.hidden"] {
        fs::write(www.join(name), "hidden").unwrap();
    }
    for (name, to) in [
        ("out", "../secret"),
        ("far", "/etc/hostname"),
        ("folder", ".."),
        ("null", "/dev/null"),
        ("loop", "loop"),
        ("gone", "nowhere"),
        // Links as in a mounted ConfigMap, and a link with an absolute path.
        ("page", "..data/page"),
        ("within", "nested/deep.js"),
        ("whole", www.join("nested").to_str().unwrap()),
    ] {
        std::os::unix::fs::symlink(to, www.join(name)).unwrap();
    }
    let start = |more: &[&str]| {
        let mut args = vec!["-w", www.to_str().unwrap()];
        args.extend(more);
        start_beside(&args)
    };
    let (plain, links) = (start(&[]), start(&["--www-follow-symlinks"]));
    let dots = start(&["--www-dotfiles"]);
    let long = format!("/{}", "a".repeat(300));
    // None of these requests waits.
    let ask = async |kubegate: &Kubegate, path: &str, count: usize| {
        let path = format!("/static{path}");
        let requests = (0..count).map(|_| get(&kubegate.address, &path));
        let responses = futures_util::future::join_all(requests).await;
        let statuses = responses.iter().map(|response| status(response));
        let statuses: std::collections::BTreeSet<u16> = statuses.collect();
        (
            statuses.into_iter().collect::<Vec<_>>(),
            responses[0].clone(),
        )
    };
    for path in [
        "/pipe",
        "/socket",
        "/null",
        "/loop",
        "/gone",
        &long,
        "/index.html/x",
        "/pipe/",
    ] {
        for kubegate in [&plain, &links, &dots] {
            assert_eq!(ask(kubegate, path, 60).await.0, [404], "{path}");
        }
    }
    for path in ["/out", "/far", "/folder/secret"] {
        assert_eq!(ask(&plain, path, 1).await.0, [404], "{path}");
        assert_eq!(ask(&dots, path, 1).await.0, [404], "{path}");
        assert_eq!(ask(&links, path, 1).await.0, [200], "{path}");
    }
    for path in [
        "/.env",
        "/.git/config",
        "/..data/page",
        "/nested/.hidden",
        "/%2eenv",
    ] {
        assert_eq!(ask(&plain, path, 1).await.0, [404], "{path}");
        assert_eq!(ask(&links, path, 1).await.0, [404], "{path}");
        assert_eq!(ask(&dots, path, 1).await.0, [200], "{path}");
    }
    for (path, text) in [
        ("/page", "hidden"),
        ("/within", "deep"),
        // Out of the folder and back into it.
        ("/folder/www/nested/deep.js", "deep"),
        ("/whole/deep.js", "deep"),
        ("/whole/", "<p>nested</p>"),
        ("/nested/", "<p>nested</p>"),
    ] {
        let (statuses, response) = ask(&plain, path, 1).await;
        assert_eq!(statuses, [200], "{path}");
        assert!(response.ends_with(text), "{path}: {response}");
    }
    // A range, a HEAD request, and a folder that is replaced as a whole.
    let request =
        |head: &str| format!("{head} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n");
    let part = request("GET /static/nested/deep.js") + "Range: bytes=1-2\r\n\r\n";
    let response = exchange(&plain.address, part).await;
    assert!(
        response.starts_with("HTTP/1.1 206 ") && response.ends_with("\r\n\r\nee"),
        "{response}"
    );
    let response = exchange(
        &plain.address,
        request("HEAD /static/nested/deep.js") + "\r\n",
    )
    .await;
    assert!(response.contains("content-length: 4\r\n"), "{response}");
    fs::rename(&www, folder.path().join("before")).unwrap();
    fs::create_dir(&www).unwrap();
    fs::write(www.join("index.html"), "new").unwrap();
    assert!(ask(&plain, "/", 1).await.1.ends_with("new"));
}

#[tokio::test]
async fn the_longer_prefix_decides_between_page_and_api() {
    let folder = tempdir().unwrap();
    site(folder.path());
    let www = folder.path().join("www");
    let www = www.to_str().unwrap();
    let upstream = Upstream::plain(Connection::echo).await;
    let flags = ["-w", www, "--www-prefix", "/", "--api-prefix", "/api/"];
    let kubegate = Kubegate::before(&upstream, &flags);
    for (path, code, text) in [
        ("/api/v1/pods?a=b", 200, "GET /api/v1/pods?a=b HTTP/1.1"),
        ("/", 200, "<p>front</p>"),
        ("/nested/deep.js", 200, "deep"),
        ("/apis/apps/v1", 404, ""),
        ("/api", 307, "location: /api/\r\n"),
    ] {
        let response = get(&kubegate.address, path).await;
        assert_eq!(status(&response), code, "{path}: {response}");
        assert!(response.contains(text), "{path}: {response}");
    }
    for (www_prefix, api_prefix) in [("/", "/"), ("/a", "a/")] {
        let prefixes = ["--www-prefix", www_prefix, "--api-prefix", api_prefix];
        let refused = run_beside(&[&["-p", "0", "-w", www], &prefixes[..]].concat());
        assert_eq!(refused.code, Some(2), "{refused:?}");
        assert!(
            refused.stderr.contains("--www-prefix and --api-prefix"),
            "{refused:?}"
        );
    }
}

#[tokio::test]
async fn other_hosts_and_pages_get_no_static_files() {
    let folder = tempdir().unwrap();
    site(folder.path());
    let www = folder.path().join("www");
    let kubegate = start_beside(&["-w", www.to_str().unwrap()]);
    let ask = async |host: &str, more: &str| {
        let head =
            format!("GET /static/ HTTP/1.1\r\nHost: {host}\r\n{more}Connection: close\r\n\r\n");
        status(&exchange(&kubegate.address, head).await)
    };
    assert_eq!(ask("localhost", "").await, 200);
    assert_eq!(ask("evil.example", "").await, 403);
    assert_eq!(
        ask("localhost", "Origin: https://evil.example\r\n").await,
        403
    );
}

#[test]
fn a_missing_www_folder_is_refused_at_the_start() {
    let folder = tempdir().unwrap();
    let missing = folder.path().join("www");
    let ended = run_beside(&["--port", "0", "-w", missing.to_str().unwrap()]);
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), ""));
    assert!(ended.stderr.contains("--www"), "{ended:?}");
    assert!(
        ended.stderr.contains(missing.to_str().unwrap()),
        "{ended:?}"
    );
}
