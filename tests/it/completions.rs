//! What shells offer behind `kubegate`: the answers of the compiled program to its own scripts.

use std::{
    ffi::OsStr,
    fs,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tempfile::{TempDir, tempdir};

use crate::support::Kubegate;

/// Bash's own word breaks.
const BREAKS: &str = " \t\n\"'><=;|&(:";

/// Names that a shell reads as something else, or that readline breaks.
const ODD: [&str; 9] = [
    "default/api-ocp-example:6443/jane",
    "größe",
    "it's",
    "two words",
    "$(touch ran)",
    "*",
    "a\\b",
    "a=b",
    "quote\"d",
];

/// Names that act on a terminal or forge a line.
const HARMFUL: [&str; 3] = ["line\nbreak", "esc\u{1b}[2J", "bidi\u{202e}"];

struct Home(TempDir);

impl Home {
    fn new() -> Self {
        Self(tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes a kubeconfig with these contexts, a cluster `NAME-c` and a user `NAME-u` for each.
    fn write(&self, file: &str, contexts: &[&str]) {
        let section = |kind: &str, end: &str| {
            let entry = |name: &&str| json!({"name": format!("{name}{end}"), kind: {}});
            contexts.iter().map(entry).collect::<Value>()
        };
        let config = json!({
            "contexts": section("context", ""),
            "clusters": section("cluster", "-c"),
            "users": section("user", "-u"),
        });
        let path = self.path(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, config.to_string()).unwrap();
    }

    /// The program as a script calls it.
    fn asked_by(&self, shell: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kubegate"));
        command
            .env_clear()
            .env("HOME", self.0.path())
            .env("KUBEGATE_COMPLETE", shell)
            .env("KUBEGATE_COMPLETE_BREAKS", BREAKS)
            .current_dir(self.0.path())
            .arg("--");
        command
    }

    /// What bash puts behind its last word break, with the cursor at the end of `line`.
    fn in_bash(&self, line: &str) -> Vec<String> {
        let mut command = self.asked_by("bash");
        command.args([line, line]);
        lines(command)
    }

    fn in_zsh(&self, words: &[&str]) -> Vec<String> {
        let mut command = self.asked_by("zsh");
        let index = words.len() - 1;
        command.env("KUBEGATE_COMPLETE_INDEX", index.to_string());
        command.args(words);
        lines(command)
    }

    fn in_fish(&self, words: &[&str]) -> Vec<String> {
        let mut command = self.asked_by("fish");
        command.args(words);
        lines(command)
    }
}

/// What a command prints that goes well and is silent otherwise.
fn lines(mut command: Command) -> Vec<String> {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {output:?}");
    assert!(output.stderr.is_empty(), "{command:?}: {output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(str::to_owned).collect()
}

/// A word as bash itself reads it.
fn read_by_bash(word: &str) -> String {
    let mut bash = Command::new("bash");
    bash.args(["-c", &format!("printf %s {word}")]).env_clear();
    let output = bash.output().unwrap();
    assert!(output.status.success(), "{word}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn sorted(names: &[&str]) -> Vec<String> {
    let mut names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    names.sort_unstable();
    names
}

#[test]
fn names_are_quoted_for_their_shell() {
    let home = Home::new();
    home.write(".kube/config", &[&ODD[..], &HARMFUL].concat());
    for (flag, end) in [("--context", ""), ("--cluster", "-c"), ("--user", "-u")] {
        let names: Vec<String> = ODD.iter().map(|name| format!("{name}{end}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let names = sorted(&names);
        for line in [
            format!("kubegate {flag} "),
            format!("kubegate proxy {flag} "),
            format!("kubegate whoami {flag}="),
        ] {
            let offered = home.in_bash(&line);
            let read: Vec<String> = offered.iter().map(|word| read_by_bash(word)).collect();
            assert_eq!(read, names, "{line}: {offered:?}");
        }
        assert_eq!(home.in_fish(&["kubegate", flag, ""]), names);
        let escaped = names
            .iter()
            .map(|name| name.replace('\\', r"\\").replace(':', r"\:"));
        let offered = home.in_zsh(&["kubegate", "registry", "add", flag, ""]);
        assert_eq!(offered, escaped.collect::<Vec<_>>());
    }
    assert!(!home.path("ran").exists());
}

#[test]
fn the_typed_part_is_kept() {
    let home = Home::new();
    home.write(".kube/config", &ODD);
    for (line, offered) in [
        (
            "kubegate --context default/api",
            &["default/api-ocp-example:6443/jane"][..],
        ),
        (
            "kubegate --context default/api-ocp-example:64",
            &["6443/jane"],
        ),
        (
            "kubegate --context=default/api-ocp-example:",
            &["6443/jane"],
        ),
        (r"kubegate --context two\ w", &[r"two\ words"]),
        ("kubegate --context 'two w", &["two words"]),
        ("kubegate --context \"quote", &["quote\\\"d"]),
        ("kubegate --context it", &[r"it\'s"]),
        ("kubegate --context none", &[]),
        ("kubegate whoa", &["whoami"]),
        ("kubegate proxy --reject-p", &["--reject-paths"]),
        ("kubegate completions zs", &["zsh"]),
    ] {
        assert_eq!(home.in_bash(line), offered, "{line}");
    }
    let fish = home.in_fish(&["kubegate", "--context", r"two\ w"]);
    assert_eq!(fish, ["two words"]);
    let zsh = home.in_zsh(&["kubegate", "--context=two w"]);
    assert_eq!(zsh, ["--context=two words"]);
    // A cluster of IBM Cloud is none of the kubeconfig.
    assert!(home.in_bash("kubegate login ibm --cluster ").is_empty());
}

#[test]
fn names_come_from_the_kubeconfig_of_the_line() {
    let home = Home::new();
    home.write(".kube/config", &["default"]);
    home.write("one", &["one"]);
    home.write("two words", &["two"]);
    for (line, name) in [
        ("kubegate --context ", "default"),
        ("kubegate --kubeconfig one --context ", "one"),
        ("kubegate --kubeconfig=one --context ", "one"),
        ("kubegate --kubeconfig ~/one --context ", "one"),
        ("kubegate --kubeconfig $HOME/one --context ", "one"),
        ("kubegate --kubeconfig 'two words' --context ", "two"),
        (
            "kubegate --kubeconfig one --kubeconfig two\\ words --context ",
            "two",
        ),
        ("kubegate --kubeconfig '' --context ", "default"),
    ] {
        assert_eq!(home.in_bash(line), [name], "{line}");
    }
    // Behind the cursor it counts too.
    let mut command = home.asked_by("bash");
    let head = "kubegate --context ";
    command.args([head.to_owned(), format!("{head} --kubeconfig one")]);
    assert_eq!(lines(command), ["one"]);
    // KUBECONFIG is a list, of which one file is missing and one is broken.
    fs::write(home.path("broken"), "contexts: {").unwrap();
    let mut command = home.asked_by("bash");
    command.env("KUBECONFIG", "one:missing:broken:two words");
    command.args([head, head]);
    assert_eq!(lines(command), ["one", "two"]);
}

#[test]
fn completion_runs_nothing_and_hides_errors() {
    let home = Home::new();
    let plugin = json!({"exec": {"apiVersion": "client.authentication.k8s.io/v1",
        "command": "touch", "args": ["ran"], "interactiveMode": "Never"}});
    let config = json!({
        "current-context": "a",
        "contexts": [{"name": "a", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": "https://192.0.2.1"}}],
        "users": [{"name": "u", "user": plugin}],
    });
    fs::write(home.path("config"), config.to_string()).unwrap();
    let mkfifo = Command::new("mkfifo").arg(home.path("pipe")).status();
    assert!(mkfifo.unwrap().success());
    fs::write(home.path("broken"), "\u{0}").unwrap();
    let started = Instant::now();
    for (file, names) in [
        ("config", &["a"][..]),
        ("pipe", &[]),
        ("broken", &[]),
        ("missing", &[]),
        ("/dev/stdin", &[]),
    ] {
        let line = format!("kubegate --kubeconfig {file} --context ");
        assert_eq!(home.in_bash(&line), names, "{file}");
    }
    assert!(started.elapsed() < Duration::from_secs(5));
    assert!(!home.path("ran").exists());
    // A shell that is not known, and a question that is none.
    for shell in ["tcsh", "bash", "zsh"] {
        let output = home.asked_by(shell).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{shell}: {output:?}");
        assert!(output.stdout.is_empty() && output.stderr.is_empty());
    }
}

#[test]
fn an_empty_shell_in_the_environment_means_no_completion() {
    let version = Command::new(env!("CARGO_BIN_EXE_kubegate"))
        .env("KUBEGATE_COMPLETE", "")
        .arg("version")
        .output()
        .unwrap();
    assert!(version.status.success(), "{version:?}");
    assert!(!version.stdout.is_empty(), "{version:?}");
}

#[test]
fn no_value_of_the_environment_makes_completion_panic() {
    let home = Home::new();
    let not_utf8 = OsStr::from_bytes(b"\xff");
    let line = ["kubegate", "--context", ""];
    // The word after the last one is the one that zsh leaves out.
    for (index, code) in [
        ("0", 1),
        ("2", 0),
        ("3", 0),
        ("4", 1),
        ("18446744073709551614", 1),
        ("18446744073709551615", 1),
        ("18446744073709551616", 1),
        ("-1", 1),
        ("1.5", 1),
        ("x", 1),
        ("", 1),
    ] {
        for words in [&line[..], &[]] {
            let mut command = home.asked_by("zsh");
            command.env("KUBEGATE_COMPLETE_INDEX", index).args(words);
            let output = command.output().unwrap();
            let code = if words.is_empty() { 1 } else { code };
            assert_eq!(output.status.code(), Some(code), "{index}: {output:?}");
            assert!(output.stderr.is_empty(), "{index}: {output:?}");
        }
    }
    for (shell, words) in [
        ("bash", &["kubegate --context ", "kubegate --context "][..]),
        ("bash", &["", ""]),
        ("zsh", &line),
        ("fish", &line),
        ("fish", &[""]),
    ] {
        for variable in [
            "HOME",
            "KUBECONFIG",
            "KUBEGATE_COMPLETE",
            "KUBEGATE_COMPLETE_BREAKS",
            "KUBEGATE_COMPLETE_INDEX",
        ] {
            for value in [not_utf8, OsStr::new("")] {
                let mut command = home.asked_by(shell);
                command.env("KUBEGATE_COMPLETE_INDEX", "2").args(words);
                command.env(variable, value);
                let output = command.output().unwrap();
                // 2 with an empty shell, for which the words are a wrong command line.
                let code = output.status.code();
                let stderr = String::from_utf8_lossy(&output.stderr);
                assert!(
                    matches!(code, Some(0..=2)),
                    "{variable} {value:?}: {stderr}"
                );
                assert!(
                    !stderr.contains("panicked"),
                    "{variable} {value:?}: {stderr}"
                );
            }
        }
    }
}

#[test]
fn the_demo_is_completed_only_if_it_is_built_in() {
    let home = Home::new();
    let commands = home.in_bash("kubegate ");
    for command in ["proxy", "login", "whoami", "completions"] {
        assert!(commands.iter().any(|one| one == command), "{commands:?}");
    }
    let has_demo = commands.iter().any(|one| one == "demo");
    assert_eq!(has_demo, cfg!(feature = "demo"), "{commands:?}");
    if !has_demo {
        let all = [commands, home.in_fish(&["kubegate", ""])]
            .concat()
            .concat();
        assert!(!all.contains("demo"), "{all}");
    }
    let zsh = home.in_zsh(&["kubegate", "whoa"]);
    assert!(zsh[0].starts_with("whoami:"), "{zsh:?}");
    let fish = home.in_fish(&["kubegate", "whoa"]);
    assert!(fish[0].starts_with("whoami\t"), "{fish:?}");
}

/// Completes a line in a real bash that has read the script.
fn in_real_bash(home: &Path, line: &str) -> Vec<String> {
    let script = Kubegate::command(["completions", "bash"]).output().unwrap();
    let script = String::from_utf8(script.stdout).unwrap();
    // As readline would: the function's arguments are not used.
    let program = "eval \"$1\"\nCOMP_LINE=$2 COMP_POINT=${#2}\n_kubegate\nprintf '%s\\n' \"${COMPREPLY[@]}\"\n\
         complete -p kubegate >&2".to_string();
    let mut bash = Command::new("bash");
    bash.args(["-c", &program, "bash", &script, line])
        .env_clear()
        .env("HOME", home)
        .env("PATH", std::env::var_os("PATH").unwrap())
        .current_dir(home);
    let output = bash.output().unwrap();
    assert!(output.status.success(), "{line}: {output:?}");
    let registered = String::from_utf8(output.stderr).unwrap();
    assert!(registered.contains("-F _kubegate kubegate"), "{registered}");
    let text = String::from_utf8(output.stdout).unwrap();
    let lines = text.lines().filter(|line| !line.is_empty());
    lines.map(str::to_owned).collect()
}

#[test]
fn a_real_bash_completes_with_the_script() {
    let home = Home::new();
    home.write(".kube/config", &[&ODD[..], &HARMFUL].concat());
    home.write("other", &["elsewhere"]);
    let complete = |line| in_real_bash(home.0.path(), line);
    let all = complete("kubegate --context ");
    let read: Vec<String> = all.iter().map(|word| read_by_bash(word)).collect();
    assert_eq!(read, sorted(&ODD));
    assert_eq!(
        complete("kubegate --context default/api-ocp-example:64"),
        ["6443/jane"]
    );
    assert_eq!(
        complete("kubegate --kubeconfig other --user els"),
        ["elsewhere-u"]
    );
    assert_eq!(complete("kubegate --kubeconfig oth"), ["other"]);
    assert!(complete("kubegate --context none").is_empty());
    assert!(!home.path("ran").exists());
}
