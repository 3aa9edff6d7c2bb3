//! Sockets that systemd hands over (`sd_listen_fds(3)`).

use std::{
    net::TcpListener,
    os::{fd::OwnedFd, unix::net::UnixListener},
    process::{Command, Stdio},
};

use tempfile::tempdir;

use crate::support::{
    Connection, Kubegate, Refused, Upstream, exchange, exchange_unix, get, status,
};

const NOWHERE: [&str; 2] = ["--server", "https://127.0.0.1:1"];

/// The program with `fd` as its descriptors from 3 on, one for each of `names`, as systemd starts it.
fn activated(fd: impl Into<OwnedFd>, names: &str, args: &[&str]) -> Command {
    let own = Kubegate::command(args);
    let count = names.split(':').count();
    let copies: Vec<String> = (0..count).map(|at| format!("{}<&0", at + 3)).collect();
    let copies = copies.join(" ");
    let script =
        format!("export LISTEN_PID=$$ LISTEN_FDS={count}; exec \"$0\" \"$@\" {copies} </dev/null");
    let mut command = Command::new("sh");
    command.args(["-c", &script]).arg(own.get_program());
    command.args(own.get_args()).env_clear();
    let variables = own.get_envs();
    command.envs(variables.filter_map(|(name, value)| Some((name, value?))));
    command.env("LISTEN_FDNAMES", names);
    command.stdin(Stdio::from(fd.into()));
    command
}

fn tcp(address: &str) -> TcpListener {
    TcpListener::bind(address).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn inherited_sockets_are_served_by_name() {
    let upstream = Upstream::plain(Connection::echo).await;
    let url = upstream.url();
    let args = ["--server", &url, "--token", "sesame"];
    for names in ["proxy", "kubegate.socket", "proxy:proxy"] {
        let listener = tcp("127.0.0.1:0");
        let address = listener.local_addr().unwrap().to_string();
        let kubegate = Kubegate::spawn(activated(listener.try_clone().unwrap(), names, &args));
        let count = names.split(':').count();
        assert_eq!(kubegate.address, vec![&*address; count].join(", "));
        assert_eq!(status(&get(&address, "/a").await), 200);
        // Its end leaves the socket to systemd: connections wait for the next start.
        kubegate.signal("TERM");
        assert_eq!(kubegate.wait().0, Some(0));
        let waiting = tokio::spawn({
            let address = address.clone();
            async move { get(&address, "/b").await }
        });
        let _next = Kubegate::spawn(activated(listener, names, &args));
        assert_eq!(status(&waiting.await.unwrap()), 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_inherited_unix_socket_is_served_and_left_in_place() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("kube.sock");
    let upstream = Upstream::plain(Connection::echo).await;
    let listener = UnixListener::bind(&path).unwrap();
    let args = ["--server", &upstream.url()];
    let kubegate = Kubegate::spawn(activated(listener, "proxy", &args));
    assert_eq!(kubegate.address, path.to_str().unwrap());
    let request = "GET /a HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    assert_eq!(status(&exchange_unix(&path, request).await), 200);
    kubegate.signal("TERM");
    assert_eq!(kubegate.wait().0, Some(0));
    assert!(path.exists());
}

#[test]
fn what_is_no_listening_socket_of_a_known_name_is_refused() {
    let folder = tempdir().unwrap();
    let listener = || OwnedFd::from(tcp("127.0.0.1:0"));
    let datagrams = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let server = tcp("127.0.0.1:0");
    let connected = std::net::TcpStream::connect(server.local_addr().unwrap()).unwrap();
    let file = std::fs::File::create(folder.path().join("file")).unwrap();
    for (fd, names, code, problem) in [
        (listener(), "metrcs", 1, "\"metrcs\""),
        (listener(), "proxy:other", 1, "FileDescriptorName=proxy"),
        (listener(), "", 1, "LISTEN_FDNAMES"),
        (OwnedFd::from(datagrams), "proxy", 1, "Accept=no"),
        (OwnedFd::from(connected), "proxy", 1, "Accept=no"),
        (OwnedFd::from(file), "proxy", 1, "listening stream socket"),
        (
            OwnedFd::from(tcp("0.0.0.0:0")),
            "proxy",
            2,
            "--unsafe-listen",
        ),
    ] {
        let Refused {
            code: got,
            stdout,
            stderr,
            ..
        } = Kubegate::refused(activated(fd, names, &NOWHERE));
        assert_eq!((got, stdout.as_str()), (Some(code), ""), "{names} {stderr}");
        assert!(stderr.contains(problem), "{names} {stderr}");
    }
    for flags in [
        &["--port", "8002"][..],
        &["--address", "::1"],
        &["-u", "/x"],
    ] {
        let args = [&NOWHERE[..], flags].concat();
        let ended = Kubegate::refused(activated(listener(), "proxy", &args));
        assert_eq!(ended.code, Some(2));
        assert!(ended.stderr.contains("systemd hands over"), "{ended:?}");
    }
    let wide = tcp("0.0.0.0:0");
    let args = [&NOWHERE[..], &["--unsafe-listen"]].concat();
    let kubegate = Kubegate::spawn(activated(wide, "proxy", &args));
    kubegate.signal("TERM");
    let log = kubegate.wait().1;
    assert!(log.contains("--unsafe-listen: other machines"), "{log}");
}

#[test]
fn sockets_of_another_process_are_left_alone() {
    let mut command = Kubegate::command(NOWHERE);
    command.args(["--port", "0"]);
    command.envs([
        ("LISTEN_PID", "1"),
        ("LISTEN_FDS", "1"),
        ("LISTEN_FDNAMES", "x"),
    ]);
    assert!(Kubegate::spawn(command).address.starts_with("127.0.0.1:"));
}

/// A plugin must neither keep the socket open nor take it for its own.
#[tokio::test(flavor = "multi_thread")]
async fn plugins_get_neither_the_sockets_nor_the_variables() {
    let folder = tempdir().unwrap();
    let seen = folder.path().join("seen");
    let answer = r#"{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"token":"of-the-plugin"}}"#;
    let script = format!(
        "env > {0}; ls -l /proc/self/fd >> {0}; printf '%s' '{answer}'",
        seen.display()
    );
    let config = serde_json::json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
        "clusters": [{"name": "k", "cluster": {"server": "https://127.0.0.1:1"}}],
        "users": [{"name": "u", "user": {"exec": {
            "apiVersion": "client.authentication.k8s.io/v1", "command": "sh",
            "args": ["-c", script], "interactiveMode": "Never"}}}],
    });
    let file = folder.path().join("config");
    std::fs::write(&file, config.to_string()).unwrap();
    let listener = tcp("127.0.0.1:0");
    let address = listener.local_addr().unwrap().to_string();
    let args = ["--kubeconfig", file.to_str().unwrap()];
    let _kubegate = Kubegate::spawn(activated(listener, "proxy", &args));
    let head = "GET /a HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let _ = exchange(&address, head).await;
    let seen = std::fs::read_to_string(&seen).unwrap();
    assert!(seen.contains("PATH=") && seen.contains("pipe:"), "{seen}");
    assert!(
        !seen.contains("LISTEN_") && !seen.contains("socket:"),
        "{seen}"
    );
}
