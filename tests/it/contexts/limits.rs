//! What one context cannot do to the others, and what contexts cost.

use std::os::unix::fs::PermissionsExt as _;

use super::*;

#[tokio::test]
async fn a_context_that_is_the_proxy_itself_fails_alone() {
    let a = server("a").await;
    let mut config = Config::new(&[("a", &a)]);
    let port = {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        free.local_addr().unwrap().port()
    };
    config.contexts.insert(
        "loop".to_owned(),
        json!({"server": format!("http://127.0.0.1:{port}/clusters/a")}),
    );
    config.write();
    let path = config.path();
    let port = port.to_string();
    let args = [
        "--kubeconfig",
        path.to_str().unwrap(),
        "--all-contexts",
        "--port",
        &port,
    ];
    let kubegate = Kubegate::spawn(Kubegate::command(args));
    let response = get(&kubegate.address, "/clusters/loop/api/v1/pods").await;
    assert_eq!(status(&response), 503, "{response}");
    assert!(
        response.contains("is this proxy's own listener"),
        "{response}"
    );
    let response = get(&kubegate.address, "/clusters/a/api").await;
    assert!(response.contains("server a: GET /api "), "{response}");
    assert_eq!(field(&list(&kubegate).await, "loop", "state"), "failed");
}

/// A plugin that leaves a file behind when it runs, and its path.
fn plugin(config: &Config) -> (Value, PathBuf) {
    let (program, ran) = (
        config.folder.path().join("plugin"),
        config.folder.path().join("ran"),
    );
    let print = r#"{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"token":"sesame-plugin"}}"#;
    let text = format!("#!/bin/sh\ntouch '{}'\necho '{print}'\n", ran.display());
    fs::write(&program, text).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let user = json!({"exec": {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": program,
        "interactiveMode": "Never",
    }});
    (user, ran)
}

#[tokio::test]
async fn a_plugin_that_comes_later_in_a_file_that_others_may_write_is_not_run() {
    let a = server("a").await;
    let config = Config::new(&[("a", &a)]);
    let (user, ran) = plugin(&config);
    let kubegate = config.start(&["--all-contexts"]);
    assert!(
        get(&kubegate.address, "/clusters/a/x")
            .await
            .contains("server a:")
    );
    for (mode, is_run) in [(0o666, false), (0o600, true)] {
        let text = fs::read_to_string(config.path()).unwrap();
        let mut all: Value = serde_json::from_str(&text).unwrap();
        let name = format!("late{mode:o}");
        let context = json!({"name": name, "context": {"cluster": "a", "user": name}});
        all["contexts"].as_array_mut().unwrap().push(context);
        all["users"]
            .as_array_mut()
            .unwrap()
            .push(json!({"name": name, "user": user}));
        let new = config.folder.path().join("new");
        fs::write(&new, all.to_string()).unwrap();
        fs::set_permissions(&new, fs::Permissions::from_mode(mode)).unwrap();
        fs::rename(new, config.path()).unwrap();
        let path = format!("/clusters/{name}/x");
        let added = Instant::now();
        let mut response = get(&kubegate.address, &path).await;
        while status(&response) == 404 {
            assert!(added.elapsed() < IN_FORCE, "{}", kubegate.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
            response = get(&kubegate.address, &path).await;
        }
        assert_eq!(
            status(&response),
            if is_run { 200 } else { 503 },
            "{response}"
        );
        assert_eq!(
            response.contains("which was not so at the start"),
            !is_run,
            "{response}"
        );
        assert_eq!(ran.exists(), is_run);
        let other = get(&kubegate.address, "/clusters/a/x").await;
        assert!(other.contains("server a:"), "{other}");
    }
}

/// The memory of a process that is its own, in KiB: the pages of a debug build's program are not.
fn own_memory(kubegate: &Kubegate) -> usize {
    let status = fs::read_to_string(format!("/proc/{}/status", kubegate.id())).unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"));
    line.unwrap()
        .trim()
        .trim_end_matches(" kB")
        .parse()
        .unwrap()
}

#[tokio::test]
async fn a_hundred_idle_contexts_are_small() {
    let a = server("a").await;
    let mut config = Config::new(&[("a", &a)]);
    let one = config.start(&["--all-contexts"]);
    for number in 0..100 {
        config.set(&format!("c{number}"), &a.url());
    }
    config.write();
    let kubegate = config.start(&["--all-contexts"]);
    let (alone, idle) = (own_memory(&one), own_memory(&kubegate));
    let resident = kubegate.resident();
    for number in 0..100 {
        let response = get(&kubegate.address, &format!("/clusters/c{number}/x")).await;
        assert_eq!(status(&response), 200, "{response}");
    }
    println!(
        "own memory: one idle context {alone} KiB, 100 idle {idle} KiB (resident {resident} KiB), all used \
         {} KiB",
        own_memory(&kubegate)
    );
    assert!(idle < 25 << 10, "{idle} KiB");
    assert!(idle < alone + (8 << 10), "{alone} and {idle} KiB");
}
