//! As many clients as the limits allow, and more.

use std::{
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

use kubegate::serve::worker_count;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    task::JoinSet,
};

use crate::support::{Connection, Kubegate, PATIENCE, Upstream, cert, get, in_time, status};

/// The time over which the clients connect.
const RUSH: Duration = Duration::from_secs(2);

/// How soon requests must be served after the clients have gone.
const RECOVERY: Duration = Duration::from_millis(300);

/// How much longer that may take on a busy machine without optimisation.
const SLACK: Duration = Duration::from_secs(1);

/// Raises the limit of descriptors of this process to what the clients need.
fn raise_own_limit() {
    let limit = getrlimit(Resource::Nofile);
    assert!(limit.maximum.is_none_or(|most| most >= 12_000), "{limit:?}");
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    setrlimit(Resource::Nofile, raised).unwrap();
}

/// Starts a kubegate under `ulimit` with these arguments.
fn under_ulimit(ulimit: &str, upstream: &Upstream, args: &[&str]) -> Kubegate {
    let mut inner = Kubegate::command(["--server", &upstream.url(), "--port", "0"]);
    inner.args(args);
    let mut command = Command::new("sh");
    command
        .args(["-c", &format!("ulimit {ulimit}; exec \"$0\" \"$@\"")])
        .arg(inner.get_program())
        .args(inner.get_args())
        .env_clear()
        .envs(
            inner
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        );
    Kubegate::spawn(command)
}

async fn upstream() -> Upstream {
    Upstream::plain(serve).await
}

async fn serve(mut connection: Connection) {
    while connection.request().await.is_some() {
        connection.answer("served").await;
    }
}

/// Returns the CPU time that a process has used.
fn used_by(kubegate: &Kubegate) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", kubegate.id())).unwrap();
    let (_, stat) = stat.rsplit_once(") ").unwrap();
    let ticks = stat.split(' ').skip(11).take(2);
    let ticks: u64 = ticks.map(|n| n.parse::<u64>().unwrap()).sum();
    // A tick is 10 ms (USER_HZ).
    Duration::from_millis(ticks * 10)
}

/// Asserts that it uses little CPU time in a second without requests.
async fn assert_at_rest(kubegate: &Kubegate) {
    let before = used_by(kubegate);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let used = used_by(kubegate).saturating_sub(before);
    assert!(used < Duration::from_millis(200), "it spins: {used:?}");
}

