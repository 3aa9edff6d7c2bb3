//! Whose credential goes upstream, and what becomes of one that the API server refuses.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex},
};

use http::{Request, Response};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tempfile::TempDir;

use crate::support::{
    Connection, Frames, Kubegate, Message, Upstream, cert, exchange, get, in_time, status,
};

/// The values of a header of a request.
fn values<'a>(request: &'a Message, name: &str) -> Vec<&'a str> {
    let lines = request.head.split("\r\n").skip(1);
    lines
        .filter_map(|line| line.split_once(": "))
        .filter(|(key, _)| key.eq_ignore_ascii_case(name))
        .map(|(_, value)| value)
        .collect()
}

type Requests = Arc<Mutex<Vec<Message>>>;

fn take(requests: &Requests) -> Vec<Message> {
    std::mem::take(&mut *requests.lock().unwrap())
}

/// A server that answers by `response` and what it was asked.
async fn recorded(response: fn(&Message) -> &'static str) -> (Upstream, Requests) {
    let requests = Requests::default();
    let upstream = Upstream::tls("localhost", {
        let requests = requests.clone();
        move |mut connection: Connection| {
            let requests = requests.clone();
            async move {
                while let Some(request) = connection.request().await {
                    let response = response(&request);
                    requests.lock().unwrap().push(request);
                    connection.write(response).await;
                }
            }
        }
    })
    .await;
    (upstream, requests)
}

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const UNAUTHORIZED: &str =
    "HTTP/1.1 401 Unauthorized\r\nX-From: the server\r\nContent-Length: 2\r\n\r\nno";

/// A GET with these header lines.
async fn get_with(kubegate: &Kubegate, lines: &str) -> String {
    let head = format!("GET /x HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{lines}\r\n");
    exchange(&kubegate.address, head).await
}

#[tokio::test]
async fn the_clients_own_credential_goes_in_place_of_ours() {
    let (upstream, requests) = recorded(|_| OK).await;
    let kubegate = Kubegate::before(&upstream, &[]);
    for (lines, sent) in [
        ("", "Bearer sesame"),
        ("Authorization:\r\n", "Bearer sesame"),
        ("Authorization: Bearer mine\r\n", "Bearer mine"),
        ("authorization: Basic eDp5\r\n", "Basic eDp5"),
    ] {
        assert_eq!(status(&get_with(&kubegate, lines).await), 200);
        let requests = take(&requests);
        assert_eq!(requests.len(), 1);
        assert_eq!(values(&requests[0], "authorization"), [sent], "{lines:?}");
    }
    let two = "Authorization: Bearer mine\r\nAuthorization: Bearer other\r\n";
    assert_eq!(status(&get_with(&kubegate, two).await), 400);
    assert!(take(&requests).is_empty());
}

#[tokio::test]
async fn the_clients_own_credential_is_replaced_or_refused_as_told() {
    let (upstream, requests) = recorded(|_| OK).await;
    let kubegate = Kubegate::before(&upstream, &["--client-credentials=replace"]);
    for lines in ["", "Authorization: Bearer mine\r\n"] {
        assert_eq!(status(&get_with(&kubegate, lines).await), 200);
        assert_eq!(
            values(&take(&requests)[0], "authorization"),
            ["Bearer sesame"]
        );
    }
    let kubegate = Kubegate::before(&upstream, &["--client-credentials=refuse"]);
    let response = get_with(&kubegate, "Authorization: Bearer mine\r\n").await;
    assert_eq!(status(&response), 403, "{response}");
    assert!(response.contains("--client-credentials"), "{response}");
    assert!(take(&requests).is_empty());
    assert_eq!(status(&get_with(&kubegate, "").await), 200);
    assert_eq!(
        values(&take(&requests)[0], "authorization"),
        ["Bearer sesame"]
    );
}

