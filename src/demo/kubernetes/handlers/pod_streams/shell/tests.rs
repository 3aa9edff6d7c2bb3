#![allow(clippy::unwrap_used)]

use std::time::Duration;

use bytes::Bytes;
use serde_json::json;
use tokio::sync::mpsc;

use crate::demo::kubernetes::handlers::pod_streams::console::{self, ClientInput, Output, Size};
use crate::demo::kubernetes::handlers::pod_streams::pod::{Container, Pod};

fn container() -> Container {
    let pod: Pod = serde_json::from_value(json!({
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"containers": [{
            "name": "app",
            "image": "nginx:1",
            "env": [{"name": "COLOR", "value": "blue"}],
        }]},
    }))
    .unwrap();
    pod.container(None, Duration::from_secs(1)).unwrap()
}

/// A running command, and the client's end of its streams.
struct Running {
    client_input: ClientInput,
    output: mpsc::Receiver<Output>,
    shown: String,
    code: tokio::task::JoinHandle<i32>,
}

fn start(command: &[&str], tty: bool) -> Running {
    let command: Vec<_> = command.iter().map(|word| (*word).to_owned()).collect();
    let (console, client_input, output) = console::pair(true, tty);
    let code = tokio::spawn(async move { super::exec(&container(), &command, console).await });
    Running {
        client_input,
        output,
        shown: String::new(),
        code,
    }
}

impl Running {
    async fn send_input(&mut self, text: &str) {
        self.client_input.send(Bytes::from(text.to_owned())).await;
    }

    /// Reads output until it ends with `text`.
    async fn read_until(&mut self, text: &str) {
        while !self.shown.ends_with(text) {
            let wait = tokio::time::timeout(Duration::from_secs(10), self.output.recv());
            match wait.await {
                Ok(Some(Output::Stdout(bytes))) => {
                    self.shown += std::str::from_utf8(&bytes).unwrap();
                }
                other => panic!("{other:?} instead of {text:?} after {:?}", self.shown),
            }
        }
    }
}

/// Runs a command with piped input to its end. Returns its output, its errors and its exit code.
async fn run_with(command: &[&str], input: &str) -> (String, String, i32) {
    let mut running = start(command, false);
    running.send_input(input).await;
    let Running {
        client_input,
        mut output,
        code,
        ..
    } = running;
    drop(client_input);
    let (mut out, mut err) = (String::new(), String::new());
    while let Some(piece) = output.recv().await {
        match piece {
            Output::Stdout(bytes) => out += std::str::from_utf8(&bytes).unwrap(),
            Output::Stderr(bytes) => err += std::str::from_utf8(&bytes).unwrap(),
            Output::Exit(code) => panic!("a shell only returns its code, {code}"),
        }
    }
    (out, err, code.await.unwrap())
}

async fn script(text: &str) -> (String, String, i32) {
    run_with(&["sh", "-c", text], "").await
}

async fn prints(text: &str) -> String {
    let (out, err, code) = script(text).await;
    assert_eq!((err.as_str(), code), ("", 0), "{text}");
    out
}

#[tokio::test]
async fn a_command_is_not_run_as_a_script() {
    let (out, _, code) = run_with(&["echo", "a;b", "$HOME"], "").await;
    assert_eq!((out.as_str(), code), ("a;b $HOME\n", 0));
    let (out, _, _) = run_with(&["/bin/echo", "-n", "x"], "").await;
    assert_eq!(out, "x");
}

#[tokio::test]
async fn an_unknown_command_is_not_found() {
    let (out, err, code) = run_with(&["vim", "x"], "").await;
    assert_eq!(
        (out.as_str(), err.as_str(), code),
        ("", "sh: vim: not found\n", 127)
    );
}

#[tokio::test]
async fn exit_codes_decide_what_runs_next() {
    assert_eq!(prints("true && echo a || echo b; echo c").await, "a\nc\n");
    assert_eq!(prints("false && echo a || echo b").await, "b\n");
    assert_eq!(prints("false; echo $?; echo $?").await, "1\n0\n");
    let (out, _, code) = script("echo a; exit 3; echo b").await;
    assert_eq!((out.as_str(), code), ("a\n", 3));
    assert_eq!(script("false").await.2, 1);
    assert_eq!(script("exit 256").await.2, 0, "only eight bits");
    assert_eq!(prints("sh -c 'exit 4' || echo outer $?").await, "outer 4\n");
}

#[tokio::test]
async fn words_are_quoted_and_expanded() {
    assert_eq!(
        prints("echo '$COLOR;' \"$COLOR\" ${COLOR}s").await,
        "$COLOR; blue blues\n"
    );
    assert_eq!(
        prints("echo a\\ b   c \"\" d $NONE e").await,
        "a b c  d e\n"
    );
    assert_eq!(
        prints("X=1 ; echo \"$X\" 1$ # no\necho 2").await,
        "1 1$\n2\n"
    );
}

