//! Where kubegate listens: ports, addresses and unix sockets.

use std::{
    fs,
    net::TcpListener,
    os::unix::{fs::PermissionsExt as _, net::UnixListener},
    process::Stdio,
    time::{Duration, Instant},
};

use tempfile::tempdir;

use crate::support::{Connection, Kubegate, PATIENCE, Refused, Upstream, exchange_unix, status};

/// An API server that is never connected to.
const NOWHERE: [&str; 2] = ["--server", "https://127.0.0.1:1"];

/// Runs a command that must end by itself.
fn run(args: &[&str]) -> Refused {
    Kubegate::refused(Kubegate::command(args))
}

/// Runs the program with an API server to proxy to; it must end by itself.
fn run_beside(args: &[&str]) -> Refused {
    let mut command = Kubegate::command(NOWHERE);
    command.args(args);
    Kubegate::refused(command)
}

fn free_port() -> u16 {
    let probe = TcpListener::bind("127.0.0.1:0").unwrap();
    probe.local_addr().unwrap().port()
}

fn start_beside(args: &[&str]) -> Kubegate {
    Kubegate::start(NOWHERE.iter().chain(args))
}

#[test]
fn a_port_in_use_is_named_in_the_error() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let port = address.port().to_string();
    let other = std::process::id().to_string();
    for at in ["127.0.0.1", "0.0.0.0"] {
        let ended = run_beside(&["-p", &port, "--address", at, "--unsafe-listen"]);
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), ""));
        let text = format!("{at}:{port}");
        for part in [&text, "--port", &format!("process {other}, listens there")] {
            assert!(ended.stderr.contains(part), "{part}: {ended:?}");
        }
    }
}

#[test]
fn listening_beyond_loopback_requires_tls_and_a_proof_of_the_client() {
    let tokens = tempfile::NamedTempFile::new().unwrap();
    fs::write(tokens.path(), "alice alices-local-token-0123\n").unwrap();
    let tokens = ["--require-token-file", tokens.path().to_str().unwrap()];
    for (extra, problem) in [
        (&[][..], "credential"),
        (&["--accept-hosts", ".*"], "credential"),
        (&["--disable-filter", "--allow-any-uid"], "credential"),
        (&tokens, "tokens of clients"),
    ] {
        for address in ["0.0.0.0", "::", "::ffff:0.0.0.0"] {
            let args = [&["--address", address, "--port", "0"], extra].concat();
            let ended = run_beside(&args);
            assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""));
            for part in ["--tls-", "--unsafe-listen", "listening on", problem] {
                assert!(ended.stderr.contains(part), "{args:?} {}", ended.stderr);
            }
        }
    }
    // Only this machine reaches these.
    for address in ["localhost", "127.0.0.9", "::ffff:127.0.0.1"] {
        let kubegate = start_beside(&["--address", address]);
        kubegate.signal("TERM");
        assert!(!kubegate.wait().1.contains("WARN"), "{address}");
    }
}

#[test]
fn unsafe_listen_overrides_that_with_a_warning_at_each_start() {
    for hosts in ["^me$", ".*"] {
        let kubegate = start_beside(&[
            "--address",
            "0.0.0.0",
            "--unsafe-listen",
            "--accept-hosts",
            hosts,
        ]);
        assert!(kubegate.address.starts_with("0.0.0.0:"));
        kubegate.signal("TERM");
        let (_, log) = kubegate.wait();
        assert!(
            log.contains("WARN") && log.contains("--unsafe-listen: other machines"),
            "{log}"
        );
        assert_eq!(log.contains("rebinding"), hosts == ".*", "{log}");
    }
    let kubegate = start_beside(&["--unsafe-listen"]);
    kubegate.signal("TERM");
    assert!(!kubegate.wait().1.contains("WARN"));
}

#[test]
fn a_server_that_is_the_own_listener_is_refused() {
    let has_ipv6 = TcpListener::bind("[::1]:0").is_ok();
    if !has_ipv6 {
        eprintln!("NOT TESTED: this machine has no IPv6 loopback");
    }
    let wide = ["--unsafe-listen", "--address"];
    for (server, extra) in [
        ("http://127.0.0.1", &[][..]),
        ("https://localhost", &[]),
        ("127.0.0.1", &[]),
        ("http://0.0.0.0", &[]),
        ("http://[::ffff:127.0.0.1]", &[]),
        ("http://127.0.0.1", &[&wide[..], &["0.0.0.0"]].concat()),
        ("http://127.0.0.9", &[&wide[..], &["0.0.0.0"]].concat()),
        ("http://0.0.0.0", &[&wide[..], &["0.0.0.0"]].concat()),
        ("http://[::1]", &["--address", "::1"]),
        ("http://[::1]", &[&wide[..], &["::"]].concat()),
    ] {
        if server.contains("::1") && !has_ipv6 {
            continue;
        }
        let port = free_port();
        let (server, port) = (format!("{server}:{port}"), port.to_string());
        let args = [&["--server", &server, "--port", &port], extra].concat();
        let ended = run(&args);
        assert_eq!(
            (ended.code, ended.stdout.as_str()),
            (Some(1), ""),
            "{args:?}"
        );
        assert!(ended.stderr.contains("own listener"), "{args:?}: {ended:?}");
    }
    // The same host on another port is another server.
    let _control = Kubegate::start(["--server", &format!("http://127.0.0.1:{}", free_port())]);
}

