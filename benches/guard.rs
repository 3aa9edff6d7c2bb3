//! Time and allocations of the guard's checks of one request.
//!
//! `cargo bench --bench guard`

use divan::{AllocProfiler, Bencher, black_box};
use http::{Request, header::HOST};
use kubegate::proxy::{
    RequestInfo,
    guard::{Guard, Rules},
};

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

/// The request in the API server's terms.
#[divan::bench(args = PATHS)]
fn request_info(bencher: Bencher, target: &str) {
    let request = request(target);
    bencher.bench_local(|| RequestInfo::read(black_box(&request)));
}

/// Who asks: framing, `Host` and `Origin`.
#[divan::bench]
fn who_asks(bencher: Bencher) {
    let (guard, request) = (guard(&Rules::default()), request(PATHS[0]));
    bencher.bench_local(|| guard.check_origin(black_box(&request)).is_ok());
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
    bencher.bench_local(|| guard.check_origin(black_box(&request)).is_ok());
}

/// What is asked, read and checked by the default rules.
#[divan::bench(args = PATHS)]
fn what_is_asked(bencher: Bencher, target: &str) {
    read_and_check(bencher, target, &Rules::default());
}

/// The same with `--read-only`.
#[divan::bench(args = PATHS)]
fn what_is_asked_of_a_read_only_proxy(bencher: Bencher, target: &str) {
    let read_only = Rules {
        read_only: true,
        ..Rules::default()
    };
    read_and_check(bencher, target, &read_only);
}

fn read_and_check(bencher: Bencher, target: &str, rules: &Rules) {
    let (guard, request) = (guard(rules), request(target));
    bencher.bench_local(|| {
        let request = black_box(&request);
        let info = RequestInfo::read(request).expect("a path with one meaning");
        guard.check_request(&info, request.headers()).is_ok()
    });
}