#[tokio::test]
async fn output_can_be_sent_to_stderr() {
    let (out, err, code) = script("echo oops >&2; echo oh 1>&2; echo fine").await;
    assert_eq!(
        (out.as_str(), err.as_str(), code),
        ("fine\n", "oops\noh\n", 0)
    );
}

#[tokio::test]
async fn unsupported_features_are_syntax_errors() {
    for text in [
        "a | b",
        "echo > x",
        "echo $(id)",
        "sleep 1 &",
        "echo 'x",
        "&& a",
        "a &&",
    ] {
        let (out, err, code) = script(text).await;
        assert_eq!((out.as_str(), code), ("", 2), "{text}");
        assert!(err.starts_with("sh: syntax error: "), "{text}: {err}");
    }
}

#[tokio::test]
async fn commands_show_the_container() {
    assert_eq!(prints("hostname; whoami; pwd").await, "web\nroot\n/\n");
    let environment = prints("env").await;
    assert!(
        environment.lines().any(|line| line == "COLOR=blue"),
        "{environment}"
    );
    assert_eq!(
        prints("ls /; cd etc; ls hostname; pwd; cat hostname ../etc/hostname").await,
        "app\netc\nvar\nhostname\n/etc\nweb\nweb\n"
    );
    let (_, err, code) = script("cat none; ls none; cd none").await;
    assert_eq!(code, 1);
    assert_eq!(err.lines().count(), 3, "{err}");
    assert!(prints("date").await.contains(" UTC 20"));
}

#[tokio::test]
async fn cat_copies_its_input() {
    let (out, _, code) = run_with(&["cat"], "one\ntwo").await;
    assert_eq!((out.as_str(), code), ("one\ntwo", 0));
}

#[tokio::test]
async fn a_shell_runs_piped_lines_and_leaves_the_rest_to_cat() {
    let (out, _, code) = run_with(&["sh"], "echo a\ncat\nrest\nof it").await;
    assert_eq!((out.as_str(), code), ("a\nrest\nof it", 0));
}

#[tokio::test(start_paused = true)]
async fn sleep_takes_the_time_given() {
    let before = tokio::time::Instant::now();
    prints("sleep 90; sleep 0.5s").await;
    let slept = before.elapsed();
    assert!(slept >= Duration::from_millis(90_500), "{slept:?}");
    assert_eq!(script("sleep soon").await.2, 1);
}

#[tokio::test]
async fn a_terminal_prompts_echoes_and_ends_at_control_d() {
    let mut shell = start(&["sh"], true);
    shell.read_until("$ ").await;
    shell.send_input("echo hj\x7fi\r").await;
    shell.read_until("$ echo hj\x08 \x08i\r\nhi\r\n$ ").await;
    shell.send_input("cat\r").await;
    shell.read_until("cat\r\n").await;
    shell.send_input("line\r").await;
    shell.read_until("line\r\nline\r\n").await;
    shell.send_input("\x04").await;
    shell.read_until("$ ").await;
    shell.send_input("nope\r").await;
    shell.read_until("sh: nope: not found\r\n$ ").await;
    shell.send_input("\x04").await;
    assert_eq!(shell.code.await.unwrap(), 127, "the last command's");
}

#[tokio::test]
async fn control_c_ends_the_command_but_not_the_shell() {
    let mut shell = start(&["sh"], true);
    shell.read_until("$ ").await;
    // ^C follows at once, before the shell reads the line.
    shell.send_input("exit 9\r\x03").await;
    shell.read_until("^C\r\n$ ").await;
    shell.send_input("sleep 1000; echo no\r").await;
    shell.read_until("echo no\r\n").await;
    tokio::task::yield_now().await;
    shell.send_input("\x03").await;
    shell.read_until("^C\r\n$ ").await;
    shell.send_input("echo yes\r").await;
    shell.read_until("yes\r\n$ ").await;
    assert!(!shell.shown.contains("\nno"), "{:?}", shell.shown);
    shell.send_input("exit 7\r").await;
    assert_eq!(shell.code.await.unwrap(), 7);

    let mut sleep = start(&["sleep", "1000"], true);
    sleep.send_input("\x03").await;
    assert_eq!(sleep.code.await.unwrap(), 130);
}

#[tokio::test]
async fn the_terminal_has_the_size_that_the_client_sends() {
    let mut shell = start(&["sh"], true);
    shell.client_input.resize(Size {
        width: 120,
        height: 40,
    });
    shell.send_input("stty size\r").await;
    shell.read_until("40 120\r\n$ ").await;
    assert_eq!(script("stty size").await.2, 1, "a pipe has none");
}
