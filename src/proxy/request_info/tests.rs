#![allow(clippy::unwrap_used)]

use http::HeaderMap;

use super::*;
use crate::proxy::guard::{Guard, Rules};

fn info(method: &str, target: &str) -> RequestInfo {
    let request = Request::builder().method(method).uri(target);
    RequestInfo::read(&request.body(()).unwrap()).unwrap()
}

/// One request of a real API server's audit log.
struct Row<'a> {
    method: &'a str,
    target: String,
    kind: &'a str,
    /// Verb, resource, subresource, namespace, name, API group and API version.
    words: [String; 7],
    kubegate: &'a str,
}

fn rows() -> impl Iterator<Item = Row<'static>> {
    let lines = include_str!("tests/audit_log.tsv").lines();
    lines.filter(|line| !line.starts_with('#')).map(|line| {
        let columns: [&str; 11] = line.split('\t').collect::<Vec<_>>().try_into().unwrap();
        let [
            method,
            target,
            kind,
            verb,
            resource,
            subresource,
            namespace,
            name,
            group,
            version,
            kubegate,
        ] = columns;
        let words = [verb, resource, subresource, namespace, name, group, version];
        Row {
            method,
            target: unescaped(target),
            kind,
            words: words.map(unescaped),
            kubegate,
        }
    })
}

fn unescaped(text: &str) -> String {
    text.replace(r"\x00", "\0").replace(r"\\", r"\")
}

/// What is read, in the words of the audit log.
fn words(info: &RequestInfo) -> (&'static str, [String; 7]) {
    let verb = info.verb().into_owned();
    let Some(resource) = info.resource() else {
        let none = String::new;
        let words = [verb, none(), none(), none(), none(), none(), none()];
        return ("non-resource", words);
    };
    let words = [
        verb,
        resource.resource.into(),
        resource.subresource.into(),
        resource.namespace.into(),
        info.name().into(),
        resource.api_group.into(),
        resource.api_version.into(),
    ];
    ("resource", words)
}

/// What the last column of a row must say.
fn difference(row: &Row<'_>) -> String {
    // The server side percent-encodes a raw # before it parses the target.
    let target = row.target.replace('#', "%23");
    let request = Request::builder().method(row.method).uri(target);
    let Ok(mut request) = request.body(()) else {
        return "no request".to_owned();
    };
    let host = request
        .uri()
        .authority()
        .map_or("localhost", |host| host.as_str());
    let host = host.parse().unwrap();
    request.headers_mut().insert("host", host);
    let guard = Guard::new(&Rules {
        accept_hosts: vec![".*".to_owned()],
        ..Rules::default()
    });
    if let Err(refusal) = guard.unwrap().check_origin(&request)
        && refusal.status == 405
    {
        return "405".to_owned();
    }
    let info = match RequestInfo::read(&request) {
        Ok(info) => info,
        Err(ambiguous) => return format!("400: {ambiguous}"),
    };
    let (kind, mut words) = words(&info);
    if row.kind == "no event" {
        return kind.to_owned();
    }
    let mut differences: Vec<String> = Vec::new();
    if row.method == "POST" && words[4].is_empty() && !row.words[4].is_empty() {
        words[4].clone_from(&row.words[4]);
        differences.push("name in body".to_owned());
    }
    assert_eq!(
        (kind, &words),
        (row.kind, &row.words),
        "{} {}",
        row.method,
        row.target
    );
    for reading in info.readings().skip(1) {
        differences.push(format!("also {}", reading.path()));
    }
    let read_only = Guard::new(&Rules {
        read_only: true,
        ..Rules::default()
    });
    let mut upgrade = HeaderMap::new();
    upgrade.insert("upgrade", "websocket".parse().unwrap());
    if row.method == "GET"
        && words[0] == "watch"
        && words[2].is_empty()
        && read_only.unwrap().check_request(&info, &upgrade).is_err()
    {
        differences.push("upgrade 403".to_owned());
    }
    differences.join("; ")
}

#[test]
fn requests_are_read_as_a_real_api_server_reads_them() {
    let mut wrong = Vec::new();
    let mut count = 0;
    for row in rows() {
        let found = difference(&row);
        if found != row.kubegate {
            wrong.push(format!("{}\t{}\t{found}", row.method, row.target));
        }
        count += 1;
    }
    assert!(
        wrong.is_empty(),
        "the last column must say:\n{}",
        wrong.join("\n")
    );
    assert_eq!(count, 367);
}

#[test]
fn a_watch_is_found_by_its_query_or_its_old_path() {
    for target in [
        "/api/v1/pods?watch=1",
        "/api/v1/pods?a=b&watch=true",
        "/apis/apps/v1/namespaces/x/deployments?watch",
        "/api/v1/watch/pods",
        "/api/v1/watch/namespaces/x/pods/p",
        "/k8s/clusters/c-1/api/v1/pods?watch=1",
        "/api/v1/namespaces/x/services/y/proxy/api/v1/pods?watch=1",
    ] {
        assert!(info("GET", target).is_watch(), "{target}");
    }
    for target in [
        "/api/v1/pods",
        "/api/v1/pods?watch=0",
        "/api/v1/pods?watch=false",
        "/api/v1/pods?nowatch=1",
        "/api/v1/pods?labelSelector=watch",
        "/api/v1/namespaces/watch/pods",
        "/api/v1/namespaces/x/pods/p?watch=1",
        "/api/v1/namespaces/x/services/y/proxy/watch/file?watch=1",
    ] {
        assert!(!info("GET", target).is_watch(), "{target}");
    }
}

#[test]
fn an_api_path_is_found_wherever_it_begins() {
    for (target, base_path, resource) in [
        ("/api/v1/pods", "", "pods"),
        ("//api/v1/pods", "/", "pods"),
        ("/k8s/clusters/c-1/api/v1/pods", "/k8s/clusters/c-1", "pods"),
        ("/x%2Fapi%2Fv1%2Fsecrets", "/x", "secrets"),
        ("/apiary/apis/apps/v1/deployments", "/apiary", "deployments"),
    ] {
        let info = info("GET", target);
        let first = info.readings().next().unwrap();
        let found: Vec<_> = first
            .resources()
            .map(|asked| (asked.base_path, asked.resource))
            .collect();
        assert_eq!(found, [(base_path, resource)], "{target}");
    }
    let nested = info("GET", "/api/v1/namespaces/x/services/s/proxy/api/v1/pods");
    let first = nested.readings().next().unwrap();
    let found: Vec<_> = first.resources().map(|asked| asked.resource).collect();
    assert_eq!(found, ["services", "pods"]);
}

#[test]
fn the_layer_puts_the_reading_among_the_extensions() {
    use tower::{Layer, Service, service_fn};

    let inner = service_fn(async |request: Request<()>| {
        let info = request.extensions().get::<RequestInfo>().unwrap();
        assert_eq!(info.resource().unwrap().subresource, "exec");
        Ok::<_, crate::proxy::Error>(http::Response::new(crate::proxy::Body::Empty))
    });
    let mut service = layer().layer(inner);
    let target = "/api/v1/namespaces/x/pods/p/%65xec";
    let answered = service.call(Request::get(target).body(()).unwrap());
    assert!(
        futures_util::FutureExt::now_or_never(answered)
            .unwrap()
            .is_ok()
    );
}
