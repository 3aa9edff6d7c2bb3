//! Commands whose API server or issuer does not answer: they report that they wait, and time out.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    net::TcpListener,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::json;

use crate::{
    credentials::Home,
    support::{Connection, Kubegate, Upstream, cert, get, status},
};

/// A server whose connections the kernel accepts, and which never answers.
struct Silent(TcpListener);

impl Silent {
    fn new() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").unwrap())
    }

    fn url(&self) -> String {
        format!("https://{}", self.0.local_addr().unwrap())
    }
}

/// A user entry whose tokens come from `issuer`.
fn oidc_user(issuer: &str) -> serde_json::Value {
    json!({"auth-provider": {"name": "oidc", "config": {
        "idp-issuer-url": issuer, "client-id": "c", "refresh-token": "r",
    }}})
}

/// Runs `command`, which has to report that it waits for `who`, and to time out after 2.5 s.
fn gives_up(mut command: Command, who: &str, silent: &Silent) {
    command.args(["--request-timeout", "2500ms", "-v", "0"]);
    let ended = Kubegate::refused(command);
    let said = format!("{}{}", ended.stderr, ended.stdout);
    assert_eq!(ended.code, Some(1), "{who}: {said}");
    assert!(
        ended.took >= Duration::from_millis(2400),
        "{who}: {:?} {said}",
        ended.took
    );
    let url = silent.url();
    assert!(
        said.contains(&format!("waiting for {who} at {url}")),
        "{who}: {said}"
    );
    assert!(!said.contains("next try"), "{said}");
    let failure = said.lines().filter(|line| {
        line.contains("did not answer within 2.5 s") || line.contains("shows no certificate")
    });
    assert_eq!(failure.count(), 1, "{who}: {said}");
    assert!(said.contains(&format!("{who} at {url}")), "{said}");
}

#[test]
fn every_command_reports_waiting_and_times_out() {
    std::thread::scope(|scope| {
        let run = |args: fn(&Home, &str) -> Vec<String>, who: &'static str| {
            scope.spawn(move || {
                let (home, silent) = (Home::new(), Silent::new());
                let args = args(&home, &silent.url());
                let mut command = Kubegate::command(args);
                command
                    .env("HOME", home.path(""))
                    .env("IBMCLOUD_API_KEY", "hunter2-of-ibm")
                    .env("IBMCLOUD_IAM_API_ENDPOINT", silent.url());
                gives_up(command, who, &silent);
            });
        };
        run(
            |home, url| {
                let config = home.kubeconfig(url, &json!({"token": "t"}));
                vec![
                    "whoami".into(),
                    "--kubeconfig".into(),
                    config.display().to_string(),
                ]
            },
            "the API server",
        );
        run(
            |home, url| {
                let config = home.kubeconfig("https://127.0.0.1:1", &oidc_user(url));
                vec![
                    "token".into(),
                    "--kubeconfig".into(),
                    config.display().to_string(),
                ]
            },
            "the issuer",
        );
        run(
            |_, url| {
                let ca = cert("ca.pem").display().to_string();
                let words = ["login", "openshift", "--token", "sha256~x", "--server"];
                let words = words.into_iter().map(str::to_owned);
                words
                    .chain([url.to_owned(), "--certificate-authority".into(), ca])
                    .collect()
            },
            "the API server",
        );
        run(
            |_, url| {
                let words = [
                    "login",
                    "oidc",
                    "--server",
                    "https://127.0.0.1:1",
                    "--oidc-client-id",
                    "c",
                ];
                let words = words.into_iter().map(str::to_owned);
                words
                    .chain(["--oidc-issuer-url".into(), url.to_owned()])
                    .collect()
            },
            "the issuer",
        );
        run(
            |_, _| {
                ["login", "ibm", "--cluster", "c"]
                    .map(str::to_owned)
                    .to_vec()
            },
            "IBM Cloud",
        );
    });
}

#[test]
fn the_kubectl_plugin_and_docker_helper_time_out_too() {
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let (home, silent) = (Home::new(), Silent::new());
            let mut command = Kubegate::command(["credential", "ibm", "--cluster", "c"]);
            let info = json!({
                "kind": "ExecCredential", "apiVersion": "client.authentication.k8s.io/v1",
                "spec": {"interactive": false, "cluster": {"server": "https://127.0.0.1:1"}},
            });
            command
                .env("HOME", home.path(""))
                .env("KUBERNETES_EXEC_INFO", info.to_string())
                .env("IBMCLOUD_API_KEY", "hunter2-of-ibm")
                .env("IBMCLOUD_IAM_API_ENDPOINT", silent.url());
            gives_up(command, "IBM Cloud", &silent);
        });
        scope.spawn(|| {
            let (home, silent) = (Home::new(), Silent::new());
            let config = home.kubeconfig("https://127.0.0.1:1", &oidc_user(&silent.url()));
            let added = Kubegate::command([
                "registry",
                "add",
                "registry.example",
                "--context",
                "c",
                "--kubeconfig",
                config.to_str().unwrap(),
            ])
            .env("HOME", home.path(""))
            .output();
            assert!(added.as_ref().unwrap().status.success(), "{added:?}");
            fs::write(home.path("input"), "registry.example\n").unwrap();
            let mut command = Kubegate::command(["docker-credential", "get"]);
            command.env("HOME", home.path(""));
            command.stdin(fs::File::open(home.path("input")).unwrap());
            gives_up(command, "the issuer", &silent);
        });
    });
}

#[test]
fn request_timeout_takes_zero_seconds_and_durations() {
    let (home, silent) = (Home::new(), Silent::new());
    let config = home.kubeconfig(&silent.url(), &json!({"token": "t"}));
    let command = |limit: &str| {
        let config = config.to_str().unwrap();
        Kubegate::command([
            "whoami",
            "--kubeconfig",
            config,
            "-v",
            "0",
            "--request-timeout",
            limit,
        ])
    };
    let mut without = command("0").stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(without.stderr.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    assert!(
        line.contains("waiting for the API server at ") && !line.contains("left"),
        "{line}"
    );
    assert!(without.try_wait().unwrap().is_none());
    without.kill().unwrap();
    without.wait().unwrap();

    let began = Instant::now();
    let ended = Kubegate::refused(command("1"));
    assert!(
        ended.stderr.contains("did not answer within 1 s"),
        "{ended:?}"
    );
    assert!(began.elapsed() < Duration::from_secs(15));
    let refused = Kubegate::refused(command("soon"));
    assert_eq!(refused.code, Some(2), "{refused:?}");
    assert!(refused.stderr.contains("--request-timeout"), "{refused:?}");
}

#[tokio::test]
async fn the_proxy_does_not_limit_slow_responses() {
    let upstream = Upstream::tls("localhost", async |mut connection: Connection| {
        while connection.request().await.is_some() {
            tokio::time::sleep(Duration::from_millis(1500)).await;
            connection.answer("late").await;
        }
    })
    .await;
    let kubegate = Kubegate::before(&upstream, &["--request-timeout", "1s"]);
    let response = get(&kubegate.address, "/x").await;
    assert_eq!(status(&response), 200, "{response}");
}
