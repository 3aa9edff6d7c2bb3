//! Logins without a person, which renew themselves from their files.

use std::{process::Stdio, time::Instant};

use base64::prelude::BASE64_STANDARD;
use kubegate::{
    demo::https::FaultyResponse,
    kubeconfig::{self, Overrides},
};
use serde_json::json;

use super::*;
use crate::support::{get, status};

const SECRET: &str = "hunter2-of-the-client";
const PASSWORD: &str = "hunter2-of-jane";

/// An issuer for a client with a secret.
async fn confidential(lifetime: u64) -> Home {
    Home::with(Options {
        client_secret: Some(SECRET.to_owned()),
        password: Some(PASSWORD.to_owned()),
        id_token: Duration::from_secs(lifetime),
        ..options()
    })
    .await
}

/// Runs the exec entry of the kubeconfig as kubectl does.
fn as_plugin(home: &Home) -> Refused {
    let config = home.path(".kube/config");
    let target = kubeconfig::resolve(Some(&config), &Overrides::default(), &|_| None);
    let kubeconfig::Login::Exec(entry) = target.unwrap().user.login else {
        panic!("no exec entry: {}", home.kubeconfig());
    };
    let info = json!({
        "kind": "ExecCredential",
        "apiVersion": "client.authentication.k8s.io/v1",
        "spec": {"interactive": false, "cluster": {"server": home.plane.url()}},
    });
    let args: Vec<&str> = entry.args.iter().map(String::as_str).collect();
    let mut command = home.command(&args);
    command.env("KUBERNETES_EXEC_INFO", info.to_string());
    Kubegate::refused(command)
}

