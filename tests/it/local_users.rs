//! Which users of the machine may connect. Clients are curl processes of other users, which only root
//! can start.

use std::{
    fs,
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    process::{Command, Output, Stdio},
};

use tempfile::tempdir;

use crate::support::{Connection, Kubegate, Upstream, exchange, status};

/// The uids of two other users: `nobody`, and one without a name.
const NOBODY: u32 = 65534;
const NAMELESS: u32 = 54321;

/// Whether this process may start others as other users. A test that cannot says so.
fn can_change_user() -> bool {
    let is_root = rustix::process::geteuid().is_root();
    if !is_root {
        eprintln!("NOT TESTED: only root can start clients of other users");
    }
    is_root
}

/// A curl process of another user, which prints the body and the status.
fn curl_as(uid: u32, arguments: &[&str]) -> Command {
    let mut command = Command::new("curl");
    command
        .uid(uid)
        .gid(uid)
        .args([
            "--silent",
            "--max-time",
            "20",
            "--write-out",
            "\n%{http_code}",
        ])
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    command
}

/// Body and status that another user gets.
fn get_as(uid: u32, kubegate: &Kubegate, path: &str) -> (String, String) {
    let url = format!("http://{}{path}", kubegate.address);
    parted(&curl_as(uid, &[&url]).output().unwrap())
}