#[tokio::test]
async fn a_unix_socket_is_private_and_removed_at_the_end() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("kube.sock");
    // A socket that another process left behind.
    drop(UnixListener::bind(&path).unwrap());
    fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).unwrap();
    let upstream = Upstream::plain(Connection::echo).await;
    let mut command = Kubegate::command(["--server", &upstream.url(), "-u"]);
    command.arg(&path);
    let kubegate = Kubegate::spawn(command);
    assert_eq!(kubegate.address, path.to_str().unwrap());
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "{mode:o}");

    let request =
        |host: &str| format!("GET /a HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    let response = exchange_unix(&path, request("localhost")).await;
    assert_eq!(status(&response), 200, "{response}");
    assert!(
        !response.to_lowercase().contains("x-forwarded-for"),
        "{response}"
    );
    let response = exchange_unix(&path, request("evil.example")).await;
    assert_eq!(status(&response), 403, "{response}");

    kubegate.signal("TERM");
    let ended = kubegate.ended();
    assert_eq!(ended.code, Some(0));
    assert_eq!(
        ended.stdout,
        format!("Starting to serve on {}\n", path.display())
    );
    assert!(!path.exists());
}

#[test]
fn a_unix_socket_replaces_no_other_file() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("precious");
    fs::write(&path, "data").unwrap();
    let link = folder.path().join("link");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    for path in [&path, &link, &folder.path().to_owned()] {
        let ended = run_beside(&["--unix-socket", path.to_str().unwrap()]);
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), ""));
        assert!(ended.stderr.contains(path.to_str().unwrap()), "{ended:?}");
        assert!(ended.stderr.contains("--unix-socket"), "{ended:?}");
    }
    assert_eq!(fs::read_to_string(&link).unwrap(), "data");
}

#[tokio::test]
async fn a_socket_in_use_is_not_taken_over() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("kube.sock");
    let at = path.to_str().unwrap();
    let request = "GET /a HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let upstream = Upstream::plain(Connection::echo).await;
    let first = Kubegate::before(&upstream, &["--unix-socket", at]);
    let refused = run_beside(&["--unix-socket", at]);
    assert_eq!((refused.code, refused.stdout.as_str()), (Some(1), ""));
    let process = format!("serves there: kubegate, process {};", first.id());
    for part in ["--unix-socket", at, &process] {
        assert!(refused.stderr.contains(part), "{part}: {refused:?}");
    }
    assert_eq!(status(&exchange_unix(&path, request).await), 200);
    // A process that crashed leaves a socket without a server.
    first.signal("KILL");
    assert_eq!(first.wait().0, None);
    assert!(path.exists());
    let second = Kubegate::before(&upstream, &["--unix-socket", at]);
    assert_eq!(status(&exchange_unix(&path, request).await), 200);
    // A process whose socket was replaced does not remove the new one.
    fs::remove_file(&path).unwrap();
    let third = Kubegate::before(&upstream, &["--unix-socket", at]);
    second.signal("TERM");
    assert_eq!(second.wait().0, Some(0));
    assert_eq!(status(&exchange_unix(&path, request).await), 200);
    third.signal("TERM");
    assert_eq!(third.wait().0, Some(0));
    assert!(!path.exists());
    // Sockets of other programs, of both kinds.
    let _live = UnixListener::bind(&path).unwrap();
    let datagrams = folder.path().join("datagrams");
    let _other = std::os::unix::net::UnixDatagram::bind(&datagrams).unwrap();
    for path in [&path, &datagrams] {
        let refused = run_beside(&["--unix-socket", path.to_str().unwrap()]);
        assert_eq!(refused.code, Some(1), "{refused:?}");
        assert!(
            refused.stderr.contains("choose another path"),
            "{refused:?}"
        );
        assert!(path.exists());
    }
}

