//! Tokens that are renewed, and logins that take effect while the proxy runs.

use std::{
    fs,
    process::Command,
    time::{Duration, Instant},
};

use kubegate::demo::openshift::{OpenShift, Options as OpenshiftOptions};

use super::{Home, find, save_session, with_session};
use crate::support::{Kubegate, get, status};

#[tokio::test(flavor = "multi_thread")]
async fn the_proxy_renews_a_login_unnoticed_and_without_a_process() {
    let home = Home::new(2).await;
    home.log_in();
    let mut command = home.command(&["--port", "0"]);
    // With this PATH, no plugin could run.
    command.env("PATH", "/nonexistent");
    let kubegate = Kubegate::spawn(command);
    let (mut asked, mut refused) = (0, 0);
    let started = Instant::now();
    while home.issuer.refreshes() < 20 {
        assert!(
            started.elapsed() < Duration::from_secs(120),
            "{}",
            kubegate.log()
        );
        asked += 1;
        refused += usize::from(status(&get(&kubegate.address, "/api/v1/nodes").await) != 200);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(refused, 0, "of {asked}: {}", kubegate.log());
    assert_eq!(home.issuer.refused(), 0);
    eprintln!(
        "{asked} requests, {} renewals, none refused",
        home.issuer.refreshes()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_works_with_the_context_and_through_the_proxy() {
    let home = Home::new(2).await;
    let tools = home.path("tools");
    fs::create_dir(&tools).unwrap();
    let path = std::env::var("PATH").unwrap();
    let with_it = format!("{}:{path}", tools.display());
    let program = tools.join("kubegate");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_kubegate"), program).unwrap();
    let mut login = home.first_login();
    login.env("PATH", &with_it);
    let ended = Kubegate::refused(login);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let kubectl = |path: &str, args: &[&str]| {
        // kubectl is found on the test's PATH and runs with the given one.
        let mut command = Command::new(find("kubectl"));
        command.env_clear().env("HOME", home.folder.path());
        command.env("PATH", path).stdin(std::process::Stdio::null());
        command.args(["get", "nodes", "-o", "name"]).args(args);
        Kubegate::refused(command)
    };
    // The control: without the plugin, kubectl gets no access.
    let without = kubectl(&path, &[]);
    assert_ne!(without.code, Some(0), "{without:?}");
    let before = home.issuer.refreshes();
    for _ in 0..2 {
        let ended = kubectl(&with_it, &[]);
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert!(ended.stdout.starts_with("node/"), "{ended:?}");
        tokio::time::sleep(Duration::from_millis(2200)).await;
    }
    assert!(home.issuer.refreshes() > before);

    let mut command = home.command(&["--port", "0"]);
    command.env("PATH", "/nonexistent");
    let kubegate = Kubegate::spawn(command);
    let server = format!("--server=http://{}", kubegate.address);
    let through = kubectl("/nonexistent", &[&server, "--kubeconfig=/dev/null"]);
    assert!(through.stdout.starts_with("node/"), "{through:?}");
    assert_eq!(home.issuer.refused(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_kubegates_never_use_a_refresh_token_twice() {
    let home = Home::new(2).await;
    home.log_in();
    let started = Instant::now();
    while home.issuer.refreshes() < 3 {
        assert!(started.elapsed() < Duration::from_secs(60));
        let children: Vec<_> = (0..4)
            .map(|_| {
                let mut command = home.command(&["token"]);
                command.stdout(std::process::Stdio::piped());
                command.spawn().unwrap()
            })
            .collect();
        for child in children {
            let output = child.wait_with_output().unwrap();
            assert!(output.status.success() && output.stdout.len() > 20);
        }
        std::thread::sleep(Duration::from_millis(300));
    }
    assert_eq!(home.issuer.refused(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn after_an_expired_login_a_new_one_takes_effect_at_once() {
    let home = Home::new(2).await;
    home.log_in();
    home.issuer.revoke();
    tokio::time::sleep(Duration::from_millis(2500)).await;
    let kubegate = Kubegate::spawn(home.command(&["--port", "0"]));
    let response = get(&kubegate.address, "/api/v1/nodes").await;
    assert_eq!(status(&response), 401, "{response}");
    assert!(
        response.contains("kubegate login oidc --context"),
        "{response}"
    );
    let table = home.out(&["contexts", "-o", "name"]);
    let again = home.log_in_with(&["--context", table.trim_end()]);
    let ended = Kubegate::refused(again);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let response = get(&kubegate.address, "/api/v1/nodes").await;
    assert_eq!(status(&response), 200, "{response}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_session_takes_effect_at_the_next_request() {
    let openshift = OpenShift::start(OpenshiftOptions::default()).await.unwrap();
    openshift.add_user("jane", "sesame-next-1");
    let (server, ca) = (openshift.api().url(), openshift.api().ca_pem());
    let mut token = openshift.issue_session("jane").unwrap();
    let home = with_session(&server, ca, token.clone());
    let mut command = Kubegate::command(["--port", "0"]);
    command.env("HOME", home.path());
    let kubegate = Kubegate::spawn(command);
    let path = "/apis/user.openshift.io/v1/users/~";
    // At any time between two polls of the files.
    for wait in [0, 300, 700] {
        let response = get(&kubegate.address, path).await;
        assert_eq!(status(&response), 200, "{response}");
        assert!(openshift.revoke(token.expose()));
        for _ in 0..2 {
            let response = get(&kubegate.address, path).await;
            assert_eq!(status(&response), 401, "{response}");
        }
        tokio::time::sleep(Duration::from_millis(wait)).await;
        token = openshift.issue_session("jane").unwrap();
        save_session(&home, &server, token.clone());
    }
    let response = get(&kubegate.address, path).await;
    assert_eq!(status(&response), 200, "{response}");
}
