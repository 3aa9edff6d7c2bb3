//! The entries that `kubegate login openshift` writes beside others.

use std::process::Command;

use kubegate::kubeconfig::{Overrides, Target, resolve};

use super::*;
use crate::support::Refused;

impl Cluster {
    /// Logs in by password from standard input, with the CAs of the cluster.
    fn log_in(&self, args: &[&str]) -> Refused {
        let password = ["-u", "alice", "--password-stdin"];
        let ended = self.login_with_cas(&[&password, args].concat(), "sesame-os-1\n");
        assert_eq!(ended.code, Some(0), "{args:?}: {ended:?}");
        ended
    }

    fn target(&self, context: &str) -> Target {
        let flags = Overrides {
            context: Some(context.to_owned()),
            ..Overrides::default()
        };
        resolve(Some(Path::new(&self.config())), &flags, &|_| None).unwrap()
    }

    fn whoami(&self, context: &str) -> String {
        let mut command: Command = Kubegate::command(["whoami", "-o", "name"]);
        command.args(["--context", context, "--kubeconfig", &self.config()]);
        command.env("XDG_STATE_HOME", self.state());
        Kubegate::refused(command).stdout
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn contexts_whose_servers_have_other_names_stay_apart() {
    let cluster = Cluster::with(Options::default()).await;
    cluster.log_in(&["--context", "one"]);
    let one = cluster.target("one");
    // As by a tunnel to another cluster at the same address.
    cluster.log_in(&["--context", "two", "--tls-server-name", "localhost"]);
    let two = cluster.target("two");
    assert_eq!(cluster.target("one").cluster, one.cluster);
    assert_eq!(cluster.target("one").user, one.user);
    assert_eq!(two.cluster.tls_server_name.as_deref(), Some("localhost"));
    assert_ne!(one.user.name, two.user.name, "a session is of one server");
    for context in ["one", "two"] {
        assert_eq!(cluster.whoami(context), "alice\n", "{context}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_context_of_any_name_is_renewed() {
    let cluster = Cluster::with(Options::default()).await;
    cluster.log_in(&["--context", "prod", "--user", "me", "-n", "dev"]);
    let text = fs::read_to_string(cluster.config()).unwrap();
    let renamed = text
        .replace("name: prod", "name: live")
        .replace("context: prod", "context: live");
    assert_ne!(text, renamed);
    fs::write(cluster.config(), &renamed).unwrap();
    let again = cluster.login(
        &["--context", "live", "-u", "alice", "--password-stdin"],
        "sesame-os-1\n",
    );
    let ended = Kubegate::refused(again);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(fs::read_to_string(cluster.config()).unwrap(), renamed);
    assert_eq!(cluster.whoami("live"), "alice\n");
    // Another user of the same context has an entry of its own.
    cluster.openshift.add_user("bob", "sesame-os-2");
    let other = cluster.login(
        &["--context", "live", "-u", "bob", "--password-stdin"],
        "sesame-os-2\n",
    );
    let ended = Kubegate::refused(other);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let live = cluster.target("live");
    assert_ne!(live.user.name.as_deref(), Some("me"));
    assert_eq!(live.namespace.as_deref(), Some("dev"));
    assert_eq!(cluster.whoami("live"), "bob\n");
    assert!(
        fs::read_to_string(cluster.config())
            .unwrap()
            .contains("name: me\n")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn contexts_that_oc_wrote_are_renewed_together() {
    let cluster = Cluster::with(Options::default()).await;
    let (api, name) = (
        cluster.openshift.api(),
        super::login::cluster_name(&cluster),
    );
    let token = cluster.openshift.issue_session("alice").unwrap();
    let user = format!("alice/{name}");
    let context = |project: &str| {
        json!({"name": format!("{project}/{name}/alice"),
            "context": {"cluster": name, "user": user, "namespace": project}})
    };
    let config = json!({
        "clusters": [{"name": name, "cluster": {
            "server": api.url(),
            "certificate-authority-data": BASE64_STANDARD.encode(api.ca_pem()),
        }}],
        "contexts": [context("a"), context("default")],
        "current-context": format!("a/{name}/alice"),
        "users": [{"name": user, "user": {"token": token.expose()}}],
    });
    fs::write(cluster.config(), config.to_string()).unwrap();
    cluster.log_in(&["--context", &format!("a/{name}/alice")]);
    assert!(cluster.openshift.revoke(token.expose()));
    for project in ["a", "default"] {
        assert_eq!(
            cluster.whoami(&format!("{project}/{name}/alice")),
            "alice\n"
        );
    }
    let names = Kubegate::refused(Kubegate::command([
        "contexts",
        "-o",
        "name",
        "--kubeconfig",
        &cluster.config(),
    ]));
    assert_eq!(names.stdout.lines().count(), 2, "{names:?}");
}
