#![allow(clippy::unwrap_used)]

use std::time::Duration;

use bytes::Bytes;
use serde_json::json;
use tokio::sync::mpsc;

use crate::demo::kubernetes::handlers::pod_streams::console::{self, Keyboard, Output, Size};
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

/// A command under way, and the client's end of its streams.
struct Running {
    keyboard: Keyboard,
    output: mpsc::Receiver<Output>,
    shown: String,
    code: tokio::task::JoinHandle<i32>,
}

fn start(command: &[&str], tty: bool) -> Running {
    let command: Vec<_> = command.iter().map(|word| (*word).to_owned()).collect();
    let (console, keyboard, output) = console::pair(true, tty);
    let code = tokio::spawn(async move { super::exec(&container(), &command, console).await });
    Running {
        keyboard,
        output,
        shown: String::new(),
        code,
    }
}

impl Running {
    async fn type_in(&mut self, text: &str) {
        self.keyboard.type_in(Bytes::from(text.to_owned())).await;
    }

    /// Reads the screen until `text` is at its end.
    async fn see(&mut self, text: &str) {
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

/// Runs a command on piped input to its end: its output, its errors, its code.
async fn run_with(command: &[&str], input: &str) -> (String, String, i32) {
    let mut running = start(command, false);
    running.type_in(input).await;
    let Running {
        keyboard,
        mut output,
        code,
        ..
    } = running;
    drop(keyboard);
    let (mut out, mut err) = (String::new(), String::new());
    while let Some(said) = output.recv().await {
        match said {
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
async fn a_command_is_run_by_its_words_not_as_a_script() {
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
async fn what_the_shell_does_not_know_is_a_syntax_error() {
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
async fn the_container_shows_itself() {
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
async fn cat_gives_back_its_input() {
    let (out, _, code) = run_with(&["cat"], "one\ntwo").await;
    assert_eq!((out.as_str(), code), ("one\ntwo", 0));
}

#[tokio::test]
async fn a_piped_shell_runs_its_lines_and_leaves_the_rest_to_cat() {
    let (out, _, code) = run_with(&["sh"], "echo a\ncat\nrest\nof it").await;
    assert_eq!((out.as_str(), code), ("a\nrest\nof it", 0));
}

#[tokio::test(start_paused = true)]
async fn sleep_takes_its_time() {
    let before = tokio::time::Instant::now();
    prints("sleep 90; sleep 0.5s").await;
    let slept = before.elapsed();
    assert!(slept >= Duration::from_millis(90_500), "{slept:?}");
    assert_eq!(script("sleep soon").await.2, 1);
}

#[tokio::test]
async fn a_terminal_prompts_echoes_and_ends_with_control_d() {
    let mut shell = start(&["sh"], true);
    shell.see("$ ").await;
    shell.type_in("echo hj\x7fi\r").await;
    shell.see("$ echo hj\x08 \x08i\r\nhi\r\n$ ").await;
    shell.type_in("cat\r").await;
    shell.see("cat\r\n").await;
    shell.type_in("line\r").await;
    shell.see("line\r\nline\r\n").await;
    shell.type_in("\x04").await;
    shell.see("$ ").await;
    shell.type_in("nope\r").await;
    shell.see("sh: nope: not found\r\n$ ").await;
    shell.type_in("\x04").await;
    assert_eq!(shell.code.await.unwrap(), 127, "the last command's");
}

#[tokio::test]
async fn control_c_ends_the_command_and_not_the_shell() {
    let mut shell = start(&["sh"], true);
    shell.see("$ ").await;
    // Both at once: the line is gone before the shell reads it.
    shell.type_in("exit 9\r\x03").await;
    shell.see("^C\r\n$ ").await;
    shell.type_in("sleep 1000; echo no\r").await;
    shell.see("echo no\r\n").await;
    tokio::task::yield_now().await;
    shell.type_in("\x03").await;
    shell.see("^C\r\n$ ").await;
    shell.type_in("echo yes\r").await;
    shell.see("yes\r\n$ ").await;
    assert!(!shell.shown.contains("\nno"), "{:?}", shell.shown);
    shell.type_in("exit 7\r").await;
    assert_eq!(shell.code.await.unwrap(), 7);

    let mut sleep = start(&["sleep", "1000"], true);
    sleep.type_in("\x03").await;
    assert_eq!(sleep.code.await.unwrap(), 130);
}

#[tokio::test]
async fn the_terminal_has_the_size_that_the_client_tells() {
    let mut shell = start(&["sh"], true);
    shell.keyboard.resize(Size {
        width: 120,
        height: 40,
    });
    shell.type_in("stty size\r").await;
    shell.see("40 120\r\n$ ").await;
    assert_eq!(script("stty size").await.2, 1, "a pipe has none");
}
