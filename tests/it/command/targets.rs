//! Missing and unknown API servers.

use std::fs;

use tempfile::tempdir;

use super::{run, run_with_server};
use crate::support::Kubegate;

#[test]
fn the_demo_refuses_flags_that_choose_another_user() {
    for flags in [
        &["--service-account", "default/app"][..],
        &["--service-account-secret", "default/app"],
        &[
            "--openshift-username-file",
            "u",
            "--openshift-password-file",
            "p",
        ],
    ] {
        let ended = run(&[&["demo", "--port", "0"], flags].concat());
        assert_eq!(ended.code, Some(2), "{flags:?}");
        let expected = format!("leave out {}", flags[0]);
        assert!(
            ended.stderr.contains(&expected),
            "{flags:?}: {}",
            ended.stderr
        );
    }
}

#[test]
fn a_missing_server_is_reported_in_one_sentence() {
    let folder = tempdir().unwrap();
    let home = folder.path().join(".kube/config");
    let mut command = Kubegate::command(["--port", "0"]);
    command.env("HOME", folder.path());
    let ended = Kubegate::refused(command);
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), ""));
    assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
    for part in [home.to_str().unwrap(), "service account", "--server"] {
        assert!(ended.stderr.contains(part), "{}", ended.stderr);
    }
    assert_eq!(
        ended.stderr.contains("`kubegate demo`"),
        cfg!(feature = "demo"),
        "{}",
        ended.stderr
    );
    assert!(!ended.stderr.contains("8080"), "{}", ended.stderr);
}

#[test]
fn an_unknown_context_cluster_or_user_is_reported_in_one_sentence() {
    for kind in ["context", "cluster", "user"] {
        let ended = run_with_server(&["--port", "0", &format!("--{kind}"), "nope"]);
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), ""), "{kind}");
        let expected =
            format!("{kind} \"nope\", named by --{kind}, does not exist: there is no kube");
        assert!(ended.stderr.contains(&expected), "{}", ended.stderr);
    }
}

#[cfg(feature = "demo")]
#[test]
fn the_demo_refuses_flags_that_choose_another_cluster() {
    for flags in [
        &["--context", "prod"][..],
        &["--as=jane"],
        &["--server", "https://a"],
    ] {
        for args in [[&["demo"], flags].concat(), [flags, &["demo"]].concat()] {
            let ended = run(&[&args[..], &["--port=0"]].concat());
            assert_eq!(
                (ended.code, ended.stdout.as_str()),
                (Some(2), ""),
                "{args:?}"
            );
            let flag = flags[0].split('=').next().unwrap().trim_start_matches('-');
            assert!(ended.stderr.contains("of its own"), "{}", ended.stderr);
            assert!(
                ended.stderr.contains(&format!("--{flag}")),
                "{}",
                ended.stderr
            );
        }
    }
    let _control = Kubegate::start(["-v", "1", "--cache-dir=/a", "demo"]);
}

#[test]
fn an_empty_kubeconfig_chooses_no_server() {
    let folder = tempdir().unwrap();
    let config = folder.path().join("config");
    for text in ["", "{}", "apiVersion: v1\nkind: Config\n", "clusters: []\n"] {
        fs::write(&config, text).unwrap();
        let mut by_env = Kubegate::command(["--port", "0"]);
        by_env.env("KUBECONFIG", &config);
        let mut by_flag = Kubegate::command(["--port", "0", "--kubeconfig"]);
        by_flag.arg(&config);
        for command in [by_env, by_flag] {
            let ended = Kubegate::refused(command);
            assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), ""), "{text}");
            assert!(ended.stderr.contains(config.to_str().unwrap()), "{ended:?}");
            assert!(!ended.stderr.contains("choose one"), "{ended:?}");
            assert!(ended.stderr.contains("--server"), "{ended:?}");
        }
    }
}
