//! Refreshes without a request.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::time::Instant;

use super::{Fixture, Step, millis, seconds, until};

/// Advances the clock and tokio's time together, in steps shorter than any refresh here.
async fn advance_with_timers(fixture: &Fixture, time: Duration) {
    let end = fixture.elapsed() + time;
    while fixture.elapsed() < end {
        fixture.advance(millis(500));
        tokio::time::sleep(millis(500)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_used_credential_is_refreshed_once_without_a_request() {
    let fixture = Fixture::new(|call| Step::Give(until(call, seconds(100 * call as u64))));
    fixture.get().await.unwrap();
    advance_with_timers(&fixture, millis(79_500)).await;
    assert_eq!(fixture.calls(), 1);
    advance_with_timers(&fixture, millis(16_500)).await;
    assert_eq!(fixture.calls(), 2);
    // No request used the second one.
    advance_with_timers(&fixture, seconds(1000)).await;
    assert_eq!(fixture.calls(), 2);
    assert!(tasks_end(&fixture).await);
}

/// Whether only the fixture still refers to the cache.
async fn tasks_end(fixture: &Fixture) -> bool {
    tokio::time::sleep(seconds(6)).await;
    Arc::weak_count(&fixture.cache.refresher) == 0
        && Arc::strong_count(&fixture.cache.refresher) == 1
}

#[tokio::test(start_paused = true)]
async fn a_credential_used_now_and_then_is_always_fresh() {
    let fixture =
        Fixture::new(|call| Step::GiveAfter(seconds(1), until(call, seconds(100 * call as u64))));
    fixture.get().await.unwrap();
    for _ in 0..20 {
        advance_with_timers(&fixture, seconds(50)).await;
        let began = Instant::now();
        fixture.get().await.unwrap();
        assert!(began.elapsed().is_zero(), "a request waited");
    }
    assert!((10..=14).contains(&fixture.calls()), "{}", fixture.calls());
}

#[tokio::test(start_paused = true)]
async fn a_failed_background_refresh_is_retried_until_the_expiry() {
    let fixture = Fixture::new(|call| match call {
        1 => Step::Give(until(call, seconds(100))),
        _ => Step::Fail,
    });
    fixture.get().await.unwrap();
    advance_with_timers(&fixture, seconds(100)).await;
    let calls = fixture.calls();
    assert!((4..=40).contains(&calls), "{calls}");
    advance_with_timers(&fixture, seconds(3600)).await;
    assert_eq!(fixture.calls(), calls);
    assert!(tasks_end(&fixture).await);
}

#[tokio::test(start_paused = true)]
async fn a_credential_in_use_is_refreshed_seconds_after_a_wake() {
    let fixture = Fixture::new(|call| Step::Give(until(call, seconds(24 * 3600 * call as u64))));
    fixture.get().await.unwrap();
    advance_with_timers(&fixture, seconds(60)).await;
    assert_eq!(fixture.calls(), 1);
    // While the machine sleeps, tokio's time stops.
    for call in 2..=3 {
        fixture.advance(seconds(24 * 3600));
        tokio::time::sleep(seconds(6)).await;
        // The second was not used before the second sleep.
        assert_eq!(fixture.calls(), 2, "{call}");
    }
}

#[tokio::test(start_paused = true)]
async fn background_refreshes_end_with_the_cache() {
    let fixture = Fixture::new(|call| Step::Give(until(call, seconds(100))));
    fixture.get().await.unwrap();
    let Fixture { source, cache, now } = fixture;
    let gone = Arc::downgrade(&cache);
    assert_eq!(gone.strong_count(), 1, "the task keeps it alive");
    drop(cache);
    *now.lock().unwrap() += seconds(95);
    tokio::time::sleep(seconds(200)).await;
    assert_eq!(source.calls.load(Ordering::SeqCst), 1);
    assert_eq!(Arc::strong_count(&source), 1, "the task still runs");
}