/// Waits until `kubegate token` prints another token.
async fn next_token(home: &Home, before: &str) -> String {
    let started = Instant::now();
    loop {
        let token = home.out(&["token"]);
        if token != before {
            return token;
        }
        assert!(started.elapsed() < Duration::from_secs(30), "no new token");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_logs_in_as_itself_and_renews_itself() {
    let home = confidential(3).await;
    let secret = home.file("secret", &format!("{SECRET}\n"));
    let client = [
        "--grant-type=client-credentials",
        "--oidc-client-secret-file",
        &secret,
    ];
    let ended = home.log_in(&client);
    let name = "oidc:service-account-kubegate-demo";
    assert!(ended.stdout.contains(&format!("as {name}")), "{ended:?}");
    assert!(!ended.stderr.contains("no refresh token"), "{ended:?}");
    // The file is read again, so nothing else has the secret.
    assert!(home.kubeconfig().contains("--oidc-client-secret-file"));
    assert!(!home.state().contains(SECRET) && !home.kubeconfig().contains(SECRET));
    let first = home.out(&["token"]);
    next_token(&home, &first).await;

    let plugin = as_plugin(&home);
    assert_eq!(plugin.code, Some(0), "{plugin:?}");
    let answer: serde_json::Value = serde_json::from_str(&plugin.stdout).unwrap();
    let token = answer["status"]["token"].as_str().unwrap();
    assert_eq!(claims(token)["sub"], "service-account-kubegate-demo");

    // The proxy renews too, and reads a changed secret.
    let config = home.path(".kube/config");
    let mut command = home.command(&["--kubeconfig", config.to_str().unwrap(), "--port", "0"]);
    command.stdin(Stdio::null());
    let kubegate = Kubegate::spawn(command);
    let started = Instant::now();
    let before = home.issuer.machine_logins();
    while home.issuer.machine_logins() < before + 2 {
        let response = get(&kubegate.address, "/api").await;
        assert_eq!(status(&response), 200, "{response}: {}", kubegate.log());
        assert!(started.elapsed() < Duration::from_secs(60), "no renewal");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    drop(kubegate);
    fs::write(&secret, "another-secret").unwrap();
    let started = Instant::now();
    loop {
        let ended = home.run(&["token"]);
        if ended.code != Some(0) {
            assert!(ended.stderr.contains("invalid_client"), "{ended:?}");
            assert!(
                ended.stderr.contains("the client's ID or secret"),
                "{ended:?}"
            );
            break;
        }
        assert!(
            started.elapsed() < Duration::from_secs(30),
            "the file is not read"
        );
    }
    fs::write(&secret, SECRET).unwrap();
    let whoami = home.out(&["whoami"]);
    assert!(whoami.contains(name), "{whoami}");
}

#[tokio::test(flavor = "multi_thread")]
async fn parallel_processes_share_one_login() {
    let home = confidential(3600).await;
    let secret = home.file("secret", SECRET);
    home.log_in(&[
        "--grant-type=client-credentials",
        "--oidc-client-secret-file",
        &secret,
    ]);
    // A machine whose state folder is new.
    fs::remove_dir_all(home.path(".local/state/kubegate/logins")).unwrap();
    let before = home.issuer.machine_logins();
    let children = (0..12).map(|_| {
        let mut command = home.command(&["token"]);
        command.stdout(Stdio::piped()).stderr(Stdio::null());
        command.spawn().unwrap()
    });
    let children: Vec<_> = children.collect();
    let mut tokens: Vec<_> = children
        .into_iter()
        .map(|child| child.wait_with_output().unwrap().stdout)
        .collect();
    tokens.dedup();
    assert_eq!(
        (tokens.len(), home.issuer.machine_logins()),
        (1, before + 1)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_in_a_file_is_sent_again_only_if_it_was_not_refused() {
    let home = confidential(3).await;
    let (secret, user) = (home.file("secret", SECRET), home.file("user", "jane\n"));
    let password = home.file("password", &format!("\u{feff}{PASSWORD}\r\n"));
    home.log_in(&[
        "--oidc-client-secret-file",
        &secret,
        "--oidc-username-file",
        &user,
        "--oidc-password-file",
        &password,
    ]);
    assert!(!home.state().contains(PASSWORD) && !home.state().contains(SECRET));
    let first = home.out(&["token"]);
    next_token(&home, &first).await;

    // Five calls with an outdated password are one wrong login.
    fs::write(&password, "outdated").unwrap();
    let started = Instant::now();
    let mut refused = 0;
    while refused < 5 {
        let ended = home.run(&["token"]);
        if ended.code != Some(0) {
            refused += 1;
            assert!(ended.stderr.contains(&password), "{ended:?}");
            assert!(!ended.stderr.contains("outdated"), "{ended:?}");
        }
        assert!(started.elapsed() < Duration::from_secs(30), "not refused");
    }
    assert_eq!(home.issuer.wrong_passwords(), 1);
    fs::write(&password, PASSWORD).unwrap();
    home.out(&["token"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_exchanged_for_one_of_the_issuer() {
    let home = Home::with(Options {
        id_token: Duration::from_secs(3),
        ..options()
    })
    .await;
    let subject = || home.issuer.issue_login().unwrap().0;
    let file = home.file("token", &subject());
    home.log_in(&[
        "--oidc-subject-token-file",
        &file,
        "--token-exchange-audience=kubegate-demo",
    ]);
    let first = home.out(&["token"]);
    assert_eq!(claims(&first)["sub"], "jane@example.com");
    let started = Instant::now();
    // The subject token is renewed by others, and expires here.
    loop {
        let ended = home.run(&["token"]);
        if ended.code != Some(0) {
            let says = format!("have a token written to {file}");
            assert!(ended.stderr.contains(&says), "{ended:?}");
            break;
        }
        assert!(
            started.elapsed() < Duration::from_secs(30),
            "it does not expire"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    fs::write(&file, subject()).unwrap();
    assert_ne!(home.out(&["token"]), first);
    let other = home.login(&[
        "--oidc-subject-token-file",
        &file,
        "--token-exchange-audience=x",
    ]);
    let ended = Kubegate::refused(other);
    assert!(ended.stderr.contains("invalid_target"), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_subject_token_is_exchanged_while_the_former_one_is_valid() {
    let home = Home::new().await;
    let subject = || home.issuer.issue_login().unwrap().0;
    let file = home.file("token", &subject());
    home.log_in(&["--oidc-subject-token-file", &file]);
    let first = home.out(&["token"]);
    assert_eq!(home.out(&["token"]), first);
    assert_eq!(home.issuer.machine_logins(), 1);
    fs::write(&file, subject()).unwrap();
    let second = home.out(&["token"]);
    assert_ne!(second, first);
    assert_eq!(home.out(&["token"]), second);
    // A file that is being replaced changes nothing.
    fs::remove_file(&file).unwrap();
    assert_eq!(home.out(&["token"]), second);
    assert_eq!(home.issuer.machine_logins(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_opaque_token_is_kept_as_long_as_its_issuer_says() {
    let home = confidential(3600).await;
    let secret = home.file("secret", SECRET);
    home.log_in(&[
        "--grant-type=client-credentials",
        "--oidc-client-secret-file",
        &secret,
    ]);
    for (expires_in, requests) in [("3600", 1), ("1", 2), ("null", 1)] {
        fs::remove_dir_all(home.path(".local/state/kubegate/logins")).unwrap();
        let faults = home.issuer.faults();
        faults.only_on("/token");
        faults.respond_with(Some(FaultyResponse::Custom {
            status: http::StatusCode::OK,
            headers: Vec::new(),
            body: format!(r#"{{"access_token": "opaque", "expires_in": {expires_in}}}"#),
        }));
        let before = home.issuer.server().count("/token");
        assert_eq!(home.out(&["token"]), "opaque\n");
        if expires_in == "1" {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        assert_eq!(home.out(&["token"]), "opaque\n");
        let sent = home.issuer.server().count("/token") - before;
        assert_eq!(sent, requests, "{expires_in}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_issuer_that_repeats_the_header_shows_no_secret() {
    let home = confidential(3600).await;
    let secret = home.file("secret", SECRET);
    let (user, password) = (home.file("user", "jane"), home.file("password", PASSWORD));
    let header = BASE64_STANDARD.encode(format!("kubegate-demo:{SECRET}"));
    let faults = home.issuer.faults();
    faults.only_on("/token");
    faults.respond_with(Some(FaultyResponse::Custom {
        status: http::StatusCode::BAD_REQUEST,
        headers: Vec::new(),
        body:
            json!({"error": "invalid_request", "error_description": format!("not Basic {header}")})
                .to_string(),
    }));
    let client = ["--oidc-client-secret-file", &secret];
    let files = [
        "--oidc-username-file",
        &user,
        "--oidc-password-file",
        &password,
    ];
    for grant in [&["--grant-type=client-credentials"][..], &files] {
        let ended = Kubegate::refused(home.login(&[&client[..], grant].concat()));
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert!(ended.stderr.contains("not Basic [removed]"), "{ended:?}");
        assert!(
            !ended.stderr.contains(header.trim_end_matches('=')),
            "{ended:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_file_of_a_grant_is_named() {
    let home = Home::new().await;
    for (args, code, says) in [
        (
            &["--grant-type=token-exchange"][..],
            2,
            "needs --oidc-subject-token-file FILE",
        ),
        (&["--oidc-username-file=/x"], 2, "--oidc-password-file"),
        (&["--grant-type=implicit"], 2, "client-credentials"),
        (
            &[
                "--oidc-username-file=/nonexistent/u",
                "--oidc-password-file=/x",
            ],
            1,
            "user name file /nonexistent/u",
        ),
        (
            &["--grant-type=client-credentials"],
            1,
            "unauthorized_client",
        ),
    ] {
        let ended = Kubegate::refused(home.login(args));
        assert_eq!(ended.code, Some(code), "{args:?}: {ended:?}");
        assert!(ended.stderr.contains(says), "{args:?}: {ended:?}");
    }
}
