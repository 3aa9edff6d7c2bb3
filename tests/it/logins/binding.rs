//! A saved login is used only for the server and the issuer that it was made for.

use std::{fs, time::Duration};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use kubegate::{
    demo::openshift::{OpenShift, Options as OpenshiftOptions},
    kubeconfig::{Login, Overrides},
};
use serde_json::json;

use super::{Home, run_in, with_session};
use crate::support::{Kubegate, get, status};

/// Applies `change` to the kubeconfig, and returns the response of the proxy to a request and the output
/// of the plugin.
async fn after(home: &Home, server: &str, change: impl Fn(String) -> String) -> [String; 2] {
    let path = home.path(".kube/config");
    let before = home.kubeconfig();
    let changed = change(before.clone());
    assert_ne!(before, changed);
    fs::write(&path, &changed).unwrap();
    let proxy = Kubegate::spawn(home.command(&["--port", "0"]));
    let response = get(&proxy.address, "/api/v1/nodes").await;
    assert_eq!(status(&response), 401, "{response}");
    let config = kubegate::kubeconfig::resolve(Some(&path), &Overrides::default(), &|_| None);
    let Login::Exec(entry) = config.unwrap().user.login else {
        panic!("no exec entry");
    };
    let info = json!({"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential",
        "spec": {"interactive": false, "cluster": {"server": server}}});
    let mut plugin = Kubegate::command(&entry.args);
    plugin.env("HOME", home.folder.path());
    plugin.env("KUBERNETES_EXEC_INFO", info.to_string());
    let plugin = Kubegate::refused(plugin);
    assert_eq!(plugin.code, Some(1), "{plugin:?}");
    assert_eq!(plugin.stdout, "");
    fs::write(&path, before).unwrap();
    [response, plugin.stderr]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_kubeconfig_gets_nothing_of_a_saved_login() {
    let home = Home::new(2).await;
    home.log_in();
    // The ID token has expired, so that each use would renew it.
    tokio::time::sleep(Duration::from_millis(2200)).await;
    let (mine, issuer) = (home.plane.url(), home.issuer.url());
    let other = Home::new(60).await;
    let other_ca = BASE64_STANDARD.encode(other.issuer.ca_pem());
    let own_ca = BASE64_STANDARD.encode(home.issuer.ca_pem());
    let before = home.issuer.refreshes();

    let server = other.plane.url();
    let messages = after(&home, &server, |config| config.replace(&mine, &server)).await;
    for message in messages {
        assert!(
            message.contains("is for https://") && message.contains(&server),
            "{message}"
        );
    }
    let messages = after(&home, &mine, |config| {
        let config = config.replace(&issuer, &other.issuer.url());
        config.replace(&own_ca, &other_ca)
    });
    for message in messages.await {
        assert!(message.contains("is for the issuer"), "{message}");
    }
    let entry = format!("server: {mine}");
    let by_proxy = format!("{entry}\n    proxy-url: http://127.0.0.1:9");
    let path = home.path(".kube/config");
    let config = home.kubeconfig();
    fs::write(&path, config.replace(&entry, &by_proxy)).unwrap();
    let proxy = Kubegate::spawn(home.command(&["--port", "0"]));
    let response = get(&proxy.address, "/api/v1/nodes").await;
    assert!(response.contains("by the proxy"), "{response}");
    assert_eq!(home.issuer.refreshes(), before);
    assert_eq!(other.issuer.refreshes() + other.issuer.refused(), 0);
    // The controls: the unchanged kubeconfig works, and another cluster after a login there.
    fs::write(&path, &config).unwrap();
    home.out(&["whoami"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_not_sent_to_or_ended_at_another_server() {
    let openshift = OpenShift::start(OpenshiftOptions::default()).await.unwrap();
    openshift.add_user("jane", "sesame-out-3");
    let token = openshift.issue_session("jane").unwrap();
    let home = with_session(
        &openshift.api().url(),
        openshift.api().ca_pem(),
        token.clone(),
    );
    let path = home.path().join(".kube/config");
    let config = fs::read_to_string(&path).unwrap();
    let other = OpenShift::start(OpenshiftOptions::default()).await.unwrap();
    let ca = |ca: &str| BASE64_STANDARD.encode(ca);
    let hostile = config
        .replace(&openshift.api().url(), &other.api().url())
        .replace(&ca(openshift.api().ca_pem()), &ca(other.api().ca_pem()));
    fs::write(&path, &hostile).unwrap();
    for command in ["whoami", "token", "logout"] {
        let ended = run_in(&home, &[command]);
        assert_eq!(ended.code, Some(1), "{command}: {ended:?}");
        assert!(
            ended.stderr.contains("is for https://"),
            "{command}: {ended:?}"
        );
        assert!(!ended.stdout.contains(token.expose()), "{command}");
    }
    fs::write(&path, &config).unwrap();
    let who = run_in(&home, &["whoami", "-o", "name"]);
    assert_eq!(who.stdout, "jane\n", "{who:?}");
}
