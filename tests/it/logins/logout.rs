//! Logouts, and logins after them.

use std::{fs, path::PathBuf};

use kubegate::{
    demo::openshift::{OpenShift, Options as OpenshiftOptions},
    secret::Secret,
};

use super::{Home, run_in, with_session};
use crate::support::Kubegate;

#[tokio::test(flavor = "multi_thread")]
async fn after_a_logout_the_context_is_enough_to_log_in() {
    let home = Home::new(3600).await;
    home.log_in();
    let config = home.kubeconfig();
    let saved = home.saved();
    let out = home.out(&["logout"]);
    assert!(out.starts_with("Logged out oidc:jane"), "{out}");
    assert!(!saved.exists());
    assert_eq!(home.kubeconfig(), config);
    let context = home.out(&["contexts", "-o", "name"]);
    let expected = format!("kubegate login oidc --context '{}'", context.trim_end());
    assert!(out.contains(&expected), "{out}");
    let logged_out = Kubegate::refused(home.command(&["whoami"]));
    assert_eq!(logged_out.code, Some(1), "{logged_out:?}");
    // A second logout finds no session.
    assert!(home.out(&["logout"]).contains("was logged out already"));

    let again = Kubegate::refused(home.log_in_with(&["--context", context.trim_end()]));
    assert_eq!(again.code, Some(0), "{again:?}");
    assert_eq!(home.kubeconfig(), config);
    assert!(saved.exists());
    assert!(home.out(&["whoami", "-o", "name"]).starts_with("oidc:jane"));
}

#[tokio::test(flavor = "multi_thread")]
async fn logout_forget_restores_the_kubeconfig() {
    let home = Home::new(3600).await;
    fs::create_dir(home.path(".kube")).unwrap();
    let before = "current-context: mine\ncontexts:\n- context:\n    cluster: mine\n  name: mine\n\
                  clusters:\n- cluster:\n    server: https://mine.example\n  name: mine\nusers: []\n";
    fs::write(home.path(".kube/config"), before).unwrap();
    home.log_in();
    assert!(home.kubeconfig().starts_with("current-context: default/"));
    home.out(&["logout"]);
    home.out(&["logout", "--forget"]);
    assert_eq!(home.kubeconfig(), before);
    let left = fs::read_dir(home.path(".local/state/kubegate/logins")).unwrap();
    let left: Vec<_> = left.map(|file| file.unwrap().path()).collect();
    let is_lock = |path: &PathBuf| path.to_str().is_some_and(|name| name.ends_with("lock"));
    assert!(left.iter().all(is_lock), "{left:?}");
    let again = Kubegate::refused(home.command(&["logout"]));
    assert_eq!(again.code, Some(1), "{again:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn logout_ends_a_session_at_its_server() {
    let openshift = OpenShift::start(OpenshiftOptions::default()).await.unwrap();
    openshift.add_user("jane", "sesame-out-1");
    let token = openshift.issue_session("jane").unwrap();
    let home = with_session(
        &openshift.api().url(),
        openshift.api().ca_pem(),
        token.clone(),
    );
    let who = run_in(&home, &["whoami", "-o", "name"]);
    assert_eq!(who.stdout, "jane\n", "{who:?}");
    let out = run_in(&home, &["logout"]);
    assert_eq!(
        (out.code, out.stdout.as_str()),
        (
            Some(0),
            "Logged out jane/c\nTo log in again, run: kubegate login openshift --context \
             'default/c/jane'\n"
        ),
        "{out:?}"
    );
    assert!(!openshift.revoke(token.expose()), "the session went on");
    let config = fs::read_to_string(home.path().join(".kube/config")).unwrap();
    assert!(
        config.contains("current-context: default/c/jane"),
        "{config}"
    );
    assert!(
        !home
            .path()
            .join(".local/state/kubegate/logins/jane%2Fc.json")
            .exists()
    );

    // A server that cannot be reached does not prevent --forget.
    let lost = Secret::new("sha256~sesame-out-2");
    let home = with_session("https://127.0.0.1:1", openshift.api().ca_pem(), lost);
    let out = run_in(&home, &["logout"]);
    assert_eq!(out.code, Some(1), "{out:?}");
    assert!(
        out.stderr.contains("the tokens are removed") && !out.stderr.contains("sesame"),
        "{out:?}"
    );
    assert!(
        !home
            .path()
            .join(".local/state/kubegate/logins/jane%2Fc.json")
            .exists()
    );
    let config = fs::read_to_string(home.path().join(".kube/config")).unwrap();
    assert!(
        config.contains("current-context: default/c/jane"),
        "{config}"
    );
}
