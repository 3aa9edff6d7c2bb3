//! `exec` entries that run kubegate: ones that lead back to themselves end, and those of a login work
//! in every client.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use serde_json::{Value, json};

use crate::{
    credentials::{Home, prints},
    support::Kubegate,
};

const BINARY: &str = env!("CARGO_BIN_EXE_kubegate");

/// An `exec` entry that counts its runs in `spawns` of `home`, and then runs kubegate for a context.
fn runs_kubegate_for(home: &Home, context: &str, config: &Path) -> Value {
    let name = format!("plugin-{context}");
    let folder = home.path("").display().to_string();
    let text = format!(
        "#!/bin/sh\necho x >>'{folder}/spawns'\n\
         exec '{BINARY}' token --kubeconfig '{}' --context {context} -o exec-credential\n",
        config.display()
    );
    fs::write(home.path(&name), text).unwrap();
    let mode = fs::Permissions::from_mode(0o755);
    fs::set_permissions(home.path(&name), mode).unwrap();
    exec(&home.path(&name))
}

fn exec(command: &Path) -> Value {
    json!({"exec": {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": command,
        "interactiveMode": "Never",
    }})
}

/// Writes a kubeconfig with one context, cluster and user of each name.
fn write(config: &Path, users: &[(&str, Value)]) {
    let names = || users.iter().map(|(name, _)| *name);
    let entry = |name: &str| json!({"name": name, "context": {"cluster": "c", "user": name}});
    let config_json = json!({
        "current-context": names().next().unwrap(),
        "contexts": names().map(entry).collect::<Vec<_>>(),
        "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:1"}}],
        "users": users.iter().map(|(name, user)| json!({"name": name, "user": user}))
            .collect::<Vec<_>>(),
    });
    fs::write(config, config_json.to_string()).unwrap();
}

#[test]
fn a_plugin_that_leads_back_to_itself_ends_with_a_sentence() {
    // By itself, and over two other contexts.
    for contexts in [&["a"][..], &["a", "b", "c"]] {
        let home = Home::new();
        let config = home.path("config");
        let next = contexts.iter().cycle().skip(1);
        let users: Vec<_> = contexts
            .iter()
            .zip(next)
            .map(|(name, next)| (*name, runs_kubegate_for(&home, next, &config)))
            .collect();
        write(&config, &users);
        for command in [
            &["token"][..],
            &["token", "-o", "exec-credential"],
            &["whoami"],
        ] {
            let _ = fs::remove_file(home.path("spawns"));
            let args = ["--kubeconfig", config.to_str().unwrap(), "-v", "0"];
            let ended = Kubegate::refused(Kubegate::command([command, &args].concat()));
            assert_eq!(ended.code, Some(1), "{ended:?}");
            assert!(ended.stderr.contains("leads back to itself"), "{ended:?}");
            assert!(ended.stderr.contains("--context"), "{ended:?}");
            assert_eq!(home.spawns(), contexts.len(), "{ended:?}");
        }
    }
}

#[test]
fn a_plugin_may_run_kubegate_for_another_user() {
    let home = Home::new();
    let config = home.path("config");
    home.plugin(&prints("sesame"));
    let users = [
        ("a", runs_kubegate_for(&home, "b", &config)),
        ("b", runs_kubegate_for(&home, "c", &config)),
        ("c", exec(&home.path("plugin"))),
    ];
    write(&config, &users);
    let args = ["token", "--kubeconfig", config.to_str().unwrap(), "-v", "0"];
    let ended = Kubegate::refused(Kubegate::command(args));
    assert_eq!((ended.code, &*ended.stdout), (Some(0), "sesame\n"));
    assert_eq!(home.spawns(), 3);
}

#[test]
fn renew_runs_a_plugin_once_and_says_what_cannot_be_renewed() {
    let home = Home::new();
    let config = home.path("config");
    home.plugin(&prints("sesame"));
    let users = [
        ("a", exec(&home.path("plugin"))),
        ("b", json!({"token": "sesame-fixed-1"})),
    ];
    write(&config, &users);
    let token = |context: &str| {
        let config = config.to_str().unwrap();
        let args = [
            "token",
            "--renew",
            "--kubeconfig",
            config,
            "--context",
            context,
        ];
        Kubegate::refused(Kubegate::command([&args[..], &["-v", "0"]].concat()))
    };
    let ended = token("a");
    assert_eq!((ended.code, &*ended.stdout), (Some(0), "sesame\n"));
    assert_eq!((home.spawns(), &*ended.stderr), (1, ""));
    let ended = token("b");
    assert_eq!((ended.code, &*ended.stdout), (Some(0), "sesame-fixed-1\n"));
    assert!(ended.stderr.contains("cannot be renewed"), "{ended:?}");
}
