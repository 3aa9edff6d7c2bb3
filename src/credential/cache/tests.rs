#![allow(clippy::unwrap_used)]

use std::{
    future::Future,
    sync::atomic::{AtomicUsize, Ordering},
};

use http::HeaderValue;

use super::*;
use crate::credential::{Backoff, Fetch};

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

type Plan = Box<dyn Fn(usize) -> Step + Send + Sync>;

/// What a scripted source does when it is asked.
enum Step {
    Give(Credential),
    GiveAfter(Duration, Credential),
    Fail,
    FailWith(Error),
    /// Once the channel says so.
    FailWhen(watch::Receiver<bool>),
    Panic,
}

/// A source that counts how often it is asked, and does by plan.
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

/// A cache over a scripted source, with a clock of its own.
struct Bench {
    source: Arc<Scripted>,
    cache: Arc<Cache>,
    now: Arc<Mutex<SystemTime>>,
}

impl Bench {
    fn new(plan: impl Fn(usize) -> Step + Send + Sync + 'static) -> Self {
        Self::at_pace(RefreshPolicy::ISSUER, plan)
    }

    fn at_pace(
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

    /// Sets the clock to so long after the start.
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
        self.cache.entry.load_full().unwrap()
    }

    async fn get(&self) -> Result<String, Error> {
        self.cache.get().await.map(|got| shown(&got))
    }

