//! What others changed in the kubeconfig after a login: the next login does not overwrite it, and `logout
//! --forget` leaves it.

use std::fs;

use serde_json::{Value, json};

use super::{Home, entries::succeed};

const PROD: &str = "https://prod.example:6443";

/// The item of a section with this name.
fn item<'a>(config: &'a Value, section: &str, name: &str) -> &'a Value {
    let mut items = config[section].as_array().unwrap().iter();
    let kind = section.trim_end_matches('s');
    &items.find(|item| item["name"] == name).unwrap()[kind]
}

impl Home {
    /// Changes a field of an entry, as `kubectl config set` does.
    fn change(&self, section: &str, name: &str, field: &str, value: Value) {
        let mut config = self.config();
        let items = config[section].as_array_mut().unwrap();
        let item = items.iter_mut().find(|item| item["name"] == name).unwrap();
        item[section.trim_end_matches('s')][field] = value;
        self.write_config(&config);
    }
}

/// A context `dev` of an administrator at another server, which is current.
fn dev(current: &str) -> Value {
    json!({
        "current-context": current,
        "clusters": [
            {"name": "c1", "cluster": {"server": PROD}},
            {"name": "c2", "cluster": {"server": "https://second.example"}},
        ],
        "contexts": [
            {"name": "dev", "context": {"cluster": "c1", "user": "admin"}},
            {"name": "prod", "context": {"cluster": "c1", "user": "admin"}},
        ],
        "users": [{"name": "admin", "user": {"token": "ADMIN-TOKEN"}}],
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_of_another_user_is_not_written() {
    let home = Home::new(3600).await;
    home.write_config(&json!({}));
    home.log_in_to(&["--context", "adev"]);
    let mut config = home.config();
    let own = item(&config, "contexts", "adev")["user"].clone();
    // Bob's login of the same client, as a login writes it.
    let text = config.to_string();
    assert!(text.contains("jane"), "{text}");
    let bobs: Value = serde_json::from_str(&text.replace("jane", "bob")).unwrap();
    for section in ["users", "contexts"] {
        let mut entry = bobs[section][0].clone();
        if section == "contexts" {
            entry["name"] = json!("bobctx");
        }
        config[section].as_array_mut().unwrap().push(entry);
    }
    home.write_config(&config);
    let entry = item(&config, "contexts", "bobctx")["user"].clone();
    let before = item(&config, "users", entry.as_str().unwrap()).clone();
    assert_ne!(entry, own);
    home.change("contexts", "adev", "user", entry.clone());
    home.log_in_to(&["--context", "adev"]);
    let config = home.config();
    assert_eq!(item(&config, "contexts", "adev")["user"], own);
    assert_eq!(*item(&config, "users", entry.as_str().unwrap()), before);
    let note = item(&config, "contexts", "bobctx");
    assert!(note.to_string().contains("bob"), "{note}");
    home.out(&["whoami", "--context", "adev"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_context_keeps_the_cluster_that_its_owner_gave_it() {
    let home = Home::new(3600).await;
    for (logs_in_again, namespace) in [(false, None), (true, None), (true, Some("mine"))] {
        home.write_config(&dev("prod"));
        home.log_in_to(&["--context", "dev", "-n", "login"]);
        home.change("contexts", "dev", "cluster", json!("c2"));
        if let Some(namespace) = namespace {
            home.change("contexts", "dev", "namespace", json!(namespace));
        }
        if logs_in_again {
            home.log_in_to(&["--context", "dev"]);
            assert_eq!(home.target("dev").cluster.url(), home.plane.url());
        }
        home.forget(&["--context", "dev"]);
        let context = json!({"cluster": "c2", "user": "admin"});
        let mut after = dev("prod");
        after["contexts"][0]["context"] = context;
        if let Some(namespace) = namespace {
            after["contexts"][0]["context"]["namespace"] = json!(namespace);
        }
        assert_eq!(home.config()["contexts"], after["contexts"]);
        assert_eq!(home.config()["current-context"], "prod");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_its_owner_changed_stays_so() {
    let home = Home::new(3600).await;
    let before = json!({
        "clusters": [{"name": "own", "cluster":
            {"server": PROD, "insecure-skip-tls-verify": true}}],
        "contexts": [{"name": "dev", "context": {"cluster": "own", "user": "admin"}}],
        "users": [{"name": "admin", "user": {"token": "ADMIN-TOKEN"}}],
    });
    let args = ["--context", "dev", "--cluster", "own"];
    for (field, value) in [
        ("server", json!("https://third.example")),
        ("certificate-authority-data", json!("YQ==")),
        ("tls-server-name", json!("a")),
    ] {
        home.write_config(&before);
        home.log_in_to(&[&args[..], &["--insecure-skip-tls-verify=false"]].concat());
        home.change("clusters", "own", field, value.clone());
        let during = item(&home.config(), "clusters", "own").clone();
        home.forget(&["--context", "dev", "--all"]);
        let after = home.config();
        // Above all, its verification is not turned off.
        assert_eq!(*item(&after, "clusters", "own"), during, "{field}");
        assert_eq!(after["contexts"], before["contexts"], "{field}");
    }
    // A renewal notes afresh what its owner changed before.
    home.write_config(&before);
    home.log_in_to(&[&args[..], &["--insecure-skip-tls-verify=false"]].concat());
    home.change("clusters", "own", "server", json!("https://third.example"));
    home.log_in_to(&[&args[..], &["--insecure-skip-tls-verify=false"]].concat());
    assert_eq!(home.target("dev").cluster.url(), home.plane.url());
    home.forget(&["--context", "dev"]);
    let after = home.config();
    let cluster = item(&after, "clusters", "own");
    assert_eq!(cluster["server"], "https://third.example");
    assert_eq!(cluster["insecure-skip-tls-verify"], Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_current_context_is_the_last_one_before_the_login() {
    let home = Home::new(3600).await;
    home.write_config(&dev("prod"));
    home.log_in_to(&["--context", "a"]);
    home.out(&["login", "list"]);
    let mut config = home.config();
    config["current-context"] = json!("dev");
    home.write_config(&config);
    home.log_in_to(&["--context", "a"]);
    // A renewal of the current one keeps it.
    home.log_in_to(&["--context", "a"]);
    home.forget(&["--context", "a"]);
    assert_eq!(home.config(), dev("dev"));
    // The first of two logins is forgotten first.
    home.write_config(&dev("prod"));
    home.log_in_to(&["--context", "a", "--login", "one", "--user", "one"]);
    home.log_in_to(&["--context", "b", "--login", "two", "--user", "two"]);
    home.forget(&["--context", "a"]);
    assert_eq!(home.config()["current-context"], "b");
    home.forget(&["--context", "b"]);
    assert_eq!(home.config(), dev("prod"));
    // There was none.
    let mut none = dev("");
    none.as_object_mut().unwrap().remove("current-context");
    home.write_config(&none);
    home.log_in_to(&["--context", "dev"]);
    home.forget(&["--context", "dev"]);
    assert_eq!(home.config(), none);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_of_the_same_name_in_another_file_stays() {
    let home = Home::new(3600).await;
    let cluster = home.cluster("c1");
    let ca = cluster["cluster"]["certificate-authority"].clone();
    let a = json!({
        "current-context": "x",
        "clusters": [{"name": "c1", "cluster":
            {"server": home.plane.url(), "insecure-skip-tls-verify": true}}],
        "contexts": [{"name": "x", "context": {"cluster": "none"}}],
    });
    let b = json!({
        "current-context": "dev",
        "clusters": [{"name": "c1", "cluster":
            {"server": "https://127.0.0.1:1", "certificate-authority": ca}}],
        "contexts": [{"name": "dev", "context": {"cluster": "c1"}}],
    });
    home.write_json("a", &a);
    home.write_json("b", &b);
    let mut login = home.first_login();
    login.args(["--context", "dev", "--insecure-skip-tls-verify=false"]);
    succeed(home.with_files(login, &["a", "b"]));
    let during = home.read_json("a");
    assert_ne!(during["clusters"], a["clusters"]);
    assert_eq!(home.read_json("b")["clusters"], b["clusters"]);
    // The second file alone says nothing of the first.
    fs::copy(home.path("b"), home.path("copy")).unwrap();
    succeed(home.with_files(home.command(&["logout", "--forget"]), &["a", "b"]));
    assert_eq!(home.read_json("a"), a);
    let after = home.read_json("b");
    for section in ["clusters", "contexts", "current-context"] {
        assert_eq!(after[section], b[section], "{section}");
    }
    assert_eq!(after["users"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_of_several_logins_removes_what_they_added() {
    let home = Home::new(3600).await;
    // A context without a user: its entry is the login's.
    let mut before = dev("dev");
    before["contexts"][0]["context"] = json!({"cluster": "c1"});
    home.write_config(&before);
    home.log_in_to(&["--context", "dev"]);
    home.forget(&["--context", "dev"]);
    assert_eq!(home.config(), before);
    // Two logins at one new cluster, forgotten in either order.
    for order in [["a", "b"], ["b", "a"]] {
        let before = dev("prod");
        home.write_config(&before);
        for name in ["a", "b"] {
            home.log_in_to(&["--context", name, "--user", name, "--login", name]);
        }
        for name in order {
            home.forget(&["--context", name]);
        }
        assert_eq!(home.config(), before, "{order:?}");
    }
    // And at one that a login changed.
    for order in [["dev", "b"], ["b", "dev"]] {
        let mut before = dev("prod");
        before["clusters"][1]["cluster"] =
            json!({"server": home.plane.url(), "tls-server-name": "former.example"});
        before["contexts"][0]["context"]["cluster"] = json!("c2");
        home.write_config(&before);
        let args = ["--tls-server-name", "localhost", "--context"];
        for name in ["dev", "b"] {
            let own = [name, "--cluster", "c2", "--user", name, "--login", name];
            home.log_in_to(&[&args[..], &own].concat());
        }
        for name in order {
            home.forget(&["--context", name]);
        }
        let cluster = home.target("dev").cluster;
        assert_eq!(cluster.tls_server_name.as_deref(), Some("former.example"));
        let after = home.config();
        assert_eq!(after["clusters"][1], before["clusters"][1], "{order:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_whose_server_was_changed_is_ended_or_named() {
    let home = Home::new(3600).await;
    for is_needed in [false, true] {
        home.write_config(&dev("prod"));
        home.log_in_to(&["--context", "a", "--user", "u", "--cluster", "new"]);
        let saved = home.saved();
        if is_needed {
            home.log_in_to(&["--context", "b", "--user", "u", "--cluster", "other"]);
        }
        home.change("clusters", "new", "server", json!("https://third.example"));
        let out = home.forget(&["--context", "a"]);
        assert_eq!(saved.exists(), is_needed, "{out}");
        if is_needed {
            let server = home.plane.url();
            assert!(out.contains(&server) && out.contains("goes on"), "{out}");
            home.out(&["whoami", "--context", "b"]);
            home.forget(&["--context", "b"]);
        } else {
            assert!(out.starts_with("Logged out"), "{out}");
        }
        assert!(!saved.exists());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn contexts_behind_another_name_of_the_server_stay() {
    let home = Home::new(3600).await;
    home.write_config(&json!({}));
    home.log_in_to(&["--context", "a", "--user", "me"]);
    home.log_in_to(&[
        "--context",
        "b",
        "--user",
        "me",
        "--tls-server-name",
        "localhost",
    ]);
    home.log_in_to(&["--context", "same", "--user", "me"]);
    let out = home.forget(&["--context", "a"]);
    assert_eq!(home.out(&["contexts", "-o", "name"]), "b\n", "{out}");
    assert!(out.contains("context b"), "{out}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_of_another_grant_gets_an_entry_of_its_own() {
    let home = Home::new(3600).await;
    let scope = ["--oidc-extra-scope", "email"];
    home.write_config(&json!({}));
    home.log_in_to(&["--context", "me"]);
    let before = home.target("me").user;
    for args in [&scope[..], &["--oidc-auth-request-extra-params=audience=x"]] {
        home.log_in_to(&[&["--context", "svc"], args].concat());
        assert_ne!(home.target("svc").user.name, before.name, "{args:?}");
        assert_eq!(home.target("me").user, before, "{args:?}");
        home.out(&["whoami", "--context", "me"]);
        home.forget(&["--context", "svc"]);
    }
    // The control: the same flags share the entry, and a context may change its own.
    home.log_in_to(&["--context", "svc"]);
    assert_eq!(home.target("svc").user.name, before.name);
    home.forget(&["--context", "svc"]);
    home.log_in_to(&["--context", "me"]);
    home.log_in_to(&[&["--context", "me"], &scope[..]].concat());
    assert_eq!(home.target("me").user.name, before.name);
    assert_ne!(home.target("me").user.login, before.login);
}