fn parted(output: &Output) -> (String, String) {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (body, status) = text.rsplit_once('\n').unwrap();
    (body.to_owned(), status.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn another_user_is_refused_by_uid_and_flag() {
    if !can_change_user() {
        return;
    }
    let upstream = Upstream::plain(Connection::echo).await;
    let folder = tempdir().unwrap();
    fs::write(folder.path().join("page"), "static").unwrap();
    let www = folder.path().to_str().unwrap();
    for address in ["127.0.0.1", "::1"] {
        let kubegate = Kubegate::before(&upstream, &["--address", address, "--www", www]);
        for path in ["/api/v1/pods", "/static/page"] {
            let (body, code) = get_as(NOBODY, &kubegate, path);
            assert_eq!(code, "403", "{address} {path} {body}");
            assert!(body.contains("--allow-uid=65534"), "{body}");
            assert!(
                body.contains(r#""reason": "Forbidden""#)
                    || body.contains(r#""reason":"Forbidden""#),
                "{body}"
            );
        }
        assert!(kubegate.log().contains("65534"), "{}", kubegate.log());
    }
    assert_eq!(upstream.connections(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_own_user_and_root_pass() {
    let upstream = Upstream::plain(Connection::echo).await;
    let kubegate = Kubegate::before(&upstream, &[]);
    let head = "GET /x HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    assert_eq!(status(&exchange(&kubegate.address, head).await), 200);
    if !can_change_user() {
        return;
    }
    let mut command = Kubegate::command(["--server", &upstream.url(), "--token", "sesame"]);
    command.args(["--port", "0"]).uid(NAMELESS).gid(NAMELESS);
    let kubegate = Kubegate::spawn(command);
    assert_eq!(get_as(NAMELESS, &kubegate, "/x").1, "200");
    assert_eq!(get_as(0, &kubegate, "/x").1, "200");
    let (body, code) = get_as(NOBODY, &kubegate, "/x");
    assert_eq!(code, "403", "{body}");
    assert!(body.contains("(uid 54321)"), "{body}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_flags_let_other_users_in() {
    if !can_change_user() {
        return;
    }
    let upstream = Upstream::plain(Connection::echo).await;
    let kubegate = Kubegate::before(&upstream, &["--allow-uid", "nobody,1"]);
    assert_eq!(get_as(NOBODY, &kubegate, "/x").1, "200");
    assert_eq!(get_as(1, &kubegate, "/x").1, "200");
    assert_eq!(get_as(NAMELESS, &kubegate, "/x").1, "403");
    let kubegate = Kubegate::before(&upstream, &["--allow-any-uid"]);
    assert_eq!(get_as(NAMELESS, &kubegate, "/x").1, "200");
}

#[test]
fn an_unknown_user_name_is_refused_at_the_start() {
    let server = ["--server", "https://127.0.0.1:1", "--port", "0"];
    let mut command = Kubegate::command(server);
    command.args(["--allow-uid", "no-such-user"]);
    let ended = Kubegate::refused(command);
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), ""));
    for part in ["--allow-uid", "no-such-user", "uid"] {
        assert!(ended.stderr.contains(part), "{}", ended.stderr);
    }
}

/// The socket of a client that has gone is listed with uid 0, so it must not count as root's.
#[tokio::test(flavor = "multi_thread")]
async fn a_user_that_closes_before_it_is_accepted_is_not_taken_for_root() {
    if !can_change_user() {
        return;
    }
    let upstream = Upstream::plain(Connection::echo).await;
    let kubegate = Kubegate::before(&upstream, &[]);
    let url = format!("http://{}/api/v1/namespaces", kubegate.address);
    kubegate.signal("STOP");
    let mut post = curl_as(NOBODY, &["--data", "{}", "--max-time", "1", &url]);
    // It has connected and sent the request; nothing is read, so it gives up.
    assert_eq!(post.output().unwrap().status.code(), Some(28));
    kubegate.signal("CONT");
    // Connections are accepted in order, so the first one has been served once this one is.
    let head = "GET /x HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    assert_eq!(status(&exchange(&kubegate.address, head).await), 200);
    let log = kubegate.log();
    assert!(log.contains("--allow-any-uid"), "{log}");
    assert_eq!(upstream.connections(), 1, "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_user_is_refused_at_a_socket_that_is_open_to_it() {
    if !can_change_user() {
        return;
    }
    let upstream = Upstream::plain(Connection::echo).await;
    let folder = tempdir().unwrap();
    let open = fs::Permissions::from_mode(0o777);
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let socket = folder.path().join("door");
    let path = socket.to_str().unwrap();
    for (flags, expected) in [(&[][..], "403"), (&["--allow-uid=nobody"], "200")] {
        let mut arguments = vec!["--unix-socket", path];
        arguments.extend(flags);
        let _kubegate = Kubegate::before(&upstream, &arguments);
        fs::set_permissions(&socket, open.clone()).unwrap();
        let asked = ["--unix-socket", path, "http://localhost/x"];
        let (body, code) = parted(&curl_as(NOBODY, &asked).output().unwrap());
        assert_eq!(code, expected, "{flags:?} {body}");
        let (_, code) = parted(&curl_as(0, &asked).output().unwrap());
        assert_eq!(code, "200", "{flags:?}");
    }
}

/// The addresses of this machine that are not loopback.
fn other_addresses() -> Vec<String> {
    let output = Command::new("hostname").arg("-I").output();
    let text = output.map(|output| output.stdout).unwrap_or_default();
    let text = String::from_utf8(text).unwrap_or_default();
    text.split_whitespace()
        .filter(|address| address.contains('.'))
        .map(str::to_owned)
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn another_user_is_refused_at_every_address_of_the_machine() {
    if !can_change_user() {
        return;
    }
    let upstream = Upstream::plain(Connection::echo).await;
    let kubegate = Kubegate::before(
        &upstream,
        &[
            "--address",
            "0.0.0.0",
            "--accept-hosts=.*",
            "--unsafe-listen",
        ],
    );
    let (_, port) = kubegate.address.rsplit_once(':').unwrap();
    for address in other_addresses()
        .iter()
        .map(String::as_str)
        .chain(["127.0.0.9"])
    {
        let url = format!("http://{address}:{port}/x");
        let (body, code) = parted(&curl_as(NOBODY, &[&url]).output().unwrap());
        assert_eq!(code, "403", "{address} {body}");
        let (body, code) = parted(&curl_as(0, &[&url]).output().unwrap());
        assert_eq!(code, "200", "{address} {body}");
    }
}

/// Connections that are refused must not take up those that the limit allows.
#[tokio::test(flavor = "multi_thread")]
async fn another_user_cannot_take_up_the_connections() {
    if !can_change_user() {
        return;
    }
    let upstream = Upstream::plain(Connection::echo).await;
    let mut command = Kubegate::command(["--server", &upstream.url(), "--token", "sesame"]);
    command.args(["--port", "0"]);
    let mut limited = crate::support::command_like(&command, "sh", &["-c"]);
    limited.arg("ulimit -n 100; exec \"$0\" \"$@\"");
    limited.arg(command.get_program()).args(command.get_args());
    let kubegate = Kubegate::spawn(limited);
    // bash holds 120 connections open, in which it sends nothing.
    let (host, port) = kubegate.address.split_once(':').unwrap();
    let open = format!(
        "ulimit -n 500; for n in $(seq 10 129); do eval \"exec $n<>/dev/tcp/{host}/{port}\"; done; \
         echo open; read line"
    );
    let mut idle = Command::new("bash");
    let mut idle = idle
        .uid(NOBODY)
        .gid(NOBODY)
        .args(["-c", &open])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut output = std::io::BufReader::new(idle.stdout.take().unwrap());
    std::io::BufRead::read_line(&mut output, &mut line).unwrap();
    assert_eq!(line, "open\n");
    let head = "GET /x HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let response = exchange(&kubegate.address, head).await;
    assert_eq!(status(&response), 200, "{response}");
    drop(idle.stdin.take());
    idle.wait().unwrap();
}

/// The program in a user namespace of its own, as in a rootless container.
fn in_user_namespace(flags: &[&str], upstream: &Upstream) -> Command {
    let own = Kubegate::command(["--server", &upstream.url(), "--token", "sesame"]);
    let mut command = Command::new("unshare");
    command
        .args(flags)
        .arg(own.get_program())
        .args(own.get_args());
    command.args(["--port", "0"]).env_clear();
    let variables = own.get_envs();
    command.envs(variables.filter_map(|(name, value)| Some((name, value?))));
    command.stdin(Stdio::null());
    command
}

/// Outside of its user namespace, every user has the uid 65534 there.
#[tokio::test(flavor = "multi_thread")]
async fn in_a_user_namespace_no_other_user_is_taken_for_the_own() {
    let possible = Command::new("unshare").args(["--user", "true"]).status();
    if !can_change_user() || !possible.is_ok_and(|status| status.success()) {
        eprintln!("NOT TESTED: no user namespaces");
        return;
    }
    let upstream = Upstream::plain(Connection::echo).await;
    // Mapped to root in the namespace.
    let kubegate = Kubegate::spawn(in_user_namespace(&["--map-root-user"], &upstream));
    assert_eq!(get_as(0, &kubegate, "/x").1, "200");
    for uid in [NOBODY, NAMELESS] {
        let (body, code) = get_as(uid, &kubegate, "/x");
        assert_eq!(code, "403", "{body}");
        assert!(body.contains("uid 65534"), "{body}");
    }
    // Not mapped: its own uid is 65534 too, and stands for everyone.
    let kubegate = Kubegate::spawn(in_user_namespace(&["--user"], &upstream));
    for uid in [0, NOBODY, NAMELESS] {
        assert_eq!(get_as(uid, &kubegate, "/x").1, "403", "{uid}");
    }
    assert_eq!(upstream.connections(), 1);
}

/// A kubegate of another user is another user.
#[tokio::test(flavor = "multi_thread")]
async fn the_kubegate_of_another_user_gets_nothing() {
    if !can_change_user() {
        return;
    }
    let upstream = Upstream::plain(Connection::echo).await;
    let first = Kubegate::before(&upstream, &[]);
    let url = format!("http://{}", first.address);
    let mut command = Kubegate::command(["--server", &url, "--token", "sesame"]);
    command.args(["--port", "0", "--allow-any-uid"]);
    command.uid(NOBODY).gid(NOBODY);
    let second = Kubegate::spawn(command);
    let (body, code) = get_as(0, &second, "/x");
    assert_eq!(code, "403", "{body}");
    assert!(body.contains("--allow-uid=65534"), "{body}");
    assert_eq!(upstream.connections(), 0);
}
