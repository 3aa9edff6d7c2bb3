//! Time and allocations of what decides whether a client gets in, and to which context: once for each
//! connection, and for each request.
//!
//! `cargo bench --bench access`

use std::{
    future::{Ready, ready},
    net::{TcpListener, TcpStream},
    sync::Arc,
    task::{Context, Poll},
};

use arc_swap::ArcSwap;
use divan::{AllocProfiler, Bencher, black_box};
use http::{Request, Response, header::HOST};
use kubegate::{
    proxy::{
        Body, ContextEntry, ContextSummary, ContextTable, Contexts, Drain, Error, Prefix,
        ReloadHandle, Root,
        guard::{LocalAccess, LocalTokens, LocalUsers, token_layer},
        reserved::ReservedLayer,
        route::RouteLayer,
    },
    serve::{Accepted, PeerCheck},
    settings::ClientCredentials,
};
use tower::{Service, ServiceBuilder, ServiceExt as _};

#[global_allocator]
static ALLOCATIONS: AllocProfiler = AllocProfiler::system();

const TOKEN: &str = "the-token-of-a-client-0123456789";

fn main() {
    divan::main();
}

/// Which user of the machine connects: asks the kernel.
#[divan::bench(args = ["127.0.0.1", "::1"])]
fn connection_of_a_user(bencher: Bencher, host: &str) {
    let listener = TcpListener::bind((host, 0)).expect("a listener");
    let address = listener.local_addr().expect("its address");
    let _client = TcpStream::connect(address).expect("a connection");
    let (accepted, _) = listener.accept().expect("the other end");
    let accepted = Accepted::Tcp(accepted);
    let own = Some(rustix::process::geteuid().as_raw());
    let mut check = PeerCheck::new(LocalUsers::Only {
        own,
        allowed: Vec::new(),
    });
    assert!(check.check(&accepted).is_ok());
    bencher.bench_local(|| check.check(black_box(&accepted)).is_ok());
}

/// The layers for the reserved path, token and routing, with the token of the last of so many clients.
#[divan::bench(args = [0, 1, 10, 100])]
fn request_with_a_token(bencher: Bencher, tokens: usize) {
    measure(bencher, tokens, 1, "/api/v1/namespaces/default/pods");
}

/// The same below `/clusters/`, among so many contexts.
#[divan::bench(args = [1, 10, 100])]
fn request_to_a_context(bencher: Bencher, contexts: usize) {
    let path = "/clusters/context-0/api/v1/namespaces/default/pods";
    measure(bencher, 1, contexts, path);
}

fn measure(bencher: Bencher, tokens: usize, contexts: usize, path: &str) {
    let mut service = ServiceBuilder::new()
        .layer(ReservedLayer::new(access(tokens)))
        .layer(token_layer(access(tokens)))
        .layer(RouteLayer::new(table(contexts), Prefix::new("/"), None))
        .service(Nothing);
    let answer = service.clone().oneshot(request(path));
    let answer = futures_util::FutureExt::now_or_never(answer);
    assert!(matches!(answer, Some(Ok(_))), "the request is refused");
    bencher
        .with_inputs(|| request(path))
        .bench_local_values(|request| drop(service.call(request)));
}

fn access(tokens: usize) -> Arc<LocalAccess> {
    let others = (1..tokens).map(|at| format!("client-{at} another-token-{at:016}\n"));
    let own = (tokens > 0).then(|| format!("me {TOKEN}\n"));
    let text: String = others.chain(own).collect();
    let file = LocalTokens::parse(&text).expect("lines of tokens");
    let file = Arc::new(ArcSwap::from_pointee(file));
    Arc::new(LocalAccess::new((tokens > 0).then_some(file)))
}

fn table(contexts: usize) -> Contexts {
    let entries = (0..contexts).map(|at| {
        let summary = ContextSummary {
            name: format!("context-{at}"),
            server: None,
            verified_by: None,
            error: None,
        };
        let handle = ReloadHandle::nowhere(ClientCredentials::Forward, Drain::default());
        Arc::new(ContextEntry::new(summary, handle))
    });
    let root = if contexts == 1 {
        Root::Only
    } else {
        Root::Default("context-0".to_owned())
    };
    Contexts::new(ContextTable::new(entries.collect(), root))
}

fn request(path: &str) -> Request<()> {
    Request::get(path)
        .header(HOST, "127.0.0.1:8001")
        .header("user-agent", "kubectl/v1.37.1")
        .header("accept", "application/json")
        .header("authorization", format!("Bearer {TOKEN}"))
        .body(())
        .expect("a request")
}

/// What is behind the layers.
#[derive(Clone)]
struct Nothing;

impl Service<Request<()>> for Nothing {
    type Response = Response<Body>;
    type Error = Error;
    type Future = Ready<Result<Response<Body>, Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<()>) -> Self::Future {
        ready(Ok(Response::new(Body::Empty)))
    }
}
