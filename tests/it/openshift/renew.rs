//! `kubegate token --renew` with the password in a file.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn renew_starts_another_session_with_the_password_in_a_file() {
    let cluster = Cluster::with(Options::default()).await;
    let (user, password) = (cluster.file("u", "alice"), cluster.file("p", "sesame-os-1"));
    let files = [
        "--openshift-username-file",
        user.to_str().unwrap(),
        "--openshift-password-file",
        password.to_str().unwrap(),
    ];
    let ended = cluster.login_with_cas(&files, "");
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let token = |flags: &[&str]| {
        let mut command = Kubegate::command(["token", "--kubeconfig", &cluster.config()]);
        command.args(flags).env("XDG_STATE_HOME", cluster.state());
        let ended = Kubegate::refused(command);
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert!(!ended.stderr.contains("cannot be renewed"), "{ended:?}");
        ended.stdout
    };
    let (first, logins) = (token(&[]), cluster.openshift.logins());
    assert_eq!(token(&[]), first);
    assert_eq!(cluster.openshift.logins(), logins);
    let new = token(&["--renew"]);
    assert_ne!(new, first);
    assert_eq!(cluster.openshift.logins(), logins + 1);
    assert_eq!(token(&[]), new);
    assert_eq!(cluster.openshift.logins(), logins + 1);
}
