//! `kubegate kubeconfig`: the kubeconfig that leads clients through the proxy.

use std::{fs, path::PathBuf, process::Command};

use kubegate::kubeconfig::Slug;
use serde_json::{Value, json};
use tempfile::{TempDir, tempdir};

use crate::support::{Kubegate, Refused, cert};

const LONG: &str = "shop/host:6443/jane";

/// A folder with a kubeconfig of three contexts.
struct Home(TempDir);

impl Home {
    fn new() -> Self {
        let home = Self(tempdir().unwrap());
        home.write(
            "config",
            &json!({
                "current-context": LONG,
                "contexts": [
                    {"name": "a", "context": {"cluster": "c1", "user": "u", "namespace": "x"}},
                    {"name": LONG, "context": {"cluster": "c2", "user": "u", "namespace": "shop"}},
                    {"name": "same", "context": {"cluster": "c2", "user": "u"}},
                ],
                "clusters": [
                    {"name": "c1", "cluster": {"server": "https://one.example"}},
                    {"name": "c2", "cluster": {"server": "https://two.example"}},
                ],
                "users": [{"name": "u", "user": {"token": "sesame-source"}}],
            }),
        );
        home
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, value: &Value) {
        fs::write(self.path(name), value.to_string()).unwrap();
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    fn read(&self, name: &str) -> Value {
        let text = self.text(name);
        serde_json::from_str(&text).unwrap()
    }

    fn command(&self, args: &[&str]) -> Command {
        let config = self.path("config");
        let mut command =
            Kubegate::command(["kubeconfig", "--kubeconfig", config.to_str().unwrap()]);
        command.args(args).current_dir(self.0.path());
        command
    }

    fn run(&self, args: &[&str]) -> Refused {
        Kubegate::refused(self.command(args))
    }

    fn printed(&self, args: &[&str]) -> Value {
        let run = self.run(&[args, &["-o", "json"]].concat());
        assert_eq!(run.code, Some(0), "{run:?}");
        serde_json::from_str(&run.stdout).unwrap()
    }
}

fn entry<'a>(config: &'a Value, kind: &str, name: &str) -> &'a Value {
    let items = config[format!("{kind}s")].as_array().unwrap();
    let item = items.iter().find(|item| item["name"] == name);
    &item.unwrap_or_else(|| panic!("no {kind} {name} in {config}"))[kind]
}

#[test]
fn the_kubeconfig_keeps_names_namespaces_and_current_context_and_leads_to_slugs() {
    let home = Home::new();
    let config = home.printed(&[]);
    assert_eq!(config["current-context"], LONG);
    assert_eq!(config["contexts"].as_array().unwrap().len(), 3);
    for (context, cluster, namespace) in
        [("a", "c1", "x"), (LONG, LONG, "shop"), ("same", "same", "")]
    {
        let fields = entry(&config, "context", context);
        assert_eq!(fields["cluster"], cluster);
        assert_eq!(fields["namespace"].as_str().unwrap_or_default(), namespace);
        let server = format!(
            "http://127.0.0.1:8001/clusters/{}",
            Slug::of_context(context)
        );
        assert_eq!(
            entry(&config, "cluster", cluster),
            &json!({"server": server})
        );
        assert_eq!(
            entry(&config, "user", fields["user"].as_str().unwrap()),
            &json!({})
        );
    }
    let run = home.run(&[]);
    assert!(run.stdout.starts_with("# without credentials: "), "{run:?}");
    assert!(!run.stdout.contains("sesame"), "{run:?}");
    let chosen = home.printed(&["--context", "a", "--port", "9000", "--address", "0.0.0.0"]);
    assert_eq!(
        entry(&chosen, "cluster", "c1")["server"],
        "http://127.0.0.1:9000/clusters/a"
    );
    assert_eq!(chosen["contexts"].as_array().unwrap().len(), 1);
    assert_eq!(chosen["current-context"], "a");
    let behind = home.printed(&["--server", "http://gate.example/base/"]);
    assert_eq!(
        entry(&behind, "cluster", "c1")["server"],
        "http://gate.example/base/clusters/a"
    );
}