#[tokio::test]
async fn a_token_subprotocol_is_the_clients_own_credential() {
    const TOKEN: &str = "base64url.bearer.authorization.k8s.io.bWluZQ";
    let (upstream, requests) =
        recorded(|_| "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n").await;
    let lines = |protocols: &str| {
        format!(
            "Connection: close, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: {protocols}\r\n"
        )
    };
    let upgrade = async |kubegate: &Kubegate, protocols: &str| {
        let head = format!(
            "GET /api/v1/pods?watch=1 HTTP/1.1\r\nHost: localhost\r\n{}\r\n",
            lines(protocols)
        );
        assert_eq!(status(&exchange(&kubegate.address, head).await), 403);
        take(&requests).pop()
    };
    // Go, and so the API server, trims every space that Unicode knows.
    for space in ["", "\u{a0}", "\u{2003}"] {
        let both = format!("{space}{TOKEN}, base64.binary.k8s.io");
        let kubegate = Kubegate::before(&upstream, &[]);
        let request = upgrade(&kubegate, &both).await.unwrap();
        assert!(values(&request, "authorization").is_empty(), "{request:?}");
        assert_eq!(values(&request, "sec-websocket-protocol"), [&both]);
        let request = upgrade(&kubegate, "base64.binary.k8s.io").await.unwrap();
        assert_eq!(values(&request, "authorization"), ["Bearer sesame"]);

        let kubegate = Kubegate::before(&upstream, &["--client-credentials=replace"]);
        let request = upgrade(&kubegate, &both).await.unwrap();
        assert_eq!(values(&request, "authorization"), ["Bearer sesame"]);
        assert_eq!(
            values(&request, "sec-websocket-protocol"),
            ["base64.binary.k8s.io"]
        );

        let kubegate = Kubegate::before(&upstream, &["--client-credentials=refuse"]);
        assert!(upgrade(&kubegate, &both).await.is_none());
        assert!(upgrade(&kubegate, "base64.binary.k8s.io").await.is_some());
    }
}

#[tokio::test]
async fn over_plain_http_nothing_of_ours_is_sent() {
    let upstream = Upstream::plain(Connection::echo).await;
    let kubegate = Kubegate::before(&upstream, &[]);
    let response = get_with(&kubegate, "").await;
    assert_eq!(status(&response), 200);
    assert!(!response.contains("authorization"), "{response}");
    let response = get_with(&kubegate, "Authorization: Bearer mine\r\n").await;
    assert!(
        response.contains("authorization: Bearer mine\r\n"),
        "{response}"
    );
}

#[tokio::test]
async fn whom_to_act_as_is_ours_alone_where_it_is_set() {
    let (upstream, requests) = recorded(|_| OK).await;
    let kubegate = Kubegate::before(
        &upstream,
        &[
            "--as",
            "jane",
            "--as-group",
            "dev",
            "--as-group",
            "ops",
            "--as-uid",
            "7",
            "--as-user-extra",
            "a/b=c",
        ],
    );
    assert_eq!(status(&get_with(&kubegate, "").await), 200);
    let request = take(&requests).remove(0);
    assert_eq!(values(&request, "impersonate-user"), ["jane"]);
    assert_eq!(values(&request, "impersonate-group"), ["dev", "ops"]);
    assert_eq!(values(&request, "impersonate-uid"), ["7"]);
    assert_eq!(values(&request, "impersonate-extra-a%2fb"), ["c"]);
    for line in [
        "Impersonate-User: root",
        "impersonate-group: system:masters",
        "Impersonate_User: root",
        "Impersonate-Extra-x: y",
        "Impersonate-Uid: 0",
        "Impersonate-User: jane",
    ] {
        let response = get_with(&kubegate, &format!("{line}\r\n")).await;
        assert_eq!(status(&response), 403, "{line}: {response}");
        assert!(response.contains("--as"), "{response}");
    }
    assert!(take(&requests).is_empty());

    let kubegate = Kubegate::before(&upstream, &[]);
    let lines = "Impersonate-User: root\r\nImpersonate-Group: a\r\nImpersonate-Group: b\r\n";
    assert_eq!(status(&get_with(&kubegate, lines).await), 200);
    let request = take(&requests).remove(0);
    assert_eq!(values(&request, "impersonate-user"), ["root"]);
    assert_eq!(values(&request, "impersonate-group"), ["a", "b"]);
}

/// A kubegate whose token stands in a file.
struct Rotating {
    kubegate: Kubegate,
    _folder: TempDir,
}

impl Rotating {
    /// With the token `old`.
    fn before(url: &str, folder: TempDir, args: &[&str]) -> Self {
        let ca = cert("ca.pem");
        std::fs::write(
            folder.path().join("config"),
            format!(
                "current-context: a\ncontexts: [{{name: a, context: {{cluster: a, user: a}}}}]\n\
                 clusters: [{{name: a, cluster: {{server: '{url}', certificate-authority: '{}'}}}}]\n\
                 users: [{{name: a, user: {{tokenFile: token}}}}]\n",
                ca.display()
            ),
        )
        .unwrap();
        let config = folder.path().join("config");
        let mut all = vec!["--kubeconfig", config.to_str().unwrap()];
        all.extend(args);
        Self {
            kubegate: Kubegate::start(all),
            _folder: folder,
        }
    }
}

/// A folder with a token file that says `old`.
fn old_token() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, "old\n").unwrap();
    (folder, token)
}

