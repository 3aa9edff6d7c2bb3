//! API servers that do not say who a user is, or say it in an older version.

use kubegate::demo::{
    SelfReviews,
    openshift::{OpenShift, Options},
};
use serde_json::Value;

use super::{Home, run_in, with_session};
use crate::support::Kubegate;

const REVIEWS: [(SelfReviews, &str); 5] = [
    (SelfReviews::V1, "oidc:jane@example.com"),
    (SelfReviews::V1beta1, "oidc:jane@example.com"),
    (SelfReviews::V1alpha1, "oidc:jane@example.com"),
    // The server's prefix is not among the claims.
    (SelfReviews::Missing, "jane@example.com"),
    (SelfReviews::Forbidden, "jane@example.com"),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_login_and_whoami_work_with_older_servers_and_ones_that_forbid_the_question() {
    for (reviews, user) in REVIEWS {
        let home = Home::new(3600).await;
        home.plane.set_self_reviews(reviews);
        let is_confirmed = user.starts_with("oidc:");
        let ended = home.log_in();
        let named = format!("as {user}.");
        assert!(ended.stdout.contains(&named), "{reviews:?}: {ended:?}");
        let who = Kubegate::refused(home.command(&["whoami", "-o", "json"]));
        assert_eq!(who.code, Some(0), "{reviews:?}: {who:?}");
        let said: Value = serde_json::from_str(&who.stdout).unwrap();
        assert_eq!(said["user"], user, "{reviews:?}");
        assert_eq!(said["confirmed"], is_confirmed, "{reviews:?}");
        for stderr in [&ended.stderr, &who.stderr] {
            let warns = stderr.contains("does not say who the user is");
            assert_eq!(warns, !is_confirmed, "{reviews:?}: {stderr}");
        }
        let entry = format!("{user}/127-0-0-1:");
        assert!(home.kubeconfig().contains(&entry), "{}", home.kubeconfig());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_that_is_refused_is_not_named_by_its_claims() {
    let home = Home::new(3600).await;
    home.log_in();
    for reviews in [SelfReviews::Missing, SelfReviews::Forbidden] {
        home.plane.set_self_reviews(reviews);
        let saved = std::fs::read_to_string(home.saved()).unwrap();
        let saved: Value = serde_json::from_str(&saved).unwrap();
        let mut token = saved["token"].as_str().unwrap().to_owned();
        // Another signature.
        token.truncate(token.rfind('.').unwrap() + 1);
        token.push_str("c2ln");
        let args = ["whoami", "--token", &*token];
        let ended = Kubegate::refused(home.command(&args));
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert!(ended.stderr.contains("401"), "{ended:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn openshift_names_its_users_itself() {
    let shift = OpenShift::start(Options::default()).await.unwrap();
    shift.add_user("jane", "sesame-old-1");
    let token = shift.issue_session("jane").unwrap();
    let home = with_session(&shift.api().url(), shift.api().ca_pem(), token);
    for reviews in [SelfReviews::Missing, SelfReviews::Forbidden] {
        shift.api().set_self_reviews(reviews);
        let who = run_in(&home, &["whoami", "-o", "name"]);
        assert_eq!(who.stdout, "jane\n", "{reviews:?}: {who:?}");
    }
}
