//! The list of saved logins.

use std::fs;

use kubegate::secret::Secret;
use serde_json::{Value, json};

use super::{Home, run_in, save_session, with_session};
use crate::support::Kubegate;

#[tokio::test(flavor = "multi_thread")]
async fn saved_logins_are_listed_with_the_contexts_that_use_them() {
    let home = Home::new(3600).await;
    assert_eq!(home.out(&["login", "list", "-o", "json"]), "[]\n");
    home.log_in();
    let context = home.out(&["contexts", "-o", "name"]);
    let name = home.out(&["login", "list", "-o", "name"]);
    let before = (home.issuer.server().connections(), home.plane.connections());
    let table = home.out(&["login", "list"]);
    for part in [
        name.trim_end(),
        context.trim_end(),
        &home.plane.url(),
        "oidc",
        "renewed",
    ] {
        assert!(table.contains(part), "{part}: {table}");
    }
    let listed: Value = serde_json::from_str(&home.out(&["login", "list", "-o", "json"])).unwrap();
    let issuer = home.issuer.url();
    let config = home.path(".kube/config");
    assert_eq!(
        listed,
        json!([{
            "login": name.trim_end(), "kind": "oidc", "servers": [home.plane.url()],
            "issuer": issuer.trim_end_matches('/'), "expires": null, "renewed": true,
            "keyring": false, "error": null,
            "contexts": [{"context": context.trim_end(), "kubeconfig": config}],
        }])
    );
    assert!(!table.contains("eyJ") && !listed.to_string().contains("eyJ"));
    let after = (home.issuer.server().connections(), home.plane.connections());
    assert_eq!(before, after);
    // One that no kubeconfig names any more, and one that cannot be read.
    fs::remove_file(&config).unwrap();
    let saved = home.saved();
    fs::write(saved.with_file_name("broken.json"), "sesame").unwrap();
    let table = home.out(&["login", "list"]);
    assert!(table.contains("is no saved login"), "{table}");
    let line = table.lines().find(|line| line.starts_with(name.trim_end()));
    assert!(line.unwrap().ends_with('-'), "{table}");
    assert!(!table.contains("sesame"), "{table}");
}

#[test]
fn a_file_that_cannot_be_read_is_broken_and_its_line_says_what_to_do() {
    let server = "https://127.0.0.1:1";
    let home = with_session(server, "-----BEGIN", Secret::new("sesame-list-2"));
    let logins = home.path().join(".local/state/kubegate/logins");
    for (name, text) in [("jane/c", "sesame"), ("unused", "{"), ("empty", "{}")] {
        let file = format!("{}.json", name.replace('/', "%2F"));
        fs::write(logins.join(file), text).unwrap();
    }
    fs::create_dir(logins.join("folder.json")).unwrap();
    let table = run_in(&home, &["login", "list"]).stdout;
    for (name, file) in [
        ("jane/c", "jane%2Fc"),
        ("unused", "unused"),
        ("folder", "folder"),
    ] {
        let line = table.lines().find(|line| line.starts_with(name)).unwrap();
        let path = logins.join(format!("{file}.json"));
        for says in [
            " broken ",
            path.to_str().unwrap(),
            "remove it",
            "log in again",
        ] {
            assert!(line.contains(says), "{says}: {table}");
        }
        assert!(
            !line.contains("openshift") && !line.contains("renewed"),
            "{table}"
        );
    }
    // Nothing tells the kind of this one.
    let line = table
        .lines()
        .find(|line| line.starts_with("empty"))
        .unwrap();
    assert!(
        !line.contains("openshift") && !line.contains("broken"),
        "{table}"
    );
    let listed = run_in(&home, &["login", "list", "-o", "json"]).stdout;
    let listed: Value = serde_json::from_str(&listed).unwrap();
    let jane = (listed.as_array().unwrap().iter()).find(|one| one["login"] == "jane/c");
    let jane = jane.unwrap();
    assert_eq!(jane["kind"], "broken", "{jane}");
    assert_eq!(jane["contexts"][0]["context"], "default/c/jane", "{jane}");
    assert!(!table.contains("sesame") && !listed.to_string().contains("sesame"));
}

#[test]
fn a_context_and_its_user_may_be_in_different_files() {
    let server = "https://127.0.0.1:1";
    let home = with_session(server, "-----BEGIN", Secret::new("sesame-list-3"));
    let config = home.path().join(".kube/config");
    let user = json!({"exec": {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": "kubegate",
        "args": ["credential", "openshift", "--login", "jane/c"],
        "interactiveMode": "Never",
        "provideClusterInfo": true,
    }});
    let context =
        |name: &str, user: &str| json!({"name": name, "context": {"cluster": "c", "user": user}});
    let clusters = json!([{"name": "c", "cluster": {"server": server}}]);
    let of_contexts = json!({"contexts": [context("mine", "jane/c"), context("other", "t")]});
    // Its contexts are not those of the first file: `other` is shadowed, and `own` is another file's.
    let of_users = json!({
        "clusters": clusters,
        "contexts": [context("other", "jane/c"), context("own", "jane/c")],
        "users": [{"name": "jane/c", "user": user}, {"name": "t", "user": {"token": "t"}}],
    });
    let files = ["contexts", "users"].map(|name| home.path().join(name));
    fs::write(&files[0], of_contexts.to_string()).unwrap();
    fs::write(&files[1], of_users.to_string()).unwrap();
    let list = |files: &[&std::path::Path]| {
        let mut command = Kubegate::command(["login", "list", "-o", "json"]);
        command.env("HOME", home.path());
        command.env("KUBECONFIG", std::env::join_paths(files).unwrap());
        let ended = Kubegate::refused(command);
        assert_eq!(ended.code, Some(0), "{ended:?}");
        serde_json::from_str::<Value>(&ended.stdout).unwrap()
    };
    let listed = list(&[&files[0], &files[1]]);
    assert_eq!(
        listed[0]["contexts"],
        json!([
            {"context": "mine", "kubeconfig": files[0]},
            {"context": "own", "kubeconfig": files[1]},
        ]),
        "{listed}"
    );
    assert_eq!(listed[0]["kind"], "openshift");
    // One that cannot be read does not hide the others.
    let bad = home.path().join("bad");
    fs::write(&bad, "a: [").unwrap();
    let listed = list(&[&bad, &config]);
    assert_eq!(
        listed[0]["contexts"],
        json!([{"context": "default/c/jane", "kubeconfig": config}]),
        "{listed}"
    );
}

#[test]
fn a_session_is_listed_with_its_end() {
    let server = "https://127.0.0.1:1";
    let home = with_session(server, "-----BEGIN", Secret::new("sesame-list-1"));
    save_session(&home, server, Secret::new("sesame-list-1"));
    let listed = run_in(&home, &["login", "list"]);
    assert_eq!(listed.code, Some(0), "{listed:?}");
    for part in ["jane/c", "openshift", server, "default/c/jane"] {
        assert!(listed.stdout.contains(part), "{part}: {listed:?}");
    }
    assert!(!listed.stdout.contains("sesame"), "{listed:?}");
}
