//! Time and allocations of the changes to the headers of a request and of its response.
//!
//! `cargo bench --bench headers`

use divan::{AllocProfiler, Bencher};
use http::{HeaderMap, HeaderName, HeaderValue, Request, header::CONNECTION};
use kubegate::proxy::{
    head_filter::HeadFilter as _,
    hop_by_hop::{HopByHop, strip_response},
};

#[global_allocator]
static ALLOCATIONS: AllocProfiler = AllocProfiler::system();

/// Headers as kubectl sends them.
const REQUEST: [(&str, &str); 5] = [
    ("host", "127.0.0.1:8001"),
    (
        "user-agent",
        "kubectl/v1.37.1 (linux/amd64) kubernetes/0000000",
    ),
    (
        "accept",
        "application/json;as=Table;v=v1;g=meta.k8s.io,application/json",
    ),
    ("accept-encoding", "gzip"),
    ("kubectl-command", "kubectl get"),
];

/// Headers as an API server sends them.
const RESPONSE: [(&str, &str); 7] = [
    ("audit-id", "7d3f7a0e-4b6b-4a8e-9d0f-3a8d5b3c2e1f"),
    ("cache-control", "no-cache, private"),
    ("content-type", "application/json"),
    ("date", "Sun, 22 Nov 2026 12:00:00 GMT"),
    ("content-length", "1000"),
    (
        "x-kubernetes-pf-flowschema-uid",
        "0c2c2a3e-93f5-4d6b-8d9c-2f1f5c7b9a10",
    ),
    (
        "x-kubernetes-pf-prioritylevel-uid",
        "f1e0d9c8-b7a6-4958-8473-625140302f1e",
    ),
];

fn main() {
    divan::main();
}

fn headers(of: &[(&'static str, &'static str)]) -> HeaderMap {
    of.iter()
        .map(|(name, value)| {
            let name = HeaderName::from_static(name);
            (name, HeaderValue::from_static(value))
        })
        .collect()
}

fn request() -> Request<()> {
    let mut request = Request::new(());
    *request.headers_mut() = headers(&REQUEST);
    request
}

fn measure(bencher: Bencher, request: impl Fn() -> Request<()>) {
    bencher
        .with_inputs(request)
        .bench_local_refs(|request| HopByHop.filter(request).is_ok());
}

/// A request without headers to remove.
#[divan::bench]
fn of_a_request(bencher: Bencher) {
    measure(bencher, request);
}

/// A request whose `Connection` names another header.
#[divan::bench]
fn of_a_request_with_hop_by_hop_headers(bencher: Bencher) {
    measure(bencher, || {
        let mut request = request();
        let headers = request.headers_mut();
        headers.insert(CONNECTION, HeaderValue::from_static("keep-alive, x-mine"));
        headers.insert("x-mine", HeaderValue::from_static("mine"));
        request
    });
}

/// A request with identity headers that only a trusted front proxy may send.
#[divan::bench]
fn of_a_request_with_a_forged_identity(bencher: Bencher) {
    measure(bencher, || {
        let mut request = request();
        let headers = request.headers_mut();
        headers.insert("x-remote-user", HeaderValue::from_static("admin"));
        request
    });
}

#[divan::bench]
fn of_an_answer(bencher: Bencher) {
    bencher
        .with_inputs(|| headers(&RESPONSE))
        .bench_local_refs(strip_response);
}
