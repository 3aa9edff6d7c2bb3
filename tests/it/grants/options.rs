//! How a login uses the browser and which token it sends, with the flags of kubelogin.

use std::net::TcpListener;

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_login_waits_no_longer_than_it_is_told() {
    let home = Home::new().await;
    for (args, device) in [
        (
            &["--skip-open-browser", "--authentication-timeout-sec=1"][..],
            false,
        ),
        (&["--no-browser", "--authentication-timeout", "1s"], false),
        (
            &["--grant-type=device-code", "--authentication-timeout=1s"],
            true,
        ),
    ] {
        let mut command = home.login(&["--listen-address", "127.0.0.1:0"]);
        // The browser would log in.
        let browser = if device { String::new() } else { home.curl() };
        command.args(args).env("BROWSER", browser);
        let ended = Kubegate::refused(command);
        assert_eq!(ended.code, Some(1), "{ended:?}");
        let says = if device { "in time" } else { "within 1 s" };
        assert!(ended.stderr.contains(says), "{ended:?}");
    }
    assert_eq!(home.issuer.logins(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_free_address_is_listened_on_and_kept_for_the_next_login() {
    let home = Home::new().await;
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let addresses = format!("{},127.0.0.1:0", taken.local_addr().unwrap());
    let browser = home.curl();
    let args = [
        "--listen-address",
        &addresses,
        "--browser-command",
        &browser,
    ];
    home.log_in(&args);
    let text = home.kubeconfig();
    assert!(text.contains("--listen-address=127.0.0.1:0"), "{text}");
    let context = text
        .lines()
        .find_map(|line| line.strip_prefix("current-context: "));
    let context = context.unwrap().trim_matches(['"', '\'']);
    home.out(&[
        "login",
        "oidc",
        "--context",
        context,
        "--browser-command",
        &browser,
    ]);
    assert_eq!(home.issuer.logins(), 2);

    // The issuer may know this machine by another URL; the demo knows only the loopback.
    let busy = taken.local_addr().unwrap().to_string();
    let ended = Kubegate::refused(home.login(&["--listen-address", &busy, "--no-browser"]));
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(
        ended.stderr.contains(&format!("cannot listen on {busy}")),
        "{ended:?}"
    );
    let ended = Kubegate::refused(home.login(&["--oidc-redirect-url", "https://other.example/"]));
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(
        ended.stderr.contains("--oidc-redirect-url must"),
        "{ended:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_access_token_is_sent_and_renewed_if_that_is_wanted() {
    let home = Home::with(Options {
        id_token: Duration::from_secs(2),
        ..options()
    })
    .await;
    let browser = home.curl();
    let mut args = vec![
        "--listen-address=127.0.0.1:0",
        "--browser-command",
        &browser,
    ];
    args.push("--oidc-use-access-token");
    // Without its scope this issuer's access token is not for the API server.
    let ended = Kubegate::refused(home.login(&args));
    assert_eq!(ended.code, Some(1), "{ended:?}");
    args.push("--oidc-extra-scope=kubernetes");
    home.log_in(&args);
    let first = home.out(&["token"]);
    let started = std::time::Instant::now();
    let renewed = loop {
        let token = home.out(&["token"]);
        if token != first {
            break token;
        }
        assert!(started.elapsed() < Duration::from_secs(30), "no new token");
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    assert!(home.issuer.refreshes() > 0);
    for token in [&first, &renewed] {
        let claims = claims(token);
        // The ID token's subject is another one.
        assert_eq!(claims["sub"], "jane@example.com", "{claims}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_name_chooses_no_grant() {
    let home = Home::with(Options {
        password: Some("correct horse".to_owned()),
        ..options()
    })
    .await;
    let browser = home.curl();
    let user = ["--username=jane", "--password=correct horse"];
    let mut command = home.login(&["--listen-address=127.0.0.1:0"]);
    command.args(user).args(["--browser-command", &browser]);
    let ended = Kubegate::refused(command);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!((home.issuer.logins(), home.issuer.machine_logins()), (1, 0));
    let mut command = home.login(&["--grant-type=password"]);
    command.args(user);
    let ended = Kubegate::refused(command);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stderr.contains("on the command line"), "{ended:?}");
    assert_eq!((home.issuer.logins(), home.issuer.machine_logins()), (1, 1));
}