/// A server that answers the token `old` with a 401, but first lets the file say `new`. So
/// nothing but the 401 can tell kubegate to look again. The token `new` is taken only where
/// `takes_new`.
async fn rotating(takes_new: bool, args: &[&str]) -> (Rotating, Upstream, Requests) {
    let (folder, token) = old_token();
    let requests = Requests::default();
    let upstream = Upstream::tls("localhost", {
        let requests = requests.clone();
        move |mut connection: Connection| {
            let (requests, token) = (requests.clone(), token.clone());
            async move {
                while let Some(request) = connection.request().await {
                    let old = values(&request, "authorization") == ["Bearer old"];
                    std::fs::write(&token, "new\n").unwrap();
                    requests.lock().unwrap().push(request);
                    let pass = takes_new && !old;
                    connection.write(if pass { OK } else { UNAUTHORIZED }).await;
                }
            }
        }
    })
    .await;
    (
        Rotating::before(&upstream.url(), folder, args),
        upstream,
        requests,
    )
}

/// Bytes that show whether any of them moved.
fn body(length: usize) -> Vec<u8> {
    (0..length)
        .map(|n| b"0123456789abcdefghijklmnopqrstuvwxyz!"[n % 37])
        .collect()
}

async fn post(kubegate: &Kubegate, body: &[u8], chunk: Option<usize>) -> String {
    exchange(&kubegate.address, posted(body, chunk)).await
}

/// A POST of `body`, in chunks of that size or by its length.
fn posted(body: &[u8], chunk: Option<usize>) -> Vec<u8> {
    let mut bytes = b"POST /x HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n".to_vec();
    match chunk {
        None => {
            bytes.extend(format!("Content-Length: {}\r\n\r\n", body.len()).bytes());
            bytes.extend(body);
        }
        Some(size) => {
            bytes.extend(b"Transfer-Encoding: chunked\r\n\r\n");
            for chunk in body.chunks(size) {
                bytes.extend(format!("{:x}\r\n", chunk.len()).bytes());
                bytes.extend(chunk);
                bytes.extend(b"\r\n");
            }
            bytes.extend(b"0\r\n\r\n");
        }
    }
    bytes
}

#[tokio::test]
async fn a_token_changed_on_disk_is_read_after_a_401_and_the_request_sent_again() {
    let (rotating, _upstream, requests) = rotating(true, &[]).await;
    let response = get_with(&rotating.kubegate, "X-A: b\r\n").await;
    assert_eq!(status(&response), 200, "{response}");
    let requests = take(&requests);
    assert_eq!(requests.len(), 2, "{requests:?}");
    assert_eq!(values(&requests[0], "authorization"), ["Bearer old"]);
    assert_eq!(values(&requests[1], "authorization"), ["Bearer new"]);
    assert_eq!(requests[0].head.replace("old", "new"), requests[1].head);
}

#[tokio::test]
async fn a_small_body_is_sent_again_byte_for_byte() {
    for (length, chunk) in [
        (10 << 10, None),
        (10 << 10, Some(1000)),
        (64 << 10, None),
        (1, None),
    ] {
        let (rotating, _upstream, requests) = rotating(true, &[]).await;
        let body = body(length);
        let response = post(&rotating.kubegate, &body, chunk).await;
        assert_eq!(status(&response), 200, "{response}");
        let requests = take(&requests);
        assert_eq!(requests.len(), 2, "{length}");
        assert!(
            requests.iter().all(|request| request.body == body),
            "{length}"
        );
        assert_eq!(values(&requests[1], "authorization"), ["Bearer new"]);
        assert_eq!(requests[0].head.replace("old", "new"), requests[1].head);
    }
}

#[tokio::test]
async fn a_large_body_is_not_sent_again_and_its_401_passes() {
    for chunk in [None, Some(5000)] {
        let (rotating, _upstream, requests) = rotating(true, &[]).await;
        let body = body(100 << 10);
        let response = post(&rotating.kubegate, &body, chunk).await;
        assert_eq!(status(&response), 401, "{response}");
        assert!(
            response.contains("x-from: the server\r\n") && response.ends_with("no"),
            "{response}"
        );
        {
            let requests = requests.lock().unwrap();
            assert_eq!(requests.len(), 1);
            assert!(requests[0].body == body);
        }
        // The credential was renewed all the same: the client's next try works.
        let response = post(&rotating.kubegate, &body, chunk).await;
        assert_eq!(status(&response), 200, "{response}");
        assert!(take(&requests)[1].body == body);
    }
}