#[tokio::test]
async fn one_of_several_processes_started_at_one_socket_serves() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("kube.sock");
    drop(UnixListener::bind(&path).unwrap());
    let start = || {
        let mut command = Kubegate::command(["--server", "http://127.0.0.1:1", "-u"]);
        command
            .arg(&path)
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        command.spawn().unwrap()
    };
    let mut started: Vec<_> = (0..8).map(|_| start()).collect();
    // All processes but one end by themselves.
    let until = Instant::now() + PATIENCE;
    loop {
        let running = |child: &mut std::process::Child| child.try_wait().unwrap().is_none();
        let left = started
            .iter_mut()
            .filter_map(|child| running(child).then_some(()))
            .count();
        if left == 1 {
            break;
        }
        assert!(left > 1 && Instant::now() < until, "{left} of them run");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let request = "GET / HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n";
    let response = exchange_unix(&path, request).await;
    for mut child in started {
        let _ = child.kill();
        let _ = child.wait();
    }
    assert_eq!(status(&response), 403, "{response}");
}

#[tokio::test]
async fn without_a_path_the_socket_is_in_a_private_folder() {
    let runtime = tempdir().unwrap();
    let upstream = Upstream::plain(Connection::echo).await;
    let socket = runtime.path().join("kubegate/proxy.sock");
    for flag in ["--unix-socket", "-u"] {
        let mut command = Kubegate::command(["--server", &upstream.url(), flag]);
        command.env("XDG_RUNTIME_DIR", runtime.path());
        let kubegate = Kubegate::spawn(command);
        assert_eq!(kubegate.address, socket.to_str().unwrap());
        let folder = fs::metadata(socket.parent().unwrap()).unwrap();
        assert_eq!(folder.permissions().mode() & 0o777, 0o700);
        assert_eq!(status(&exchange_unix(&socket, ASK).await), 200);
    }
    let ended = run_beside(&["--unix-socket"]);
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""));
    assert!(ended.stderr.contains("XDG_RUNTIME_DIR"), "{ended:?}");
    // Another user's folder in its place.
    if rustix::process::geteuid().is_root() {
        let folder = socket.parent().unwrap();
        std::os::unix::fs::chown(folder, Some(54321), None).unwrap();
        let mut command = Kubegate::command(NOWHERE);
        command.arg("-u").env("XDG_RUNTIME_DIR", runtime.path());
        let ended = Kubegate::refused(command);
        assert_eq!(ended.code, Some(1));
        assert!(ended.stderr.contains("another user owns"), "{ended:?}");
    }
}

const ASK: &str = "GET /a HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

#[test]
fn a_socket_where_others_can_replace_it_is_refused_or_warned_of() {
    let folder = tempdir().unwrap();
    let inner = folder.path().join("inner");
    fs::create_dir(&inner).unwrap();
    let socket = inner.join("kube.sock");
    let at = socket.to_str().unwrap();
    let set = |path: &std::path::Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    for (outer_mode, mode) in [(0o700, 0o777), (0o777, 0o700)] {
        set(folder.path(), outer_mode);
        set(&inner, mode);
        let ended = run_beside(&["-u", at]);
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), ""));
        assert!(
            ended.stderr.contains("every user can write to"),
            "{ended:?}"
        );
        assert!(!socket.exists());
    }
    set(folder.path(), 0o700);
    for (mode, extra, warning) in [
        (0o1777, &[][..], "every user can write to"),
        (0o770, &[], "the users of a group can write to"),
        (0o777, &["--allow-any-uid"], "every user can write to"),
        (0o700, &[], ""),
        (0o755, &[], ""),
    ] {
        set(&inner, mode);
        let mut command = Kubegate::command(NOWHERE);
        command.args(["-u", at]).args(extra);
        let kubegate = Kubegate::spawn(command);
        kubegate.signal("TERM");
        let (_, log) = kubegate.wait();
        let warns = log.contains("WARN");
        assert_eq!(warns, !warning.is_empty(), "{mode:o} {log}");
        assert!(log.contains(warning), "{mode:o} {log}");
    }
}

#[test]
fn a_path_that_is_too_long_for_a_socket_is_named_with_the_limit() {
    let folder = tempdir().unwrap();
    let length = |socket: &std::path::Path| socket.as_os_str().len();
    let fill = 107 - length(folder.path()) - 1;
    let fits = folder.path().join("s".repeat(fill));
    let too_long = folder.path().join("s".repeat(fill + 1));
    let ended = run_beside(&["-u", too_long.to_str().unwrap()]);
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), ""));
    for part in ["--unix-socket", "108 bytes", "at most 107"] {
        assert!(ended.stderr.contains(part), "{ended:?}");
    }
    let mut command = Kubegate::command(NOWHERE);
    command.arg("-u").arg(&fits);
    assert_eq!(Kubegate::spawn(command).address, fits.to_str().unwrap());
}

#[test]
fn a_unix_socket_and_a_port_exclude_each_other() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("socket");
    let ended = run_beside(&["-u", path.to_str().unwrap(), "-p", "8002"]);
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""));
    for flag in ["--unix-socket", "--port"] {
        assert!(ended.stderr.contains(flag), "{ended:?}");
    }
    assert!(!path.exists());
}
