//! Time and allocations of a request's credential: `Cache::get` and the header, alone and while
//! other threads write to the cache. It must take less than a microsecond, and no writer may make
//! a request wait.
//!
//! `cargo bench --bench credential`

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Waker},
    thread,
    time::{Duration, SystemTime},
};

use divan::{AllocProfiler, Bencher, black_box};
use http::{HeaderMap, header::AUTHORIZATION};
use kubegate::credential::{Cache, Credential, Error, Fetch, Source, bearer};
use tokio::runtime::Runtime;

#[global_allocator]
static ALLOCATIONS: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}

/// Returns another credential each time, valid for this long.
struct Issuer(Duration);

impl Source for Issuer {
    fn subject(&self) -> String {
        "the benchmark's issuer".to_owned()
    }

    fn fetch(&self) -> Fetch<'_> {
        Box::pin(async {
            let now = SystemTime::now();
            let token = format!("{now:?}").replace(|c: char| !c.is_ascii_alphanumeric(), "");
            Ok(Credential {
                authorization: Some(bearer(&token.repeat(20))?),
                expires_at: Some(now + self.0),
                ..Credential::default()
            })
        })
    }
}

/// A cache that holds a credential, and the runtime that renews it.
fn held(lifetime: Duration) -> (Runtime, Arc<Cache>) {
    let runtime = Runtime::new().expect("a runtime");
    let cache = Cache::new(Arc::new(Issuer(lifetime)));
    runtime.block_on(cache.get()).expect("a credential");
    (runtime, cache)
}

/// Puts the credential into the headers of a request. Panics if the request would have to wait.
fn inject(cache: &Arc<Cache>, headers: &mut HeaderMap) {
    let got: Poll<Result<Arc<Credential>, Error>> =
        pin!(cache.get()).poll(&mut Context::from_waker(Waker::noop()));
    let Poll::Ready(Ok(credential)) = got else {
        panic!("a request waits for a credential that holds");
    };
    if let Some(value) = &credential.authorization {
        headers.insert(AUTHORIZATION, value.clone());
    }
}

#[divan::bench(threads = [1, 2], sample_count = 200, sample_size = 1000)]
fn alone(bencher: Bencher) {
    let (runtime, cache) = held(Duration::from_secs(3600));
    measure(bencher, &runtime, &cache);
}

/// The same while two threads take the lock of the cache's writers in a loop, and a new credential
/// arrives every second or two.
#[divan::bench(threads = [1, 2], sample_count = 200, sample_size = 1000)]
fn beside_writers(bencher: Bencher) {
    let (runtime, cache) = held(Duration::from_secs(2));
    let over = Arc::new(AtomicBool::new(false));
    let writers = [(); 2].map(|()| {
        let (cache, over) = (Arc::clone(&cache), Arc::clone(&over));
        thread::spawn(move || {
            while !over.load(Ordering::Relaxed) {
                cache.clear_failures();
            }
        })
    });
    measure(bencher, &runtime, &cache);
    over.store(true, Ordering::Relaxed);
    for writer in writers {
        writer.join().expect("a writer");
    }
}

fn measure(bencher: Bencher, runtime: &Runtime, cache: &Arc<Cache>) {
    bencher
        .with_inputs(|| HeaderMap::with_capacity(8))
        .bench_refs(|headers| {
            // Within the runtime, as a request is served: it renews credentials in use.
            let _within = runtime.enter();
            inject(cache, headers);
            black_box(&headers);
        });
}
