#![allow(clippy::unwrap_used)]

use clap::Command;

use super::*;
use crate::cli::parse::{program, read};

fn line(words: &[&str]) -> Vec<OsString> {
    let words = ["kubegate"].iter().chain(words);
    words.map(OsString::from).collect()
}

fn said(words: &[&str]) -> String {
    read(&line(words)).unwrap_err().to_string()
}

/// The boolean flags of a command and those below it, each behind the words that lead to it.
fn booleans(command: &Command, path: &[String]) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for arg in command.get_arguments().filter(|arg| is_boolean(arg)) {
        let long = arg.get_long().map(|long| format!("--{long}"));
        let short = arg.get_short().map(|short| format!("-{short}"));
        found.extend([long, short].into_iter().flatten().map(|flag| {
            let mut words = path.to_vec();
            words.push(flag);
            words
        }));
    }
    for command in command.get_subcommands() {
        let mut path = path.to_vec();
        path.push(command.get_name().to_owned());
        found.extend(booleans(command, &path));
    }
    found
}

#[test]
fn every_boolean_flag_says_that_its_value_follows_an_equals_sign() {
    let all = booleans(&program(), &[]);
    for words in &all {
        let flag = words.last().unwrap();
        for (value, meant) in [
            ("true", "true"),
            ("false", "false"),
            ("yes", "true"),
            ("No", "false"),
            ("1", "true"),
            ("off", "false"),
        ] {
            let words: Vec<&str> = words.iter().map(String::as_str).chain([value]).collect();
            let said = said(&words);
            let hint = format!("{flag}={meant}");
            assert!(said.contains(&hint), "{words:?}: {said}");
        }
    }
    for flag in [
        "--read-only",
        "--web",
        "-t",
        "--disable-compression",
        "--keyring",
    ] {
        assert!(
            all.iter().any(|words| words.last().unwrap() == flag),
            "{flag}"
        );
    }
}

#[test]
fn every_boolean_flag_takes_the_values_that_go_takes() {
    for (flag, words) in [
        ("--read-only", &["proxy"][..]),
        ("--read-only", &[]),
        ("--show-token", &["whoami"]),
        ("-t", &["whoami"]),
        ("--web", &["login", "openshift"]),
        ("--sso", &["login", "ibm"]),
        ("--keyring", &["login", "oidc"]),
        ("--insecure-skip-tls-verify", &["token"]),
    ] {
        for value in ["", "=true", "=false", "=1", "=F"] {
            let flag = format!("{flag}{value}");
            let words = [words, &[&*flag]].concat();
            assert!(read(&line(&words)).is_ok(), "{words:?}");
        }
        let flag = format!("{flag}=yes");
        assert!(said(&[words, &[&*flag]].concat()).contains("true or false"));
    }
    // Their defaults stay.
    let defaults = read(&line(&["proxy"])).unwrap();
    let Some(crate::cli::arguments::Command::Proxy(flags)) = defaults.command else {
        panic!("{defaults:?}");
    };
    assert!(flags.append_server_path && !flags.read_only);
    // What follows may be a word of its own.
    let web = line(&["login", "openshift", "--web", "https://api.example"]);
    assert!(read(&web).is_ok());
}

