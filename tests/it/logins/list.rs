//! The list of saved logins.

use std::fs;

use kubegate::secret::Secret;
use serde_json::{Value, json};

use super::{Home, run_in, save_session, with_session};

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
