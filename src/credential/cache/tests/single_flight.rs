//! Requests that need a credential at the same time.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{Fixture, Step, millis, seconds, start, token_of, until};
use crate::credential::{Error, RefreshPolicy};

#[tokio::test(start_paused = true)]
async fn a_thundering_herd_makes_one_fetch_at_first_and_one_at_expiry() {
    let fixture =
        Fixture::new(|call| Step::GiveAfter(seconds(2), until(call, seconds(100 * call as u64))));
    for round in 1..=2 {
        let requests: Vec<_> = (0..1000)
            .map(|_| {
                let cache = Arc::clone(&fixture.cache);
                tokio::spawn(async move { token_of(&cache.get().await.unwrap()) })
            })
            .collect();
        for request in requests {
            assert_eq!(request.await.unwrap(), format!("token {round}"));
        }
        assert_eq!(fixture.calls(), round);
        fixture.at(seconds(100));
    }
}

#[tokio::test(start_paused = true)]
async fn a_herd_that_fails_makes_one_fetch_and_shares_the_error() {
    let fixture = Fixture::new(|_| Step::Fail);
    let requests: Vec<_> = (0..100)
        .map(|_| {
            let cache = Arc::clone(&fixture.cache);
            tokio::spawn(async move { cache.get().await.unwrap_err().to_string() })
        })
        .collect();
    for request in requests {
        let error = request.await.unwrap();
        assert!(error.contains("call 1"), "{error}");
    }
    assert_eq!(fixture.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_waiter_does_not_stop_the_fetch() {
    let fixture = Fixture::new(|call| Step::GiveAfter(seconds(2), until(call, seconds(100))));
    let timed_out = tokio::time::timeout(seconds(1), fixture.cache.get()).await;
    assert!(timed_out.is_err());
    assert!(fixture.cache.current().is_none());
    assert_eq!(fixture.get().await.unwrap(), "token 1");
    assert_eq!(fixture.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_request_waits_30_seconds_and_the_fetch_runs_on() {
    let fixture = Fixture::new(|call| Step::GiveAfter(seconds(45), until(call, seconds(100))));
    let began = Instant::now();
    let error = fixture.cache.get().await.unwrap_err();
    assert_eq!(began.elapsed().as_secs(), 30);
    assert!(matches!(error, Error::WaitedTooLong { .. }), "{error}");
    assert!(error.is_transient() && error.retry_after().is_some());
    assert!(error.to_string().contains("the scripted source"), "{error}");

    assert_eq!(fixture.get().await.unwrap(), "token 1");
    assert_eq!(began.elapsed().as_secs(), 45);
    assert_eq!(fixture.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_request_waits_as_long_as_a_source_that_bounds_itself() {
    let policy = RefreshPolicy {
        max_wait: None,
        ..RefreshPolicy::ISSUER
    };
    let fixture = Fixture::with_policy(policy, |call| {
        Step::GiveAfter(seconds(170), until(call, seconds(100 + 200 * call as u64)))
    });
    let began = Instant::now();
    let cache = Arc::clone(&fixture.cache);
    let other = tokio::spawn(async move { cache.get().await.map(|got| token_of(&got)) });
    assert_eq!(fixture.get().await.unwrap(), "token 1");
    assert_eq!(other.await.unwrap().unwrap(), "token 1");
    assert_eq!(began.elapsed().as_secs(), 170);

    // While it is valid, no request waits for the next one.
    fixture.at(seconds(290));
    let began = Instant::now();
    assert_eq!(fixture.get().await.unwrap(), "token 1");
    assert_eq!(began.elapsed(), Duration::ZERO);
    // A request that was refused with it waits to the end.
    let used = fixture.cache.current().unwrap();
    let fresh = fixture.cache.replace_refused(&used).await.unwrap();
    assert_eq!(token_of(&fresh), "token 2");
    assert_eq!(began.elapsed().as_secs(), 170);
    assert_eq!(fixture.calls(), 2);
}

#[tokio::test]
async fn a_caller_with_an_old_entry_takes_a_newer_result() {
    let fixture = Fixture::new(|call| Step::Give(until(call, seconds(100 * call as u64))));
    let nothing = fixture.cache.refresher.entry();
    fixture.get().await.unwrap();
    let expired = fixture.cache.refresher.entry();
    fixture.at(seconds(100));
    assert_eq!(fixture.get().await.unwrap(), "token 2");
    for seen in [nothing, expired] {
        let got = fixture
            .cache
            .wait_for_fetch(seen, start() + seconds(100))
            .await;
        assert_eq!(token_of(&got.unwrap()), "token 2");
    }
    assert_eq!(fixture.calls(), 2);
}

/// The hot path must be a load and a comparison, without a task or a lock.
#[test]
fn a_fresh_credential_is_ready_at_the_first_poll_without_the_lock() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let fixture = Fixture::new(|call| Step::Give(until(call, seconds(100))));
    runtime.block_on(fixture.get()).unwrap();
    let state = fixture.cache.refresher.lock();
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    let mut getting = std::pin::pin!(fixture.cache.get());
    assert!(getting.as_mut().poll(&mut context).is_ready());
    // Within the leeway too.
    fixture.at(seconds(95));
    let mut getting = std::pin::pin!(fixture.cache.get());
    assert!(getting.as_mut().poll(&mut context).is_ready());
    drop(state);
}

#[tokio::test(start_paused = true)]
async fn at_expiry_a_herd_makes_one_call_though_refreshes_failed_before() {
    let fixture = Fixture::new(|call| match call {
        1 => Step::Give(until(call, seconds(3600))),
        2 => Step::Fail,
        _ => Step::GiveAfter(seconds(1), until(call, seconds(7200))),
    });
    fixture.get().await.unwrap();
    // One of many failures: its pause is up to a minute, or until the expiry.
    fixture.cache.refresher.lock().failures = 20;
    fixture.at(millis(3_599_999));
    assert_eq!(fixture.get().await.unwrap(), "token 1");
    fixture.settle().await;
    assert_eq!(fixture.calls(), 2);
    assert_eq!(fixture.get().await.unwrap(), "token 1");
    fixture.settle().await;
    assert_eq!(fixture.calls(), 2, "no pause");

    fixture.at(seconds(3600));
    let requests: Vec<_> = (0..1000)
        .map(|_| {
            let cache = Arc::clone(&fixture.cache);
            tokio::spawn(async move { token_of(&cache.get().await.unwrap()) })
        })
        .collect();
    for request in requests {
        assert_eq!(request.await.unwrap(), "token 3");
    }
    assert_eq!(fixture.calls(), 3);
}