    /// Waits until nothing is under way.
    async fn settle(&self) {
        let flight = self.cache.lock().flight.clone();
        if let Some(flight) = flight {
            let _either = flight.landed(&*self.source).await;
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

/// The credential of the `call`th call, which ends so long after the start.
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
async fn a_waiter_that_leaves_takes_nothing_along() {
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
    let bench = Bench::at_pace(policy, |call| {
        Step::GiveAfter(seconds(170), until(call, seconds(100 + 200 * call as u64)))
    });
    let began = Instant::now();
    let cache = Arc::clone(&bench.cache);
    let other = tokio::spawn(async move { cache.get().await.map(|got| shown(&got)) });
    assert_eq!(bench.get().await.unwrap(), "token 1");
    assert_eq!(other.await.unwrap().unwrap(), "token 1");
    assert_eq!(began.elapsed().as_secs(), 170);

    // While it still holds, nobody waits for the next one.
    bench.at(seconds(290));
    let began = Instant::now();
    assert_eq!(bench.get().await.unwrap(), "token 1");
    assert_eq!(began.elapsed(), Duration::ZERO);
    // Whoever was refused with it waits to the end.
    let used = bench.cache.current().unwrap();
    let fresh = bench.cache.replace_refused(&used).await.unwrap();
    assert_eq!(shown(&fresh), "token 2");
    assert_eq!(began.elapsed().as_secs(), 170);
    assert_eq!(bench.calls(), 2);
}

#[tokio::test]
async fn after_a_failure_nobody_is_asked_until_the_pause_is_over() {
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
        assert_eq!(bench.calls(), call, "asked during the pause");
        assert_eq!(same.retry_after(), Some(millis(1)));
        assert!(same.to_string().contains(&format!("call {call}")), "{same}");
        bench.pass(millis(1));
    }
    assert!(longest_seen >= seconds(30), "{longest_seen:?}");
}

#[tokio::test]
async fn a_success_ends_the_row_of_failures() {
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
async fn between_80_and_90_percent_of_its_life_it_is_renewed_in_the_background() {
    // The last tenth of the second one's life is longer than the leeway.
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
async fn not_all_of_us_renew_at_the_same_time() {
    let mut times = Vec::new();
    for _ in 0..20 {
        let bench = Bench::new(|call| Step::Give(until(call, seconds(1000))));
        bench.get().await.unwrap();
        times.push(bench.entry().renew_at.unwrap());
    }
    let (first, last) = (times.iter().min().unwrap(), times.iter().max().unwrap());
    assert!(*first >= start() + seconds(800) && *last <= start() + seconds(900));
    assert!(last.duration_since(*first).unwrap() > seconds(10));
}

/// Lets a second after the other pass until `end`, with a request in each, and gives the times
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
async fn a_failed_renewal_is_tried_again_with_pauses_up_to_a_minute() {
    let bench = Bench::new(|call| match call {
        1 => Step::Give(until(call, seconds(3600))),
        _ => Step::Fail,
    });
    let calls = calls_by_second(&bench, 3600).await;
    let pauses: Vec<_> = calls[1..].windows(2).map(|two| two[1] - two[0]).collect();
    assert!(pauses.iter().all(|pause| *pause <= 61), "{pauses:?}");
    assert!(*pauses.iter().max().unwrap() > 10, "{pauses:?}");
    // 700 to 360 s, half a minute each, and a few short ones first.
    assert!((10..=50).contains(&calls.len()), "{calls:?}");
    assert!(
        calls.contains(&3590),
        "the leeway is no time to pause: {calls:?}"
    );
    bench.at(seconds(3600));
    bench.get().await.unwrap_err();
}

#[tokio::test]
async fn of_a_short_life_the_pauses_are_short() {
    let bench = Bench::new(|call| match call {
        1..=4 => Step::Give(until(1, seconds(10))),
        5 => Step::Give(until(call, seconds(20))),
        _ => Step::Fail,
    });
    bench.get().await.unwrap();
    // Two that bring no later end, then one that does; its renewal fails.
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
async fn an_issuer_that_gives_what_it_gave_is_asked_with_the_same_pauses() {
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
async fn what_a_renewal_brings_is_used_though_it_ends_no_later() {
    let bench =
        Bench::new(|call| Step::Give(until(call, seconds(if call == 1 { 100 } else { 98 }))));
    bench.get().await.unwrap();
    bench.at(seconds(90));
    bench.get().await.unwrap();
    bench.settle().await;
    assert_eq!(bench.get().await.unwrap(), "token 2");
    // It is held to its own end.
    bench.at(seconds(98));
    let calls = bench.calls();
    bench.get().await.unwrap();
    assert_eq!(bench.calls(), calls + 1);
}

#[tokio::test]
async fn while_the_issuer_is_down_a_credential_serves_to_its_last_second() {
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
async fn a_slow_issuer_delays_nobody_who_has_a_credential() {
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
async fn a_credential_that_comes_expired_is_used_and_does_not_cause_a_loop() {
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
async fn a_panic_in_a_source_is_an_error_and_not_the_end() {
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
async fn a_file_is_looked_at_again_after_a_second_and_at_once_after_two() {
    let bench = Bench::at_pace(RefreshPolicy::FILE, |call| {
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
async fn a_file_that_cannot_be_read_any_more_leaves_the_last_good() {
    let bench = Bench::at_pace(RefreshPolicy::FILE, |call| match call {
        1 => Step::Give(token("good")),
        2 | 3 => Step::Fail,
        _ => Step::GiveAfter(seconds(20), token("slow")),
    });
    for after in [0, 60, 120] {
        bench.at(seconds(after));
        // The second is not the cause of another try, which has its pause too.
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
async fn what_did_not_change_stays_the_same_object() {
    let bench = Bench::at_pace(RefreshPolicy::FILE, |call| {
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
async fn all_who_were_refused_share_one_refresh() {
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
    // One who learns of it later gets the newer one, and nobody is asked.
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
async fn a_refresh_that_brings_the_same_is_no_answer_to_a_refusal() {
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
async fn a_refusal_during_a_recheck_has_the_source_asked_all_the_same() {
    let bench = Bench::at_pace(RefreshPolicy::FILE, |call| match call {
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
fn each_distinct_failure_is_news_once() {
    let mut state = State::default();
    let calls = [2, 2, 2, 6, 6, 2];
    let news = calls.map(|call| state.is_news(&failure(call)));
    assert_eq!(news, [true, false, false, true, false, true]);
}

#[tokio::test]
async fn a_failure_is_news_again_after_a_success() {
    let bench = Bench::at_pace(RefreshPolicy::FILE, |call| match call % 2 {
        1 => Step::Give(token("good")),
        _ => Step::Fail,
    });
    for (after, warned) in [(0, false), (10, true), (20, false), (30, true)] {
        bench.at(seconds(after));
        assert_eq!(bench.get().await.unwrap(), "good");
        assert_eq!(bench.cache.lock().warned_of.is_some(), warned, "{after}");
    }
}

#[tokio::test]
async fn one_who_looked_before_another_landed_takes_what_that_one_brought() {
    let bench = Bench::new(|call| Step::Give(until(call, seconds(100 * call as u64))));
    let nothing = bench.cache.entry.load_full();
    bench.get().await.unwrap();
    let expired = bench.cache.entry.load_full();
    bench.at(seconds(100));
    assert_eq!(bench.get().await.unwrap(), "token 2");
    for seen in [nothing, expired] {
        let got = bench.cache.obtain(seen, start() + seconds(100)).await;
        assert_eq!(shown(&got.unwrap()), "token 2");
    }
    assert_eq!(bench.calls(), 2);
}

/// The hot path must stay a load and a comparison: no task, no lock, no allocation that waits.
#[test]
fn a_fresh_credential_is_there_at_the_first_poll_even_while_the_lock_is_held() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let bench = Bench::new(|call| Step::Give(until(call, seconds(100))));
    runtime.block_on(bench.get()).unwrap();
    let state = bench.cache.lock();
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    let mut getting = std::pin::pin!(bench.cache.get());
    assert!(getting.as_mut().poll(&mut context).is_ready());
    // In the leeway too.
    bench.at(seconds(95));
    let mut getting = std::pin::pin!(bench.cache.get());
    assert!(getting.as_mut().poll(&mut context).is_ready());
    drop(state);
}

/// Lets the clock and tokio's time pass together, in steps that no renewal here is shorter than.
async fn live(bench: &Bench, time: Duration) {
    let end = bench.elapsed() + time;
    while bench.elapsed() < end {
        bench.pass(millis(500));
        tokio::time::sleep(millis(500)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_request_what_was_used_is_renewed_once_and_what_was_not_is_left_alone() {
    let bench = Bench::new(|call| Step::Give(until(call, seconds(100 * call as u64))));
    bench.get().await.unwrap();
    live(&bench, millis(79_500)).await;
    assert_eq!(bench.calls(), 1);
    live(&bench, millis(16_500)).await;
    assert_eq!(bench.calls(), 2);
    // The second one: nobody used it.
    live(&bench, seconds(1000)).await;
    assert_eq!(bench.calls(), 2);
    assert!(tasks_end(&bench).await);
}

/// Whether nothing but the bench still knows the cache.
async fn tasks_end(bench: &Bench) -> bool {
    tokio::time::sleep(seconds(6)).await;
    Arc::weak_count(&bench.cache) == 0 && Arc::strong_count(&bench.cache) == 1
}

#[tokio::test(start_paused = true)]
async fn what_is_used_now_and_then_is_always_there() {
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
async fn a_renewal_without_a_request_that_fails_is_tried_again_and_not_beyond_the_end() {
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
async fn within_seconds_of_a_wake_what_was_in_use_is_renewed() {
    let bench = Bench::new(|call| Step::Give(until(call, seconds(24 * 3600 * call as u64))));
    bench.get().await.unwrap();
    live(&bench, seconds(60)).await;
    assert_eq!(bench.calls(), 1);
    // Asleep, tokio's time stands still.
    for call in 2..=3 {
        bench.pass(seconds(24 * 3600));
        tokio::time::sleep(seconds(6)).await;
        // The second was not used before the second sleep.
        assert_eq!(bench.calls(), 2, "{call}");
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_renews_for_a_cache_that_is_gone() {
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
async fn after_the_clock_was_set_back_it_is_renewed_in_the_background() {
    let bench = Bench::new(|call| Step::Give(until(call, seconds(100_000))));
    bench.at(seconds(10_000));
    bench.get().await.unwrap();
    // By little, as time services do: nothing happens.
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
async fn after_a_clock_jump_beyond_its_end_the_next_request_has_a_new_one() {
    let bench = Bench::new(|call| Step::Give(until(call, seconds(3600 * 24 * call as u64))));
    bench.get().await.unwrap();
    bench.pass(seconds(3600 * 30));
    assert_eq!(bench.get().await.unwrap(), "token 2");
}

#[tokio::test]
async fn what_comes_ended_does_not_displace_what_holds_unless_that_was_refused() {
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
async fn an_issuer_whose_clock_is_off_is_not_asked_all_the_time() {
    // It says to end long ago, now, or in a moment.
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
        // An hour: one or two in a minute.
        assert!((60..=160).contains(&calls), "{end}: {calls}");
    }
}

#[tokio::test]
async fn an_absurdly_late_end_is_as_good_as_none() {
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
async fn at_the_moment_of_expiry_a_herd_makes_one_call_though_renewals_failed_just_before() {
    let bench = Bench::new(|call| match call {
        1 => Step::Give(until(call, seconds(3600))),
        2 => Step::Fail,
        _ => Step::GiveAfter(seconds(1), until(call, seconds(7200))),
    });
    bench.get().await.unwrap();
    // One of many failures: its pause is up to a minute, or to the end.
    bench.cache.lock().failures = 20;
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
async fn a_change_ends_a_failure_and_its_pause_at_once() {
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
async fn who_waits_during_a_change_does_not_get_the_failure_from_before_it() {
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
async fn an_error_that_asks_for_a_longer_pause_has_it_up_to_an_hour() {
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
