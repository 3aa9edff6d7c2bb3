#![allow(clippy::unwrap_used)]

mod background;
mod clocks;
mod failures;
mod files;
mod refresh;
mod refusals;
mod single_flight;

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime},
};

use http::HeaderValue;
use tokio::sync::watch;

use super::{Cache, entry::Entry};
use crate::credential::{Credential, Error, Fetch, RefreshPolicy, Source};

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

type Plan = Box<dyn Fn(usize) -> Step + Send + Sync>;

/// What a scripted source does when it is called.
enum Step {
    Give(Credential),
    GiveAfter(Duration, Credential),
    Fail,
    FailWith(Error),
    /// Fails when the channel has `true`.
    FailWhen(watch::Receiver<bool>),
    Panic,
}

/// A source that counts its calls and acts by a plan.
struct Scripted {
    calls: AtomicUsize,
    policy: RefreshPolicy,
    plan: Plan,
}

impl Source for Scripted {
    fn subject(&self) -> String {
        "the scripted source".to_owned()
    }

    fn fetch(&self) -> Fetch<'_> {
        let call = self.calls.fetch_add(1, Ordering::SeqCst) + 1;
        let step = (self.plan)(call);
        Box::pin(async move {
            match step {
                Step::Give(credential) => Ok(credential),
                Step::GiveAfter(delay, credential) => {
                    tokio::time::sleep(delay).await;
                    Ok(credential)
                }
                Step::Fail => Err(failure(call)),
                Step::FailWith(error) => Err(error),
                Step::FailWhen(mut fails) => {
                    let _closed = fails.wait_for(|fails| *fails).await;
                    Err(failure(call))
                }
                Step::Panic => panic!("as planned"),
            }
        })
    }

    fn refresh_policy(&self) -> RefreshPolicy {
        self.policy
    }
}

/// An error of an issuer that cannot be reached, or that asks to be called again after `asked`.
fn outage(asked: Option<Duration>) -> Error {
    Error::Vendor {
        vendor: "the issuer",
        problem: "down".to_owned(),
        transient: true,
        retry_after: asked,
    }
}

fn failure(call: usize) -> Error {
    Error::Unsendable {
        subject: format!("call {call}"),
    }
}

/// A cache over a scripted source, with its own clock.
struct Fixture {
    source: Arc<Scripted>,
    cache: Arc<Cache>,
    now: Arc<Mutex<SystemTime>>,
}

impl Fixture {
    fn new(plan: impl Fn(usize) -> Step + Send + Sync + 'static) -> Self {
        Self::with_policy(RefreshPolicy::ISSUER, plan)
    }

    fn with_policy(
        policy: RefreshPolicy,
        plan: impl Fn(usize) -> Step + Send + Sync + 'static,
    ) -> Self {
        let source = Arc::new(Scripted {
            calls: AtomicUsize::new(0),
            policy,
            plan: Box::new(plan),
        });
        let now = Arc::new(Mutex::new(start()));
        let clock = Arc::clone(&now);
        let dynamic: Arc<dyn Source> = Arc::clone(&source) as _;
        let cache = Cache::with_clock(dynamic, Arc::new(move || *clock.lock().unwrap()));
        Self { source, cache, now }
    }

    fn calls(&self) -> usize {
        self.source.calls.load(Ordering::SeqCst)
    }

    /// Sets the clock to `after` the start.
    fn at(&self, after: Duration) {
        *self.now.lock().unwrap() = start() + after;
    }

    fn advance(&self, time: Duration) {
        *self.now.lock().unwrap() += time;
    }

    fn elapsed(&self) -> Duration {
        self.now.lock().unwrap().duration_since(start()).unwrap()
    }

    fn entry(&self) -> Arc<Entry> {
        self.cache.refresher.entry().unwrap()
    }

    async fn get(&self) -> Result<String, Error> {
        self.cache.get().await.map(|got| token_of(&got))
    }

    /// Waits until no call is in flight.
    async fn settle(&self) {
        let in_flight = self.cache.refresher.lock().in_flight.clone();
        if let Some(in_flight) = in_flight {
            let _outcome = in_flight.outcome(&*self.source).await;
        }
    }
}

fn start() -> SystemTime {
    SystemTime::UNIX_EPOCH + seconds(1_800_000_000)
}

fn token_of(credential: &Credential) -> String {
    let value = credential.authorization.as_ref().unwrap();
    value.to_str().unwrap().to_owned()
}

fn token(name: &str) -> Credential {
    Credential {
        authorization: Some(HeaderValue::from_str(name).unwrap()),
        ..Credential::default()
    }
}

/// The credential of the `call`th call, which expires `end` after the start.
fn until(call: usize, end: Duration) -> Credential {
    Credential {
        expires_at: Some(start() + end),
        ..token(&format!("token {call}"))
    }
}
