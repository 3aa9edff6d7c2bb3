//! What is written to standard output and standard error, and when nobody reads it.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _},
    net::SocketAddr,
    process::Stdio,
};

use super::NOWHERE;
use crate::support::{Connection, Kubegate, Refused, Upstream, cert, exchange, get, status};

#[tokio::test]
async fn stdout_has_only_the_line_with_the_address() {
    let upstream = Upstream::plain(Connection::echo).await;
    let kubegate = Kubegate::start(["proxy", "--server", &upstream.url()]);
    let address: SocketAddr = kubegate.address.parse().unwrap();
    assert!(address.ip().is_loopback() && address.is_ipv4());
    assert_ne!(address.port(), 0);
    assert_eq!(
        upstream.connections(),
        0,
        "connected before the first request"
    );
    assert_eq!(status(&get(&kubegate.address, "/version").await), 200);
    kubegate.signal("TERM");
    let ended = kubegate.ended();
    assert_eq!(ended.code, Some(0));
    assert_eq!(ended.stdout, format!("Starting to serve on {address}\n"));
    assert!(ended.stderr.contains("drain"), "{}", ended.stderr);
}

#[test]
fn the_default_port_is_8001() {
    for args in [&[][..], &["proxy"]] {
        let mut command = Kubegate::command(NOWHERE);
        command
            .args(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (stdout, mut stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let mut output = String::new();
        BufReader::new(stdout).read_line(&mut output).unwrap();
        // The port may be in use on this machine; both outcomes name it.
        if output.is_empty() {
            stderr.read_to_string(&mut output).unwrap();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let is_reported = output == "Starting to serve on 127.0.0.1:8001\n"
            || output.contains("cannot listen on 127.0.0.1:8001");
        assert!(is_reported, "{args:?}: {output}");
    }
}

#[tokio::test]
async fn no_secret_is_logged_at_any_verbosity() {
    let upstream = Upstream::tls("localhost", Connection::echo).await;
    let ca = cert("ca.pem");
    let base = [
        "-s",
        &upstream.url(),
        "--certificate-authority",
        ca.to_str().unwrap(),
        "-v",
        "9",
    ];
    for login in [
        &["--token", "hunter2-token"][..],
        &["--username", "jane", "--password", "hunter2-password"],
    ] {
        let kubegate = Kubegate::start(base.iter().chain(login));
        let response = get(&kubegate.address, "/seen-path?command=hunter2-query").await;
        assert_eq!(status(&response), 200, "{response}");
        let head = format!(
            "GET /own HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer hunter2-own\r\n\
             Cookie: hunter2-cookie\r\nConnection: close\r\n\r\n",
            kubegate.address
        );
        let response = exchange(&kubegate.address, head).await;
        assert!(response.contains("hunter2-own"), "{response}");
        kubegate.signal("TERM");
        let (_, log) = kubegate.wait();
        assert!(log.contains("seen-path"), "no request in the log: {log}");
        for secret in ["hunter2", "amFuZTpodW50ZXIyLXBhc3N3b3Jk"] {
            assert!(!log.contains(secret), "{log}");
        }
        for library in ["hyper::", "h2::", "rustls::", "hyper_util"] {
            assert!(!log.contains(library), "{log}");
        }
    }
}

/// Runs a command whose standard output has no reader.
fn run_unread(args: &[&str]) -> Refused {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = Kubegate::command(NOWHERE);
    command.args(args).stdout(writer);
    Kubegate::refused_into(command)
}

#[test]
fn a_closed_stdout_ends_the_proxy_with_an_error() {
    let ended = run_unread(&["--port", "0"]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("standard output"), "{ended:?}");
    assert!(!ended.stderr.contains("panicked"), "{ended:?}");
}

#[test]
fn a_command_ends_quietly_after_its_reader() {
    for (args, code) in [
        (&["completions", "bash"][..], 141),
        (&["completions", "zsh"], 141),
        (&["completions", "powershell"], 141),
        (&["options"], 141),
        (&["contexts"], 141),
        (&["contexts", "-o", "json"], 141),
        (&["version"], 141),
        (&["registry", "list"], 141),
        (&["docker-credential", "list"], 141),
        (&["--help"], 0),
        (&["login", "oidc", "--help"], 0),
        (&["--version"], 0),
    ] {
        let ended = run_unread(args);
        assert_eq!(ended.code, Some(code), "{args:?}: {ended:?}");
        assert_eq!(ended.stderr, "", "{args:?}");
    }
    // The control: a full disk is an error.
    let mut command = Kubegate::command(["options"]);
    command.stdout(fs::File::options().write(true).open("/dev/full").unwrap());
    let ended = Kubegate::refused_into(command);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("standard output"), "{ended:?}");
}
