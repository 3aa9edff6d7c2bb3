//! Signals that come while a refresh token is being redeemed, which works once.

use std::{
    fs,
    process::{Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::Home;
use crate::support::{Kubegate, get, in_time, status};

/// How long the issuer takes.
const DELAY: Duration = Duration::from_secs(2);

impl Home {
    /// Removes the ID token of the saved login, as if it had expired.
    pub(super) fn expire(&self) {
        let path = self.saved();
        let mut saved: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        assert!(saved.as_object_mut().unwrap().remove("token").is_some());
        fs::write(&path, saved.to_string()).unwrap();
    }

    /// The command of the exec entry, as kubectl runs it.
    fn plugin(&self) -> Command {
        let entry = self.entry();
        let args: Vec<&str> = entry.args.iter().map(String::as_str).collect();
        self.command(&args)
    }

    /// Delays the responses of the token endpoint, which redeems the token at once.
    fn delay_tokens(&self, by: Duration) {
        self.issuer.faults().only_on("/token");
        self.issuer.faults().delay_when_done(by);
    }

    fn renews_again(&self) {
        self.issuer.faults().clear();
        self.expire();
        assert!(self.out(&["token"]).len() > 20);
        assert_eq!(self.issuer.refused(), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_is_interrupted_saves_the_login_that_it_renews() {
    let home = Home::new(3600).await;
    home.log_in();
    let commands: [(&str, Signal, i32); 5] = [
        ("plugin", Signal::INT, 130),
        ("plugin", Signal::TERM, 143),
        ("token", Signal::TERM, 143),
        ("renew", Signal::INT, 130),
        ("whoami", Signal::INT, 130),
    ];
    for (kind, signal, code) in commands {
        let command = match kind {
            "plugin" => home.plugin(),
            "renew" => home.command(&["token", "--renew"]),
            other => home.command(&[other]),
        };
        if kind != "renew" {
            home.expire();
        }
        home.delay_tokens(DELAY);
        let before = home.issuer.refreshes();
        let ended = Kubegate::signalled(command, signal, || home.issuer.refreshes() > before);
        assert_eq!(ended.code, Some(code), "{kind}: {ended:?}");
        assert_eq!(ended.stdout, "", "{kind}: {ended:?}");
        assert!(ended.stderr.contains("is being renewed"), "{ended:?}");
        home.renews_again();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_does_not_wait_for_the_issuer() {
    let home = Home::new(3600).await;
    home.log_in();
    home.expire();
    home.delay_tokens(Duration::from_secs(60));
    let mut command = home.command(&["token"]);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    while home.issuer.refreshes() == 0 {
        sleep(Duration::from_millis(2));
    }
    let began = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        kill_process(Pid::from_child(&child), Signal::INT).unwrap();
        sleep(Duration::from_millis(50));
    };
    assert_eq!(status.code(), Some(130));
    assert!(began.elapsed() < Duration::from_secs(8), "{began:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_the_process_waits_for_the_issuer_for_ten_seconds() {
    let home = Home::new(3600).await;
    home.log_in();
    home.expire();
    home.delay_tokens(Duration::from_secs(60));
    let is_sent = || home.issuer.refreshes() > 0;
    let ended = Kubegate::signalled(home.command(&["token"]), Signal::INT, is_sent);
    assert_eq!(ended.code, Some(130), "{ended:?}");
    assert!(
        ended.stderr.contains("may have to be repeated"),
        "{ended:?}"
    );
    assert!(ended.took > Duration::from_secs(9), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_proxy_saves_a_login_that_it_renews_before_it_ends() {
    // Each is renewed in the background after its first use.
    let home = Home::new(4).await;
    home.log_in();
    for drain in ["25s", "0s"] {
        let command = home.command(&["--port", "0", "--drain-timeout", drain]);
        let kubegate = Kubegate::spawn(command);
        let response = get(&kubegate.address, "/api/v1/nodes").await;
        assert_eq!(status(&response), 200, "{response}");
        home.delay_tokens(DELAY);
        let before = home.issuer.refreshes();
        in_time(async {
            while home.issuer.refreshes() == before {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
        let ended = kubegate.signal_and_end("TERM");
        assert_eq!(ended.code, Some(0), "{ended:?}");
        home.renews_again();
    }
}
