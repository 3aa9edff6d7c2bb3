//! Changes of files are in force within two seconds, broken files change nothing, and requests in flight
//! are not affected.

mod plugin_files;

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use http::{Request, Response};
use http_body::Frame;
use hyper::body::Incoming;
use serde_json::{Value, json};
use tempfile::{TempDir, tempdir};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::support::{
    Completed, Connection, Frames, Kubegate, Load, PATIENCE, Upstream, cert, command_like, get,
    in_time, status, tls_config,
};

/// How long a change may take to be in force.
const IN_FORCE: Duration = Duration::from_secs(2);

/// Longer than the interval of the checks: what has not happened by then does not happen.
const A_WHILE: Duration = Duration::from_millis(2500);

/// A folder with kubeconfigs and the files that they name.
struct Home(TempDir);

impl Home {
    fn new() -> Self {
        Self(tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Replaces the file at once, so that no partial content is read.
    fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        let new = self.path(&format!("{name}.part"));
        fs::write(&new, text).unwrap();
        fs::rename(new, self.path(name)).unwrap();
    }

    fn start(&self, args: &[&str]) -> Kubegate {
        let config = self.path("config");
        let mut all = vec!["--kubeconfig", config.to_str().unwrap()];
        all.extend(args);
        Kubegate::start(all)
    }
}

/// A kubeconfig with one context for `user` at `server`, whose CA is `certs/ca.pem`.
fn config(server: &Upstream, user: &Value) -> String {
    config_of(
        &json!({"server": server.url(), "certificate-authority": cert("ca.pem")}),
        user,
    )
}

fn config_of(cluster: &Value, user: &Value) -> String {
    json!({
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": cluster}],
        "users": [{"name": "u", "user": user}],
    })
    .to_string()
}

/// Answers with the request, whose Host names the server, the client certificate of the connection, and
/// whether its TLS session was resumed.
async fn echo_as(leaf: &str) -> Upstream {
    Upstream::tls(leaf, async |mut connection: Connection| {
        let handshake = connection.handshake.clone().unwrap();
        let shown = handshake.certificate.map(|der| fingerprint(&der));
        let who = format!("certificate {shown:?} resumed {}", handshake.resumed);
        while let Some(request) = connection.request().await {
            connection.answer(&format!("{}{who}", request.head)).await;
        }
    })
    .await
}

/// The same over HTTP/2.
async fn http2_echo_as(leaf: &str) -> Upstream {
    Upstream::with(
        tls_config(leaf, &[b"h2"]),
        async |connection: Connection| {
            let handshake = connection.handshake.clone().unwrap();
            let shown = handshake.certificate.map(|der| fingerprint(&der));
            let who = format!("certificate {shown:?} resumed {}", handshake.resumed);
            let response = move |request: Request<Incoming>| {
                let host = request.uri().authority().map(ToString::to_string);
                let token = request.headers().get("authorization").cloned();
                let token = token.map(|token| token.to_str().unwrap().to_owned());
                let text = format!(
                    "host: {} {} {who}",
                    host.unwrap(),
                    token.unwrap_or_default()
                );
                async { Response::new(Frames::of(text)) }
            };
            connection.serve_http2(response).await;
        },
    )
    .await
}

async fn echo() -> Upstream {
    echo_as("localhost").await
}

/// A hash that tells certificates apart.
fn fingerprint(der: &[u8]) -> u64 {
    use std::hash::{DefaultHasher, Hash as _, Hasher as _};
    let mut hasher = DefaultHasher::new();
    der.hash(&mut hasher);
    hasher.finish()
}

/// Sends requests until a response has `mark`, within [`IN_FORCE`]. Returns how long that took.
async fn in_force(kubegate: &Kubegate, mark: &str) -> Duration {
    let started = Instant::now();
    loop {
        let response = get(&kubegate.address, "/x").await;
        if response.contains(mark) {
            return started.elapsed();
        }
        assert!(
            started.elapsed() < IN_FORCE,
            "no {mark:?} in {response}\n{}",
            kubegate.log()
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Waits until the log has `mark`.
async fn logged(kubegate: &Kubegate, mark: &str) {
    let started = Instant::now();
    while !kubegate.log().contains(mark) {
        assert!(
            started.elapsed() < PATIENCE,
            "no {mark:?}: {}",
            kubegate.log()
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn warnings(kubegate: &Kubegate) -> usize {
    kubegate.log().matches(" WARN ").count()
}

/// Breaks the file at a path, whose good text is given.
type Break = fn(&Path, &str);

/// A watch in progress, for which the test is the server.
struct Watch {
    client: TcpStream,
    server: Connection,
}

impl Watch {
    async fn begin(kubegate: &Kubegate, handed: &mut crate::support::Handed) -> Self {
        let mut client = TcpStream::connect(&kubegate.address).await.unwrap();
        let head = format!(
            "GET /api/v1/pods?watch=1 HTTP/1.1\r\nHost: {}\r\n\r\n",
            kubegate.address
        );
        client.write_all(head.as_bytes()).await.unwrap();
        let mut server = handed.next().await;
        let head = in_time(server.request()).await.unwrap().head;
        assert!(head.contains("watch=1"), "{head}");
        server
            .write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            .await;
        let mut watch = Self { client, server };
        watch.passes("\"begun\"").await;
        watch
    }

    /// Sends an event and reads it at the client.
    async fn passes(&mut self, event: &str) {
        let chunk = format!("{:x}\r\n{event}\n\r\n", event.len() + 1);
        self.server.write(chunk).await;
        let mut seen = String::new();
        let mut buffer = [0; 4096];
        while !seen.contains(event) {
            let n = in_time(self.client.read(&mut buffer)).await.unwrap();
            assert!(n > 0, "the watch ended: {seen}");
            seen += &String::from_utf8_lossy(&buffer[..n]);
        }
    }
}

// What is in force.

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_fails_while_everything_changes_under_load() {
    changes_under_load(echo().await, echo_as("v1-ca-leaf").await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_fails_while_everything_changes_over_http_2() {
    let (one, other) = (http2_echo_as("localhost"), http2_echo_as("v1-ca-leaf"));
    changes_under_load(one.await, other.await).await;
}

async fn changes_under_load(one: Upstream, other: Upstream) {
    let home = Home::new();
    home.write("ca.pem", fs::read(cert("ca.pem")).unwrap());
    let cluster =
        |server: &Upstream| json!({"server": server.url(), "certificate-authority": "ca.pem"});
    let token = |token: &str| json!({"token": token});
    home.write(
        "config",
        config_of(&cluster(&one), &token("sesame-reload-1")),
    );
    let kubegate = home.start(&[]);
    let load = Load::on(&kubegate.address);
    tokio::time::sleep(Duration::from_millis(500)).await;
    let mut changes = Vec::new();
    let mut took = Vec::new();

    home.write(
        "config",
        config_of(&cluster(&one), &token("sesame-reload-2")),
    );
    changes.push((Instant::now(), "Bearer sesame-reload-2".to_owned()));
    took.push(in_force(&kubegate, "Bearer sesame-reload-2").await);

    // Both CAs first, then the server whose certificate only the second CA signed.
    let bundle = [cert("ca.pem"), cert("v1-ca.pem")].map(|path| fs::read(path).unwrap());
    home.write("ca.pem", bundle.concat());
    home.write(
        "config",
        config_of(&cluster(&other), &token("sesame-reload-2")),
    );
    let mark = format!("host: localhost:{}", other.port());
    changes.push((Instant::now(), mark.clone()));
    took.push(in_force(&kubegate, &mark).await);

    let who = |name: &str| {
        let pem = fs::read(cert(name)).unwrap();
        let der = kubegate::tls::pem::certificates(&pem, name)
            .unwrap()
            .remove(0);
        format!("certificate Some({}) resumed false", fingerprint(&der))
    };
    for name in ["client", "client-purpose"] {
        let user = json!({
            "client-certificate": cert(&format!("{name}.pem")),
            "client-key": cert(&format!("{name}.key")),
        });
        home.write("config", config_of(&cluster(&other), &user));
        let mark = who(&format!("{name}.pem"));
        changes.push((Instant::now(), mark.clone()));
        took.push(in_force(&kubegate, &mark).await);
    }
    let responses = load.off().await;
    eprintln!("{} answers; in force after {took:?}", responses.len());
    assert!(responses.len() > 200, "{}", responses.len());
    for Completed { response, .. } in &responses {
        assert_eq!(status(response), 200, "{response}\n{}", kubegate.log());
    }
    // A change that is in force stays in force.
    for (at, (since, mark)) in changes.iter().enumerate() {
        let until = changes.get(at + 1).map(|next| next.0);
        let late = responses.iter().filter(|answered| {
            answered.began > *since + took[at] && until.is_none_or(|until| answered.began < until)
        });
        for Completed { response, .. } in late {
            assert!(response.contains(mark), "no {mark:?} in {response}");
        }
    }
    assert_eq!(warnings(&kubegate), 0, "{}", kubegate.log());
    assert!(
        !kubegate.log().contains("sesame-reload"),
        "{}",
        kubegate.log()
    );
}

#[tokio::test]
async fn an_unrelated_change_of_the_kubeconfig_drops_no_connection() {
    let upstream = echo().await;
    let home = Home::new();
    let text = config(&upstream, &json!({"token": "sesame-idle-1"}));
    home.write("config", &text);
    let kubegate = home.start(&[]);
    in_force(&kubegate, "sesame-idle-1").await;
    assert_eq!(upstream.connections(), 1);
    let mut more: Value = serde_json::from_str(&text).unwrap();
    more["users"]
        .as_array_mut()
        .unwrap()
        .push(json!({"name": "v", "user": {"token": "other"}}));
    more["contexts"]
        .as_array_mut()
        .unwrap()
        .push(json!({"name": "d", "context": {}}));
    more["current-context"] = "d".into();
    for text in [
        text.clone(),
        format!("# a comment\n{text}"),
        more.to_string(),
    ] {
        home.write("config", &text);
        tokio::time::sleep(A_WHILE).await;
        in_force(&kubegate, "sesame-idle-1").await;
    }
    assert_eq!(upstream.connections(), 1);
    let log = kubegate.log();
    assert!(!log.contains("reloaded"), "{log}");
    // The control.
    home.write(
        "config",
        config(&upstream, &json!({"token": "sesame-idle-2"})),
    );
    in_force(&kubegate, "sesame-idle-2").await;
    logged(&kubegate, "reloaded; changed: user").await;
    assert_eq!(upstream.connections(), 1, "the cluster is the same");
}

#[tokio::test]
async fn the_context_stays_unless_it_follows_the_current_one() {
    let upstream = echo().await;
    let text = |current: &str| {
        let mut text: Value =
            serde_json::from_str(&config(&upstream, &json!({"token": "sesame-first"}))).unwrap();
        let users = text["users"].as_array_mut().unwrap();
        users.push(json!({"name": "v", "user": {"token": "sesame-second"}}));
        let contexts = text["contexts"].as_array_mut().unwrap();
        contexts.push(json!({"name": "d", "context": {"cluster": "c", "user": "v"}}));
        text["current-context"] = current.into();
        text.to_string()
    };
    let home = Home::new();
    home.write("config", text("c"));
    let (stays, follows) = (home.start(&[]), home.start(&["--follow-current-context"]));
    for kubegate in [&stays, &follows] {
        in_force(kubegate, "sesame-first").await;
    }
    home.write("config", text("d"));
    in_force(&follows, "sesame-second").await;
    logged(&follows, "context=\"d\"").await;
    tokio::time::sleep(A_WHILE).await;
    in_force(&stays, "sesame-first").await;

    let config = home.path("config");
    let both = Kubegate::command([
        "--kubeconfig",
        config.to_str().unwrap(),
        "--context=c",
        "--follow-current-context",
    ]);
    let refused = Kubegate::refused(both);
    assert_eq!(refused.code, Some(2));
    assert!(
        refused.stderr.contains("exclude each other"),
        "{}",
        refused.stderr
    );
}

#[tokio::test]
async fn flags_take_precedence_over_what_is_reloaded() {
    let (upstream, other) = (echo().await, echo().await);
    let home = Home::new();
    home.write(
        "config",
        config(&upstream, &json!({"token": "sesame-file", "as": "jane"})),
    );
    let kubegate = home.start(&["--token", "sesame-flag"]);
    in_force(&kubegate, "impersonate-user: jane").await;
    home.write(
        "config",
        config(&other, &json!({"token": "sesame-file-2", "as": "joe"})),
    );
    in_force(&kubegate, "impersonate-user: joe").await;
    let response = get(&kubegate.address, "/x").await;
    assert!(response.contains("Bearer sesame-flag"), "{response}");
    assert!(
        response.contains(&format!("host: localhost:{}", other.port())),
        "{response}"
    );
}

// How files are replaced.

#[tokio::test]
async fn a_file_is_reloaded_however_it_is_replaced() {
    let upstream = echo().await;
    let home = Home::new();
    let text = |token: &str| config(&upstream, &json!({ "token": token }));
    for name in ["one", "two"] {
        fs::create_dir(home.path(name)).unwrap();
    }
    // As Kubernetes mounts a ConfigMap or Secret.
    home.write("one/config", text("sesame-mounted-1"));
    symlink("one", home.path("..data")).unwrap();
    symlink("..data/config", home.path("config")).unwrap();
    let kubegate = home.start(&[]);
    in_force(&kubegate, "sesame-mounted-1").await;
    home.write("two/config", text("sesame-mounted-2"));
    symlink("two", home.path("..data_tmp")).unwrap();
    fs::rename(home.path("..data_tmp"), home.path("..data")).unwrap();
    in_force(&kubegate, "sesame-mounted-2").await;
    // As editors do it: another file under the same name.
    home.write("config.swp", text("sesame-edited-3"));
    fs::rename(home.path("config.swp"), home.path("config")).unwrap();
    in_force(&kubegate, "sesame-edited-3").await;
    // Removed and written again.
    fs::rename(home.path("config"), home.path("config.bak")).unwrap();
    home.write("config", text("sesame-new-4"));
    in_force(&kubegate, "sesame-new-4").await;
}

#[tokio::test]
async fn every_file_of_the_list_is_watched() {
    let upstream = echo().await;
    let home = Home::new();
    let whole = |token: &str| config(&upstream, &json!({ "token": token }));
    home.write("base", whole("sesame-base-1"));
    let list = std::env::join_paths([home.path("over"), home.path("base")]).unwrap();
    let mut command = Kubegate::command(["--port", "0"]);
    command.env("KUBECONFIG", list);
    let kubegate = Kubegate::spawn(command);
    in_force(&kubegate, "sesame-base-1").await;
    home.write("base", whole("sesame-base-2"));
    in_force(&kubegate, "sesame-base-2").await;
    let users = json!({"users": [{"name": "u", "user": {"token": "sesame-over-3"}}]});
    home.write("over", users.to_string());
    in_force(&kubegate, "sesame-over-3").await;
    fs::remove_file(home.path("over")).unwrap();
    in_force(&kubegate, "sesame-base-2").await;
}

#[tokio::test]
async fn a_broken_file_changes_nothing_and_causes_one_warning() {
    let upstream = echo().await;
    let text = |token: &str| config(&upstream, &json!({ "token": token }));
    let last = "sesame-last-good";
    let cases: [(Break, &str); 6] = [
        (
            |path, text| fs::write(path, &text[..text.len() / 2]).unwrap(),
            "config, line",
        ),
        (
            |path, _| fs::write(path, "").unwrap(),
            "there are no contexts",
        ),
        (
            |path, _| fs::remove_file(path).unwrap(),
            "cannot read kubeconfig",
        ),
        (
            |path, text| fs::write(path, text.replace("\"c\"", "\"d\"")).unwrap(),
            "at the start",
        ),
        (
            |path, text| fs::write(path, text.replace("ca.pem", "none.pem")).unwrap(),
            "none.pem",
        ),
        (
            |path, text| fs::write(path, text.replace("https:", "ftp:")).unwrap(),
            "server",
        ),
    ];
    for (at, (break_it, expected)) in cases.into_iter().enumerate() {
        let home = Home::new();
        home.write("config", text(last));
        let kubegate = home.start(&[]);
        in_force(&kubegate, last).await;
        break_it(&home.path("config"), &text("sesame-half"));
        logged(&kubegate, "not reloaded").await;
        tokio::time::sleep(A_WHILE).await;
        in_force(&kubegate, last).await;
        let log = kubegate.log();
        assert_eq!(warnings(&kubegate), 1, "{at}: {log}");
        assert!(log.contains(expected), "{at}: {expected:?}: {log}");
        home.write("config", text("sesame-mended"));
        in_force(&kubegate, "sesame-mended").await;
        logged(&kubegate, "can be used again").await;
        assert_eq!(warnings(&kubegate), 1, "{at}: {}", kubegate.log());
        assert!(!kubegate.log().contains("sesame"), "{}", kubegate.log());
    }
}

#[tokio::test]
async fn a_file_may_appear_after_the_kubeconfig_that_names_it() {
    let upstream = echo().await;
    let home = Home::new();
    home.write(
        "config",
        config(&upstream, &json!({"token": "sesame-before"})),
    );
    let kubegate = home.start(&[]);
    in_force(&kubegate, "sesame-before").await;
    home.write("config", config(&upstream, &json!({"tokenFile": "later"})));
    logged(&kubegate, "not reloaded").await;
    home.write("later", "sesame-later");
    in_force(&kubegate, "sesame-later").await;
}

#[tokio::test]
async fn sighup_reloads_and_logs_it() {
    let upstream = echo().await;
    let home = Home::new();
    home.write(
        "config",
        config(&upstream, &json!({"token": "sesame-hup-1"})),
    );
    let kubegate = home.start(&[]);
    in_force(&kubegate, "sesame-hup-1").await;
    kubegate.signal("HUP");
    logged(&kubegate, "reloaded; nothing changed").await;
    home.write(
        "config",
        config(&upstream, &json!({"token": "sesame-hup-2"})),
    );
    kubegate.signal("HUP");
    logged(&kubegate, "reloaded; changed: user").await;
    in_force(&kubegate, "sesame-hup-2").await;
    home.write("config", "{");
    kubegate.signal("HUP");
    logged(&kubegate, "not reloaded").await;
    in_force(&kubegate, "sesame-hup-2").await;
    assert_eq!(upstream.connections(), 1);
}

#[tokio::test]
async fn sighup_of_a_terminal_that_is_closed_ends_the_process() {
    use rustix::pty::{OpenptFlags, openpt, ptsname, unlockpt};
    let upstream = echo().await;
    let home = Home::new();
    home.write("config", config(&upstream, &json!({"token": "sesame-tty"})));
    let closed_in_children = OpenptFlags::CLOEXEC;
    let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | closed_in_children).unwrap();
    unlockpt(&terminal).unwrap();
    let name = ptsname(&terminal, Vec::new()).unwrap();
    let config = home.path("config");
    let mut command = Kubegate::command(["--port", "0", "--kubeconfig", config.to_str().unwrap()]);
    command.stdin(fs::File::open(name.to_str().unwrap()).unwrap());
    let kubegate = Kubegate::spawn(command);
    kubegate.signal("HUP");
    logged(&kubegate, "reloaded; nothing changed").await;
    drop(terminal);
    kubegate.signal("HUP");
    let (code, log) = kubegate.wait();
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("drained"), "{log}");
}

#[tokio::test]
async fn a_kubeconfig_from_a_pipe_is_read_once() {
    let upstream = echo().await;
    let mut command = Kubegate::command(["--port", "0", "--kubeconfig", "/dev/stdin"]);
    command.stdin(std::process::Stdio::piped());
    let text = config(&upstream, &json!({"token": "sesame-piped"}));
    let (reader, mut writer) = std::io::pipe().unwrap();
    command.stdin(reader);
    std::io::Write::write_all(&mut writer, text.as_bytes()).unwrap();
    drop(writer);
    let kubegate = Kubegate::spawn(command);
    kubegate.signal("HUP");
    logged(&kubegate, "reloaded; nothing changed").await;
    in_force(&kubegate, "sesame-piped").await;
}

// Requests in flight.

#[tokio::test]
async fn a_watch_stays_at_its_server_after_a_reload() {
    let (one, mut handed) = Upstream::handed().await;
    let other = echo().await;
    let home = Home::new();
    home.write("config", config(&one, &json!({"token": "sesame-watch-1"})));
    let kubegate = home.start(&[]);
    let mut watch = Watch::begin(&kubegate, &mut handed).await;
    home.write(
        "config",
        config(&other, &json!({"token": "sesame-watch-2"})),
    );
    // A request before the reload may still go to the first server, which does not answer.
    logged(&kubegate, "reloaded; changed: cluster, user").await;
    in_force(&kubegate, "sesame-watch-2").await;
    watch.passes("\"after the reload\"").await;
    tokio::time::sleep(A_WHILE).await;
    watch.passes("\"long after\"").await;
}

#[tokio::test]
async fn an_http2_watch_continues_and_its_connection_ends_with_it() {
    let (hand, mut handed) = tokio::sync::mpsc::unbounded_channel();
    let one = Upstream::http2(move |_| {
        let hand = hand.clone();
        async move {
            let (sender, frames) = Frames::channel();
            hand.send(sender).unwrap();
            Response::new(frames)
        }
    })
    .await;
    let other = echo().await;
    let home = Home::new();
    home.write("config", config(&one, &json!({"token": "sesame-h2"})));
    let kubegate = home.start(&[]);
    let mut client = Connection::open(&kubegate.address).await;
    client
        .write("GET /api/v1/pods?watch=1 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await;
    let server = in_time(handed.recv()).await.unwrap();
    in_time(client.head()).await.unwrap();
    home.write("config", config(&other, &json!({"token": "sesame-h2"})));
    logged(&kubegate, "reloaded; changed: cluster").await;
    in_force(&kubegate, &format!("localhost:{}", other.port())).await;
    for event in ["{\"n\":1}\n", "{\"n\":2}\n"] {
        tokio::time::sleep(Duration::from_millis(600)).await;
        server.send(Frame::data(event.into())).unwrap();
        let seen = in_time(client.chunk()).await.unwrap();
        assert_eq!(seen, event.as_bytes());
    }
    drop(server);
    one.settled().await;
}

#[tokio::test]
async fn a_replaced_ca_is_used_for_new_connections_only() {
    let (upstream, mut handed) = Upstream::handed().await;
    let home = Home::new();
    let ca = |name: &str| home.write("ca.crt", fs::read(cert(name)).unwrap());
    ca("ca.pem");
    let cluster = json!({"server": upstream.url(), "certificate-authority": "ca.crt"});
    home.write(
        "config",
        config_of(&cluster, &json!({"token": "sesame-ca"})),
    );
    let kubegate = home.start(&[]);
    let mut watch = Watch::begin(&kubegate, &mut handed).await;
    ca("other-ca.pem");
    logged(&kubegate, "reloaded; changed: cluster").await;
    let response = get(&kubegate.address, "/x").await;
    assert_eq!(status(&response), 502, "{response}");
    watch.passes("\"on the connection of before\"").await;
    // Both CAs, as in a rotation.
    let both = [cert("ca.pem"), cert("other-ca.pem")].map(|path| fs::read(path).unwrap());
    home.write("ca.crt", both.concat());
    let serving = tokio::spawn(async move {
        loop {
            tokio::spawn(handed.next().await.echo());
        }
    });
    in_force(&kubegate, "sesame-ca").await;
    serving.abort();
    watch.passes("\"still there\"").await;
}

#[tokio::test]
async fn the_files_of_certificate_flags_are_watched() {
    let upstream = echo_as("v1-ca-leaf").await;
    let home = Home::new();
    let put = |from: &str, to: &str| home.write(to, fs::read(cert(from)).unwrap());
    put("v1-ca.pem", "ca.pem");
    put("client.pem", "tls.crt");
    put("client.key", "tls.key");
    let [ca, crt, key] =
        ["ca.pem", "tls.crt", "tls.key"].map(|name| home.path(name).to_str().unwrap().to_owned());
    let kubegate = Kubegate::start([
        "--server",
        &upstream.url(),
        "--certificate-authority",
        &ca,
        "--client-certificate",
        &crt,
        "--client-key",
        &key,
    ]);
    let who = |name: &str| {
        let pem = fs::read(cert(name)).unwrap();
        let der = kubegate::tls::pem::certificates(&pem, name)
            .unwrap()
            .remove(0);
        format!("certificate Some({}) resumed false", fingerprint(&der))
    };
    in_force(&kubegate, &who("client.pem")).await;
    // One after the other, as tools write them. The pair does not match in between.
    put("client-purpose.pem", "tls.crt");
    tokio::time::sleep(Duration::from_millis(1200)).await;
    in_force(&kubegate, &who("client.pem")).await;
    put("client-purpose.key", "tls.key");
    in_force(&kubegate, &who("client-purpose.pem")).await;
    put("other-ca.pem", "ca.pem");
    in_force(&kubegate, " 502 ").await;
    put("v1-ca.pem", "ca.pem");
    in_force(&kubegate, " 200 ").await;
}

#[tokio::test]
async fn a_replaced_certificate_is_used_for_its_watches_only() {
    let upstream = {
        let watched = Arc::new(Mutex::new(None));
        let kept = watched.clone();
        let script = move |mut connection: Connection| {
            let kept = kept.clone();
            async move {
                let handshake = connection.handshake.clone().unwrap();
                assert!(!handshake.resumed);
                let shown = handshake.certificate.map(|der| fingerprint(&der));
                while let Some(request) = connection.request().await {
                    if request.head.contains("watch=1") {
                        *kept.lock().unwrap() = Some(connection);
                        return;
                    }
                    connection.answer(&format!("certificate {shown:?}")).await;
                }
            }
        };
        (
            Upstream::with(tls_config("localhost", &[b"http/1.1"]), script).await,
            watched,
        )
    };
    let (upstream, watched) = upstream;
    let home = Home::new();
    let put = |from: &str, to: &str| home.write(to, fs::read(cert(from)).unwrap());
    put("client.pem", "tls.crt");
    put("client.key", "tls.key");
    let user = json!({"client-certificate": "tls.crt", "client-key": "tls.key"});
    home.write("config", config(&upstream, &user));
    let kubegate = home.start(&[]);
    let who = |name: &str| {
        let pem = fs::read(cert(name)).unwrap();
        let der = kubegate::tls::pem::certificates(&pem, name)
            .unwrap()
            .remove(0);
        format!("certificate Some({})", fingerprint(&der))
    };
    in_force(&kubegate, &who("client.pem")).await;
    let mut client = TcpStream::connect(&kubegate.address).await.unwrap();
    let head = format!(
        "GET /api/v1/pods?watch=1 HTTP/1.1\r\nHost: {}\r\n\r\n",
        kubegate.address
    );
    client.write_all(head.as_bytes()).await.unwrap();
    let mut server = in_time(async {
        loop {
            if let Some(connection) = watched.lock().unwrap().take() {
                break connection;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    server
        .write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        .await;
    put("client-purpose.pem", "tls.crt");
    put("client-purpose.key", "tls.key");
    in_force(&kubegate, &who("client-purpose.pem")).await;
    for _ in 0..50 {
        let response = get(&kubegate.address, "/x").await;
        assert!(response.contains(&who("client-purpose.pem")), "{response}");
    }
    let mut watch = Watch { client, server };
    watch.passes("\"with the replaced certificate\"").await;
}

#[tokio::test]
async fn idle_connections_with_a_replaced_certificate_end() {
    for upstream in [echo_as("localhost").await, http2_echo_as("localhost").await] {
        let home = Home::new();
        let put = |from: &str, to: &str| home.write(to, fs::read(cert(from)).unwrap());
        put("client.pem", "tls.crt");
        put("client.key", "tls.key");
        let user = json!({"client-certificate": "tls.crt", "client-key": "tls.key"});
        home.write("config", config(&upstream, &user));
        let kubegate = home.start(&[]);
        let who = |name: &str| {
            let pem = fs::read(cert(name)).unwrap();
            let certificates = kubegate::tls::pem::certificates(&pem, name).unwrap();
            format!("certificate Some({})", fingerprint(&certificates[0]))
        };
        in_force(&kubegate, &who("client.pem")).await;
        let before = upstream.connections();
        // The control: before that they are kept.
        assert_eq!(upstream.ended(), 0);
        put("client-purpose.pem", "tls.crt");
        put("client-purpose.key", "tls.key");
        in_force(&kubegate, &who("client-purpose.pem")).await;
        // The idle timeout would end them much later.
        let replaced = Instant::now();
        while upstream.ended() < before {
            let waited = replaced.elapsed();
            assert!(waited < Duration::from_secs(5), "{waited:?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert!(upstream.ended() < upstream.connections());
    }
}

// Failures.

#[tokio::test]
async fn a_change_ends_the_backoff_of_a_plugin() {
    let upstream = echo().await;
    let home = Home::new();
    let plugin = |does: &str| {
        let counts = format!("echo x >>'{}'", home.path("runs").display());
        home.write("plugin.new", format!("#!/bin/sh\n{counts}\n{does}\n"));
        let mode = fs::Permissions::from_mode(0o755);
        fs::set_permissions(home.path("plugin.new"), mode).unwrap();
        fs::rename(home.path("plugin.new"), home.path("plugin")).unwrap();
    };
    let runs = || {
        fs::read_to_string(home.path("runs"))
            .unwrap_or_default()
            .lines()
            .count()
    };
    plugin("exit 1");
    let user = json!({"exec": {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": "./plugin",
        "interactiveMode": "Never",
    }});
    home.write("config", config(&upstream, &user));
    let kubegate = home.start(&[]);
    // After the fourth failure in a row the pause is four seconds or more.
    in_time(async {
        while runs() < 4 {
            assert_ne!(status(&get(&kubegate.address, "/x").await), 200);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
    plugin(
        "echo '{\"apiVersion\":\"client.authentication.k8s.io/v1\",\
         \"kind\":\"ExecCredential\",\"status\":{\"token\":\"sesame-mended\"}}'",
    );
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_ne!(
        status(&get(&kubegate.address, "/x").await),
        200,
        "its pause is over"
    );
    home.write("config", format!("# again\n{}", config(&upstream, &user)));
    in_force(&kubegate, "sesame-mended").await;
    assert_eq!(runs(), 5);
}

// In a pod.

/// A service account mounted as the kubelet does it, for a kubegate in a mount namespace of its own.
struct Pod(Home);

impl Pod {
    /// Returns `None` if this machine allows no mount namespaces.
    fn new() -> Option<Self> {
        let mut trial = Kubegate::command([""; 0]);
        trial = command_like(
            &trial,
            "unshare",
            &["-rm", "mount", "-t", "tmpfs", "none", "/run"],
        );
        if !trial.status().is_ok_and(|status| status.success()) {
            eprintln!("skipped: this machine allows no mount namespaces");
            return None;
        }
        let pod = Self(Home::new());
        for name in ["token", "ca.crt", "namespace"] {
            symlink(format!("..data/{name}"), pod.0.path(name)).unwrap();
        }
        Some(pod)
    }

    /// Replaces all files at once.
    fn mount(&self, token: &str, authorities: &[&str]) {
        let folder = tempfile::tempdir_in(self.0.0.path()).unwrap().keep();
        let authorities = authorities.iter().map(|name| fs::read(cert(name)).unwrap());
        fs::write(folder.join("token"), token).unwrap();
        fs::write(folder.join("namespace"), "team").unwrap();
        fs::write(
            folder.join("ca.crt"),
            authorities.collect::<Vec<_>>().concat(),
        )
        .unwrap();
        symlink(folder.file_name().unwrap(), self.0.path("..data_tmp")).unwrap();
        fs::rename(self.0.path("..data_tmp"), self.0.path("..data")).unwrap();
    }

    fn start(&self, server: &Upstream) -> Kubegate {
        let inside = "mount -t tmpfs none \"$(readlink -f /var/run)\" \
            && mkdir -p /var/run/secrets/kubernetes.io \
            && ln -s \"$POD\" /var/run/secrets/kubernetes.io/serviceaccount \
            && exec \"$0\" \"$@\"";
        let own = Kubegate::command([""; 0]);
        let program = own.get_program().to_str().unwrap();
        let args = ["-rm", "sh", "-c", inside, program, "--port", "0"];
        let mut command = command_like(&own, "unshare", &args);
        command.env("POD", self.0.0.path());
        command.env("KUBERNETES_SERVICE_HOST", "localhost");
        command.env("KUBERNETES_SERVICE_PORT", server.port().to_string());
        Kubegate::spawn(command)
    }
}

#[tokio::test]
async fn the_token_and_ca_of_a_pod_are_reloaded() {
    let Some(pod) = Pod::new() else { return };
    let (upstream, mut handed) = Upstream::handed().await;
    pod.mount("sesame-pod-1", &["ca.pem"]);
    let kubegate = pod.start(&upstream);
    let mut watch = Watch::begin(&kubegate, &mut handed).await;
    let serving = tokio::spawn(async move {
        loop {
            tokio::spawn(handed.next().await.echo());
        }
    });
    in_force(&kubegate, "sesame-pod-1").await;
    let connections = upstream.connections();
    pod.mount("sesame-pod-2", &["ca.pem"]);
    in_force(&kubegate, "sesame-pod-2").await;
    tokio::time::sleep(A_WHILE).await;
    in_force(&kubegate, "sesame-pod-2").await;
    assert_eq!(upstream.connections(), connections);
    assert!(!kubegate.log().contains("reloaded"), "{}", kubegate.log());
    pod.mount("sesame-pod-2", &["other-ca.pem"]);
    in_force(&kubegate, " 502 ").await;
    watch.passes("\"on the connection of before\"").await;
    pod.mount("sesame-pod-3", &["other-ca.pem", "ca.pem"]);
    in_force(&kubegate, "sesame-pod-3").await;
    watch.passes("\"still there\"").await;
    // Without the files, the last good configuration stays.
    fs::rename(pod.0.path("..data"), pod.0.path("..gone")).unwrap();
    logged(&kubegate, "no token any more").await;
    in_force(&kubegate, "sesame-pod-3").await;
    serving.abort();
}
