//! Which entries of the kubeconfig a login writes: no entry that another context uses changes its
//! meaning, and a context that exists is renewed.

use std::{fs, process::Command};

use bytes::Bytes;
use http::{Response, StatusCode};
use kubegate::{
    demo::https::{Faults, HttpsServer},
    kubeconfig::{Overrides, Target, resolve},
};
use serde_json::json;

use super::Home;
use crate::support::{Kubegate, Refused};

/// A server of many clusters, as Rancher is: each has a path, and knows its users.
async fn clusters() -> HttpsServer {
    HttpsServer::start(&[], Faults::default(), |_, _| {
        let review = json!({
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "SelfSubjectReview",
            "status": {"userInfo": {"username": "jane", "groups": []}},
        });
        let response = Response::builder().status(StatusCode::CREATED);
        let response = response.header("Content-Type", "application/json");
        response.body(Bytes::from(review.to_string())).unwrap()
    })
    .await
    .unwrap()
}

impl Home {
    /// `kubegate login oidc` at `server`, whose CA is `ca`.
    fn login_at(&self, server: &str, ca: &str, args: &[&str]) -> Command {
        fs::write(self.path("api.pem"), ca).unwrap();
        let mut command = self.first_login();
        command.args(["--server", server]).args(args);
        command
    }

    pub(super) fn target(&self, context: &str) -> Target {
        let flags = Overrides {
            context: Some(context.to_owned()),
            ..Overrides::default()
        };
        resolve(Some(&self.path(".kube/config")), &flags, &|_| None).unwrap()
    }
}

pub(super) fn succeed(command: Command) -> Refused {
    let ended = Kubegate::refused(command);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    ended
}

