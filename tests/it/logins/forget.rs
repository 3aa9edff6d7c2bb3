//! What `logout --forget` leaves: the kubeconfig as it was before the login, and what others need.

use std::{
    fs,
    os::unix::fs::symlink,
    process::{Command, Stdio},
};

use serde_json::{Value, json};

use super::{Home, entries::succeed};
use crate::support::{Kubegate, Refused};

/// The server that is not the login's.
const PROD: &str = "https://prod.example:6443";

impl Home {
    /// The only kubeconfig of the home.
    pub(super) fn write_config(&self, config: &Value) {
        fs::create_dir_all(self.path(".kube")).unwrap();
        let text = serde_json::to_string_pretty(config).unwrap();
        fs::write(self.path(".kube/config"), text).unwrap();
    }

    pub(super) fn config(&self) -> Value {
        serde_json::from_str(&self.kubeconfig()).unwrap()
    }

    /// `kubegate login oidc` at the demo's cluster.
    pub(super) fn log_in_to(&self, args: &[&str]) -> Refused {
        let mut command = self.first_login();
        command.args(args);
        succeed(command)
    }

    pub(super) fn forget(&self, args: &[&str]) -> String {
        self.out(&[&["logout", "--forget"], args].concat())
    }
}

/// Two contexts of an administrator at another server.
fn shared() -> Value {
    let context =
        |name: &str| json!({"name": name, "context": {"cluster": "shared", "user": "admin"}});
    json!({
        "current-context": "other",
        "clusters": [{"name": "shared", "cluster": {"server": PROD}}],
        "contexts": [context("prod"), context("other")],
        "users": [{"name": "admin", "user": {"token": "ADMIN-TOKEN"}}],
    })
}

fn with_current(mut config: Value, context: &str) -> Value {
    config["current-context"] = json!(context);
    config
}

#[tokio::test(flavor = "multi_thread")]
async fn a_former_credential_goes_to_its_former_server() {
    let home = Home::new(3600).await;
    let before = shared();
    home.write_config(&before);
    home.log_in_to(&["--context", "prod", "-n", "dev"]);
    // A renewal leaves what the first login noted.
    home.log_in_to(&["--context", "prod", "-n", "test"]);
    let during = home.target("prod");
    assert_eq!(during.cluster.url(), home.plane.url());
    assert_eq!(during.namespace.as_deref(), Some("test"));
    home.forget(&["--context", "prod"]);
    assert_eq!(home.config(), before);
    assert_eq!(home.out(&["token", "--context", "prod"]), "ADMIN-TOKEN\n");
    assert_eq!(home.target("prod").cluster.url(), PROD);
}

