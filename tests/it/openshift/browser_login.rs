//! `kubegate login openshift --web`.

use std::{
    io::{BufRead as _, BufReader},
    process::Stdio,
};

use super::*;
use crate::support::exchange;

/// Logs in with a browser, which opens the callback URL as `change` returns it. Returns the exit
/// code and the output.
async fn log_in_with_browser(
    cluster: &Cluster,
    change: impl Fn(String) -> String,
) -> (Option<i32>, String) {
    let ca = cluster.file("ca.pem", cluster.openshift.api().ca_pem());
    let mut command = cluster.login(&[&cluster.openshift.api().url(), "--web"], "");
    command.args(["--certificate-authority", ca.to_str().unwrap()]);
    command.args(["--oauth-certificate-authority", &cluster.oauth_ca()]);
    command.env("BROWSER", "true").env("PATH", "/usr/bin:/bin");
    let mut child = command
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut printed = String::new();
    let url = loop {
        let line = lines.next().expect("no URL").unwrap();
        printed.push_str(&line);
        if line.trim().starts_with("https://") {
            break line.trim().to_owned();
        }
    };
    assert!(
        url.contains("code_challenge_method=S256") && url.contains("&state="),
        "{url}"
    );
    let callback = cluster.openshift.browse(&url, "alice", "sesame-os-1");
    let callback = change(callback.unwrap());
    let (address, path) = callback["http://".len()..].split_once('/').unwrap();
    let request = format!("GET /{path} HTTP/1.1\r\nHost: {address}\r\n\r\n");
    let page = exchange(address, request).await;
    printed.push_str(&page);
    let rest = tokio::task::spawn_blocking(move || {
        lines.map_while(Result::ok).collect::<Vec<_>>().join("\n")
    });
    printed.push_str(&rest.await.unwrap());
    (child.wait().unwrap().code(), printed)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_logs_in_at_the_url() {
    let cluster = Cluster::with(Options::default()).await;
    let (code, printed) = log_in_with_browser(&cluster, |callback| callback).await;
    assert_eq!(code, Some(0), "{printed}");
    let page = "access token received successfully; please return to your terminal";
    assert!(printed.contains(page), "{printed}");
    assert!(!printed.contains("sha256~"), "{printed}");
    cluster.works().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callback_with_another_state_fails_the_login() {
    let cluster = Cluster::with(Options::default()).await;
    let other = |callback: String| callback.replace("state=", "state=x");
    let (code, printed) = log_in_with_browser(&cluster, other).await;
    assert_eq!(code, Some(1), "{printed}");
    assert!(
        printed.contains("its state is not the one sent"),
        "{printed}"
    );
    assert!(cluster.is_untouched());
}
