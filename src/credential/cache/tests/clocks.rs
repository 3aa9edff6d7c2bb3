//! Clocks that are set, issuers whose clock is wrong, and expiries that make no sense.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use super::{Fixture, Scripted, Step, millis, seconds, start, token, token_of, until};
use crate::credential::{Credential, RefreshPolicy, Source, cache::Cache};

#[tokio::test]
async fn a_clock_set_back_does_not_prolong_a_pause() {
    let fixture = Fixture::new(|call| match call {
        1 => Step::Fail,
        _ => Step::Give(token("late")),
    });
    fixture.get().await.unwrap_err();
    *fixture.now.lock().unwrap() -= seconds(3600);
    assert_eq!(fixture.get().await.unwrap(), "late");
}

#[tokio::test]
async fn a_credential_that_arrives_expired_is_used_without_a_loop() {
    let fixture = Fixture::new(|call| Step::Give(until(call, Duration::ZERO)));
    fixture.at(seconds(3600));
    for _ in 0..10 {
        assert_eq!(fixture.get().await.unwrap(), "token 1");
    }
    assert_eq!(fixture.calls(), 1);
    fixture.advance(seconds(1));
    assert_eq!(fixture.get().await.unwrap(), "token 2");
}

#[tokio::test]
async fn after_the_clock_was_set_back_it_is_refreshed_in_the_background() {
    let fixture = Fixture::new(|call| Step::Give(until(call, seconds(100_000))));
    fixture.at(seconds(10_000));
    fixture.get().await.unwrap();
    // A small step, as time services make it, has no effect.
    for (back, calls) in [(4, 1), (3600, 2), (3600, 2)] {
        fixture.at(seconds(10_000 - back));
        assert_eq!(
            fixture.get().await.unwrap(),
            format!("token {}", fixture.calls())
        );
        fixture.settle().await;
        assert_eq!(fixture.calls(), calls, "{back}");
    }
}

#[tokio::test]
async fn after_a_clock_jump_beyond_the_expiry_a_request_gets_a_new_one() {
    let fixture = Fixture::new(|call| Step::Give(until(call, seconds(3600 * 24 * call as u64))));
    fixture.get().await.unwrap();
    fixture.advance(seconds(3600 * 30));
    assert_eq!(fixture.get().await.unwrap(), "token 2");
}

#[tokio::test]
async fn an_expired_credential_replaces_a_valid_one_only_after_a_refusal() {
    let fixture =
        Fixture::new(|call| Step::Give(until(call, seconds(if call == 1 { 100 } else { 10 }))));
    let used = fixture.cache.get().await.unwrap();
    for second in 80..100 {
        fixture.at(seconds(second));
        assert_eq!(fixture.get().await.unwrap(), "token 1");
        fixture.settle().await;
    }
    assert!((2..=20).contains(&fixture.calls()), "{}", fixture.calls());
    fixture.at(millis(99_500));
    let calls = fixture.calls();
    let other = fixture.cache.replace_refused(&used).await.unwrap();
    assert_eq!(token_of(&other), format!("token {}", calls + 1));
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
        let fixture = Fixture::new(move |call| Step::Give(until(call, seconds(end))));
        for after in [0, 3600, 1 << 30] {
            fixture.at(seconds(after));
            assert_eq!(fixture.get().await.unwrap(), "token 1");
        }
        fixture.settle().await;
        assert_eq!(fixture.calls(), 1);
        let used = fixture.cache.get().await.unwrap();
        assert_eq!(
            token_of(&fixture.cache.replace_refused(&used).await.unwrap()),
            "token 2"
        );
    }
}