#[tokio::test]
async fn nothing_is_sent_a_third_time_and_nothing_is_refreshed_twice_in_10_seconds() {
    let (rotating, _upstream, requests) = rotating(false, &[]).await;
    let response = get(&rotating.kubegate.address, "/x").await;
    assert_eq!(status(&response), 401, "{response}");
    assert!(response.contains("x-from: the server\r\n"), "{response}");
    assert_eq!(take(&requests).len(), 2);
    for _ in 0..5 {
        let response = get(&rotating.kubegate.address, "/x").await;
        assert_eq!(status(&response), 401, "{response}");
        let requests = take(&requests);
        assert_eq!(requests.len(), 1, "{requests:?}");
        assert_eq!(values(&requests[0], "authorization"), ["Bearer new"]);
    }
}

#[tokio::test]
async fn a_credential_that_cannot_change_is_not_tried_twice() {
    let (upstream, requests) = recorded(|_| UNAUTHORIZED).await;
    let kubegate = Kubegate::before(&upstream, &[]);
    let response = get_with(&kubegate, "").await;
    assert_eq!(status(&response), 401, "{response}");
    assert_eq!(take(&requests).len(), 1);
}

#[tokio::test]
async fn a_401_to_the_clients_own_credential_is_the_clients() {
    let (rotating, _upstream, requests) = rotating(true, &[]).await;
    let response = get_with(&rotating.kubegate, "Authorization: Bearer old\r\n").await;
    assert_eq!(status(&response), 401, "{response}");
    assert_eq!(take(&requests).len(), 1);
}

#[tokio::test]
async fn a_401_of_an_application_behind_a_proxy_path_passes_and_refreshes_nothing() {
    for (path, sent) in [
        ("/api/v1/namespaces/x/services/web/proxy/login", 1),
        ("/api/v1/namespaces/x/services/https:web:443/proxy/a/b?c", 1),
        ("/api/v1/namespaces/x/pods/p:8080/proxy/", 1),
        ("/api/v1/nodes/n/proxy/metrics", 1),
        ("/api/v1/proxy/namespaces/x/services/web/", 1),
        // The controls: a 401 of the API server's own.
        ("/api/v1/namespaces/x/services/proxy", 2),
        ("/api/v1/namespaces/x/services/web?x=/proxy/", 2),
    ] {
        let (rotating, _upstream, requests) = rotating(true, &[]).await;
        let response = get(&rotating.kubegate.address, path).await;
        let requests = take(&requests);
        assert_eq!(requests.len(), sent, "{path}: {requests:?}");
        assert_eq!(status(&response) == 401, sent == 1, "{path}: {response}");
    }
}

#[tokio::test]
async fn a_401_before_the_bodys_end_is_replayed_with_what_is_still_to_come() {
    let (folder, token) = old_token();
    let (upstream, mut connections) = Upstream::handed().await;
    let rotating = Rotating::before(&upstream.url(), folder, &[]);
    let mut client = Connection::open(&rotating.kubegate.address).await;
    in_time(async {
        client
            .write("POST /x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 6\r\n\r\none")
            .await;
        let mut first = connections.next().await;
        first.head().await.unwrap();
        assert_eq!(first.exactly(3).await.unwrap(), b"one");
        std::fs::write(&token, "new").unwrap();
        first.write(UNAUTHORIZED).await;
        let mut second = connections.next().await;
        let head = second.head().await.unwrap();
        assert!(head.contains("authorization: Bearer new\r\n"), "{head}");
        assert_eq!(second.exactly(3).await.unwrap(), b"one");
        client.write("two").await;
        assert_eq!(second.exactly(3).await.unwrap(), b"two");
        second.write(OK).await;
        assert_eq!(client.response().await.unwrap().body, b"ok");
        // The first never became whole.
        assert_eq!(first.rest().await, b"");
    })
    .await;
}

#[tokio::test]
async fn over_http_2_a_refused_request_is_sent_again_too() {
    let (folder, token) = old_token();
    let upstream = Upstream::http2(move |request: Request<Incoming>| {
        let token = token.clone();
        async move {
            let fresh = request.headers()["authorization"] == "Bearer new";
            let body = request.into_body().collect().await.unwrap().to_bytes();
            std::fs::write(&token, "new").unwrap();
            Response::builder()
                .status(if fresh { 200 } else { 401 })
                .body(Frames::of(body))
                .unwrap()
        }
    })
    .await;
    let rotating = Rotating::before(&upstream.url(), folder, &[]);
    let body = body(10 << 10);
    let mut client = Connection::open(&rotating.kubegate.address).await;
    client.write(posted(&body, Some(1000))).await;
    let response = in_time(client.response()).await.unwrap();
    assert!(
        response.head.starts_with("HTTP/1.1 200 "),
        "{}",
        response.head
    );
    assert!(response.body == body, "{:?}", response.body);
}
