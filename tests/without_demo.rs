//! A build without the feature `demo` names the demo nowhere: in no help, completion or error.
//!
//! `cargo test --no-default-features --test without_demo`; empty in a build that has the demo.
#![cfg(not(feature = "demo"))]
#![allow(missing_docs, clippy::unwrap_used)]

use std::process::Command;

/// What the program prints for these arguments, on both streams. It finds no kubeconfig.
fn printed(arguments: &[&str]) -> String {
    output(kubegate().args(arguments))
}

fn kubegate() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kubegate"));
    command.env_clear().env("HOME", "/nonexistent");
    command
}

fn output(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let (stdout, stderr) = (output.stdout, output.stderr);
    String::from_utf8([stdout, stderr].concat()).unwrap()
}

/// The help of a command and of all commands below it.
fn help(command: &[&str], texts: &mut Vec<String>) {
    texts.push(printed(&[command, &["-h"]].concat()));
    let text = printed(&[command, &["--help"]].concat());
    let listed = text.split_once("\nCommands:\n");
    let listed = listed.map_or("", |(_, list)| list.split("\n\n").next().unwrap());
    for line in listed.lines() {
        // A command is indented by two spaces; a longer description by more.
        let name = line.strip_prefix("  ").unwrap_or_default();
        let name = name.split(' ').next().unwrap();
        if !name.is_empty() && name != "help" {
            help(&[command, &[name]].concat(), texts);
        }
    }
    texts.push(text);
}

#[test]
fn nothing_that_a_build_without_the_demo_prints_names_it() {
    let mut texts = vec![
        printed(&["options"]),
        printed(&["completions", "bash"]),
        printed(&["--port=0"]),
        // What a shell asks for to complete a command's name.
        output(
            kubegate()
                .args(["--", "kubegate", ""])
                .env("KUBEGATE_COMPLETE", "fish"),
        ),
    ];
    help(&[], &mut texts);
    // Hidden, since programs run it.
    help(&["credential", "ibm"], &mut texts);
    let all = texts.concat();
    for part in [
        "Usage: kubegate login openshift",
        "Usage: kubegate registry add",
        "no API server",
    ] {
        assert!(all.contains(part), "no text has {part:?}");
    }
    let named: Vec<&str> = all
        .lines()
        .filter(|line| line.to_lowercase().contains("demo"))
        .collect();
    assert!(named.is_empty(), "{}", named.join("\n"));
}
