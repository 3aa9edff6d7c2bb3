//! Failed fetches, and the pauses after them.

use std::{sync::Arc, time::Duration};

use tokio::sync::watch;

use super::{Fixture, Step, failure, millis, outage, seconds, token, token_of, until};
use crate::credential::{Backoff, Error, RefreshPolicy, cache::state::State};

#[tokio::test]
async fn after_a_failure_the_source_is_not_called_during_the_pause() {
    let fixture = Fixture::new(|_| Step::Fail);
    let mut longest_seen = Duration::ZERO;
    for call in 1..=8 {
        let error = fixture.cache.get().await.unwrap_err();
        assert_eq!(fixture.calls(), call);
        let pause = error.retry_after().unwrap();
        assert!(pause <= seconds(60), "{pause:?}");
        longest_seen = longest_seen.max(pause);

        fixture.advance(pause.saturating_sub(millis(1)));
        let same = fixture.cache.get().await.unwrap_err();
        assert_eq!(fixture.calls(), call, "called during the pause");
        assert_eq!(same.retry_after(), Some(millis(1)));
        assert!(same.to_string().contains(&format!("call {call}")), "{same}");
        fixture.advance(millis(1));
    }
    assert!(longest_seen >= seconds(30), "{longest_seen:?}");
}

#[tokio::test]
async fn after_an_outage_a_request_tries_at_once_when_the_last_try_is_five_seconds_old() {
    for (asked, pause) in [(None, 5), (Some(seconds(2)), 5), (Some(seconds(120)), 120)] {
        let fixture = Fixture::new(move |call| match call {
            20 => Step::Give(token("back")),
            _ => Step::FailWith(outage(asked)),
        });
        for call in 1..20 {
            let error = fixture.cache.get().await.unwrap_err();
            assert_eq!(fixture.calls(), call);
            let left = error.retry_after().unwrap();
            assert!(left <= seconds(pause), "{asked:?}: {left:?}");
            if call > 5 {
                assert_eq!(left, seconds(pause), "{asked:?}");
            }
            fixture.advance(left.saturating_sub(millis(1)));
            fixture.get().await.unwrap_err();
            assert_eq!(fixture.calls(), call, "called during the pause");
            fixture.advance(millis(1));
        }
        assert_eq!(fixture.get().await.unwrap(), "back");
    }
}

#[tokio::test]
async fn a_success_resets_the_count_of_failures() {
    let fixture = Fixture::new(|call| match call {
        4 => Step::Give(until(call, seconds(1000))),
        _ => Step::Fail,
    });
    for _ in 1..=3 {
        let error = fixture.cache.get().await.unwrap_err();
        fixture.advance(error.retry_after().unwrap());
    }
    assert_eq!(fixture.get().await.unwrap(), "token 4");
    fixture.at(seconds(1000));
    let pause = fixture
        .cache
        .get()
        .await
        .unwrap_err()
        .retry_after()
        .unwrap();
    assert!(pause <= seconds(1), "{pause:?}");
}

#[tokio::test]
async fn a_panic_in_a_source_is_an_error() {
    let fixture = Fixture::new(|call| match call {
        1 => Step::Panic,
        _ => Step::Give(token("recovered")),
    });
    let error = fixture.cache.get().await.unwrap_err();
    assert!(error.to_string().contains("the scripted source"), "{error}");
    fixture.advance(seconds(1));
    assert_eq!(fixture.get().await.unwrap(), "recovered");
}

#[test]
fn each_distinct_failure_is_new_once() {
    let mut state = State::default();
    let calls = [2, 2, 2, 6, 6, 2];
    let are_new = calls.map(|call| state.is_new_failure(&failure(call)));
    assert_eq!(are_new, [true, false, false, true, false, true]);
}

#[tokio::test]
async fn a_failure_is_new_again_after_a_success() {
    let fixture = Fixture::with_policy(RefreshPolicy::FILE, |call| match call % 2 {
        1 => Step::Give(token("good")),
        _ => Step::Fail,
    });
    for (after, warned) in [(0, false), (10, true), (20, false), (30, true)] {
        fixture.at(seconds(after));
        assert_eq!(fixture.get().await.unwrap(), "good");
        assert_eq!(
            fixture.cache.refresher.lock().warned_of.is_some(),
            warned,
            "{after}"
        );
    }
}

#[tokio::test]
async fn a_changed_input_ends_the_pause_after_a_failure() {
    let fixture = Fixture::new(|call| match call {
        1..=6 => Step::Fail,
        _ => Step::Give(token("logged in")),
    });
    for _ in 1..=5 {
        let error = fixture.cache.get().await.unwrap_err();
        assert!(!error.is_transient());
        fixture.advance(error.retry_after().unwrap());
    }
    fixture.get().await.unwrap_err();
    fixture.get().await.unwrap_err();
    assert_eq!(fixture.calls(), 6);
    fixture.cache.clear_failures();
    assert_eq!(fixture.get().await.unwrap(), "logged in");
    assert_eq!(fixture.calls(), 7);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_waits_during_a_change_gets_no_outdated_failure() {
    for changed in [true, false] {
        let (fail, fails) = watch::channel(false);
        let fixture = Fixture::new(move |call| match call {
            1 => Step::FailWhen(fails.clone()),
            _ => Step::Give(token("logged in")),
        });
        let cache = Arc::clone(&fixture.cache);
        let waiting = tokio::spawn(async move { cache.get().await.map(|got| token_of(&got)) });
        tokio::time::sleep(seconds(1)).await;
        if changed {
            fixture.cache.clear_failures();
        }
        fail.send_replace(true);
        let outcome = waiting.await.unwrap();
        if changed {
            assert_eq!(outcome.unwrap(), "logged in");
        } else {
            outcome.unwrap_err();
        }
        assert_eq!(fixture.calls(), if changed { 2 } else { 1 });
    }
}

#[tokio::test]
async fn an_error_can_ask_for_a_pause_of_up_to_an_hour() {
    for (asked, at_least, at_most) in [(0, 0, 1), (120, 120, 120), (1 << 40, 3600, 3600)] {
        let fixture = Fixture::new(move |call| {
            Step::FailWith(Error::Backoff(Backoff {
                cause: Arc::new(failure(call)),
                retry_after: seconds(asked),
            }))
        });
        let error = fixture.cache.get().await.unwrap_err();
        let pause = error.retry_after().unwrap();
        assert!(
            (seconds(at_least)..=seconds(at_most)).contains(&pause),
            "{pause:?}"
        );
        assert_eq!(error.to_string().matches("next try").count(), 1, "{error}");
    }
}
