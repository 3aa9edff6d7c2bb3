//! Help, version and completion scripts.

use std::{fs, process::Stdio};

use serde_json::Value;
use tempfile::tempdir;

use super::{flags::GLOBAL_FLAGS, printed, run};
use crate::support::Kubegate;

#[test]
fn version_and_help_are_printed_on_stdout() {
    let version = concat!("kubegate ", env!("CARGO_PKG_VERSION"), "\n");
    assert_eq!(printed(80, &["--version"]), version);
    for (args, parts) in [
        (
            &["--help"][..],
            &["--context <NAME>", "[default: 8001]"][..],
        ),
        (&["help"], &["--context <NAME>"]),
        (
            &["proxy", "--help"],
            &["curl http://", "--reject-paths", "--upstream-max-age"],
        ),
        (&["help", "proxy"], &["--upstream-max-age"]),
        (&["help", "login", "openshift"], &["--web"]),
    ] {
        let help = printed(80, args);
        for part in [&["Examples:", "Exit codes: 0 "], parts].concat() {
            assert!(help.contains(part), "{args:?}: no {part:?} in {help}");
        }
    }
}

#[test]
fn the_help_of_the_program_fits_a_screen() {
    let (long, short) = (printed(80, &["--help"]), printed(80, &["-h"]));
    let lines = |help: &str| help.lines().count();
    assert!(
        (24..=40).contains(&lines(&long)),
        "{} lines: {long}",
        lines(&long)
    );
    assert!(
        lines(&short) < lines(&long),
        "{} lines: {short}",
        lines(&short)
    );
    for help in [&long, &short] {
        assert!(
            help.lines().all(|line| line.chars().count() <= 80),
            "{help}"
        );
        for part in [
            "`kubegate options`",
            "`kubegate proxy --help`",
            "Usage: kubegate",
        ] {
            assert!(help.contains(part), "no {part:?} in {help}");
        }
    }
    assert!(!short.contains("Examples:"), "{short}");
    // On a narrow terminal it is longer, and complete.
    assert!(printed(20, &["--help"]).contains("--context"));
}

#[test]
fn options_lists_the_flags_for_cluster_and_user() {
    let options = printed(80, &["options"]);
    for line in options.lines() {
        assert!(line.chars().count() <= 80, "{line}");
    }
    for flag in GLOBAL_FLAGS
        .iter()
        .map(|words| words[0].split('=').next().unwrap())
    {
        let is_there = options
            .split([' ', ',', '[', '\n'])
            .any(|word| word == flag);
        assert!(is_there || flag.starts_with("-v"), "{flag}: {options}");
    }
    for args in [
        "proxy",
        "whoami",
        "login oidc",
        "registry add",
        "demo",
        "credential ibm",
    ] {
        if args == "demo" && cfg!(not(feature = "demo")) {
            continue;
        }
        for help in ["--help", "-h"] {
            let words: Vec<&str> = args.split(' ').chain([help]).collect();
            let help = printed(80, &words);
            assert!(!help.contains("--as-user-extra"), "{args}: {help}");
            assert_eq!(help.contains("options`"), args != "demo", "{args}: {help}");
        }
    }
    // A command's own flag of the same name is shown.
    assert!(printed(80, &["login", "ibm", "--help"]).contains("--cluster <NAME>"));
}

#[test]
fn version_has_the_format_of_kubectl() {
    let version = env!("CARGO_PKG_VERSION");
    let output = format!("Client Version: v{version}\n");
    assert_eq!(printed(80, &["version"]), output);
    assert_eq!(printed(80, &["version", "--client"]), output);
    let json: Value = serde_json::from_str(&printed(80, &["version", "-o", "json"])).unwrap();
    let client = &json["clientVersion"];
    assert_eq!(client["gitVersion"], format!("v{version}"));
    assert_eq!(client["major"], env!("CARGO_PKG_VERSION_MAJOR"));
    assert!(
        client["platform"].as_str().unwrap().starts_with("linux/"),
        "{json}"
    );
    let yaml = printed(80, &["version", "--output=yaml"]);
    assert!(
        yaml.contains(&format!("\n  gitVersion: v{version}\n")),
        "{yaml}"
    );
    assert_eq!(run(&["version", "-o", "xml"]).code, Some(2));
}

#[test]
fn the_help_of_every_command_has_examples_and_exit_codes() {
    for command in [
        "",
        "proxy",
        "demo",
        "login",
        "login openshift",
        "login ibm",
        "login oidc",
        "logout",
        "whoami",
        "token",
        "contexts",
        "registry",
        "registry add",
        "registry list",
        "registry remove",
        "docker-credential",
        "completions",
        "options",
        "version",
    ] {
        let words = command.split_whitespace().chain(["--help"]);
        let help = Kubegate::command(words).output().unwrap();
        let help = String::from_utf8(help.stdout).unwrap();
        for part in ["Usage: kubegate", "Examples:", "Exit codes: 0 ", " 2 "] {
            let help = help.replace('\n', " ");
            assert!(help.contains(part), "{command:?}: no {part:?} in {help}");
        }
    }
}

#[test]
fn every_shell_has_a_completion_script() {
    for (shell, sign) in [
        ("bash", "complete -F"),
        ("zsh", "#compdef kubegate"),
        ("fish", "complete --command kubegate"),
        ("powershell", "Register-ArgumentCompleter"),
    ] {
        let made = Kubegate::command(["completions", shell]).output().unwrap();
        assert!(made.status.success(), "{shell}");
        let script = String::from_utf8(made.stdout).unwrap();
        assert!(script.contains(sign), "{shell}: {script}");
        if shell == "bash" {
            assert!(parses_in_bash(&script));
        }
        if shell == "powershell" {
            assert!(script.contains("reject-paths"), "{script}");
        }
    }
    assert!(!parses_in_bash("if"), "bash -n finds no fault at all");
    assert_eq!(run(&["completions", "tcsh"]).code, Some(2));
}

fn parses_in_bash(script: &str) -> bool {
    let folder = tempdir().unwrap();
    let path = folder.path().join("script");
    fs::write(&path, script).unwrap();
    let mut bash = std::process::Command::new("bash");
    let checked = bash.arg("-n").arg(path).stderr(Stdio::null()).status();
    checked.unwrap().success()
}
