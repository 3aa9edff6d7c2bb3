//! Logins and logouts with several files in `KUBECONFIG`.

use std::{fs, os::unix::fs::symlink, path::PathBuf, process::Command};

use serde_json::{Value, json};

use super::{Home, entries::succeed};
use crate::support::Kubegate;

impl Home {
    pub(super) fn with_files(&self, mut command: Command, files: &[&str]) -> Command {
        let files = files.iter().map(|file| self.path(file));
        command.env("KUBECONFIG", std::env::join_paths(files).unwrap());
        command
    }

    pub(super) fn write_json(&self, file: &str, value: &Value) -> PathBuf {
        let path = self.path(file);
        fs::write(&path, serde_json::to_string_pretty(value).unwrap()).unwrap();
        path
    }

    pub(super) fn read_json(&self, file: &str) -> Value {
        serde_json::from_str(&fs::read_to_string(self.path(file)).unwrap()).unwrap()
    }

    /// The cluster of this home.
    pub(super) fn cluster(&self, name: &str) -> Value {
        let ca = self.path("plane.pem");
        fs::write(&ca, self.plane.ca_pem()).unwrap();
        json!({"name": name, "cluster": {"server": self.plane.url(), "certificate-authority": ca}})
    }

    fn login_of_context(&self, files: &[&str], args: &[&str]) -> Command {
        let mut command = self.log_in_with(args);
        command.args(["--oidc-issuer-url", &self.issuer.url()]);
        command.args(["--oidc-client-id", "kubegate-demo"]);
        let ca = self.path("issuer.pem");
        command.args(["--oidc-certificate-authority", ca.to_str().unwrap()]);
        self.with_files(command, files)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_is_changed_in_the_file_that_it_came_from() {
    let home = Home::new(3600).await;
    let of_a = |current: &str| json!({"current-context": current, "contexts": [{"name": "x", "context": {"cluster": "c"}}]});
    home.write_json("a", &of_a("x"));
    let of_b = json!({
        "clusters": [home.cluster("c")],
        "contexts": [{"name": "b", "context": {"cluster": "c", "user": "u", "namespace": "dev"}}],
        "users": [{"name": "u", "user": {"token": "t"}}],
    });
    home.write_json("real-b", &of_b);
    symlink("real-b", home.path("b")).unwrap();
    let files = ["a", "none", "b"];
    succeed(home.login_of_context(&files, &["--context", "b"]));
    let (a, b) = (home.read_json("a"), home.read_json("real-b"));
    assert!(home.path("b").is_symlink() && !home.path("none").exists());
    // The current context is that of the first file, as kubectl sets it; all else is in the second.
    assert_eq!(a, of_a("b"));
    assert_eq!(b["clusters"], of_b["clusters"]);
    assert_eq!(b["contexts"][0]["context"]["namespace"], "dev");
    assert_eq!(b["users"][0], of_b["users"][0]);
    assert_eq!(b["users"][1]["name"], b["contexts"][0]["context"]["user"]);
    succeed(home.with_files(home.command(&["whoami"]), &files));

    // A renewal changes the same entries.
    succeed(home.login_of_context(&files, &["--context", "b"]));
    assert_eq!((home.read_json("a"), home.read_json("b")), (a, b));

    let out = succeed(home.with_files(home.command(&["logout", "--forget"]), &files));
    assert!(out.stdout.starts_with("Logged out"), "{out:?}");
    // The context was there before the login, so it stays, with its user, and is current no more.
    assert_eq!(home.read_json("a"), of_a("x"));
    let b = home.read_json("b");
    assert_eq!(b["users"], of_b["users"]);
    assert_eq!(b["contexts"], of_b["contexts"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_of_two_entries_counts() {
    let home = Home::new(3600).await;
    let elsewhere = json!({"name": "c", "cluster": {"server": "https://127.0.0.1:1"}});
    let context = |user: &str| json!({"name": "x", "context": {"cluster": "c", "user": user}});
    let users = json!([{"name": "a", "user": {"token": "t"}}]);
    home.write_json(
        "a",
        &json!({"clusters": [home.cluster("c")], "contexts": [context("a")], "users": users}),
    );
    let b = json!({"clusters": [elsewhere], "contexts": [context("b")]});
    home.write_json("b", &b);
    succeed(home.login_of_context(&["a", "b"], &["--context", "x"]));
    assert_eq!(home.read_json("b"), b);
    let a = home.read_json("a");
    assert_eq!(a["clusters"], json!([home.cluster("c")]));
    assert_ne!(a["contexts"][0]["context"]["user"], "a");
    succeed(home.with_files(home.command(&["whoami"]), &["a", "b"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn logout_forget_removes_a_login_from_every_file() {
    let home = Home::new(3600).await;
    home.log_in();
    let config = home.kubeconfig();
    let user = config
        .lines()
        .find_map(|line| line.strip_prefix("    user: "))
        .unwrap()
        .trim_matches('"')
        .to_owned();
    for file in ["a", "copy"] {
        fs::write(home.path(file), &config).unwrap();
    }
    // Its context is in one file, and its user in others.
    home.write_json(
        "contexts",
        &json!({"contexts": [
            {"name": "more", "context": {"cluster": "c", "user": user}},
            {"name": "theirs", "context": {"cluster": "c", "user": "t"}},
        ]}),
    );
    // An entry of the same name that is another login.
    let theirs = json!({
        "users": [{"name": user, "user": {"token": "theirs"}}],
        "contexts": [{"name": "own", "context": {"cluster": "c", "user": user}}],
    });
    home.write_json("theirs", &theirs);
    let files = ["contexts", "a", "theirs", "copy"];
    succeed(home.with_files(home.command(&["logout", "--forget"]), &files));
    for file in ["a", "copy"] {
        let left = fs::read_to_string(home.path(file)).unwrap();
        assert!(
            !left.contains(&user) && !left.contains("127-0-0-1"),
            "{file}: {left}"
        );
    }
    let left = home.read_json("contexts");
    assert_eq!(left["contexts"].as_array().unwrap().len(), 1, "{left}");
    assert_eq!(left["contexts"][0]["name"], "theirs");
    assert_eq!(home.read_json("theirs"), theirs);
}

#[tokio::test(flavor = "multi_thread")]
async fn parallel_logins_into_two_files_all_end_up_in_them() {
    let home = Home::new(3600).await;
    home.write_json("a", &json!({"contexts": [], "clusters": [], "users": []}));
    let context =
        |n: usize| json!({"name": format!("b{n}"), "context": {"cluster": "c", "user": "u"}});
    let contexts: Vec<Value> = (0..4).map(context).collect();
    home.write_json(
        "b",
        &json!({
            "clusters": [home.cluster("c")],
            "contexts": contexts,
            "users": [{"name": "u", "user": {"token": "t"}}],
        }),
    );
    let children: Vec<_> = (0..8)
        .map(|n| {
            // New contexts go to the first file, and others stay in the second.
            let name = if n < 4 {
                format!("b{n}")
            } else {
                format!("a{n}")
            };
            let args = ["--context", &name, "--cluster", "c"];
            let mut command = home.login_of_context(&["a", "b"], &args);
            command.stderr(std::process::Stdio::piped());
            command.spawn().unwrap()
        })
        .collect();
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    let (a, b) = (home.read_json("a"), home.read_json("b"));
    assert_eq!(a["contexts"].as_array().unwrap().len(), 4, "{a}");
    assert_eq!(b["contexts"].as_array().unwrap().len(), 4, "{b}");
    assert_eq!(b["clusters"].as_array().unwrap().len(), 1, "{b}");
    for context in a["contexts"]
        .as_array()
        .unwrap()
        .iter()
        .chain(b["contexts"].as_array().unwrap())
    {
        let name = context["name"].as_str().unwrap();
        let command = home.command(&["whoami", "--context", name]);
        let ended = Kubegate::refused(home.with_files(command, &["a", "b"]));
        assert_eq!(ended.code, Some(0), "{name}: {ended:?}");
    }
}
