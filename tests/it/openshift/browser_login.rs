//! `kubegate login openshift --web`.

use std::{
    io::{BufRead as _, BufReader},
    net::TcpListener,
    process::Stdio,
};

use super::*;
use crate::support::exchange;

/// A login in a browser that has ended.
struct BrowserLogin {
    code: Option<i32>,
    /// What was printed, and the pages that the browser got.
    printed: String,
    /// A file that the browser creates when it is started.
    opened: PathBuf,
}

/// Logs in with a browser, which opens the URLs that `visits` makes of the callback URL.
async fn log_in_with_browser(
    cluster: &Cluster,
    args: &[&str],
    visits: impl Fn(String) -> Vec<String>,
) -> BrowserLogin {
    let opened = cluster.folder.path().join("opened");
    let browser = cluster.file("browser", &format!("touch {}", opened.display()));
    let ca = cluster.file("ca.pem", cluster.openshift.api().ca_pem());
    let mut command = cluster.login(&[&cluster.openshift.api().url(), "--web"], "");
    command.args(["--certificate-authority", ca.to_str().unwrap()]);
    command.args(["--oauth-certificate-authority", &cluster.oauth_ca()]);
    command.args(args);
    command.env("BROWSER", format!("sh {}", browser.display()));
    command.env("PATH", "/usr/bin:/bin");
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
    for visit in visits(callback.unwrap()) {
        let (address, path) = visit["http://".len()..].split_once('/').unwrap();
        let request = format!("GET /{path} HTTP/1.1\r\nHost: {address}\r\n\r\n");
        printed.push_str(&exchange(address, request).await);
    }
    let rest = tokio::task::spawn_blocking(move || {
        lines.map_while(Result::ok).collect::<Vec<_>>().join("\n")
    });
    printed.push_str(&rest.await.unwrap());
    BrowserLogin {
        code: child.wait().unwrap().code(),
        printed,
        opened,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_logs_in_at_the_url() {
    let cluster = Cluster::with(Options::default()).await;
    let login = log_in_with_browser(&cluster, &[], |callback| vec![callback]).await;
    let printed = login.printed;
    assert_eq!(login.code, Some(0), "{printed}");
    let page = "access token received successfully; please return to your terminal";
    assert!(printed.contains(page), "{printed}");
    assert!(!printed.contains("sha256~"), "{printed}");
    let started = Instant::now();
    while !login.opened.exists() {
        assert!(started.elapsed() < PATIENCE, "no browser was started");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    cluster.works().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callback_with_another_state_does_not_end_the_login() {
    let cluster = Cluster::with(Options::default()).await;
    let visits = |callback: String| vec![callback.replace("state=", "state=x"), callback];
    let login = log_in_with_browser(&cluster, &[], visits).await;
    let printed = login.printed;
    assert_eq!(login.code, Some(0), "{printed}");
    assert!(printed.contains("HTTP/1.1 400"), "{printed}");
    cluster.works().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_flags_of_oc_choose_the_port_and_leave_the_browser_alone() {
    for (flag, is_opened) in [
        ("--auto-open-browser=false", false),
        ("--no-browser", false),
        ("--auto-open-browser", true),
    ] {
        let cluster = Cluster::with(Options::default()).await;
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port().to_string();
        drop(free);
        let args = ["--callback-port", &port, flag];
        let own = format!("http://127.0.0.1:{port}/callback?");
        let visits = |callback: String| {
            assert!(callback.starts_with(&own), "{callback}");
            vec![callback]
        };
        let login = log_in_with_browser(&cluster, &args, visits).await;
        assert_eq!(login.code, Some(0), "{}", login.printed);
        if !is_opened {
            assert!(!login.opened.exists(), "{flag}");
        }
    }
    let cluster = Cluster::with(Options::default()).await;
    let ended = cluster.login_with_cas(&["-u", "alice", "--callback-port", "1"], "");
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.stderr.contains("--web"), "{ended:?}");
}
