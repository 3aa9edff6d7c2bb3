//! Exec plugins that take their time, as one does that waits for a human's login elsewhere: what they
//! say is seen, nobody else is held up, and they end with the kubegate that started them.

use std::{
    fs,
    io::{Read as _, Write as _},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::json;

use crate::{
    credentials::{Home, bearer, exec, prints},
    support::{Connection, Kubegate, PATIENCE, Upstream, exchange, get, in_time, status},
};

/// Waits in shell until the test says so, 20 s at most.
const UNTIL_GO: &str = "n=0; while [ ! -e go ] && [ $n -lt 400 ]; do sleep 0.05; n=$((n+1)); done";

async fn echo() -> Upstream {
    Upstream::tls("localhost", Connection::echo).await
}

/// Waits until `reached`, and fails with `what` where that never comes.
fn until(reached: impl Fn() -> bool, what: impl Fn() -> String) {
    let began = Instant::now();
    while !reached() {
        assert!(began.elapsed() < PATIENCE, "never: {}", what());
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Starts a proxy for the plugin of `home` at the default verbosity, with more flags.
fn start(home: &Home, upstream: &Upstream, more: &[&str]) -> Kubegate {
    let config = home.kubeconfig(&upstream.url(), &exec(&json!({"provideClusterInfo": true})));
    let flags = ["--kubeconfig", config.to_str().unwrap(), "-v", "0"];
    Kubegate::start([&flags, more].concat())
}

fn asks(kubegate: &Kubegate) -> tokio::task::JoinHandle<String> {
    let address = kubegate.address.clone();
    tokio::spawn(async move { get(&address, "/x").await })
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_plugin_says_is_logged_while_it_waits_and_its_token_is_not() {
    let upstream = echo().await;
    let home = Home::new();
    home.plugin(&format!(
        "printf '\\033[31mopen https://issuer.example/device and enter ABCD-EFGH\\033[0m\\r\\n' >&2\n\
         printf 'then wait here' >&2\n{UNTIL_GO}\n{}\necho 'got sesame-of-a-plugin-1' >&2",
        prints("sesame-of-a-plugin-1")
    ));
    let kubegate = start(&home, &upstream, &[]);
    let pending = asks(&kubegate);
    let lines = [
        "open https://issuer.example/device and enter ABCD-EFGH\n",
        "/plugin: then wait here\n",
    ];
    let shown = || lines.iter().all(|line| kubegate.log().contains(line));
    until(shown, || kubegate.log());
    assert!(!pending.is_finished() && !home.path("go").exists());
    fs::write(home.path("go"), "").unwrap();
    let response = in_time(pending).await.unwrap();
    assert_eq!(bearer(&response), "sesame-of-a-plugin-1");
    let log = kubegate.log();
    assert!(log.contains("/plugin: got [removed]\n"), "{log}");
    assert!(
        !log.contains("\u{1b}[31m") && !log.contains("[31m"),
        "{log}"
    );
}

#[test]
fn each_command_shows_what_a_plugin_says_and_tells_its_failure_once() {
    let home = Home::new();
    home.plugin("echo 'enter ABCD-EFGH' >&2; echo 'refused' >&2; exit 3");
    let config = home.kubeconfig("https://127.0.0.1:1", &exec(&json!({})));
    for command in ["token", "whoami"] {
        let args = [command, "--kubeconfig", config.to_str().unwrap(), "-v", "0"];
        let ended = Kubegate::refused(Kubegate::command(args));
        let output = &ended.stderr;
        assert_eq!(ended.code, Some(1), "{output}");
        assert!(output.contains("/plugin: enter ABCD-EFGH\n"), "{output}");
        assert_eq!(output.matches("ABCD-EFGH").count(), 1, "{output}");
        assert_eq!(output.matches("exit status: 3").count(), 1, "{output}");
        assert!(!output.contains("next try"), "{output}");
    }
    home.plugin(&format!(
        "echo 'enter ABCD-EFGH' >&2; {}",
        prints("sesame-2")
    ));
    let args = ["token", "--kubeconfig", config.to_str().unwrap(), "-v", "0"];
    let ended = Kubegate::refused(Kubegate::command(args));
    assert_eq!((ended.code, &*ended.stdout), (Some(0), "sesame-2\n"));
    assert!(
        ended.stderr.contains("/plugin: enter ABCD-EFGH\n"),
        "{ended:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_that_says_nothing_is_named_and_one_that_prints_without_end_is_cut_short() {
    let upstream = echo().await;
    let (silent, loud) = (Home::new(), Home::new());
    silent.plugin(&format!("{UNTIL_GO}\n{}", prints("t")));
    loud.plugin(&format!(
        "n=0; while [ $n -lt 3000 ]; do echo line $n; n=$((n+1)); done >&2\n{}",
        prints("t")
    ));
    let gates = [(&silent, "45s"), (&loud, "3m")]
        .map(|(home, limit)| start(home, &upstream, &["--exec-timeout", limit]));
    let pending = gates.each_ref().map(asks);
    let named =
        |log: String| log.contains("waiting for exec plugin /") && log.contains(", 42 s left");
    until(|| named(gates[0].log()), || gates[0].log());
    fs::write(silent.path("go"), "").unwrap();
    for one in pending {
        assert_eq!(status(&in_time(one).await.unwrap()), 200);
    }
    let log = gates[1].log();
    assert!(
        log.contains(": line 7\n") && log.contains("too many to show"),
        "{log}"
    );
    let lines = log.matches(": line ").count();
    assert!((100..600).contains(&lines), "{lines} lines");
    assert!(!log.contains("waiting for exec plugin"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_else_waits_for_a_plugin_and_it_goes_on_when_its_first_client_leaves() {
    let upstream = echo().await;
    let home = Home::new();
    home.plugin(&format!("{UNTIL_GO}\n{}", prints("late")));
    fs::create_dir(home.path("www")).unwrap();
    fs::write(home.path("www/page"), "a page").unwrap();
    let www = home.path("www");
    let kubegate = start(&home, &upstream, &["--www", www.to_str().unwrap()]);
    let first = asks(&kubegate);
    until(|| home.spawns() == 1, || kubegate.log());
    let own = format!(
        "GET /x HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer own\r\nConnection: close\r\n\r\n",
        kubegate.address
    );
    let own = exchange(&kubegate.address, own).await;
    assert_eq!(bearer(&own), "own");
    assert!(
        get(&kubegate.address, "/static/page")
            .await
            .ends_with("a page")
    );
    assert!(!first.is_finished());
    first.abort();
    let second = asks(&kubegate);
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!second.is_finished());
    fs::write(home.path("go"), "").unwrap();
    assert_eq!(bearer(&in_time(second).await.unwrap()), "late");
    assert_eq!(home.spawns(), 1, "the plugin was started anew");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_has_the_time_that_it_is_given() {
    let upstream = echo().await;
    let home = Home::new();
    home.plugin(&format!("sleep 0.2\n{}", prints("in-time")));
    let kubegate = start(&home, &upstream, &["--exec-timeout", "0"]);
    assert_eq!(bearer(&get(&kubegate.address, "/x").await), "in-time");
    drop(kubegate);
    home.plugin("exec sleep 1000");
    let kubegate = start(&home, &upstream, &["--exec-timeout", "1s"]);
    let response = get(&kubegate.address, "/x").await;
    assert_eq!(status(&response), 503, "{response}");
    assert!(
        response.contains("did not finish within 1 s") && response.contains("--exec-timeout"),
        "{response}"
    );
    let bad = Kubegate::refused(Kubegate::command(["--exec-timeout", "soon"]));
    assert!(
        bad.code == Some(2) && bad.stderr.contains("--exec-timeout"),
        "{bad:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_gos_decoder_takes_is_taken() {
    let upstream = echo().await;
    let home = Home::new();
    let version = "client.authentication.k8s.io/v1";
    for response in [
        format!(
            "# by hand\napiVersion: {version}\nstatus:\n  token: given\n  expirationTimestamp: 9999-12-31T23:59:59Z\n"
        ),
        format!(
            "\u{feff}{{\"apiVersion\":\"{version}\",\"status\":{{\"token\":\"given\",\"expirationTimestamp\":\"9999-12-31T23:59:59Z\"}}}}"
        ),
    ] {
        fs::write(home.path("answer"), &response).unwrap();
        home.plugin("cat answer");
        let kubegate = start(&home, &upstream, &[]);
        let got = get(&kubegate.address, "/x").await;
        assert_eq!(status(&got), 200, "{got}");
        assert_eq!(bearer(&got), "given", "{response}");
    }
    fs::write(home.path("answer"), "status:\n  token: given\n").unwrap();
    let kubegate = start(&home, &upstream, &[]);
    let got = get(&kubegate.address, "/x").await;
    assert!(
        status(&got) == 401 && got.contains("no apiVersion"),
        "{got}"
    );
}

// The end of what started them.

/// A plugin that never ends, with a child and one in a session of its own. Each leaves its number.
const FAMILY: &str = "sh -c 'echo $$ >child.new; mv child.new child; exec sleep 1000' &\n\
    setsid sh -c 'echo $$ >own.new; mv own.new own; exec sleep 1000' &\n\
    echo $PPID >parent.new; mv parent.new parent\n\
    echo $$ >leader.new; mv leader.new leader\nwait\nsleep 1000";

/// One that waits for its child, as what asks for a password does.
const COUPLE: &str = "echo $$ >leader.new; mv leader.new leader\n\
    sh -c 'echo $$ >child.new; mv child.new child; exec sleep 1000'\nsleep 1000";

/// The processes of [`FAMILY`], once all of them run.
fn family(home: &Home) -> Vec<u32> {
    members(home, &["leader", "child", "own"])
}

fn members(home: &Home, names: &[&str]) -> Vec<u32> {
    until(
        || names.iter().all(|name| home.path(name).exists()),
        || "the plugin and its children".to_owned(),
    );
    let read = |name: &&str| home.read(name).trim().parse().unwrap();
    let family: Vec<u32> = names.iter().map(read).collect();
    assert!(family.iter().all(|pid| runs(*pid)));
    family
}

/// Whether a process runs; one that only waits to be reaped does not.
fn runs(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat
        .rsplit_once(") ")
        .and_then(|(_, rest)| rest.chars().next());
    state.is_some_and(|state| !matches!(state, 'Z' | 'X'))
}

fn assert_ended(family: &[u32]) {
    until(
        || !family.iter().any(|pid| runs(*pid)),
        || format!("the end of {family:?}"),
    );
}

fn send(signal: &str, pid: u32) {
    let sent = Command::new("kill")
        .args([&format!("-{signal}"), &pid.to_string()])
        .status();
    assert!(sent.unwrap().success());
}

/// The exit code of `child`, and what it wrote to standard error.
fn ended(mut child: Child) -> (Option<i32>, String) {
    let began = Instant::now();
    while child.try_wait().unwrap().is_none() {
        assert!(began.elapsed() < PATIENCE, "it does not end");
        std::thread::sleep(Duration::from_millis(5));
    }
    let mut output = String::new();
    if let Some(mut stderr) = child.stderr.take() {
        stderr.read_to_string(&mut output).unwrap();
    }
    (child.wait().unwrap().code(), output)
}

/// Whether this process was started to ignore a signal, as below nohup(1), and so are its children.
fn ignores(signal: i32) -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let mask = status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .unwrap();
    u64::from_str_radix(mask.trim(), 16).unwrap() & (1 << (signal - 1)) != 0
}

#[test]
fn a_signal_ends_a_command_with_its_plugin_and_all_that_it_started() {
    std::thread::scope(|scope| {
        for (command, signal, code) in [
            ("token", "INT", 130),
            ("token", "TERM", 143),
            ("whoami", "INT", 130),
            ("whoami", "HUP", 129),
            ("token", "QUIT", 131),
            ("whoami", "QUIT", 131),
        ] {
            if ignores(code - 128) {
                continue;
            }
            scope.spawn(move || {
                let home = Home::new();
                home.plugin(FAMILY);
                let config = home.kubeconfig("https://127.0.0.1:1", &exec(&json!({})));
                let args = [command, "--kubeconfig", config.to_str().unwrap(), "-v", "0"];
                let mut kubegate = Kubegate::command(args);
                let kubegate = kubegate.stderr(Stdio::piped()).spawn().unwrap();
                let family = family(&home);
                send(signal, kubegate.id());
                let (ended_with, output) = ended(kubegate);
                assert_eq!(ended_with, Some(code), "{command} {signal}: {output}");
                assert_ended(&family);
            });
        }
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_that_ends_leaves_no_plugin_behind() {
    let upstream = echo().await;
    for (signal, more, code) in [
        ("TERM", &["--drain-timeout", "100ms"][..], 0),
        ("INT", &[], 0),
        ("QUIT", &[], 131),
    ] {
        if signal == "QUIT" && ignores(code - 128) {
            continue;
        }
        let home = Home::new();
        home.plugin(FAMILY);
        let kubegate = start(&home, &upstream, more);
        let pending = asks(&kubegate);
        let family = family(&home);
        send(signal, kubegate.id());
        if signal == "INT" {
            until(|| kubegate.log().contains("draining"), || kubegate.log());
            // The request still waits, and so does the drain; a second signal ends both.
            assert!(family.iter().all(|pid| runs(*pid)));
            send(signal, kubegate.id());
        }
        let (ended_with, log) = kubegate.wait();
        assert_eq!(ended_with, Some(code), "{signal}: {log}");
        assert_ended(&family);
        pending.abort();
    }
}

/// Runs `kubegate token` in a terminal of its own, which script(1) makes; what is written to its
/// standard input is typed there. A test run in the background would pass an ignored SIGINT on.
fn in_terminal(home: &Home) -> Child {
    let user = exec(&json!({"interactiveMode": "Always"}));
    let config = home.kubeconfig("https://127.0.0.1:1", &user);
    let kubegate = Kubegate::command(Vec::<&str>::new());
    let line = format!(
        "exec env --default-signal=INT {} token --kubeconfig {}",
        kubegate.get_program().display(),
        config.display()
    );
    let mut script =
        crate::support::command_like(&kubegate, "script", &["-qefc", &line, "/dev/null"]);
    script
        .env("SHELL", "/bin/sh")
        .stdin(Stdio::piped())
        .stdout(Stdio::null());
    script.stderr(Stdio::null()).spawn().unwrap()
}

#[test]
fn a_plugin_with_the_terminal_ends_with_its_command_too() {
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let home = Home::new();
            home.plugin(COUPLE);
            let mut script = in_terminal(&home);
            let family = members(&home, &["leader", "child"]);
            // A shell that still waits for `mv` may outlive a Ctrl-C.
            let comm = format!("/proc/{}/comm", family[1]);
            until(
                || fs::read_to_string(&comm).is_ok_and(|name| name == "sleep\n"),
                || "the child's sleep".to_owned(),
            );
            script.stdin.as_mut().unwrap().write_all(b"\x03").unwrap();
            assert_eq!(ended(script).0, Some(130));
            assert_ended(&family);
        });
        scope.spawn(|| {
            let home = Home::new();
            home.plugin(FAMILY);
            let script = in_terminal(&home);
            let family = family(&home);
            send("TERM", home.read("parent").trim().parse().unwrap());
            assert_eq!(ended(script).0, Some(143));
            assert_ended(&family);
        });
    });
}
