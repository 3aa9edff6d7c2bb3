//! Time and allocations of the guard's checks of one request.
//!
//! `cargo bench --bench guard`

use divan::{AllocProfiler, Bencher, black_box};
use http::{Request, header::HOST};
use kubegate::proxy::guard::{Guard, Rules, path};

#[global_allocator]
static ALLOCATIONS: AllocProfiler = AllocProfiler::system();

/// Paths as clients and as attackers send them.
const PATHS: [&str; 4] = [
    "/api/v1/namespaces/default/configmaps/small",
    "/apis/apps/v1/namespaces/default/deployments?labelSelector=app%3Dweb",
    "/api/v1/namespaces/default/services/a%3Ab/proxy/caf%C3%A9//menu",
    "/api/v1/namespaces/default/pods/hello/exec?command=sh",
];

fn main() {
    divan::main();
}

fn guard(rules: &Rules) -> Guard {
    Guard::new(rules).expect("rules that compile")
}

fn request(target: &str) -> Request<()> {
    Request::get(target)
        .header(HOST, "127.0.0.1:8001")
        .header("user-agent", "kubectl/v1.37.1")
        .header("accept", "application/json")
        .body(())
        .expect("a request")
}

/// Decoding a path as the guard reads it.
#[divan::bench(args = PATHS)]
fn normalise(target: &str) -> bool {
    let raw = target.split('?').next().unwrap_or_default();
    path::normalise(black_box(raw)).is_ok()
}

/// Who asks: framing, `Host` and `Origin`.
#[divan::bench]
fn who_asks(bencher: Bencher) {
    let (guard, request) = (guard(&Rules::default()), request(PATHS[0]));
    bencher.bench_local(|| guard.judge_origin(black_box(&request)).is_ok());
}

/// The same for a page whose origin is allowed.
#[divan::bench]
fn who_asks_from_a_page(bencher: Bencher) {
    let origin = "https://dashboard.example";
    let guard = guard(&Rules {
        allow_origins: vec![origin.to_owned()],
        ..Rules::default()
    });
    let mut request = request(PATHS[0]);
    let headers = request.headers_mut();
    headers.insert("origin", origin.parse().expect("an origin"));
    bencher.bench_local(|| guard.judge_origin(black_box(&request)).is_ok());
}

/// What is asked, by the default rules.
#[divan::bench(args = PATHS)]
fn what_is_asked(bencher: Bencher, target: &str) {
    let (guard, request) = (guard(&Rules::default()), request(target));
    bencher.bench_local(|| guard.judge_request(black_box(&request)).is_ok());
}

/// What is asked, with `--read-only`.
#[divan::bench(args = PATHS)]
fn what_is_asked_of_a_read_only_proxy(bencher: Bencher, target: &str) {
    let guard = guard(&Rules {
        read_only: true,
        ..Rules::default()
    });
    let request = request(target);
    bencher.bench_local(|| guard.judge_request(black_box(&request)).is_ok());
}
