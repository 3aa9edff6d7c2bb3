//! When a credential is refreshed, and which one is used meanwhile.

use tokio::time::Instant;

use super::{Fixture, Step, millis, outage, seconds, start, until};
use crate::credential::Credential;

#[tokio::test]
async fn it_is_refreshed_between_80_and_90_percent_of_its_lifetime() {
    // The last tenth of the second lifetime is longer than the leeway.
    for life in [20, 200] {
        let fixture =
            Fixture::new(move |call| Step::Give(until(call, seconds(life * call as u64))));
        fixture.get().await.unwrap();
        fixture.at(seconds(life).mul_f64(0.799));
        assert_eq!(fixture.get().await.unwrap(), "token 1");
        fixture.settle().await;
        assert_eq!(fixture.calls(), 1);

        fixture.at(seconds(life).mul_f64(0.9));
        assert_eq!(fixture.get().await.unwrap(), "token 1");
        fixture.settle().await;
        assert_eq!(fixture.calls(), 2);
        assert_eq!(fixture.get().await.unwrap(), "token 2");
    }
}

#[tokio::test]
async fn several_kubegates_refresh_at_different_times() {
    let mut times = Vec::new();
    for _ in 0..20 {
        let fixture = Fixture::new(|call| Step::Give(until(call, seconds(1000))));
        fixture.get().await.unwrap();
        times.push(fixture.entry().refresh_at.unwrap());
    }
    let (first, last) = (times.iter().min().unwrap(), times.iter().max().unwrap());
    assert!(*first >= start() + seconds(800) && *last <= start() + seconds(900));
    assert!(last.duration_since(*first).unwrap() > seconds(10));
}

/// Advances the clock second by second until `end`, with a request in each, and returns the times
/// of the calls.
async fn calls_by_second(fixture: &Fixture, end: u64) -> Vec<u64> {
    let mut calls = Vec::new();
    for second in 0..end {
        fixture.at(seconds(second));
        let before = fixture.calls();
        fixture.get().await.unwrap();
        fixture.settle().await;
        calls.extend((before..fixture.calls()).map(|_| second));
    }
    calls
}

#[tokio::test]
async fn an_outage_while_a_credential_is_valid_has_the_longer_pauses() {
    let fixture = Fixture::new(|call| match call {
        1 => Step::Give(until(call, seconds(3600))),
        _ => Step::FailWith(outage(None)),
    });
    let calls = calls_by_second(&fixture, 3600).await;
    assert!((10..=50).contains(&calls.len()), "{calls:?}");
}

#[tokio::test]
async fn a_failed_refresh_is_retried_with_pauses_up_to_a_minute() {
    let fixture = Fixture::new(|call| match call {
        1 => Step::Give(until(call, seconds(3600))),
        _ => Step::Fail,
    });
    let calls = calls_by_second(&fixture, 3600).await;
    let pauses: Vec<_> = calls[1..].windows(2).map(|two| two[1] - two[0]).collect();
    assert!(pauses.iter().all(|pause| *pause <= 61), "{pauses:?}");
    assert!(*pauses.iter().max().unwrap() > 10, "{pauses:?}");
    // About half a minute each in the last 700 to 360 s, after a few short ones.
    assert!((10..=50).contains(&calls.len()), "{calls:?}");
    assert!(
        calls.contains(&3590),
        "the leeway is no time to pause: {calls:?}"
    );
    fixture.at(seconds(3600));
    fixture.get().await.unwrap_err();
}

#[tokio::test]
async fn pauses_are_short_for_a_short_lifetime() {
    let fixture = Fixture::new(|call| match call {
        1..=4 => Step::Give(until(1, seconds(10))),
        5 => Step::Give(until(call, seconds(20))),
        _ => Step::Fail,
    });
    fixture.get().await.unwrap();
    // Two without a later expiry, then one with a later expiry, whose refresh fails.
    for (end, calls) in [(10_000, 5), (20_000, 8)] {
        while fixture.elapsed() < millis(end) {
            assert!(fixture.get().await.is_ok(), "{:?}", fixture.elapsed());
            fixture.settle().await;
            fixture.advance(millis(10));
        }
        assert!(fixture.calls() >= calls, "{end}: {}", fixture.calls());
    }
    assert!(fixture.calls() <= 60, "{}", fixture.calls());
}

#[tokio::test]
async fn an_issuer_that_repeats_a_token_is_called_with_pauses() {
    for renews in [false, true] {
        let fixture = Fixture::new(move |call| {
            let end = if renews { 3600 * call as u64 } else { 3600 };
            Step::Give(until(1, seconds(end)))
        });
        let calls = calls_by_second(&fixture, 3600).await;
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
    let fixture =
        Fixture::new(|call| Step::Give(until(call, seconds(if call == 1 { 100 } else { 98 }))));
    fixture.get().await.unwrap();
    fixture.at(seconds(90));
    fixture.get().await.unwrap();
    fixture.settle().await;
    assert_eq!(fixture.get().await.unwrap(), "token 2");
    // It is used until its own expiry.
    fixture.at(seconds(98));
    let calls = fixture.calls();
    fixture.get().await.unwrap();
    assert_eq!(fixture.calls(), calls + 1);
}

#[tokio::test]
async fn a_credential_is_used_to_its_last_second_while_the_issuer_is_down() {
    let fixture = Fixture::new(|call| match call {
        1 => Step::Give(until(call, seconds(100))),
        _ => Step::Fail,
    });
    for after in [0, 90, 91, 95, 99] {
        fixture.at(seconds(after));
        assert_eq!(fixture.get().await.unwrap(), "token 1", "{after}");
        fixture.settle().await;
    }
    assert!(fixture.calls() > 1);
    fixture.at(seconds(100));
    fixture.get().await.unwrap_err();
}

#[tokio::test(start_paused = true)]
async fn a_slow_issuer_does_not_delay_requests_with_a_credential() {
    let fixture = Fixture::new(|call| match call {
        1 => Step::Give(until(call, seconds(100))),
        _ => Step::GiveAfter(seconds(5), until(call, seconds(300))),
    });
    fixture.get().await.unwrap();
    fixture.at(seconds(95));
    let began = Instant::now();
    for _ in 0..100 {
        assert_eq!(fixture.get().await.unwrap(), "token 1");
    }
    assert!(began.elapsed().is_zero());
    fixture.settle().await;
    assert_eq!(
        (fixture.get().await.unwrap().as_str(), fixture.calls()),
        ("token 2", 2)
    );
}

#[tokio::test]
async fn only_a_credential_with_a_renewal_command_has_an_expiry_warning() {
    for command in [None, Some("oc login https://a")] {
        let fixture = Fixture::new(move |call| {
            Step::Give(Credential {
                renewed_by: command.map(Into::into),
                ..until(call, seconds(10))
            })
        });
        let got = fixture.cache.get().await.unwrap();
        assert_eq!(got.expiry_warning.is_some(), command.is_some());
    }
}