/// Asserts that a new connection is served within the time for recovery.
async fn assert_recovers(kubegate: &Kubegate) {
    let started = Instant::now();
    let response = loop {
        let response = get(&kubegate.address, "/").await;
        if status(&response) == 200 || started.elapsed() > RECOVERY + SLACK {
            break response;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    assert_eq!(
        status(&response),
        200,
        "{:?}: {response}",
        started.elapsed()
    );
    println!("recovered after {:?}", started.elapsed());
}

/// Sends a request, and keeps the connection open for a while after the response, which it returns.
async fn visit(address: &str) -> Option<String> {
    let mut client = Connection::open(address).await;
    let ask = format!("GET / HTTP/1.1\r\nHost: {address}\r\n\r\n");
    client.write(ask).await;
    let response = client.response().await?;
    tokio::time::sleep(Duration::from_millis(100)).await;
    Some(response.head + &String::from_utf8(response.body).unwrap())
}

fn assert_rejected(response: &str) {
    assert_eq!(status(response), 503, "{response}");
    assert!(response.contains("\r\nretry-after: 1\r\n"), "{response}");
    assert!(response.contains("\r\nconnection: close\r\n"), "{response}");
    assert!(response.contains("raise ulimit -n"), "{response}");
}

#[tokio::test]
async fn five_thousand_connections_in_two_seconds_are_all_served() {
    raise_own_limit();
    let upstream = upstream().await;
    let kubegate = Kubegate::before(&upstream, &["-v", "0"]);
    let address: Arc<str> = kubegate.address.as_str().into();
    // All connections stay open to the end.
    let mut clients = JoinSet::new();
    let started = Instant::now();
    for number in 0..5_000 {
        let due = RUSH * number / 5_000;
        tokio::time::sleep(due.saturating_sub(started.elapsed())).await;
        let address = address.clone();
        clients.spawn(async move {
            let mut client = Connection::open(&address).await;
            let ask = format!("GET / HTTP/1.1\r\nHost: {address}\r\n\r\n");
            client.write(ask).await;
            let response = client.response().await.unwrap();
            assert_eq!(status(&response.head), 200, "{}", response.head);
            client
        });
    }
    let clients = tokio::time::timeout(PATIENCE * 2, clients.join_all()).await;
    println!("5000 connections served in {:?}", started.elapsed());
    let clients = clients.expect("they are not served");
    assert_at_rest(&kubegate).await;
    drop(clients);
    assert_recovers(&kubegate).await;
}

#[tokio::test]
async fn without_descriptors_connections_are_rejected_until_some_close() {
    raise_own_limit();
    let upstream = upstream().await;
    let kubegate = under_ulimit("-n 64", &upstream, &["-v", "0"]);
    let address: Arc<str> = kubegate.address.as_str().into();
    let mut clients = JoinSet::new();
    let started = Instant::now();
    for number in 0..5_000 {
        let due = RUSH * number / 5_000;
        tokio::time::sleep(due.saturating_sub(started.elapsed())).await;
        let address = address.clone();
        clients.spawn(async move { visit(&address).await });
    }
    let visits = tokio::time::timeout(PATIENCE * 2, clients.join_all()).await;
    assert_recovers(&kubegate).await;
    let (mut served, mut away, mut cut) = (0, 0, 0);
    for visit in visits.expect("clients hang") {
        match visit {
            Some(response) if response.ends_with("served") => served += 1,
            Some(response) => {
                assert_rejected(&response);
                away += 1;
            }
            None => cut += 1,
        }
    }
    println!("served {served}, rejected {away}, cut {cut}");
    assert!(
        served > 0 && away > 0,
        "served {served}, rejected {away}, cut {cut}"
    );
    assert!(cut < 250, "served {served}, rejected {away}, cut {cut}");
    assert_at_rest(&kubegate).await;
}

#[tokio::test]
async fn rejecting_connections_uses_little_cpu_time() {
    let upstream = upstream().await;
    let kubegate = under_ulimit("-n 64", &upstream, &["-v", "0"]);
    // Idle, and more than the descriptors allow.
    let mut idle = Vec::new();
    for _ in 0..64 {
        idle.push(Connection::open(&kubegate.address).await);
    }
    for _ in 0..20 {
        assert_rejected(&get(&kubegate.address, "/").await);
    }
    // The idle connections above the limit have been rejected by now.
    assert_at_rest(&kubegate).await;
    assert_rejected(&get(&kubegate.address, "/").await);
    drop(idle);
    assert_recovers(&kubegate).await;
    let log = kubegate.log();
    let lines = log.matches("more are rejected").count();
    assert_eq!(lines, 1, "{log}");
}

#[tokio::test]
async fn the_soft_limit_is_raised_but_not_for_plugins() {
    raise_own_limit();
    let upstream = Upstream::tls("localhost", serve).await;
    let folder = tempfile::TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name);
    let (seen, config, plugin) = (path("seen"), path("config"), path("plugin"));
    let script = format!(
        "(ulimit -S -n; ulimit -H -n) > {}; echo '{}'",
        seen.display(),
        r#"{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"token":"sesame-crowds"}}"#
    );
    std::fs::write(&plugin, script).unwrap();
    let user = serde_json::json!({"exec": {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": "sh", "args": [plugin], "interactiveMode": "Never",
    }});
    let kubeconfig = serde_json::json!({
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": upstream.url(), "certificate-authority": cert("ca.pem")}}],
        "users": [{"name": "u", "user": user}],
    });
    std::fs::write(&config, kubeconfig.to_string()).unwrap();
    let config = config.to_str().unwrap();
    let kubegate = under_ulimit("-S -n 64", &upstream, &["--kubeconfig", config]);
    let mut idle = Vec::new();
    for _ in 0..200 {
        idle.push(Connection::open(&kubegate.address).await);
    }
    for client in &mut idle {
        client
            .write("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            .await;
        let response = in_time(client.response()).await.unwrap();
        assert_eq!(status(&response.head), 200, "{}", response.head);
    }
    let hard = getrlimit(Resource::Nofile).maximum.unwrap();
    let seen = std::fs::read_to_string(seen).unwrap();
    assert_eq!(seen, format!("64\n{hard}\n"));
}

#[tokio::test]
async fn requests_without_a_descriptor_for_the_server_get_503() {
    // Holds every connection open, each of which uses a descriptor.
    let upstream = Upstream::plain(async |mut connection: Connection| {
        while let Some(request) = connection.request().await {
            if request.head.starts_with("GET /held ") {
                connection.rest().await;
            }
            connection.answer("served").await;
        }
    })
    .await;
    let kubegate = under_ulimit("-n 64", &upstream, &["-v", "0"]);
    let mut clients = JoinSet::new();
    for _ in 0..100 {
        let address = kubegate.address.clone();
        clients.spawn(async move {
            let mut client = Connection::open(&address).await;
            client
                .write("GET /held HTTP/1.1\r\nHost: localhost\r\n\r\n")
                .await;
            client.response().await
        });
    }
    let mut dialled = 0;
    // The held ones get no response.
    while let Ok(Some(response)) =
        tokio::time::timeout(Duration::from_secs(1), clients.join_next()).await
    {
        let response = response.unwrap().expect("an answer");
        let response = response.head + &String::from_utf8(response.body).unwrap();
        assert_eq!(status(&response), 503, "{response}");
        assert!(response.contains("\r\nretry-after: 1\r\n"), "{response}");
        assert!(response.contains("raise ulimit -n"), "{response}");
        dialled += usize::from(response.contains("cannot connect"));
    }
    println!("{} held, {dialled} not dialled for", clients.len());
    assert!(!clients.is_empty());
    assert_at_rest(&kubegate).await;
    clients.shutdown().await;
    assert_recovers(&kubegate).await;
}

/// Connects from this address of the machine.
async fn from(client: [u8; 4], kubegate: &Kubegate) -> tokio::net::TcpStream {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind((client, 0).into()).unwrap();
    let address = kubegate.address.parse().unwrap();
    in_time(socket.connect(address)).await.unwrap()
}

async fn held(stream: &mut tokio::net::TcpStream) {
    let ask = "GET /held HTTP/1.1\r\nHost: localhost\r\n\r\n";
    stream.write_all(ask.as_bytes()).await.unwrap();
}

/// Returns the first bytes of a response, or `None` if there is none in this time.
async fn begins(stream: &mut tokio::net::TcpStream, within: Duration) -> Option<String> {
    let mut response = vec![0; 2000];
    let read = tokio::time::timeout(within, stream.read(&mut response)).await;
    let read = read.ok()?.unwrap();
    Some(String::from_utf8_lossy(&response[..read]).into_owned())
}

/// A server for HTTP/1.1 alone that neither answers `/held` nor reads the bodies sent there.
async fn holding() -> Upstream {
    Upstream::plain(async |mut connection: Connection| {
        while let Some(head) = connection.head().await {
            if head.contains(" /held ") {
                std::future::pending::<()>().await;
            }
            connection.answer("served").await;
        }
    })
    .await
}

#[tokio::test]
async fn unanswered_requests_over_http_1_block_no_other_client() {
    let upstream = holding().await;
    let kubegate = Kubegate::before(&upstream, &[]);
    let mut clients = Vec::new();
    for number in 0..600 {
        let mut client = from([127, 0, 0, 1], &kubegate).await;
        if number % 2 == 0 {
            held(&mut client).await;
        } else {
            let ask = "POST /held HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nslow";
            client.write_all(ask.as_bytes()).await.unwrap();
        }
        clients.push(client);
    }
    in_time(async {
        while upstream.connections() < clients.len() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    assert!(get(&kubegate.address, "/x").await.ends_with("served"));
    clients.clear();
    // Only a few idle connections are kept.
    assert!(get(&kubegate.address, "/x").await.ends_with("served"));
}

#[tokio::test]
async fn over_http_1_no_client_takes_every_connection() {
    let upstream = holding().await;
    // Each worker has 70 connections, a quarter of which are not for one client alone.
    let (most, share) = (70, 70 / 4 * 3);
    let ulimit = format!("-n {}", 3 * worker_count() * most);
    let kubegate = under_ulimit(&ulimit, &upstream, &["--upstream-connect-timeout", "500ms"]);
    // The server's protocol is known from here on.
    for _ in 0..4 * worker_count() {
        assert!(get(&kubegate.address, "/x").await.ends_with("served"));
    }
    let mut clients = Vec::new();
    let count = (share + 10) * worker_count();
    for _ in 0..count {
        let mut client = from([127, 0, 0, 1], &kubegate).await;
        held(&mut client).await;
        clients.push(client);
    }
    let mut clients: JoinSet<_> = clients
        .into_iter()
        .map(|mut client| async move { begins(&mut client, PATIENCE).await })
        .collect();
    // The held ones get no response.
    for _ in share * worker_count()..count {
        let response = in_time(clients.join_next())
            .await
            .unwrap()
            .unwrap()
            .unwrap();
        assert_eq!(status(&response), 503, "{response}");
        assert!(
            response.contains("requests to it are in progress"),
            "{response}"
        );
        assert!(!response.contains("retry-after"), "{response}");
    }
    // Other clients are served until no connection is left,
    for _ in 0..worker_count() {
        let mut other = from([127, 0, 0, 2], &kubegate).await;
        other
            .write_all(b"GET /x HTTP/1.1\r\nHost: localhost\r\n\r\n")
            .await
            .unwrap();
        let response = begins(&mut other, Duration::from_secs(10)).await.unwrap();
        assert!(response.ends_with("served"), "{response}");
    }
    // and then get the same response.
    let mut others = Vec::new();
    for _ in 0..(most - share + 10) * worker_count() {
        let mut other = from([127, 0, 0, 2], &kubegate).await;
        held(&mut other).await;
        others.push(other);
    }
    let mut last = from([127, 0, 0, 3], &kubegate).await;
    held(&mut last).await;
    let response = begins(&mut last, Duration::from_secs(15)).await.unwrap();
    assert_eq!(status(&response), 503, "{response}");
    assert!(
        response.contains("requests to it are in progress"),
        "{response}"
    );
    assert!(
        response.contains(&upstream.port().to_string()),
        "{response}"
    );
}
