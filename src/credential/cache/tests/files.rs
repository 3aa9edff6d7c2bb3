//! Sources that read a file.

use std::sync::Arc;

use tokio::time::Instant;

use super::{Fixture, Step, millis, seconds, token};
use crate::credential::RefreshPolicy;

#[tokio::test]
async fn a_file_is_rechecked_after_one_second_and_waited_for_after_two() {
    let fixture = Fixture::with_policy(RefreshPolicy::FILE, |call| {
        Step::Give(token(&format!("token {call}")))
    });
    fixture.get().await.unwrap();
    fixture.at(millis(999));
    fixture.get().await.unwrap();
    fixture.settle().await;
    assert_eq!(fixture.calls(), 1);

    fixture.at(seconds(1));
    assert_eq!(fixture.get().await.unwrap(), "token 1");
    fixture.settle().await;
    assert_eq!(fixture.get().await.unwrap(), "token 2");

    fixture.at(seconds(3));
    assert_eq!(fixture.get().await.unwrap(), "token 3");
}

#[tokio::test(start_paused = true)]
async fn an_unreadable_file_leaves_the_last_good_credential() {
    let fixture = Fixture::with_policy(RefreshPolicy::FILE, |call| match call {
        1 => Step::Give(token("good")),
        2 | 3 => Step::Fail,
        _ => Step::GiveAfter(seconds(20), token("slow")),
    });
    for after in [0, 60, 120] {
        fixture.at(seconds(after));
        // The second request causes no further try: a failed recheck has a pause too.
        for _ in 0..2 {
            assert_eq!(fixture.get().await.unwrap(), "good");
        }
    }
    assert_eq!(fixture.calls(), 3);
    fixture.at(seconds(180));
    let began = Instant::now();
    for _ in 0..3 {
        assert_eq!(fixture.get().await.unwrap(), "good");
    }
    assert_eq!(
        began.elapsed().as_secs(),
        1,
        "a hung disk holds each request up"
    );
    fixture.settle().await;
    assert_eq!(fixture.get().await.unwrap(), "slow");
}

#[tokio::test]
async fn an_unchanged_credential_stays_the_same_object() {
    let fixture = Fixture::with_policy(RefreshPolicy::FILE, |call| {
        Step::Give(token(if call < 3 { "same" } else { "other" }))
    });
    let first = fixture.cache.get().await.unwrap();
    fixture.at(seconds(10));
    assert!(Arc::ptr_eq(&first, &fixture.cache.get().await.unwrap()));
    fixture.at(seconds(20));
    assert!(!Arc::ptr_eq(&first, &fixture.cache.get().await.unwrap()));
    assert_eq!(fixture.calls(), 3);
}
