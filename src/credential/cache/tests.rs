#![allow(clippy::unwrap_used)]

use std::{
    future::Future,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime},
};

use http::HeaderValue;
use tokio::{sync::watch, time::Instant};

use super::{entry::Entry, state::State, *};
use crate::credential::{Backoff, Credential, Error, Fetch, RefreshPolicy, Source};

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
                    let _told = fails.wait_for(|fails| *fails).await;
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

fn failure(call: usize) -> Error {
    Error::Unsendable {
        subject: format!("call {call}"),
    }
}

/// A cache over a scripted source, with its own clock.
struct Bench {
    source: Arc<Scripted>,
    cache: Arc<Cache>,
    now: Arc<Mutex<SystemTime>>,
}

impl Bench {
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

    fn pass(&self, time: Duration) {
        *self.now.lock().unwrap() += time;
    }

    fn elapsed(&self) -> Duration {
        self.now.lock().unwrap().duration_since(start()).unwrap()
    }

    fn entry(&self) -> Arc<Entry> {
        self.cache.refresher.entry().unwrap()
    }

    async fn get(&self) -> Result<String, Error> {
        self.cache.get().await.map(|got| shown(&got))
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

fn shown(credential: &Credential) -> String {
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

#[tokio::test(start_paused = true)]
async fn a_thundering_herd_makes_one_fetch_at_first_and_one_at_expiry() {
    let bench =
        Bench::new(|call| Step::GiveAfter(seconds(2), until(call, seconds(100 * call as u64))));
    for round in 1..=2 {
        let herd: Vec<_> = (0..1000)
            .map(|_| {
                let cache = Arc::clone(&bench.cache);
                tokio::spawn(async move { shown(&cache.get().await.unwrap()) })
            })
            .collect();
        for one in herd {
            assert_eq!(one.await.unwrap(), format!("token {round}"));
        }
        assert_eq!(bench.calls(), round);
        bench.at(seconds(100));
    }
}

#[tokio::test(start_paused = true)]
async fn a_herd_that_fails_makes_one_fetch_and_shares_the_error() {
    let bench = Bench::new(|_| Step::Fail);
    let herd: Vec<_> = (0..100)
        .map(|_| {
            let cache = Arc::clone(&bench.cache);
            tokio::spawn(async move { cache.get().await.unwrap_err().to_string() })
        })
        .collect();
    for one in herd {
        let error = one.await.unwrap();
        assert!(error.contains("call 1"), "{error}");
    }
    assert_eq!(bench.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_waiter_does_not_stop_the_fetch() {
    let bench = Bench::new(|call| Step::GiveAfter(seconds(2), until(call, seconds(100))));
    let leaving = tokio::time::timeout(seconds(1), bench.cache.get()).await;
    assert!(leaving.is_err());
    assert!(bench.cache.current().is_none());
    assert_eq!(bench.get().await.unwrap(), "token 1");
    assert_eq!(bench.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_request_waits_30_seconds_and_the_fetch_runs_on() {
    let bench = Bench::new(|call| Step::GiveAfter(seconds(45), until(call, seconds(100))));
    let began = Instant::now();
    let error = bench.cache.get().await.unwrap_err();
    assert_eq!(began.elapsed().as_secs(), 30);
    assert!(matches!(error, Error::WaitedTooLong { .. }), "{error}");
    assert!(error.is_transient() && error.retry_after().is_some());
    assert!(error.to_string().contains("the scripted source"), "{error}");

    assert_eq!(bench.get().await.unwrap(), "token 1");
    assert_eq!(began.elapsed().as_secs(), 45);
    assert_eq!(bench.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_request_waits_as_long_as_a_source_that_bounds_itself() {
    let policy = RefreshPolicy {
        max_wait: None,
        ..RefreshPolicy::ISSUER
    };
    let bench = Bench::with_policy(policy, |call| {
        Step::GiveAfter(seconds(170), until(call, seconds(100 + 200 * call as u64)))
    });
    let began = Instant::now();
    let cache = Arc::clone(&bench.cache);
    let other = tokio::spawn(async move { cache.get().await.map(|got| shown(&got)) });
    assert_eq!(bench.get().await.unwrap(), "token 1");
    assert_eq!(other.await.unwrap().unwrap(), "token 1");
    assert_eq!(began.elapsed().as_secs(), 170);

    // While it is valid, no request waits for the next one.
    bench.at(seconds(290));
    let began = Instant::now();
    assert_eq!(bench.get().await.unwrap(), "token 1");
    assert_eq!(began.elapsed(), Duration::ZERO);
    // A request that was refused with it waits to the end.
    let used = bench.cache.current().unwrap();
    let fresh = bench.cache.replace_refused(&used).await.unwrap();
    assert_eq!(shown(&fresh), "token 2");
    assert_eq!(began.elapsed().as_secs(), 170);
    assert_eq!(bench.calls(), 2);
}

#[tokio::test]
async fn after_a_failure_the_source_is_not_called_during_the_pause() {
    let bench = Bench::new(|_| Step::Fail);
    let mut longest_seen = Duration::ZERO;
    for call in 1..=8 {
        let error = bench.cache.get().await.unwrap_err();
        assert_eq!(bench.calls(), call);
        let pause = error.retry_after().unwrap();
        assert!(pause <= seconds(60), "{pause:?}");
        longest_seen = longest_seen.max(pause);

        bench.pass(pause.saturating_sub(millis(1)));
        let same = bench.cache.get().await.unwrap_err();
        assert_eq!(bench.calls(), call, "called during the pause");
        assert_eq!(same.retry_after(), Some(millis(1)));
        assert!(same.to_string().contains(&format!("call {call}")), "{same}");
        bench.pass(millis(1));
    }
    assert!(longest_seen >= seconds(30), "{longest_seen:?}");
}

#[tokio::test]
async fn a_success_resets_the_count_of_failures() {
    let bench = Bench::new(|call| match call {
        4 => Step::Give(until(call, seconds(1000))),
        _ => Step::Fail,
    });
    for _ in 1..=3 {
        let error = bench.cache.get().await.unwrap_err();
        bench.pass(error.retry_after().unwrap());
    }
    assert_eq!(bench.get().await.unwrap(), "token 4");
    bench.at(seconds(1000));
    let pause = bench.cache.get().await.unwrap_err().retry_after().unwrap();
    assert!(pause <= seconds(1), "{pause:?}");
}

#[tokio::test]
async fn a_clock_set_back_does_not_prolong_a_pause() {
    let bench = Bench::new(|call| match call {
        1 => Step::Fail,
        _ => Step::Give(token("late")),
    });
    bench.get().await.unwrap_err();
    *bench.now.lock().unwrap() -= seconds(3600);
    assert_eq!(bench.get().await.unwrap(), "late");
}

#[tokio::test]
async fn it_is_refreshed_between_80_and_90_percent_of_its_lifetime() {
    // The last tenth of the second lifetime is longer than the leeway.
    for life in [20, 200] {
        let bench = Bench::new(move |call| Step::Give(until(call, seconds(life * call as u64))));
        bench.get().await.unwrap();
        bench.at(seconds(life).mul_f64(0.799));
        assert_eq!(bench.get().await.unwrap(), "token 1");
        bench.settle().await;
        assert_eq!(bench.calls(), 1);

        bench.at(seconds(life).mul_f64(0.9));
        assert_eq!(bench.get().await.unwrap(), "token 1");
        bench.settle().await;
        assert_eq!(bench.calls(), 2);
        assert_eq!(bench.get().await.unwrap(), "token 2");
    }
}

#[tokio::test]
async fn several_kubegates_refresh_at_different_times() {
    let mut times = Vec::new();
    for _ in 0..20 {
        let bench = Bench::new(|call| Step::Give(until(call, seconds(1000))));
        bench.get().await.unwrap();
        times.push(bench.entry().refresh_at.unwrap());
    }
    let (first, last) = (times.iter().min().unwrap(), times.iter().max().unwrap());
    assert!(*first >= start() + seconds(800) && *last <= start() + seconds(900));
    assert!(last.duration_since(*first).unwrap() > seconds(10));
}

/// Advances the clock second by second until `end`, with a request in each, and returns the times
/// of the calls.
async fn calls_by_second(bench: &Bench, end: u64) -> Vec<u64> {
    let mut calls = Vec::new();
    for second in 0..end {
        bench.at(seconds(second));
        let before = bench.calls();
        bench.get().await.unwrap();
        bench.settle().await;
        calls.extend((before..bench.calls()).map(|_| second));
    }
    calls
}

#[tokio::test]
async fn a_failed_refresh_is_retried_with_pauses_up_to_a_minute() {
    let bench = Bench::new(|call| match call {
        1 => Step::Give(until(call, seconds(3600))),
        _ => Step::Fail,
    });
    let calls = calls_by_second(&bench, 3600).await;
    let pauses: Vec<_> = calls[1..].windows(2).map(|two| two[1] - two[0]).collect();
    assert!(pauses.iter().all(|pause| *pause <= 61), "{pauses:?}");
    assert!(*pauses.iter().max().unwrap() > 10, "{pauses:?}");
    // About half a minute each in the last 700 to 360 s, after a few short ones.
    assert!((10..=50).contains(&calls.len()), "{calls:?}");
    assert!(
        calls.contains(&3590),
        "the leeway is no time to pause: {calls:?}"
    );
    bench.at(seconds(3600));
    bench.get().await.unwrap_err();
}

#[tokio::test]
async fn pauses_are_short_for_a_short_lifetime() {
    let bench = Bench::new(|call| match call {
        1..=4 => Step::Give(until(1, seconds(10))),
        5 => Step::Give(until(call, seconds(20))),
        _ => Step::Fail,
    });
    bench.get().await.unwrap();
    // Two without a later expiry, then one with a later expiry, whose refresh fails.
    for (end, calls) in [(10_000, 5), (20_000, 8)] {
        while bench.elapsed() < millis(end) {
            assert!(bench.get().await.is_ok(), "{:?}", bench.elapsed());
            bench.settle().await;
            bench.pass(millis(10));
        }
        assert!(bench.calls() >= calls, "{end}: {}", bench.calls());
    }
    assert!(bench.calls() <= 60, "{}", bench.calls());
}

#[tokio::test]
async fn an_issuer_that_repeats_a_token_is_called_with_pauses() {
    for renews in [false, true] {
        let bench = Bench::new(move |call| {
            let end = if renews { 3600 * call as u64 } else { 3600 };
            Step::Give(until(1, seconds(end)))
        });
        let calls = calls_by_second(&bench, 3600).await;
        if renews {
            assert_eq!(calls.len(), 2, "{calls:?}");
        } else {
            assert!((10..=50).contains(&calls.len()), "{calls:?}");
            assert!(calls.contains(&3590), "{calls:?}");
        }
    }
}

#[tokio::test]
async fn a_refreshed_credential_is_used_though_it_expires_no_later() {
    let bench =
        Bench::new(|call| Step::Give(until(call, seconds(if call == 1 { 100 } else { 98 }))));
    bench.get().await.unwrap();
    bench.at(seconds(90));
    bench.get().await.unwrap();
    bench.settle().await;
    assert_eq!(bench.get().await.unwrap(), "token 2");
    // It is used until its own expiry.
    bench.at(seconds(98));
    let calls = bench.calls();
    bench.get().await.unwrap();
    assert_eq!(bench.calls(), calls + 1);
}

#[tokio::test]
async fn a_credential_is_used_to_its_last_second_while_the_issuer_is_down() {
    let bench = Bench::new(|call| match call {
        1 => Step::Give(until(call, seconds(100))),
        _ => Step::Fail,
    });
    for after in [0, 90, 91, 95, 99] {
        bench.at(seconds(after));
        assert_eq!(bench.get().await.unwrap(), "token 1", "{after}");
        bench.settle().await;
    }
    assert!(bench.calls() > 1);
    bench.at(seconds(100));
    bench.get().await.unwrap_err();
}

#[tokio::test(start_paused = true)]
async fn a_slow_issuer_does_not_delay_requests_with_a_credential() {
    let bench = Bench::new(|call| match call {
        1 => Step::Give(until(call, seconds(100))),
        _ => Step::GiveAfter(seconds(5), until(call, seconds(300))),
    });
    bench.get().await.unwrap();
    bench.at(seconds(95));
    let began = Instant::now();
    for _ in 0..100 {
        assert_eq!(bench.get().await.unwrap(), "token 1");
    }
    assert!(began.elapsed().is_zero());
    bench.settle().await;
    assert_eq!(
        (bench.get().await.unwrap().as_str(), bench.calls()),
        ("token 2", 2)
    );
}

#[tokio::test]
async fn a_credential_that_arrives_expired_is_used_without_a_loop() {
    let bench = Bench::new(|call| Step::Give(until(call, Duration::ZERO)));
    bench.at(seconds(3600));
    for _ in 0..10 {
        assert_eq!(bench.get().await.unwrap(), "token 1");
    }
    assert_eq!(bench.calls(), 1);
    bench.pass(seconds(1));
    assert_eq!(bench.get().await.unwrap(), "token 2");
}

#[tokio::test]
async fn a_panic_in_a_source_is_an_error() {
    let bench = Bench::new(|call| match call {
        1 => Step::Panic,
        _ => Step::Give(token("recovered")),
    });
    let error = bench.cache.get().await.unwrap_err();
    assert!(error.to_string().contains("the scripted source"), "{error}");
    bench.pass(seconds(1));
    assert_eq!(bench.get().await.unwrap(), "recovered");
}

#[tokio::test]
async fn a_file_is_rechecked_after_one_second_and_waited_for_after_two() {
    let bench = Bench::with_policy(RefreshPolicy::FILE, |call| {
        Step::Give(token(&format!("token {call}")))
    });
    bench.get().await.unwrap();
    bench.at(millis(999));
    bench.get().await.unwrap();
    bench.settle().await;
    assert_eq!(bench.calls(), 1);

    bench.at(seconds(1));
    assert_eq!(bench.get().await.unwrap(), "token 1");
    bench.settle().await;
    assert_eq!(bench.get().await.unwrap(), "token 2");

    bench.at(seconds(3));
    assert_eq!(bench.get().await.unwrap(), "token 3");
}

#[tokio::test(start_paused = true)]
async fn an_unreadable_file_leaves_the_last_good_credential() {
    let bench = Bench::with_policy(RefreshPolicy::FILE, |call| match call {
        1 => Step::Give(token("good")),
        2 | 3 => Step::Fail,
        _ => Step::GiveAfter(seconds(20), token("slow")),
    });
    for after in [0, 60, 120] {
        bench.at(seconds(after));
        // The second request causes no further try: a failed recheck has a pause too.
        for _ in 0..2 {
            assert_eq!(bench.get().await.unwrap(), "good");
        }
    }
    assert_eq!(bench.calls(), 3);
    bench.at(seconds(180));
    let began = Instant::now();
    for _ in 0..3 {
        assert_eq!(bench.get().await.unwrap(), "good");
    }
    assert_eq!(
        began.elapsed().as_secs(),
        1,
        "a hung disk holds each request up"
    );
    bench.settle().await;
    assert_eq!(bench.get().await.unwrap(), "slow");
}

#[tokio::test]
async fn an_unchanged_credential_stays_the_same_object() {
    let bench = Bench::with_policy(RefreshPolicy::FILE, |call| {
        Step::Give(token(if call < 3 { "same" } else { "other" }))
    });
    let first = bench.cache.get().await.unwrap();
    bench.at(seconds(10));
    assert!(Arc::ptr_eq(&first, &bench.cache.get().await.unwrap()));
    bench.at(seconds(20));
    assert!(!Arc::ptr_eq(&first, &bench.cache.get().await.unwrap()));
    assert_eq!(bench.calls(), 3);
}

#[tokio::test(start_paused = true)]
async fn refused_requests_share_one_refresh() {
    let bench = Bench::new(|call| Step::GiveAfter(seconds(1), token(&format!("token {call}"))));
    let used = bench.cache.get().await.unwrap();
    let all: Vec<_> = (0..100)
        .map(|_| {
            let (cache, used) = (Arc::clone(&bench.cache), Arc::clone(&used));
            tokio::spawn(async move { cache.replace_refused(&used).await })
        })
        .collect();
    for one in all {
        assert_eq!(shown(&one.await.unwrap().unwrap()), "token 2");
    }
    assert_eq!(bench.calls(), 2);
    // A later refusal of the old one gets the newer one without a call.
    assert_eq!(
        shown(&bench.cache.replace_refused(&used).await.unwrap()),
        "token 2"
    );
    assert_eq!(bench.calls(), 2);
}

#[tokio::test]
async fn refusals_cause_at_most_one_refresh_in_ten_seconds() {
    let bench = Bench::new(|call| Step::Give(token(&format!("token {call}"))));
    let first = bench.cache.get().await.unwrap();
    let second = bench.cache.replace_refused(&first).await.unwrap();
    bench.at(millis(9_999));
    assert!(bench.cache.replace_refused(&second).await.is_none());
    assert_eq!(bench.calls(), 2);
    bench.at(seconds(10));
    assert_eq!(
        shown(&bench.cache.replace_refused(&second).await.unwrap()),
        "token 3"
    );
}

#[tokio::test]
async fn a_refresh_with_the_same_token_does_not_replace_a_refused_one() {
    let bench = Bench::new(|call| {
        Step::Give(Credential {
            expires_at: Some(start() + seconds(100 * call as u64)),
            ..token("same")
        })
    });
    let used = bench.cache.get().await.unwrap();
    assert!(bench.cache.replace_refused(&used).await.is_none());
    assert_eq!(bench.calls(), 2);
    assert_eq!(bench.get().await.unwrap(), "same");
}

#[tokio::test]
async fn a_refused_credential_stays_if_its_refresh_fails() {
    let bench = Bench::new(|call| match call {
        1 => Step::Give(until(call, seconds(1000))),
        _ => Step::Fail,
    });
    let used = bench.cache.get().await.unwrap();
    assert!(bench.cache.replace_refused(&used).await.is_none());
    assert_eq!(bench.calls(), 2);
    assert_eq!(bench.get().await.unwrap(), "token 1");
}

#[tokio::test(start_paused = true)]
async fn a_refusal_during_a_recheck_still_causes_a_fetch() {
    let bench = Bench::with_policy(RefreshPolicy::FILE, |call| match call {
        1 | 2 => Step::GiveAfter(millis(10), token("old")),
        _ => Step::Give(token("new")),
    });
    let used = bench.cache.get().await.unwrap();
    bench.at(seconds(1));
    bench.get().await.unwrap();
    assert_eq!(
        shown(&bench.cache.replace_refused(&used).await.unwrap()),
        "new"
    );
    assert_eq!(bench.calls(), 3);
}

#[test]
fn each_distinct_failure_is_new_once() {
    let mut state = State::default();
    let calls = [2, 2, 2, 6, 6, 2];
    let news = calls.map(|call| state.is_new_failure(&failure(call)));
    assert_eq!(news, [true, false, false, true, false, true]);
}

#[tokio::test]
async fn a_failure_is_new_again_after_a_success() {
    let bench = Bench::with_policy(RefreshPolicy::FILE, |call| match call % 2 {
        1 => Step::Give(token("good")),
        _ => Step::Fail,
    });
    for (after, warned) in [(0, false), (10, true), (20, false), (30, true)] {
        bench.at(seconds(after));
        assert_eq!(bench.get().await.unwrap(), "good");
        assert_eq!(
            bench.cache.refresher.lock().warned_of.is_some(),
            warned,
            "{after}"
        );
    }
}

#[tokio::test]
async fn a_caller_with_an_old_entry_takes_a_newer_result() {
    let bench = Bench::new(|call| Step::Give(until(call, seconds(100 * call as u64))));
    let nothing = bench.cache.refresher.entry();
    bench.get().await.unwrap();
    let expired = bench.cache.refresher.entry();
    bench.at(seconds(100));
    assert_eq!(bench.get().await.unwrap(), "token 2");
    for seen in [nothing, expired] {
        let got = bench
            .cache
            .wait_for_fetch(seen, start() + seconds(100))
            .await;
        assert_eq!(shown(&got.unwrap()), "token 2");
    }
    assert_eq!(bench.calls(), 2);
}

/// The hot path must be a load and a comparison, without a task or a lock.
#[test]
fn a_fresh_credential_is_ready_at_the_first_poll_without_the_lock() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let bench = Bench::new(|call| Step::Give(until(call, seconds(100))));
    runtime.block_on(bench.get()).unwrap();
    let state = bench.cache.refresher.lock();
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    let mut getting = std::pin::pin!(bench.cache.get());
    assert!(getting.as_mut().poll(&mut context).is_ready());
    // Within the leeway too.
    bench.at(seconds(95));
    let mut getting = std::pin::pin!(bench.cache.get());
    assert!(getting.as_mut().poll(&mut context).is_ready());
    drop(state);
}

/// Advances the clock and tokio's time together, in steps shorter than any refresh here.
async fn live(bench: &Bench, time: Duration) {
    let end = bench.elapsed() + time;
    while bench.elapsed() < end {
        bench.pass(millis(500));
        tokio::time::sleep(millis(500)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_used_credential_is_refreshed_once_without_a_request() {
    let bench = Bench::new(|call| Step::Give(until(call, seconds(100 * call as u64))));
    bench.get().await.unwrap();
    live(&bench, millis(79_500)).await;
    assert_eq!(bench.calls(), 1);
    live(&bench, millis(16_500)).await;
    assert_eq!(bench.calls(), 2);
    // No request used the second one.
    live(&bench, seconds(1000)).await;
    assert_eq!(bench.calls(), 2);
    assert!(tasks_end(&bench).await);
}

/// Whether only the bench still refers to the cache.
async fn tasks_end(bench: &Bench) -> bool {
    tokio::time::sleep(seconds(6)).await;
    Arc::weak_count(&bench.cache.refresher) == 0 && Arc::strong_count(&bench.cache.refresher) == 1
}

#[tokio::test(start_paused = true)]
async fn a_credential_used_now_and_then_is_always_fresh() {
    let bench =
        Bench::new(|call| Step::GiveAfter(seconds(1), until(call, seconds(100 * call as u64))));
    bench.get().await.unwrap();
    for _ in 0..20 {
        live(&bench, seconds(50)).await;
        let asked = Instant::now();
        bench.get().await.unwrap();
        assert!(asked.elapsed().is_zero(), "a request waited");
    }
    assert!((10..=14).contains(&bench.calls()), "{}", bench.calls());
}

#[tokio::test(start_paused = true)]
async fn a_failed_background_refresh_is_retried_until_the_expiry() {
    let bench = Bench::new(|call| match call {
        1 => Step::Give(until(call, seconds(100))),
        _ => Step::Fail,
    });
    bench.get().await.unwrap();
    live(&bench, seconds(100)).await;
    let calls = bench.calls();
    assert!((4..=40).contains(&calls), "{calls}");
    live(&bench, seconds(3600)).await;
    assert_eq!(bench.calls(), calls);
    assert!(tasks_end(&bench).await);
}

#[tokio::test(start_paused = true)]
async fn a_credential_in_use_is_refreshed_seconds_after_a_wake() {
    let bench = Bench::new(|call| Step::Give(until(call, seconds(24 * 3600 * call as u64))));
    bench.get().await.unwrap();
    live(&bench, seconds(60)).await;
    assert_eq!(bench.calls(), 1);
    // While the machine sleeps, tokio's time stops.
    for call in 2..=3 {
        bench.pass(seconds(24 * 3600));
        tokio::time::sleep(seconds(6)).await;
        // The second was not used before the second sleep.
        assert_eq!(bench.calls(), 2, "{call}");
    }
}

#[tokio::test(start_paused = true)]
async fn background_refreshes_end_with_the_cache() {
    let bench = Bench::new(|call| Step::Give(until(call, seconds(100))));
    bench.get().await.unwrap();
    let Bench { source, cache, now } = bench;
    let gone = Arc::downgrade(&cache);
    assert_eq!(gone.strong_count(), 1, "the task keeps it alive");
    drop(cache);
    *now.lock().unwrap() += seconds(95);
    tokio::time::sleep(seconds(200)).await;
    assert_eq!(source.calls.load(Ordering::SeqCst), 1);
    assert_eq!(Arc::strong_count(&source), 1, "the task still runs");
}

#[tokio::test]
async fn after_the_clock_was_set_back_it_is_refreshed_in_the_background() {
    let bench = Bench::new(|call| Step::Give(until(call, seconds(100_000))));
    bench.at(seconds(10_000));
    bench.get().await.unwrap();
    // A small step, as time services make it, has no effect.
    for (back, calls) in [(4, 1), (3600, 2), (3600, 2)] {
        bench.at(seconds(10_000 - back));
        assert_eq!(
            bench.get().await.unwrap(),
            format!("token {}", bench.calls())
        );
        bench.settle().await;
        assert_eq!(bench.calls(), calls, "{back}");
    }
}

#[tokio::test]
async fn after_a_clock_jump_beyond_the_expiry_a_request_gets_a_new_one() {
    let bench = Bench::new(|call| Step::Give(until(call, seconds(3600 * 24 * call as u64))));
    bench.get().await.unwrap();
    bench.pass(seconds(3600 * 30));
    assert_eq!(bench.get().await.unwrap(), "token 2");
}

#[tokio::test]
async fn an_expired_credential_replaces_a_valid_one_only_after_a_refusal() {
    let bench =
        Bench::new(|call| Step::Give(until(call, seconds(if call == 1 { 100 } else { 10 }))));
    let used = bench.cache.get().await.unwrap();
    for second in 80..100 {
        bench.at(seconds(second));
        assert_eq!(bench.get().await.unwrap(), "token 1");
        bench.settle().await;
    }
    assert!((2..=20).contains(&bench.calls()), "{}", bench.calls());
    bench.at(millis(99_500));
    let calls = bench.calls();
    let other = bench.cache.replace_refused(&used).await.unwrap();
    assert_eq!(shown(&other), format!("token {}", calls + 1));
}

#[tokio::test]
async fn an_issuer_with_a_wrong_clock_is_called_with_pauses() {
    // Its expiry is long ago, now, or in a moment.
    for end in [-3600_i64, 0, 1, 900] {
        let now = Arc::new(Mutex::new(start()));
        let clock = Arc::clone(&now);
        let issuer = Arc::clone(&now);
        let source: Arc<Scripted> = Arc::new(Scripted {
            calls: AtomicUsize::new(0),
            policy: RefreshPolicy::ISSUER,
            plan: Box::new(move |call| {
                let now = *issuer.lock().unwrap();
                let end = if end < 0 {
                    now - seconds(3600)
                } else {
                    now + millis(end.unsigned_abs())
                };
                Step::Give(Credential {
                    expires_at: Some(end),
                    ..token(&format!("token {call}"))
                })
            }),
        });
        let dynamic: Arc<dyn Source> = Arc::clone(&source) as _;
        let cache = Cache::with_clock(dynamic, Arc::new(move || *clock.lock().unwrap()));
        for _ in 0..36_000 {
            cache.get().await.unwrap();
            *now.lock().unwrap() += millis(100);
        }
        let calls = source.calls.load(Ordering::SeqCst);
        // In an hour: one or two calls a minute.
        assert!((60..=160).contains(&calls), "{end}: {calls}");
    }
}

#[tokio::test]
async fn an_absurdly_late_expiry_counts_as_none() {
    let ages = i64::MAX.unsigned_abs() - 1_800_000_001;
    for end in [1 << 40, ages] {
        let bench = Bench::new(move |call| Step::Give(until(call, seconds(end))));
        for after in [0, 3600, 1 << 30] {
            bench.at(seconds(after));
            assert_eq!(bench.get().await.unwrap(), "token 1");
        }
        bench.settle().await;
        assert_eq!(bench.calls(), 1);
        let used = bench.cache.get().await.unwrap();
        assert_eq!(
            shown(&bench.cache.replace_refused(&used).await.unwrap()),
            "token 2"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn at_expiry_a_herd_makes_one_call_though_refreshes_failed_before() {
    let bench = Bench::new(|call| match call {
        1 => Step::Give(until(call, seconds(3600))),
        2 => Step::Fail,
        _ => Step::GiveAfter(seconds(1), until(call, seconds(7200))),
    });
    bench.get().await.unwrap();
    // One of many failures: its pause is up to a minute, or until the expiry.
    bench.cache.refresher.lock().failures = 20;
    bench.at(millis(3_599_999));
    assert_eq!(bench.get().await.unwrap(), "token 1");
    bench.settle().await;
    assert_eq!(bench.calls(), 2);
    assert_eq!(bench.get().await.unwrap(), "token 1");
    bench.settle().await;
    assert_eq!(bench.calls(), 2, "no pause");

    bench.at(seconds(3600));
    let herd: Vec<_> = (0..1000)
        .map(|_| {
            let cache = Arc::clone(&bench.cache);
            tokio::spawn(async move { shown(&cache.get().await.unwrap()) })
        })
        .collect();
    for one in herd {
        assert_eq!(one.await.unwrap(), "token 3");
    }
    assert_eq!(bench.calls(), 3);
}

#[tokio::test]
async fn a_changed_input_ends_the_pause_after_a_failure() {
    let bench = Bench::new(|call| match call {
        1..=6 => Step::Fail,
        _ => Step::Give(token("logged in")),
    });
    for _ in 1..=5 {
        let error = bench.cache.get().await.unwrap_err();
        assert!(!error.is_transient());
        bench.pass(error.retry_after().unwrap());
    }
    bench.get().await.unwrap_err();
    bench.get().await.unwrap_err();
    assert_eq!(bench.calls(), 6);
    bench.cache.clear_failures();
    assert_eq!(bench.get().await.unwrap(), "logged in");
    assert_eq!(bench.calls(), 7);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_waits_during_a_change_gets_no_outdated_failure() {
    for changed in [true, false] {
        let (went, fails) = watch::channel(false);
        let bench = Bench::new(move |call| match call {
            1 => Step::FailWhen(fails.clone()),
            _ => Step::Give(token("logged in")),
        });
        let cache = Arc::clone(&bench.cache);
        let waiting = tokio::spawn(async move { cache.get().await.map(|got| shown(&got)) });
        tokio::time::sleep(seconds(1)).await;
        if changed {
            bench.cache.clear_failures();
        }
        went.send_replace(true);
        let outcome = waiting.await.unwrap();
        if changed {
            assert_eq!(outcome.unwrap(), "logged in");
        } else {
            outcome.unwrap_err();
        }
        assert_eq!(bench.calls(), if changed { 2 } else { 1 });
    }
}

#[tokio::test]
async fn an_error_can_ask_for_a_pause_of_up_to_an_hour() {
    for (asked, at_least, at_most) in [(0, 0, 1), (120, 120, 120), (1 << 40, 3600, 3600)] {
        let bench = Bench::new(move |call| {
            Step::FailWith(Error::Backoff(Backoff {
                cause: Arc::new(failure(call)),
                retry_after: seconds(asked),
            }))
        });
        let error = bench.cache.get().await.unwrap_err();
        let pause = error.retry_after().unwrap();
        assert!(
            (seconds(at_least)..=seconds(at_most)).contains(&pause),
            "{pause:?}"
        );
        assert_eq!(error.to_string().matches("next try").count(), 1, "{error}");
    }
}

#[tokio::test]
async fn only_a_credential_with_a_renewal_command_has_an_expiry_warning() {
    for command in [None, Some("oc login https://a")] {
        let bench = Bench::new(move |call| {
            Step::Give(Credential {
                renewed_by: command.map(Into::into),
                ..until(call, seconds(10))
            })
        });
        let got = bench.cache.get().await.unwrap();
        assert_eq!(got.expiry_warning.is_some(), command.is_some());
    }
}
