//! `kubegate token`: at once while a token is valid, and a new one on demand.

use std::process::Command;

use super::Home;
use crate::support::{Kubegate, command_like};

/// The most CPU time that a token at hand may take, in seconds, of a debug build: ten times what it
/// takes on a machine of 2025. A release build takes a third of it.
const MAX_CPU: f64 = 0.1;

/// The CPU time of a command, in seconds, by the shell's `times`.
fn cpu_time(command: &Command) -> f64 {
    let words = [command.get_program()]
        .into_iter()
        .chain(command.get_args());
    let quoted = words.map(|word| format!("'{}'", word.to_str().unwrap()));
    let quoted: Vec<String> = quoted.collect();
    let script = format!("{} >/dev/null && times", quoted.join(" "));
    let ended = Kubegate::refused(command_like(command, "/bin/sh", &["-c", &script]));
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let children = ended.stdout.lines().nth(1).unwrap();
    let seconds = |text: &str| {
        let (minutes, seconds) = text.trim_end_matches('s').split_once('m').unwrap();
        60.0 * minutes.parse::<f64>().unwrap() + seconds.parse::<f64>().unwrap()
    };
    children.split_whitespace().map(seconds).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_valid_token_costs_no_request_and_little_time() {
    let home = Home::new(3600).await;
    home.log_in();
    let context = home.out(&["contexts", "-o", "name"]);
    let flags = ["--context", context.trim_end(), "-v", "0"];
    let plugin = home.entry().args;
    let plugin: Vec<&str> = plugin.iter().map(String::as_str).collect();
    let connections = || (home.issuer.server().connections(), home.plane.connections());
    let before = connections();
    for args in [
        &["token"][..],
        &["token", "-o", "exec-credential"],
        &["whoami", "-t"],
        &plugin,
    ] {
        let command = home.command(&[args, &flags].concat());
        let times = (0..5).map(|_| cpu_time(&command));
        let least = times.fold(f64::INFINITY, f64::min);
        assert!(least < MAX_CPU, "{args:?}: {least} s");
    }
    assert_eq!(connections(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn renew_takes_a_new_token_though_the_last_one_is_valid() {
    let home = Home::new(3600).await;
    home.log_in();
    let mut last = home.out(&["token"]);
    assert_eq!(home.out(&["token"]), last);
    for flag in ["--renew", "--force-refresh"] {
        let before = home.issuer.refreshes();
        let new = home.out(&["token", flag]);
        assert_ne!(new, last, "{flag}");
        assert_eq!(home.issuer.refreshes(), before + 1, "{flag}");
        // It is the one that others use from now on.
        assert_eq!(home.out(&["token"]), new, "{flag}");
        assert_eq!(home.issuer.refreshes(), before + 1, "{flag}");
        last = new;
    }
}
