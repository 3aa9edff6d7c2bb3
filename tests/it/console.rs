//! Text from elsewhere never acts on the terminal or forges a line, wherever it is shown. The source
//! code is read as Rust tokens, to find every other write to the standard streams.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use serde_json::{Value, json};
use tempfile::tempdir;

use crate::{
    module_order::rust_files,
    support::{Connection, Kubegate, Upstream, cert, get},
};

/// C0, C1, a forged line, a bidirectional override and a zero-width space.
const EVIL: &str = "a\u{1b}[2J\u{9b}31m\r\nkubegate: forged\u{202e}z\u{200b}\u{7f}";

/// The control characters in a text, other than line breaks.
fn acting(text: &str) -> Vec<char> {
    let acts = |c: &char| {
        c.is_control() && *c != '\n'
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}')
    };
    text.chars().filter(acts).collect()
}

/// Fails if a text acts on a terminal or has a line of [`EVIL`].
fn assert_harmless(what: &str, text: &str) {
    assert!(acting(text).is_empty(), "{what}: {text:?}");
    let forged = text
        .lines()
        .find(|line| line.starts_with("kubegate: forged"));
    assert_eq!(forged, None, "{what}: {text}");
}

/// A kubeconfig in which each name has [`EVIL`] in it.
fn config(folder: &Path, server: &str, user: &Value) -> String {
    let config = json!({
        "current-context": format!("context-{EVIL}"),
        "contexts": [{"name": format!("context-{EVIL}"), "context": {
            "cluster": format!("cluster-{EVIL}"), "user": format!("user-{EVIL}"),
        }}],
        "clusters": [{"name": format!("cluster-{EVIL}"), "cluster": {
            "server": server, "certificate-authority": cert("ca.pem"),
        }}],
        "users": [{"name": format!("user-{EVIL}"), "user": user}],
    });
    let path = folder.join("config");
    fs::write(&path, ascii(&config)).unwrap();
    path.to_str().unwrap().to_owned()
}

/// YAML accepts control characters only as escapes.
fn ascii(value: &Value) -> String {
    let escaped = |c: char| match c {
        ' '..='~' => c.to_string(),
        c => format!("\\u{:04x}", u32::from(c)),
    };
    value.to_string().chars().map(escaped).collect()
}

#[test]
fn names_of_a_kubeconfig_are_shown_without_control_characters() {
    let home = tempdir().unwrap();
    let path = config(
        home.path(),
        "https://localhost:1",
        &json!({"token": "sesame"}),
    );
    for (arguments, finds) in [
        (&["contexts"][..], "context-a\u{fffd}[2J\u{fffd}31m"),
        (&["contexts", "-o", "name"], "context-a\u{fffd}[2J"),
        (&["contexts", "-o", "yaml"], "context-a"),
        (&["contexts", "-o", "json"], "context-a"),
    ] {
        let command = Kubegate::command([arguments, &["--kubeconfig", &path]].concat());
        let shown = Kubegate::refused(command);
        assert_eq!(shown.code, Some(0), "{shown:?}");
        assert!(shown.stdout.contains(finds), "{shown:?}");
        assert_harmless(&arguments.join(" "), &shown.stdout);
        if arguments.contains(&"json") {
            let value: Value = serde_json::from_str(&shown.stdout).unwrap();
            assert_eq!(value[0]["context"], format!("context-{EVIL}"));
        }
    }
}

#[test]
fn errors_are_one_line_without_control_characters() {
    let home = tempdir().unwrap();
    let exec = json!({"exec": {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": format!("/plugin-{EVIL}"),
        "interactiveMode": "Never",
    }});
    let path = config(home.path(), "https://localhost:1", &exec);
    let no_server = config(
        &fs::create_dir(home.path().join("b"))
            .map(|()| home.path().join("b"))
            .unwrap(),
        EVIL,
        &exec,
    );
    for arguments in [
        &["token", "--kubeconfig", &path][..],
        &["whoami", "--kubeconfig", &path],
        &["--kubeconfig", &no_server],
        &["--kubeconfig", &path, "--context", EVIL],
        &["--kubeconfig", EVIL],
        &["--server", EVIL],
        &[
            "--certificate-authority",
            EVIL,
            "--server",
            "https://localhost:1",
        ],
    ] {
        let refused = Kubegate::refused(Kubegate::command(arguments));
        assert!(matches!(refused.code, Some(1 | 2)), "{refused:?}");
        assert_harmless(&format!("{arguments:?}"), &refused.stderr);
        let errors = refused
            .stderr
            .lines()
            .filter(|line| line.starts_with("kubegate: "));
        assert_eq!(errors.count(), 1, "{refused:?}");
    }
}

#[test]
fn usage_errors_repeat_arguments_without_control_characters() {
    for arguments in [
        &[EVIL][..],
        &["--port", EVIL],
        &["contexts", "-o", EVIL],
        &[&format!("--{EVIL}")],
    ] {
        for force in ["0", "1"] {
            let mut command = Kubegate::command(arguments);
            command.env("CLICOLOR_FORCE", force);
            let refused = Kubegate::refused(command);
            assert_eq!(refused.code, Some(2), "{refused:?}");
            assert!(acting(&refused.stderr).is_empty(), "{refused:?}");
            assert!(refused.stderr.contains("error: "), "{refused:?}");
        }
    }
    // The control: our own colours appear only if they are requested.
    for (variable, is_coloured) in [("CLICOLOR_FORCE", true), ("NO_COLOR", false)] {
        let mut command = Kubegate::command(["--prot", "1"]);
        command.env(variable, "1");
        let refused = Kubegate::refused(command);
        assert_eq!(
            refused.stderr.contains('\u{1b}'),
            is_coloured,
            "{refused:?}"
        );
    }
}

