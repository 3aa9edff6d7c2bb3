//! Credentials that the API server refused.

use std::sync::Arc;

use super::{Fixture, Step, millis, seconds, start, token, token_of, until};
use crate::credential::{Credential, Error, RefreshPolicy};

#[tokio::test(start_paused = true)]
async fn refused_requests_share_one_refresh() {
    let fixture = Fixture::new(|call| Step::GiveAfter(seconds(1), token(&format!("token {call}"))));
    let used = fixture.cache.get().await.unwrap();
    let requests: Vec<_> = (0..100)
        .map(|_| {
            let (cache, used) = (Arc::clone(&fixture.cache), Arc::clone(&used));
            tokio::spawn(async move { cache.replace_refused(&used).await })
        })
        .collect();
    for request in requests {
        assert_eq!(token_of(&request.await.unwrap().unwrap()), "token 2");
    }
    assert_eq!(fixture.calls(), 2);
    // A later refusal of the old one gets the newer one without a call.
    assert_eq!(
        token_of(&fixture.cache.replace_refused(&used).await.unwrap()),
        "token 2"
    );
    assert_eq!(fixture.calls(), 2);
}

#[tokio::test]
async fn refusals_cause_at_most_one_refresh_in_ten_seconds() {
    let fixture = Fixture::new(|call| Step::Give(token(&format!("token {call}"))));
    let first = fixture.cache.get().await.unwrap();
    let second = fixture.cache.replace_refused(&first).await.unwrap();
    fixture.at(millis(9_999));
    assert!(fixture.cache.replace_refused(&second).await.is_none());
    assert_eq!(fixture.calls(), 2);
    fixture.at(seconds(10));
    assert_eq!(
        token_of(&fixture.cache.replace_refused(&second).await.unwrap()),
        "token 3"
    );
}

#[tokio::test]
async fn a_refresh_with_the_same_token_does_not_replace_a_refused_one() {
    let fixture = Fixture::new(|call| {
        Step::Give(Credential {
            expires_at: Some(start() + seconds(100 * call as u64)),
            ..token("same")
        })
    });
    let used = fixture.cache.get().await.unwrap();
    assert!(fixture.cache.replace_refused(&used).await.is_none());
    assert_eq!(fixture.calls(), 2);
    assert_eq!(fixture.get().await.unwrap(), "same");
}

#[tokio::test]
async fn a_refused_credential_stays_if_its_refresh_fails() {
    let fixture = Fixture::new(|call| match call {
        1 => Step::Give(until(call, seconds(1000))),
        _ => Step::Fail,
    });
    let used = fixture.cache.get().await.unwrap();
    assert!(fixture.cache.replace_refused(&used).await.is_none());
    assert_eq!(fixture.calls(), 2);
    assert_eq!(fixture.get().await.unwrap(), "token 1");
}

#[tokio::test(start_paused = true)]
async fn a_refusal_during_a_recheck_still_causes_a_fetch() {
    let fixture = Fixture::with_policy(RefreshPolicy::FILE, |call| match call {
        1 | 2 => Step::GiveAfter(millis(10), token("old")),
        _ => Step::Give(token("new")),
    });
    let used = fixture.cache.get().await.unwrap();
    fixture.at(seconds(1));
    fixture.get().await.unwrap();
    assert_eq!(
        token_of(&fixture.cache.replace_refused(&used).await.unwrap()),
        "new"
    );
    assert_eq!(fixture.calls(), 3);
}

#[tokio::test]
async fn after_a_refusal_the_warning_says_how_to_log_in() {
    let ended = Error::LoginNeeded {
        subject: "OIDC issuer https://issuer.example".to_owned(),
        problem: "the refresh token was refused".into(),
        remedy: "run `kubegate login`".to_owned(),
    };
    let fixture = Fixture::new(move |call| match call {
        1 => Step::Give(until(call, seconds(1000))),
        _ => Step::FailWith(ended.clone()),
    });
    let used = fixture.cache.get().await.unwrap();
    assert_eq!(fixture.cache.login_warning(&used), None);
    assert!(fixture.cache.replace_refused(&used).await.is_none());
    let warning = fixture.cache.login_warning(&used).unwrap();
    assert!(warning.to_str().unwrap().contains("run `kubegate login`"));
    // Of a credential that no source can replace, the source's error is not needed.
    let own = Credential {
        renewed_by: Some("oc login https://a".into()),
        ..token("own")
    };
    let fixture = Fixture::new(move |_| Step::Give(own.clone()));
    let used = fixture.cache.get().await.unwrap();
    assert!(fixture.cache.replace_refused(&used).await.is_none());
    let warning = fixture.cache.login_warning(&used).unwrap();
    assert!(
        warning
            .to_str()
            .unwrap()
            .contains("run `oc login https://a`")
    );
}