#[test]
fn what_a_line_may_have_meant_is_said() {
    for (words, hint) in [
        (&["port", "8001"][..], "--port 8001"),
        (&["port=8001"], "--port=8001"),
        (&["8001"], "--port 8001"),
        (&[":8001"], "--port 8001"),
        (&["localhost:8001"], "--port 8001"),
        (&["0.0.0.0:8001"], "--address 0.0.0.0 --port 8001"),
        (&["proxy", "8001"], "--port 8001"),
        (&["proxy", "port", "8001"], "--port 8001"),
        (&["--context", "prod", "port", "8001"], "--port 8001"),
        (&["context", "prod"], "--context prod"),
        (&["context", "two words"], "--context 'two words'"),
        (&["context"], "`kubegate contexts`"),
        (&["namespace", "kube-system"], "--namespace kube-system"),
        (&["read-only"], "write --read-only\n"),
        (&["read-only", "true"], "write --read-only\n"),
        (&["read-only=true"], "--read-only=true"),
        (&["kubeconfig", "a.yaml"], "--kubeconfig a.yaml"),
        (&["~/.kube/config"], "--kubeconfig '~/.kube/config'"),
        (&["staging.yaml"], "--kubeconfig staging.yaml"),
        (
            &["https://api.example:6443"],
            "--server https://api.example:6443",
        ),
        (&["api.example:6443"], "--server api.example:6443"),
        (
            &["get", "pods"],
            "kubectl -s http://localhost:8001 get pods\n",
        ),
        (
            &["get", "pods", "-o", "jsonpath={.items[0]}"],
            "kubectl -s http://localhost:8001 get pods -o 'jsonpath={.items[0]}'\n",
        ),
        (
            &["-n", "a", "logs", "-f", "x"],
            "kubectl -s http://localhost:8001 logs -f x\n",
        ),
        (
            &["config", "use-context", "a"],
            "kubectl config use-context a\n",
        ),
        (
            &["run", "hello", "--image=x"],
            "kubectl -s http://localhost:8001 run hello --image=x\n",
        ),
        (&["run"], "`kubegate proxy`"),
        (&["serve"], "`kubegate proxy`"),
        (&["ls"], "`kubegate contexts`"),
        (&["my-cluster"], "kubegate --context my-cluster"),
        (&["-context", "prod"], "two dashes: --context\n"),
        (&["-port=8002"], "two dashes: --port=8002\n"),
        (&["contxts"], "'contexts'"),
        (&["--red-only"], "'--read-only'"),
    ] {
        let said = said(words);
        assert!(said.contains(hint), "{words:?}: {said}");
    }
    // Nothing is made up where nothing is known.
    for words in [
        &["whoami", "--nonsense"][..],
        &["completions", "tcsh"],
        &["registry", "port"],
        &["logout", "get"],
    ] {
        let said = said(words);
        assert!(
            !said.contains("write --") && !said.contains("kubectl"),
            "{words:?}: {said}"
        );
    }
}

#[test]
fn what_is_repeated_of_a_line_cannot_act_on_a_terminal() {
    for words in [
        &["\u{1b}[2J"][..],
        &["port", "\u{1b}[2J"],
        &["get", "\u{1b}[2J"],
        &["http://\u{1b}[2J"],
        &["-context=\u{1b}[2J"],
    ] {
        assert!(!said(words).contains('\u{1b}'), "{words:?}");
    }
    assert!(said(&["get", "pods"]).contains("get pods"));
}

#[test]
fn what_may_be_a_secret_is_not_repeated() {
    for (words, part) in [
        (&["password", "hunter2"][..], "write --password ...\n"),
        (&["password=hunter2"], "write --password ...\n"),
        (&["token", "hunter2"], "'...'"),
        (&["-password=hunter2"], "two dashes: --password=...\n"),
        (&["-token=hunter2", "x"], "two dashes: --token=...\n"),
        (&["pasword=1", "oidc-client-secret=hunter2"], "pasword=1"),
        (&["my-password=hunter2"], "my-password=..."),
        (&["--password", "correct", "hunter2"], "'...'"),
        (&["--token=correct", "hunter2"], "'...'"),
        (
            &["https://jane:hunter2@api.example:6443/x"],
            "--server https://...@api.example:6443/x",
        ),
        (
            &["get", "pods", "--token=hunter2", "-v=9"],
            "get pods --token=... -v=9\n",
        ),
        (
            &["config", "set-credentials", "jane", "--password", "hunter2"],
            "set-credentials jane --password ...\n",
        ),
        (
            &[
                "create",
                "secret",
                "generic",
                "x",
                "--from-literal=a=hunter2",
            ],
            "generic x --from-literal=...\n",
        ),
        (
            &[
                "login",
                "oidc",
                "--oidc-auth-request-extra-params",
                "hunter2",
            ],
            "give KEY=VALUE",
        ),
        (
            &[
                "login",
                "oidc",
                "--oidc-auth-request-extra-params=state=hunter2",
            ],
            "state is set by kubegate itself",
        ),
        (&["login", "oidc", "--pasword=hunter2"], "--pasword"),
        (
            &["login", "oidc", "--oidc-client-secret", "a", "hunter2"],
            "'...'",
        ),
    ] {
        let said = said(words);
        assert!(said.contains(part), "{words:?}: {said}");
        assert!(!said.contains("hunter2"), "{words:?}: {said}");
    }
    // Other values are shown.
    for words in [
        &["proxy", "--port", "hunter2"][..],
        &["oidc-client-secret-file", "hunter2"],
    ] {
        assert!(said(words).contains("hunter2"), "{words:?}");
    }
}
