#![allow(clippy::unwrap_used)]

//! Requests over real TLS connections.

mod client;

use std::time::Duration;

use http::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::{net::TcpStream, time::timeout};

use self::client::{Client, config_map};
use super::ControlPlane;

async fn start() -> ControlPlane {
    ControlPlane::start(Duration::from_secs(30)).await.unwrap()
}

/// The time after which a test fails that waits for something.
const PATIENCE: Duration = Duration::from_secs(20);

const CONFIG_MAPS: &str = "/api/v1/namespaces/default/configmaps";

#[tokio::test]
async fn a_created_object_is_listed_and_watched() {
    let plane = start().await;
    let mut client = Client::connect(&plane, "h2").await;
    let before = client.get(CONFIG_MAPS).await.1;
    let version = before["metadata"]["resourceVersion"].as_str().unwrap();

    let mut watch = client
        .watch(&format!("{CONFIG_MAPS}?watch=1&resourceVersion={version}"))
        .await;
    let (code, created) = client
        .send(Method::POST, CONFIG_MAPS, &config_map("new"))
        .await;
    assert_eq!(code, StatusCode::CREATED);
    let event = watch.next().await.unwrap();
    assert_eq!(
        (&event["type"], &event["object"]),
        (&json!("ADDED"), &created)
    );

    let after = client.get(CONFIG_MAPS).await.1;
    let names = |list: &Value| -> Vec<String> {
        let items = list["items"].as_array().unwrap().iter();
        items
            .map(|item| item["metadata"]["name"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(names(&before), ["kube-root-ca.crt", "settings"]);
    assert_eq!(names(&after), ["kube-root-ca.crt", "new", "settings"]);
    assert_eq!(plane.server.store.watches(), 1);
}

#[tokio::test]
async fn a_websocket_watch_sends_one_event_per_message_and_needs_an_origin() {
    let plane = start().await;
    let path = format!("{CONFIG_MAPS}?watch=1&fieldSelector=metadata.name%3Dsettings");
    let mut socket = client::web_socket(&plane, &path, Some("http://localhost"))
        .await
        .unwrap();
    let event = client::message(&mut socket).await;
    assert_eq!(event["object"]["metadata"]["name"], "settings");

    let mut client = Client::connect(&plane, "http/1.1").await;
    let deleted = client
        .send(
            Method::DELETE,
            &format!("{CONFIG_MAPS}/settings"),
            &Value::Null,
        )
        .await;
    assert_eq!(deleted.1["status"], "Success");
    assert_eq!(client::message(&mut socket).await["type"], "DELETED");

    let refused = client::web_socket(&plane, &path, None).await;
    assert_eq!(refused.unwrap_err(), StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn an_invalid_token_is_401_with_the_message_of_real_servers() {
    let plane = start().await;
    let mut client = Client::connect(&plane, "h2").await;
    assert_eq!(client.get("/api/v1/pods").await.0, StatusCode::OK);
    client.authorization = Some("Bearer nope".to_owned());
    let (code, body) = client.text("/api/v1/pods").await;
    assert_eq!(code, StatusCode::UNAUTHORIZED);
    assert_eq!(
        body,
        "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{},\"status\":\"Failure\",\
         \"message\":\"Unauthorized\",\"reason\":\"Unauthorized\",\"code\":401}\n"
    );
    client.authorize(&plane);
    assert_eq!(client.get("/api/v1/pods").await.0, StatusCode::OK);
}

#[tokio::test]
async fn anonymous_requests_get_the_version_and_nothing_else() {
    let plane = start().await;
    let mut client = Client::connect(&plane, "h2").await;
    client.authorization = None;
    assert_eq!(client.get("/version").await.1["minor"], "35");
    let (code, body) = client.text("/api/v1/pods").await;
    assert_eq!(code, StatusCode::FORBIDDEN);
    assert_eq!(
        body,
        "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{},\"status\":\"Failure\",\
         \"message\":\"pods is forbidden: User \\\"system:anonymous\\\" cannot list resource \
         \\\"pods\\\" in API group \\\"\\\" at the cluster scope\",\"reason\":\"Forbidden\",\
         \"details\":{\"kind\":\"pods\"},\"code\":403}\n"
    );
}

#[tokio::test]
async fn a_watch_from_before_the_log_gets_an_expired_event() {
    let plane = start().await;
    let mut client = Client::connect(&plane, "h2").await;
    let mut watch = client
        .watch(&format!("{CONFIG_MAPS}?watch=1&resourceVersion=1"))
        .await;
    let event = watch.next().await.unwrap();
    assert_eq!(
        (&event["type"], &event["object"]["code"]),
        (&json!("ERROR"), &json!(410))
    );
    assert!(watch.next().await.is_none());
}

#[tokio::test]
async fn a_streaming_list_and_a_watch_end_with_bookmarks() {
    let plane = start().await;
    let mut client = Client::connect(&plane, "h2").await;
    let mut watch = client
        .watch(&format!(
            "{CONFIG_MAPS}?watch=1&sendInitialEvents=true&allowWatchBookmarks=true\
             &resourceVersionMatch=NotOlderThan&timeoutSeconds=1"
        ))
        .await;
    let mut events = Vec::new();
    while let Some(event) = watch.next().await {
        events.push(event);
    }
    let types: Vec<_> = events
        .iter()
        .map(|event| event["type"].as_str().unwrap())
        .collect();
    assert_eq!(types, ["ADDED", "ADDED", "BOOKMARK", "BOOKMARK"]);
    let annotations = &events[2]["object"]["metadata"]["annotations"];
    assert_eq!(*annotations, json!({"k8s.io/initial-events-end": "true"}));
    assert_eq!(plane.server.store.watches(), 0);
}

#[tokio::test]
async fn an_object_that_stops_matching_is_deleted_for_the_watch() {
    let plane = start().await;
    let mut client = Client::connect(&plane, "h2").await;
    let mut watch = client
        .watch(&format!("{CONFIG_MAPS}?watch=1&labelSelector=app%3Dhello"))
        .await;
    assert_eq!(watch.next().await.unwrap()["type"], "ADDED");
    let path = format!("{CONFIG_MAPS}/settings");
    for (label, seen) in [("other", "DELETED"), ("hello", "ADDED")] {
        let relabel = json!({"metadata": {"labels": {"app": label}}});
        client.patch(&path, "merge-patch+json", &relabel).await;
        let event = watch.next().await.unwrap();
        assert_eq!(event["type"], seen, "after the label became {label}");
        assert_eq!(event["object"]["metadata"]["labels"]["app"], "hello");
    }
}

#[tokio::test]
async fn pages_have_every_object_once() {
    let plane = start().await;
    let mut client = Client::connect(&plane, "h2").await;
    for name in ["a", "b", "c"] {
        client
            .send(Method::POST, CONFIG_MAPS, &config_map(name))
            .await;
    }
    let mut names = Vec::new();
    let mut next = String::new();
    loop {
        let page = client
            .get(&format!("{CONFIG_MAPS}?limit=2&continue={next}"))
            .await
            .1;
        for item in page["items"].as_array().unwrap() {
            names.push(item["metadata"]["name"].as_str().unwrap().to_owned());
        }
        match page["metadata"]["continue"].as_str() {
            Some(token) => token.clone_into(&mut next),
            None => break,
        }
    }
    assert_eq!(names, ["a", "b", "c", "kube-root-ca.crt", "settings"]);
}

#[tokio::test]
async fn a_stale_update_conflicts_and_a_fresh_one_does_not() {
    let plane = start().await;
    let mut client = Client::connect(&plane, "h2").await;
    let path = format!("{CONFIG_MAPS}/settings");
    let mut object = client.get(&path).await.1;
    let stale = object.clone();
    object["data"]["color"] = json!("red");
    assert_eq!(
        client.send(Method::PUT, &path, &object).await.0,
        StatusCode::OK
    );
    let (code, status) = client.send(Method::PUT, &path, &stale).await;
    assert_eq!(
        (code, &status["reason"]),
        (StatusCode::CONFLICT, &json!("Conflict"))
    );
}

#[tokio::test]
async fn http2_settings_are_those_of_a_real_server() {
    let settings = client::settings(&start().await).await;
    assert_eq!(settings[&3], 100, "MAX_CONCURRENT_STREAMS");
    assert_eq!(settings[&4], 262_144, "INITIAL_WINDOW_SIZE");
    assert_eq!(settings[&5], 262_144, "MAX_FRAME_SIZE");
    assert_eq!(settings[&6], 1_048_896, "MAX_HEADER_LIST_SIZE");
}

#[tokio::test]
async fn a_watch_ends_when_its_client_disconnects() {
    let plane = start().await;
    for protocol in ["h2", "http/1.1"] {
        let mut client = Client::connect(&plane, protocol).await;
        let mut watch = client.watch(&format!("{CONFIG_MAPS}?watch=1")).await;
        assert!(watch.next().await.is_some());
        assert_eq!(plane.server.store.watches(), 1, "over {protocol}");
        drop((client, watch));
        let ended = async {
            while plane.server.store.watches() > 0 {
                tokio::task::yield_now().await;
            }
        };
        timeout(PATIENCE, ended).await.unwrap();
    }
}

#[tokio::test]
async fn a_dropped_control_plane_cuts_watches_and_stops_listening() {
    let plane = start().await;
    let address = plane.address();
    let mut client = Client::connect(&plane, "http/1.1").await;
    let mut watch = client.watch(&format!("{CONFIG_MAPS}?watch=1")).await;
    assert!(watch.next().await.is_some());
    drop(plane);
    while watch.next().await.is_some() {}
    // The task of the listener ends a little later.
    let closed = async {
        while TcpStream::connect(address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, closed).await.unwrap();
}

#[tokio::test]
async fn an_early_http2_refusal_is_complete_and_the_stream_is_drained() {
    let plane = start().await;
    let connecting = h2::client::handshake(client::tls(&plane, "h2").await);
    let (sender, connection) = connecting.await.unwrap();
    tokio::spawn(connection);
    let mut sender = sender.ready().await.unwrap();
    let request = http::Request::post(format!("https://localhost{CONFIG_MAPS}"))
        .header("authorization", "Bearer invalid")
        .header("content-type", "application/json");
    let (response, mut stream) = sender
        .send_request(request.body(()).unwrap(), false)
        .unwrap();
    let response = timeout(PATIENCE, response).await.unwrap().unwrap();
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    let mut body = response.into_body();
    let mut text = Vec::new();
    while let Some(data) = body.data().await {
        text.extend_from_slice(&data.unwrap());
    }
    assert!(String::from_utf8(text).unwrap().contains("Unauthorized"));
    // No reset has followed the response: this second response would come after it.
    let settled = sender.ready().await.unwrap();
    let (again, _) = settled
        .clone()
        .send_request(
            http::Request::get("https://localhost/version")
                .body(())
                .unwrap(),
            true,
        )
        .unwrap();
    timeout(PATIENCE, again).await.unwrap().unwrap();
    let reset = std::future::poll_fn(|cx| std::task::Poll::Ready(stream.poll_reset(cx))).await;
    assert!(reset.is_pending(), "{reset:?}");
    stream
        .send_data(r#"{"kind":"ConfigMap"}"#.into(), true)
        .unwrap();
}