/// The words of the login that a context names.
fn login_args(target: &Target) -> Vec<String> {
    let kubegate::kubeconfig::Login::Exec(exec) = &target.user.login else {
        panic!("no exec entry");
    };
    exec.args.clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn clusters_of_one_host_stay_apart() {
    let home = Home::new(3600).await;
    let host = clusters().await;
    let url = |cluster: &str| format!("{}/k8s/clusters/{cluster}", host.url());
    for named in [true, false] {
        for cluster in ["c-abc", "c-xyz"] {
            let args: &[&str] = if named { &["--context", cluster] } else { &[] };
            succeed(home.login_at(&url(cluster), host.ca_pem(), args));
        }
    }
    let names = home.out(&["contexts", "-o", "name"]);
    assert_eq!(names.lines().count(), 4, "{names}");
    for context in names.lines() {
        let asked = host.requests().len();
        home.out(&["whoami", "--context", context]);
        let cluster = if context.contains("c-abc") {
            "c-abc"
        } else {
            "c-xyz"
        };
        let path = host.requests()[asked].path.clone();
        assert!(
            path.starts_with(&format!("/k8s/clusters/{cluster}/")),
            "{context}: {path}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_that_an_earlier_version_named_by_its_host_keeps_its_cluster() {
    let home = Home::new(3600).await;
    let host = clusters().await;
    let url = |cluster: &str| format!("{}/k8s/clusters/{cluster}", host.url());
    succeed(home.login_at(&url("c-abc"), host.ca_pem(), &["--context", "c-abc"]));
    let port = host.address().port();
    let short = home.kubeconfig().replace("-k8s-clusters-c-abc", "");
    assert!(
        short.contains(&format!("name: \"127-0-0-1:{port}\"\n")),
        "{short}"
    );
    fs::write(home.path(".kube/config"), short).unwrap();
    succeed(home.login_at(&url("c-xyz"), host.ca_pem(), &["--context", "c-xyz"]));
    for cluster in ["c-abc", "c-xyz"] {
        assert_eq!(home.target(cluster).cluster.url(), url(cluster));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_field_that_leads_elsewhere_makes_another_entry() {
    let home = Home::new(3600).await;
    let (server, ca) = (home.plane.url(), home.plane.ca_pem().to_owned());
    succeed(home.login_at(&server, &ca, &[]));
    let first = home.target(home.out(&["contexts", "-o", "name"]).trim_end());
    let context = first.context.clone().unwrap();
    let both = format!("{ca}{}", home.issuer.ca_pem());
    for (ca, args) in [
        (ca.as_str(), &["--tls-server-name", "localhost"][..]),
        (&both, &[]),
    ] {
        let before = home.out(&["contexts", "-o", "name"]);
        let ended = succeed(home.login_at(&server, ca, args));
        let after = home.out(&["contexts", "-o", "name"]);
        assert_eq!(
            after.lines().count(),
            before.lines().count() + 1,
            "{ended:?}"
        );
        let now = home.target(&context);
        assert_eq!(now.cluster, first.cluster, "{args:?}");
        assert_eq!(now.user, first.user, "{args:?}");
        // A second time, the entries exist.
        succeed(home.login_at(&server, ca, args));
        assert_eq!(home.out(&["contexts", "-o", "name"]), after);
    }
    // Of a context that is named, the entry that no other uses is changed.
    succeed(home.login_at(&server, &both, &["--context", &context]));
    let now = home.target(&context);
    assert_eq!(now.cluster.name, first.cluster.name);
    assert_ne!(now.cluster, first.cluster);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chosen_entry_that_another_context_uses_is_refused() {
    let home = Home::new(3600).await;
    let (server, ca) = (home.plane.url(), home.plane.ca_pem().to_owned());
    succeed(home.login_at(
        &server,
        &ca,
        &["--context", "a", "--cluster", "c", "--user", "u"],
    ));
    let target = home.target("a");
    assert_eq!(target.cluster.name.as_deref(), Some("c"));
    assert_eq!(target.user.name.as_deref(), Some("u"));
    let before = home.kubeconfig();
    let elsewhere = ["--tls-server-name", "localhost"];
    let ended = Kubegate::refused(home.login_at(
        &server,
        &ca,
        &[&["--context", "b", "--cluster", "c"], &elsewhere[..]].concat(),
    ));
    assert_eq!(ended.code, Some(1), "{ended:?}");
    for part in [
        "cluster \"c\"",
        "context \"a\"",
        "another name by --cluster",
    ] {
        assert!(ended.stderr.contains(part), "{part}: {ended:?}");
    }
    assert_eq!(home.kubeconfig(), before);
    // The control: the entry with the meaning that it has.
    succeed(home.login_at(&server, &ca, &["--context", "b", "--cluster", "c"]));
    assert_eq!(home.target("a").cluster, home.target("b").cluster);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_login_at_the_same_cluster_is_another_user() {
    let home = Home::new(3600).await;
    let (server, ca) = (home.plane.url(), home.plane.ca_pem().to_owned());
    succeed(home.login_at(&server, &ca, &[]));
    let first = home.target(home.out(&["contexts", "-o", "name"]).trim_end());
    let context = first.context.clone().unwrap();
    succeed(home.login_at(&server, &ca, &["--login", "work"]));
    succeed(home.login_at(&server, &ca, &["--user", "mine", "--context", "mine"]));
    let current = |home: &Home| {
        let path = home.path(".kube/config");
        resolve(Some(&path), &Overrides::default(), &|_| None).unwrap()
    };
    let mine = current(&home);
    assert_eq!(mine.user.name.as_deref(), Some("mine"));
    assert_eq!(home.target(&context).user, first.user);
    let named = format!("{}/2", first.user.name.clone().unwrap());
    let work = home.target(&format!("{context}/2"));
    assert_eq!(work.user.name, Some(named));
    assert!(login_args(&work).contains(&"work".to_owned()));
    // Three saved logins, and each context has its own.
    assert_ne!(login_args(&mine), login_args(&first));
    for context in [context.as_str(), "mine", &format!("{context}/2")] {
        home.out(&["whoami", "--context", context]);
    }
    // The name of a saved login is that of one client.
    let mut other = home.login_at(&server, &ca, &["--login", "work"]);
    other.args(["--oidc-client-id", "another"]);
    let ended = Kubegate::refused(other);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(
        ended.stderr.contains("saved login \"work\"") && ended.stderr.contains("issuer or client"),
        "{ended:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_context_that_exists_is_renewed_under_its_names() {
    let home = Home::new(3600).await;
    let ca = home.path("plane.pem");
    fs::write(&ca, home.plane.ca_pem()).unwrap();
    fs::create_dir(home.path(".kube")).unwrap();
    let text = format!(
        "current-context: other\nclusters:\n- cluster:\n    certificate-authority: {}\n    \
         disable-compression: true\n    server: {}/\n  name: mine\ncontexts:\n- context: {{cluster: \
         mine, namespace: dev, user: me}}\n  name: prod\nusers:\n- name: me\n  user: {{token: t}}\n",
        ca.display(),
        home.plane.url()
    );
    fs::write(home.path(".kube/config"), text).unwrap();
    let log_in = |args: &[&str]| {
        let mut command = home.log_in_with(&["--context", "prod"]);
        command.args(["--oidc-issuer-url", &home.issuer.url()]);
        command.args(["--oidc-client-id", "kubegate-demo"]);
        command.args([
            "--oidc-certificate-authority",
            home.path("issuer.pem").to_str().unwrap(),
        ]);
        command.args(args);
        succeed(command)
    };
    log_in(&[]);
    let config = home.kubeconfig();
    let entry = format!(
        "- cluster:\n    certificate-authority: {}\n    disable-compression: true\n    server: {}/\n",
        ca.display(),
        home.plane.url()
    );
    assert!(config.contains(&entry), "{config}");
    assert!(config.contains("current-context: prod\n"), "{config}");
    let renewed = home.target("prod");
    assert_eq!(renewed.namespace.as_deref(), Some("dev"));
    // Renamed, and with another user entry.
    let user = renewed.user.name.unwrap();
    let mut text = config
        .replace("name: prod", "name: live")
        .replace("context: prod", "context: live");
    for key in ["name", "user"] {
        for user in [user.clone(), format!("\"{user}\"")] {
            text = text.replace(&format!("{key}: {user}"), &format!("{key}: us"));
        }
    }
    assert_eq!(text.matches(": us").count(), 2, "{text}");
    // And in the note of the login, which is in JSON.
    text = text.replace(&format!("\":\"{user}\""), "\":\"us\"");
    assert_eq!(text.matches("\":\"us\"").count(), 2, "{text}");
    fs::write(home.path(".kube/config"), &text).unwrap();
    let saved = home.saved();
    let again = home.log_in_with(&["--context", "live"]);
    succeed(again);
    assert_eq!(home.kubeconfig(), text);
    assert_eq!(home.saved(), saved);
    let again = home.log_in_with(&["--context", "live", "-n", "test"]);
    succeed(again);
    assert_eq!(home.target("live").namespace.as_deref(), Some("test"));
    // By the URL of its server, the cluster entry says how it is reached.
    let again = home.log_in_with(&["--context", "live", "--server", &home.plane.url()]);
    succeed(again);
    assert!(home.kubeconfig().contains(&entry));
}
