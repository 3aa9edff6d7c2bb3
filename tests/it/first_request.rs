//! One verified, authenticated request, end to end.

use crate::support::{Connection, Kubegate, Upstream, cert, get, status};

#[tokio::test]
async fn a_get_reaches_the_server_verified_and_with_our_token() {
    let upstream = Upstream::tls("localhost", Connection::echo).await;
    let ca = cert("ca.pem");
    let kubegate = Kubegate::start([
        "--server",
        &upstream.url(),
        "--certificate-authority",
        ca.to_str().unwrap(),
        "--token",
        "sesame",
    ]);
    let response = get(&kubegate.address, "/api//v1/%2F?x=%20").await;
    assert_eq!(status(&response), 200, "{response}");
    assert!(
        response.contains("\r\n\r\nGET /api//v1/%2F?x=%20 HTTP/1.1\r\n"),
        "{response}"
    );
    assert!(
        response.contains("authorization: Bearer sesame\r\n"),
        "{response}"
    );
}