#[test]
fn over_https_it_names_the_files_with_ca_and_credential() {
    let home = Home::new();
    fs::write(home.path("token"), "sesame-door\n").unwrap();
    let ca = cert("ca.pem");
    let ca = ca.to_str().unwrap();
    let config = home.printed(&["--certificate-authority", ca, "--token-file", "token"]);
    let cluster = entry(&config, "cluster", "c1");
    assert_eq!(cluster["server"], "https://127.0.0.1:8001/clusters/a");
    assert_eq!(cluster["certificate-authority"], ca);
    let user = entry(&config, "user", "kubegate");
    let file = user["tokenFile"].as_str().unwrap();
    assert!(file.starts_with('/') && file.ends_with("/token"), "{file}");
    let (crt, key) = (cert("client.pem"), cert("client.key"));
    let pair = [
        "--client-certificate",
        crt.to_str().unwrap(),
        "--client-key",
        key.to_str().unwrap(),
    ];
    let args = [
        &[
            "--server",
            "https://localhost:9",
            "--certificate-authority",
            ca,
        ],
        &pair[..],
    ]
    .concat();
    let config = home.printed(&args);
    let user = entry(&config, "user", "kubegate");
    assert_eq!(user["client-key"], key.to_str().unwrap());
    assert_eq!(user["client-certificate"], crt.to_str().unwrap());
    fs::write(home.path("tokens"), "jane sesame-door\n").unwrap();
    for (args, shown) in [
        (&["--token-file", "token"][..], "send no credential to http"),
        (
            &["--server", "https://x", "--token-file", "tokens"],
            "the token alone",
        ),
        (
            &["--server", "https://x", "--token", "hunter2"],
            "--token-file",
        ),
        (
            &["--server", "https://x", "--client-key", "token"],
            "belong together",
        ),
        (
            &["--server", "http://x", "--certificate-authority", ca],
            "http",
        ),
        (&["--tls-self-signed"], "kubegate --tls-self-signed"),
        (&["--context", "none"], "there is no context \"none\""),
        (&["--server", "ftp://x"], "--server"),
        (&["--write", "a", "--merge", "b"], "--merge"),
    ] {
        let mut command = home.command(args);
        command.env("HOME", home.0.path());
        let refused = Kubegate::refused(command);
        assert!(matches!(refused.code, Some(1 | 2)), "{args:?} {refused:?}");
        assert!(refused.stderr.contains(shown), "{args:?} {refused:?}");
        assert!(!refused.stderr.contains("hunter2"), "{refused:?}");
    }
}

#[test]
fn a_written_file_is_kept_up_to_date_and_a_merged_one_keeps_its_other_entries() {
    let home = Home::new();
    assert_eq!(home.run(&["--write", "door"]).code, Some(0));
    let printed = home.run(&[]).stdout;
    let (_, yaml) = printed.split_once('\n').unwrap();
    assert_eq!(home.text("door"), yaml);
    let mode = std::os::unix::fs::MetadataExt::mode(&fs::metadata(home.path("door")).unwrap());
    assert_eq!(mode & 0o077, 0);
    let again = home.run(&["--write", "door"]);
    assert!(again.stderr.contains("Nothing changes"), "{again:?}");
    let other = "# mine\ncurrent-context: own\ncontexts:\n- name: own\n  context: {cluster: own, user: own}\n\
                 clusters:\n- name: own\n  cluster: {server: https://own.example}\nusers:\n- name: own\n  user: {token: sesame-own}\n";
    fs::write(home.path("team"), other).unwrap();
    let refused = home.run(&["--write", "team"]);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.stderr.contains("--merge"), "{refused:?}");
    assert_eq!(fs::read_to_string(home.path("team")).unwrap(), other);
    assert_eq!(home.run(&["--merge", "team"]).code, Some(0));
    let merged = home.text("team");
    assert!(
        merged.starts_with("# mine\ncurrent-context: own\n"),
        "{merged}"
    );
    assert!(merged.contains("user: {token: sesame-own}"), "{merged}");
    // Contexts, clusters and the user, beside those of before.
    assert_eq!(merged.matches("name: ").count(), 3 + 3 + 3 + 1, "{merged}");
    // A context goes.
    let mut source = home.read("config");
    source["contexts"]
        .as_array_mut()
        .unwrap()
        .retain(|item| item["name"] != "same");
    home.write("config", &source);
    for (flag, file, entries) in [("--write", "door", 5), ("--merge", "team", 8)] {
        let run = home.run(&[flag, file]);
        assert_eq!(run.code, Some(0), "{run:?}");
        let text = home.text(file);
        assert_eq!(text.matches("name: ").count(), entries, "{text}");
        assert!(!text.contains("clusters/same"), "{text}");
    }
    // Names of others are not taken.
    let other = other.replace("name: own", "name: a");
    fs::write(home.path("taken"), &other).unwrap();
    let refused = home.run(&["--merge", "taken"]);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.stderr.contains("\"a\""), "{refused:?}");
    assert_eq!(fs::read_to_string(home.path("taken")).unwrap(), other);
}

#[test]
fn the_proxy_does_not_lead_to_itself() {
    let home = Home::new();
    let before = fs::read(home.path("config")).unwrap();
    for flag in ["--write", "--merge"] {
        std::os::unix::fs::symlink("config", home.path("link")).unwrap();
        for file in ["config", "link"] {
            let refused = home.run(&[flag, file]);
            assert_eq!(refused.code, Some(1), "{refused:?}");
            assert!(refused.stderr.contains("lead to itself"), "{refused:?}");
        }
        fs::remove_file(home.path("link")).unwrap();
    }
    assert_eq!(fs::read(home.path("config")).unwrap(), before);
    // Contexts that the proxy wrote are not taken for clusters of their own.
    let mut source = home.read("config");
    source["clusters"][0]["cluster"]["server"] = json!("http://127.0.0.1:8001/clusters/x");
    home.write("config", &source);
    let config = home.printed(&[]);
    let names = config["contexts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["name"].clone());
    assert_eq!(names.collect::<Vec<_>>(), ["same", LONG]);
}
