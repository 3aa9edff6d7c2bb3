//! What a login saves: its use by kubectl, a second login, and the logout.

use kubegate::kubeconfig::{self, Login, Overrides};

use super::{login::cluster_name, *};
use crate::support::on_terminal;

#[tokio::test(flavor = "multi_thread")]
async fn a_logout_ends_the_session_at_the_server() {
    let cluster = Cluster::with(Options::default()).await;
    for is_revoked in [false, true] {
        let token = cluster.openshift.issue_session("alice").unwrap();
        let ended = cluster.login_with_cas(&["--token-stdin"], token.expose());
        assert_eq!(ended.code, Some(0), "{ended:?}");
        if is_revoked {
            assert!(cluster.openshift.revoke(token.expose()));
        }
        let mut logout = Kubegate::command(["logout", "--kubeconfig", &cluster.config()]);
        logout.env("XDG_STATE_HOME", cluster.state());
        let ended = Kubegate::refused(logout);
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert!(
            !cluster.openshift.revoke(token.expose()),
            "the session still exists"
        );
        let text = fs::read_to_string(cluster.config()).unwrap();
        assert!(text.contains("alice"), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_logout_a_login_of_the_context_needs_only_the_password() {
    let cluster = Cluster::with(Options::default()).await;
    let ended = cluster.login_with_cas(&["-u", "alice", "--password-stdin"], "sesame-os-1");
    assert_eq!(ended.code, Some(0), "{ended:?}");
    // The user has renamed the context and set a namespace.
    let path = PathBuf::from(cluster.config());
    let text = fs::read_to_string(&path).unwrap();
    let name = cluster_name(&cluster);
    let text = text
        .replace(&format!("default/{name}/alice"), "mine")
        .replace("namespace: default", "namespace: chosen");
    fs::write(&path, &text).unwrap();
    let mut logout = Kubegate::command(["logout", "--kubeconfig", &cluster.config()]);
    logout.env("XDG_STATE_HOME", cluster.state());
    let out = Kubegate::refused(logout);
    assert!(
        out.stdout
            .contains("kubegate login openshift --context 'mine'"),
        "{out:?}"
    );
    assert_eq!(fs::read_to_string(&path).unwrap(), text);

    let command = cluster.login(&["--context", "mine", "--password-stdin"], "sesame-os-1");
    let ended = Kubegate::refused(command);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(
        ended.stdout.contains("Context mine is now current"),
        "{ended:?}"
    );
    assert_eq!(fs::read_to_string(&path).unwrap(), text);
    cluster.works().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_password_is_sent_to_a_server_that_was_not_named() {
    let cluster = Cluster::with(Options::default()).await;
    let ended = cluster.login_with_cas(&["-u", "alice", "--password-stdin"], "sesame-os-1");
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let (before, server) = (cluster.openshift.logins(), cluster.openshift.api().url());
    let command = cluster.login(&["-u", "alice", "--password-stdin"], "sesame-os-1");
    let ended = Kubegate::refused(command);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(
        ended.stderr.contains(&server) && ended.stderr.contains("give --context"),
        "{ended:?}"
    );
    assert_eq!(cluster.openshift.logins(), before);
    for (responses, code) in [
        (&[("[y/N] ", "n")][..], 1),
        (&[("[y/N] ", "yes"), ("Password: ", "sesame-os-1")], 0),
    ] {
        let command = on_terminal(&cluster.login(&[], ""), responses);
        let ended = Kubegate::refused(command);
        assert_eq!(ended.code, Some(code), "{ended:?}");
        assert!(
            ended.stdout.contains(&format!("Log in to {server}")),
            "{ended:?}"
        );
    }
    assert_eq!(cluster.openshift.logins(), before + 1);
}

/// The output of the context's plugin when kubectl runs it.
fn plugin_output(cluster: &Cluster) -> Value {
    let path = PathBuf::from(cluster.config());
    let target = kubeconfig::resolve(Some(&path), &Overrides::default(), &|_| None).unwrap();
    let Login::Exec(entry) = target.user.login else {
        panic!("no exec entry");
    };
    let api = cluster.openshift.api();
    let info = json!({
        "kind": "ExecCredential",
        "apiVersion": "client.authentication.k8s.io/v1",
        "spec": {"interactive": false, "cluster": {
            "server": api.url(),
            "certificate-authority-data": BASE64_STANDARD.encode(api.ca_pem()),
        }},
    });
    let mut command = Kubegate::command(&entry.args);
    command.env("KUBERNETES_EXEC_INFO", info.to_string());
    command.env("XDG_STATE_HOME", cluster.state());
    let ended = Kubegate::refused(command);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    serde_json::from_str(&ended.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_gets_the_saved_session_without_another_login() {
    for has_files in [false, true] {
        let cluster = Cluster::with(Options::default()).await;
        let (user, password) = (cluster.file("u", "alice"), cluster.file("p", "sesame-os-1"));
        let files = [
            "--openshift-username-file",
            user.to_str().unwrap(),
            "--openshift-password-file",
            password.to_str().unwrap(),
        ];
        let ended = if has_files {
            cluster.login_with_cas(&files, "")
        } else {
            cluster.login_with_cas(&["-u", "alice", "--password-stdin"], "sesame-os-1")
        };
        assert_eq!(ended.code, Some(0), "{ended:?}");
        let first = plugin_output(&cluster);
        let end = &first["status"]["expirationTimestamp"];
        assert!(end.is_string(), "{end}");
        // kubectl runs the plugin for each command.
        assert!(first == plugin_output(&cluster), "another session");
        assert_eq!(cluster.openshift.logins(), 1);
    }
}
