//! What the log says at which verbosity, and how often.

use std::time::Duration;

use tokio::time::sleep;

use crate::support::{
    Connection, Kubegate, Served, ServerOptions, Upstream, cert, exchange, get, in_time, status,
};

const EXEC: &str = "/api/v1/namespaces/default/pods/web/exec";

/// The lines with all `parts` in them.
fn lines<'a>(log: &'a str, parts: &[&str]) -> Vec<&'a str> {
    let has_all = |line: &&str| parts.iter().all(|part| line.contains(part));
    log.lines().filter(has_all).collect()
}

/// Waits for a line with all `parts` in it.
async fn line(kubegate: &Kubegate, parts: &[&str]) -> String {
    in_time(async {
        loop {
            if let Some(line) = lines(&kubegate.log(), parts).first() {
                return (*line).to_owned();
            }
            sleep(Duration::from_millis(5)).await;
        }
    })
    .await
}

async fn from_foreign_host(kubegate: &Kubegate, host: &str) -> String {
    let head = format!("GET /api HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    exchange(&kubegate.address, head).await
}

#[tokio::test]
async fn without_verbosity_it_says_where_it_listens_and_nothing_of_requests() {
    let upstream = Upstream::tls("localhost", Connection::echo).await;
    let kubegate = Kubegate::before(&upstream, &["-v", "0"]);
    assert_eq!(status(&get(&kubegate.address, "/api").await), 200);
    let (url, address) = (upstream.url(), kubegate.address.clone());
    kubegate.signal("TERM");
    let (_, log) = kubegate.wait();
    let listening = lines(
        &log,
        &["listening on", &address, &url, "its own CA", "the token"],
    );
    assert_eq!(listening.len(), 1, "{log}");
    assert!(lines(&log, &["GET"]).is_empty(), "{log}");
}

#[tokio::test]
async fn refusals_of_one_kind_are_one_line_and_a_count() {
    let upstream = Upstream::tls("localhost", Connection::echo).await;
    let kubegate = Kubegate::before(&upstream, &["-v", "0"]);
    for n in 0..5 {
        let refused = from_foreign_host(&kubegate, &format!("host{n}.example")).await;
        assert_eq!(status(&refused), 403);
    }
    // Of another kind.
    let exec = get(&kubegate.address, &format!("{EXEC}?command=hunter2")).await;
    assert_eq!(status(&exec), 403);
    kubegate.signal("TERM");
    let (_, log) = kubegate.wait();
    let hosts = lines(&log, &["WARN", "--accept-hosts"]);
    assert_eq!(hosts.len(), 2, "{log}");
    assert!(hosts[0].contains("host0.example"), "{log}");
    assert!(
        hosts[1].contains(" 4 more of the kind \"--accept-hosts\" in the last "),
        "{log}"
    );
    assert_eq!(lines(&log, &["WARN", "--allow-exec"]).len(), 1, "{log}");
}

#[tokio::test]
async fn foreign_origins_do_not_hide_a_refused_exec() {
    let upstream = Upstream::tls("localhost", Connection::echo).await;
    let kubegate = Kubegate::before(&upstream, &["-v", "0"]);
    let host = &kubegate.address;
    for n in 0..70 {
        for header in [
            format!("Origin: http://page{n}.example"),
            format!("Sec-Fetch-Site: site{n}"),
        ] {
            let head = format!(
                "GET /api HTTP/1.1\r\nHost: {host}\r\n{header}\r\nConnection: close\r\n\r\n"
            );
            assert_eq!(status(&exchange(host, head).await), 403);
        }
        let letter = char::from(b'a' + n % 26);
        let name = format!("{letter}-{n}.example");
        assert_eq!(status(&from_foreign_host(&kubegate, &name).await), 403);
    }
    assert_eq!(status(&get(host, EXEC).await), 403);
    kubegate.signal("TERM");
    let (_, log) = kubegate.wait();
    for (rule, message) in [
        ("--allow-origin", "pages of the origin"),
        ("foreign site", "a page of another site"),
        ("--accept-hosts", "is not accepted"),
    ] {
        let refusals = lines(&log, &["WARN", message]);
        assert_eq!(refusals.len(), 2, "{log}");
        let count = format!(" 69 more of the kind {rule:?} in the last ");
        assert!(refusals[1].contains(&count), "{log}");
    }
    assert_eq!(lines(&log, &["WARN", "--allow-exec"]).len(), 1, "{log}");
}

#[tokio::test]
async fn an_outage_is_logged_after_an_odd_response() {
    let odd = |mut connection: Connection| async move {
        while connection.request().await.is_some() {
            let head = format!("HTTP/1.1 200 OK\r\n{}\r\n", "X-A: b\r\n".repeat(20_000));
            connection.write(&head).await;
        }
    };
    let upstream = Upstream::tls("localhost", odd).await;
    let kubegate = Kubegate::before(&upstream, &["-v", "0"]);
    assert_eq!(status(&get(&kubegate.address, "/api").await), 502);
    line(&kubegate, &["WARN", "more than 16384 header lines"]).await;
    drop(upstream);
    in_time(async {
        while lines(&kubegate.log(), &["WARN", "cannot connect to"]).is_empty() {
            assert!(status(&get(&kubegate.address, "/api").await) >= 500);
            sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_401_of_the_cluster_is_one_line() {
    let refuses = |mut connection: Connection| async move {
        while connection.request().await.is_some() {
            let head = "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n";
            connection.write(head).await;
        }
    };
    let upstream = Upstream::tls("localhost", refuses).await;
    let kubegate = Kubegate::before(&upstream, &["-v", "0"]);
    for _ in 0..3 {
        assert_eq!(status(&get(&kubegate.address, "/api").await), 401);
    }
    let own = format!(
        "GET /api HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer hunter2\r\nConnection: close\r\n\r\n",
        kubegate.address
    );
    assert_eq!(status(&exchange(&kubegate.address, own).await), 401);
    kubegate.signal("TERM");
    let (_, log) = kubegate.wait();
    let ours = lines(
        &log,
        &["WARN", "does not accept the credential (the token)"],
    );
    assert_eq!(ours.len(), 2, "{log}");
    assert!(ours[1].contains(" 2 more of the kind "), "{log}");
    let clients = lines(&log, &["401", "the client sent itself"]);
    assert_eq!(clients.len(), 1, "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_down_is_named_once_and_once_when_it_is_back() {
    let mut server = Served::start("127.0.7.9", ServerOptions::default()).await;
    server.stop().await;
    let mut command = Kubegate::command(["-v", "0", "--server", &server.url()]);
    command.args(["--token", "sesame", "--tls-server-name", "localhost"]);
    command
        .args(["--port", "0", "--certificate-authority"])
        .arg(cert("ca.pem"));
    let kubegate = Kubegate::spawn(command);
    for _ in 0..20 {
        assert!(status(&get(&kubegate.address, "/api").await) >= 500);
    }
    let log = kubegate.log();
    assert_eq!(
        lines(&log, &["WARN", "cannot connect to"]).len(),
        1,
        "{log}"
    );
    server.start_again().await;
    in_time(async {
        while status(&get(&kubegate.address, "/api").await) != 200 {
            sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    line(&kubegate, &["INFO", "can be reached again, after "]).await;
    kubegate.signal("TERM");
    let (_, log) = kubegate.wait();
    assert_eq!(lines(&log, &["cannot connect to"]).len(), 2, "{log}");
    let counts = lines(&log, &[" more of the kind ", "cannot connect to"]);
    assert_eq!(counts.len(), 1, "{log}");
    assert_eq!(lines(&log, &["can be reached again"]).len(), 1, "{log}");
}

#[tokio::test]
async fn from_verbosity_2_on_each_request_is_a_line_at_its_end_without_its_query() {
    let responses = |mut connection: Connection| async move {
        while let Some(request) = connection.request().await {
            if request.head.contains("watch=1") {
                let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\
                            Date: Sat, 28 Nov 2026 20:00:00 GMT\r\nTransfer-Encoding: chunked\r\n\r\n";
                connection.write(head).await;
                connection.write("8\r\n{\"a\":1}\n\r\n").await;
                // Until the client has read what came.
                connection.through(b"never").await;
            } else {
                connection.answer("hello").await;
            }
        }
    };
    let upstream = Upstream::tls("localhost", responses).await;
    let kubegate = Kubegate::before(&upstream, &["-v", "2"]);
    let get_it = get(&kubegate.address, "/api/v1/pods?labelSelector=hunter2").await;
    assert_eq!(status(&get_it), 200);
    let request_line = line(&kubegate, &["INFO", "GET /api/v1/pods 200 ", " ms 5 bytes"]).await;
    assert!(!request_line.contains('?'), "{request_line}");
    let exec = get(&kubegate.address, &format!("{EXEC}?command=hunter2")).await;
    assert_eq!(status(&exec), 403);
    line(&kubegate, &["INFO", &format!("GET {EXEC} 403 ")]).await;
    let mut client = Connection::open(&kubegate.address).await;
    let ask = "GET /api/v1/pods?watch=1 HTTP/1.1\r\nHost: localhost\r\n\r\n";
    client.write(ask).await;
    in_time(client.through(b"{\"a\":1}\n")).await.unwrap();
    line(&kubegate, &["watch begins: GET /api/v1/pods"]).await;
    assert!(lines(&kubegate.log(), &["watch ends"]).is_empty());
    drop(client);
    let ends = line(
        &kubegate,
        &["watch ends: GET /api/v1/pods 200 ", " 8 bytes"],
    )
    .await;
    assert!(!ends.contains('?'), "{ends}");
    let log = kubegate.log();
    assert!(lines(&log, &["DEBUG"]).is_empty(), "{log}");
    assert_eq!(lines(&log, &["watch begins"]).len(), 1, "{log}");

    // The control: below, nothing is said of them.
    let quiet = Kubegate::before(&upstream, &["-v", "1"]);
    assert_eq!(status(&get(&quiet.address, "/api/v1/pods").await), 200);
    quiet.signal("TERM");
    let (_, log) = quiet.wait();
    assert!(lines(&log, &["GET"]).is_empty(), "{log}");
}