#[tokio::test]
async fn the_log_and_responses_have_no_foreign_control_characters() {
    let upstream = Upstream::tls("localhost", Connection::echo).await;
    let home = tempdir().unwrap();
    let plugin = home.path().join("plugin");
    let script = format!("#!/bin/sh\ncat >&2 <<'E'\n{EVIL}\nE\nexit 1\n");
    fs::write(&plugin, script).unwrap();
    fs::set_permissions(&plugin, fs::Permissions::from_mode(0o755)).unwrap();
    let exec = json!({"exec": {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": plugin,
        "interactiveMode": "Never",
    }});
    let path = config(home.path(), &upstream.url(), &exec);
    let kubegate = Kubegate::start(["--kubeconfig", &path]);
    let response = get(&kubegate.address, "/x").await;
    let (_, body) = response.split_once("\r\n\r\n").unwrap();
    let status: Value = serde_json::from_str(body).unwrap();
    let message = status["message"].as_str().unwrap();
    assert!(
        message.contains("user-a\u{fffd}[2J") || message.contains("forged"),
        "{message}"
    );
    assert_eq!(message.lines().count(), 1, "{message}");
    assert_harmless("a Status", message);
    assert_harmless("a Status", body);
    assert_harmless("the log", &kubegate.log());
    assert!(kubegate.log().contains("forged"), "{}", kubegate.log());
}

#[test]
fn only_the_console_writes_to_the_standard_streams() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    rust_files(&source, &mut files);
    let mut writers = Vec::new();
    for file in &files {
        let tokens: TokenStream = fs::read_to_string(file).unwrap().parse().unwrap();
        let name = file.strip_prefix(&source).unwrap().to_str().unwrap();
        if writes(tokens) {
            writers.push(name.to_owned());
        }
    }
    assert_eq!(writers, ["console.rs"]);
}

#[test]
fn text_is_made_printable_in_one_place() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    rust_files(&source, &mut files);
    let judge: Vec<String> = files
        .iter()
        .filter(|file| fs::read_to_string(file).unwrap().contains("is_control"))
        .map(|file| {
            file.strip_prefix(&source)
                .unwrap()
                .to_str()
                .unwrap()
                .to_owned()
        })
        .filter(|name| !name.ends_with("tests.rs"))
        .collect();
    // `settings_report` writes the value of a setting as TOML, which escapes control characters. The other
    // modules check text that is typed or read as a secret, and do not show it.
    let mut known = [
        "cli/settings_report.rs",
        "credential/sources/ibm_iam/api_key.rs",
        "credential/secret_file.rs",
        "login/terminal.rs",
        "printable.rs",
        "settings/path_prefix.rs",
        "telemetry/line.rs",
    ];
    known.sort_unstable();
    let mut judge = judge;
    judge.sort();
    assert_eq!(judge, known);
}

#[test]
fn every_form_of_write_to_a_standard_stream_is_caught() {
    for source in [
        "fn f() { println!() }",
        "fn f() { std::eprintln!(\"{x}\") }",
        "fn f() { print ! (\"\") }",
        "fn f() { dbg!(x) }",
        "use std::io::stderr; fn f() { g(stderr()) }",
        "fn f() { g(std::io::stdout) }",
        "fn f() { let _ = writeln!(io::stderr(), \"\"); }",
        "fn f() { File::create(\"/dev/stderr\") }",
    ] {
        assert!(writes(source.parse().unwrap()), "{source}");
    }
    for source in [
        "fn f() { command.stdout(Stdio::piped()).stderr(Stdio::null()) }",
        "fn f() { let Output { stdout, stderr } = output; console::print(stdout) } // println!()",
        "const HELP: &str = \"print! to stdout()\"; fn print(text: &str) { output::print(text) }",
        "#[cfg(test)] mod tests { fn f() { println!() } }",
    ] {
        assert!(!writes(source.parse().unwrap()), "{source}");
    }
}

/// Whether tokens contain a macro or a function that writes to a standard stream.
fn writes(tokens: TokenStream) -> bool {
    const MACROS: [&str; 5] = ["print", "println", "eprint", "eprintln", "dbg"];
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let punct = |at: usize| match tokens.get(at) {
        Some(TokenTree::Punct(punct)) => Some(punct.as_char()),
        _ => None,
    };
    tokens.iter().enumerate().any(|(at, token)| match token {
        TokenTree::Ident(name) => {
            let before = at.checked_sub(1).and_then(punct);
            let is_call = matches!(tokens.get(at + 1), Some(TokenTree::Group(group))
                if group.delimiter() == Delimiter::Parenthesis && group.stream().is_empty());
            let name = name.to_string();
            (MACROS.contains(&&*name) && punct(at + 1) == Some('!')
                && matches!(tokens.get(at + 2), Some(TokenTree::Group(_))))
                || (["stdout", "stderr"].contains(&&*name)
                    && (before == Some(':') && punct(at + 1) != Some(':')
                        || is_call && before != Some('.')))
        }
        TokenTree::Literal(text) => text.to_string().starts_with("\"/dev/std"),
        TokenTree::Group(group) => {
            let is_test = matches!(at.checked_sub(2).map(|at| &tokens[at]), Some(TokenTree::Ident(name)) if name == "mod")
                && matches!(&tokens[at - 1], TokenTree::Ident(name) if name == "tests");
            !is_test && writes(group.stream())
        }
        TokenTree::Punct(_) => false,
    })
}