#[tokio::test(flavor = "multi_thread")]
async fn fields_of_a_cluster_that_a_login_changed_are_restored() {
    let home = Home::new(3600).await;
    let server = home.plane.url();
    for (cluster, args) in [
        (json!({"server": server}), &[][..]),
        (
            json!({"server": server, "tls-server-name": "former.example"}),
            &["--tls-server-name", "localhost"],
        ),
        (
            json!({"server": PROD, "proxy-url": "http://proxy.example:3128"}),
            &["--cluster", "own"],
        ),
    ] {
        let before = json!({
            "current-context": "prod",
            "clusters": [{"name": "own", "cluster": cluster}],
            "contexts": [{"name": "prod", "context":
                {"cluster": "own", "user": "admin", "namespace": "mine"}}],
            "users": [{"name": "admin", "user": {"token": "ADMIN-TOKEN"}}],
        });
        home.write_config(&before);
        home.log_in_to(&[&["--context", "prod", "-n", "dev"], args].concat());
        assert_eq!(home.target("prod").cluster.name.as_deref(), Some("own"));
        assert_ne!(home.config()["clusters"], before["clusters"], "{args:?}");
        home.forget(&[]);
        assert_eq!(home.config(), before, "{args:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_another_context_uses_by_now_keeps_its_meaning() {
    let home = Home::new(3600).await;
    let mut config = shared();
    config["contexts"].as_array_mut().unwrap().pop();
    config["clusters"][0]["cluster"]["server"] = json!(home.plane.url());
    config["clusters"][0]["cluster"]["tls-server-name"] = json!("former.example");
    home.write_config(&with_current(config, "prod"));
    home.log_in_to(&["--context", "prod", "--tls-server-name", "localhost"]);
    let mut during = home.config();
    let later = json!({"name": "later", "context": {"cluster": "shared", "user": "admin"}});
    during["contexts"].as_array_mut().unwrap().push(later);
    home.write_config(&during);
    home.forget(&["--context", "prod"]);
    let name = |context: &str| home.target(context).cluster.tls_server_name;
    assert_eq!(name("later").as_deref(), Some("localhost"));
    assert_eq!(name("prod").as_deref(), Some("former.example"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chosen_user_with_a_login_of_its_own_is_refused() {
    let home = Home::new(3600).await;
    for login in [
        json!({"token": "hunter2"}),
        json!({"client-certificate-data": "aGk=", "client-key-data": "aHVudGVyMg=="}),
        json!({"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "kubelogin",
            "args": ["get-token"], "interactiveMode": "Never"}}),
    ] {
        let mut before = shared();
        before["users"] =
            json!([{"name": "admin", "user": login}, {"name": "unused", "user": login}]);
        home.write_config(&before);
        for user in ["admin", "unused"] {
            let mut command = home.first_login();
            command.args(["--context", "prod", "--user", user]);
            let ended = Kubegate::refused(command);
            assert_eq!(ended.code, Some(1), "{ended:?}");
            for part in [user, "a login of its own", "another name by --user"] {
                assert!(ended.stderr.contains(part), "{part}: {ended:?}");
            }
            assert!(!ended.stderr.contains("hunter2"), "{ended:?}");
            assert_eq!(home.config(), before);
        }
    }
    // The control: an entry without a login, and one of kubegate.
    let mut before = with_current(shared(), "prod");
    before["contexts"].as_array_mut().unwrap().pop();
    before["contexts"][0]["context"]["user"] = json!("plain");
    before["users"] = json!([{"name": "plain", "user": {"as": "someone"}}]);
    home.write_config(&before);
    for _ in 0..2 {
        home.log_in_to(&["--context", "prod", "--user", "plain"]);
    }
    assert_eq!(home.target("prod").user.name.as_deref(), Some("plain"));
    // The context was there before the login, and so was its user.
    home.forget(&["--context", "prod"]);
    assert_eq!(home.config(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_no_login_made_stays() {
    let home = Home::new(3600).await;
    home.log_in();
    let config = home.path(".kube/config");
    let name = home.target(home.out(&["contexts", "-o", "name"]).trim_end());
    let cluster = name.cluster.name.unwrap();
    let theirs = json!({"clusters": [{"name": cluster, "cluster": {"server": PROD}}]});
    fs::write(home.path("theirs"), theirs.to_string()).unwrap();
    // A copy whose cluster was changed by hand.
    let server = format!("server: {}", home.plane.url());
    let changed = home
        .kubeconfig()
        .replace(&server, &format!("server: {PROD}"));
    assert!(changed.contains(PROD));
    fs::write(home.path("changed"), changed).unwrap();
    let mut command = home.command(&["logout", "--forget"]);
    let files = [config, home.path("theirs"), home.path("changed")];
    command.env("KUBECONFIG", std::env::join_paths(files).unwrap());
    succeed(command);
    assert!(
        !home.kubeconfig().contains(&cluster),
        "{}",
        home.kubeconfig()
    );
    let left = fs::read_to_string(home.path("theirs")).unwrap();
    assert_eq!(left, theirs.to_string());
    let left = fs::read_to_string(home.path("changed")).unwrap();
    assert!(
        left.contains(PROD) && !left.contains("credential"),
        "{left}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn contexts_at_other_servers_stay_with_their_login() {
    let home = Home::new(3600).await;
    let other = home.issuer.control_plane().await.unwrap();
    let both = format!("{}{}", home.plane.ca_pem(), other.ca_pem());
    fs::write(home.path("api.pem"), both).unwrap();
    for all in [false, true] {
        let _ = fs::remove_file(home.path(".kube/config"));
        home.log_in_to(&["--context", "here", "--user", "me"]);
        let url = other.url();
        let mut command = home.first_login();
        command.args(["--server", &url, "--context", "there", "--user", "me"]);
        succeed(command);
        // Contexts that were made by hand, at both servers.
        let text = home.kubeconfig();
        for (name, of) in [("mine", "here"), ("theirs", "there")] {
            let cluster = home.target(of).cluster.name.unwrap();
            let context =
                format!("- name: {name}\n  context: {{cluster: \"{cluster}\", user: me}}\n");
            let text = home.kubeconfig();
            let text = text.replace("contexts:\n", &format!("contexts:\n{context}"));
            fs::write(home.path(".kube/config"), text).unwrap();
        }
        assert_ne!(home.kubeconfig(), text);
        let args: &[&str] = if all { &["--all"] } else { &[] };
        let out = home.forget(&[&["--context", "here"], args].concat());
        let left = home.out(&["contexts", "-o", "name"]);
        let left: Vec<&str> = left.lines().collect();
        assert!(
            out.contains("Context mine used user me too, and is removed"),
            "{out}"
        );
        if all {
            assert!(out.contains("Context theirs used user me too"), "{out}");
            assert!(
                left.is_empty() && !home.kubeconfig().contains("name: me\n"),
                "{out}"
            );
            assert!(!home.path(".local/state/kubegate/logins/me.json").exists());
        } else {
            for part in ["theirs", "there", "--forget --all"] {
                assert!(out.contains(part), "{part}: {out}");
            }
            assert_eq!(left, ["theirs", "there"], "{out}");
            for context in left {
                home.out(&["whoami", "--context", context]);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_paths_of_one_file_are_one_file() {
    let home = Home::new(3600).await;
    for link in ["soft", "hard"] {
        let before = shared();
        home.write_config(&before);
        let (config, other) = (home.path(".kube/config"), home.path(link));
        if link == "soft" {
            symlink(&config, &other).unwrap();
        } else {
            fs::hard_link(&config, &other).unwrap();
        }
        let with_both = |mut command: Command| {
            let files = std::env::join_paths([&config, &other]).unwrap();
            command.env("KUBECONFIG", files);
            succeed(command)
        };
        let mut login = home.first_login();
        login.args(["--context", "new"]);
        with_both(login);
        assert_eq!(
            fs::read(&config).unwrap(),
            fs::read(&other).unwrap(),
            "{link}"
        );
        assert!(home.kubeconfig().contains("credential"));
        let out = with_both(home.command(&["logout", "--forget"]));
        assert!(!out.stdout.contains("same login"), "{link}: {out:?}");
        assert_eq!(home.config(), before, "{link}");
        assert_eq!(
            fs::read(&config).unwrap(),
            fs::read(&other).unwrap(),
            "{link}"
        );
        fs::remove_file(&other).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kubeconfig_that_is_locked_after_the_session_ended_is_forgotten_by_the_same_command() {
    let home = Home::new(3600).await;
    home.log_in();
    let lock = home.path(".kube/config.lock");
    fs::write(&lock, "").unwrap();
    let ended = Kubegate::refused(home.command(&["logout", "--forget"]));
    assert_eq!(ended.code, Some(1), "{ended:?}");
    for part in [
        "the session has ended",
        "run the same command again",
        "config.lock",
    ] {
        assert!(ended.stderr.contains(part), "{part}: {ended:?}");
    }
    fs::remove_file(&lock).unwrap();
    home.forget(&[]);
    assert!(
        !home.kubeconfig().contains("credential"),
        "{}",
        home.kubeconfig()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewal_keeps_what_was_added_to_the_exec_entry() {
    let home = Home::new(3600).await;
    home.log_in_to(&["--context", "prod"]);
    let add = |args: &str, env: &str| {
        let args = format!("      args:\n{args}");
        let text = home.kubeconfig().replace("      args:\n", &args);
        let text = text.replace("      command:", &format!("{env}      command:"));
        fs::write(home.path(".kube/config"), text).unwrap();
    };
    add("", "      env:\n      - {name: HTTPS_PROXY, value: \"\"}\n");
    let text = home.kubeconfig();
    let text = text.replace(
        "      env:",
        "      - --context\n      - prod\n      - --server=https://x.example\n      env:",
    );
    let command = text.find("      command:").unwrap();
    let env = text.find("      - --context").unwrap();
    assert!(env < command, "{text}");
    fs::write(home.path(".kube/config"), &text).unwrap();
    let user = home.target("prod").user.name;
    home.log_in_to(&["--context", "prod"]);
    let now = home.target("prod").user;
    assert_eq!(now.name, user);
    let kubegate::kubeconfig::Login::Exec(exec) = now.login else {
        panic!("no exec entry");
    };
    let kept = ["--context", "prod", "--server=https://x.example"];
    assert_eq!(exec.args[exec.args.len() - 3..], kept, "{:?}", exec.args);
    assert_eq!(exec.env[0].0, "HTTPS_PROXY");
    assert!(home.out(&["login", "list"]).contains("prod"));
    assert!(home.out(&["logout"]).starts_with("Logged out"));
    // A variable that chooses another state folder makes it another's login.
    let text = home.kubeconfig().replace("HTTPS_PROXY", "XDG_STATE_HOME");
    fs::write(home.path(".kube/config"), text).unwrap();
    let ended = Kubegate::refused(home.command(&["logout"]));
    assert_eq!(ended.code, Some(1), "{ended:?}");
    home.log_in_to(&["--context", "prod"]);
    assert_ne!(home.target("prod").user.name, user);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_login_of_a_context_tells_of_the_first() {
    let home = Home::new(3600).await;
    for by_hand in [false, true] {
        let before = with_current(shared(), "prod");
        home.write_config(&before);
        home.log_in_to(&["--context", "prod"]);
        let first = home.target("prod").user.name.unwrap();
        let ended = home.log_in_to(&["--context", "prod", "--login", "second"]);
        let command = format!("kubegate logout --context 'prod' --user '{first}' --forget");
        assert!(ended.stderr.contains(&command), "{ended:?}");
        if by_hand {
            home.forget(&["--context", "prod", "--user", &first]);
            assert_eq!(home.out(&["login", "list"]).matches("second").count(), 1);
            home.out(&["whoami", "--context", "prod"]);
        }
        let out = home.forget(&["--context", "prod"]);
        assert_eq!(out.contains("of an earlier login"), !by_hand, "{out}");
        assert_eq!(home.config(), before);
        let left = fs::read_dir(home.path(".local/state/kubegate/logins")).unwrap();
        let mut left = left.map(|file| file.unwrap().path());
        assert!(left.all(|path| path.extension() != Some("json".as_ref())));
    }
    // A user that another context uses is not the first's alone.
    home.write_config(&shared());
    home.log_in_to(&["--context", "one", "--user", "u"]);
    home.log_in_to(&["--context", "two", "--user", "u"]);
    let ended = home.log_in_to(&["--context", "one", "--login", "second", "--user", "v"]);
    assert!(!ended.stderr.contains("--forget"), "{ended:?}");
    home.forget(&["--context", "one"]);
    home.out(&["whoami", "--context", "two"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_earlier_login_at_another_server_is_ended_only_there() {
    let home = Home::new(3600).await;
    let other = home.issuer.control_plane().await.unwrap();
    let both = format!("{}{}", home.plane.ca_pem(), other.ca_pem());
    fs::write(home.path("api.pem"), both).unwrap();
    let url = other.url();
    home.log_in_to(&["--context", "one"]);
    let first = home.target("one");
    let (user, cluster) = (first.user.name.unwrap(), first.cluster.name.unwrap());
    let mut command = home.first_login();
    command.args(["--server", &url, "--context", "one", "--login", "second"]);
    let ended = succeed(command);
    let command = format!("--cluster '{cluster}' --user '{user}' --forget");
    assert!(ended.stderr.contains(&command), "{ended:?}");
    let out = home.forget(&["--context", "one"]);
    let line = format!("User {user} of an earlier login stays");
    assert!(out.contains(&line), "{out}");
    home.out(&["whoami", "--cluster", &cluster, "--user", &user]);
    home.forget(&["--cluster", &cluster, "--user", &user]);
    assert!(!home.kubeconfig().contains("credential"));
    let left = fs::read_dir(home.path(".local/state/kubegate/logins")).unwrap();
    let mut left = left.map(|file| file.unwrap().path());
    assert!(left.all(|path| path.extension() != Some("json".as_ref())));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_that_takes_another_login_tells_of_the_former() {
    let home = Home::new(3600).await;
    let args = ["--context", "one", "--user", "u", "--login"];
    home.log_in_to(&[&args[..], &["first"]].concat());
    let ended = home.log_in_to(&[&args[..], &["first"]].concat());
    assert!(!ended.stderr.contains("named the saved login"), "{ended:?}");
    let ended = home.log_in_to(&[&args[..], &["second"]].concat());
    for part in ["named the saved login \"first\"", "--login 'first'"] {
        assert!(ended.stderr.contains(part), "{part}: {ended:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_leads_nowhere_is_named_with_its_target() {
    let home = Home::new(3600).await;
    fs::create_dir(home.path(".kube")).unwrap();
    symlink("gone/config", home.path(".kube/config")).unwrap();
    let mut command = home.first_login();
    command.stdin(Stdio::null());
    let ended = Kubegate::refused(command);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let target = home.path(".kube/gone/config").display().to_string();
    for part in [".kube/config is a symbolic link to", &target] {
        assert!(ended.stderr.contains(part), "{part}: {ended:?}");
    }
    assert!(home.path(".kube/config").is_symlink());
    // Beside another file it is no more than a file that is missing.
    let files = [home.path("a"), home.path(".kube/config")];
    fs::write(&files[0], "").unwrap();
    for mut command in [home.first_login(), home.command(&["logout", "--forget"])] {
        command.env("KUBECONFIG", std::env::join_paths(&files).unwrap());
        succeed(command);
    }
}
