//! `kubegate registry`, and what it writes for docker and podman.
#![cfg(feature = "demo")]

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde_json::{Value, json};
use tempfile::{TempDir, tempdir};

use crate::support::{Kubegate, Refused};

struct Home(TempDir);

impl Home {
    fn new() -> Self {
        let home = Self(tempdir().unwrap());
        fs::create_dir_all(home.path(".docker")).unwrap();
        fs::create_dir_all(home.path(".kube")).unwrap();
        home.name_context("demo");
        home
    }

    fn name_context(&self, name: &str) {
        let config = json!({
            "clusters": [{"name": "c", "cluster": {"server": "https://api.example"}}],
            "users": [{"name": "jane", "user": {"token": "sesame-registry-2"}}],
            "contexts": [{"name": name, "context": {"cluster": "c", "user": "jane"}}],
        });
        fs::write(self.path(".kube/config"), config.to_string()).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Kubegate::command(args);
        command.env("HOME", self.0.path());
        command.env("PATH", self.path(".local/bin"));
        command
    }

    fn add(&self, host: &str, podman: Option<&Path>) -> Refused {
        let args = ["registry", "add", host, "--context", "demo", "--configure"];
        let mut command = self.command(&args);
        if let Some(file) = podman {
            command.env("REGISTRY_AUTH_FILE", file);
        }
        Kubegate::refused(command)
    }

    fn run(&self, args: &[&str]) -> Refused {
        Kubegate::refused(self.command(args))
    }

    fn registries(&self) -> String {
        self.run(&["registry", "list", "-o", "name"]).stdout
    }

    /// Runs `kubegate docker-credential get` for a registry.
    fn get(&self, host: &str) -> (Option<i32>, String) {
        let mut command = self.command(&["docker-credential", "get"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let input = child.stdin.take();
        input.unwrap().write_all(host.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        (output.status.code(), text)
    }
}

fn json_of(file: &Path) -> Value {
    serde_json::from_slice(&fs::read(file).unwrap()).unwrap()
}

#[test]
fn configure_does_all_or_nothing() {
    let home = Home::new();
    let docker = home.path(".docker/config.json");
    let link = home.path(".local/bin/docker-credential-kubegate");
    // No file can be made beside one whose name is this long, so that it cannot be replaced.
    let podman = home.path(&"a".repeat(250));
    fs::write(&podman, "{}").unwrap();
    for before in [None, Some(r#"{"auths":  {}}"#)] {
        if let Some(text) = before {
            fs::write(&docker, text).unwrap();
        }
        let ended = home.add("r.example", Some(&podman));
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert!(ended.stderr.contains("aaaa"), "{ended:?}");
        assert_eq!(fs::read_to_string(&docker).ok().as_deref(), before);
        assert_eq!(fs::read_to_string(&podman).unwrap(), "{}");
        assert!(!link.is_symlink());
        assert_eq!(home.registries(), "");
    }
    // A registry that was there keeps its context, and the control.
    let ended = home.add("r.example", None);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(link.is_symlink());
    let ended = home.add("r.example", Some(&podman));
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert_eq!(home.registries(), "r.example\n");
}

#[test]
fn remove_takes_the_lines_of_docker_and_podman_out_again() {
    let home = Home::new();
    let (docker, podman) = (home.path(".docker/config.json"), home.path("auth.json"));
    fs::write(&docker, r#"{"credHelpers": {"b.example": "pass"}}"#).unwrap();
    fs::write(&podman, "{}").unwrap();
    for host in ["r.example", "s.example:5000"] {
        assert_eq!(home.add(host, Some(&podman)).code, Some(0));
    }
    let remove = |host: &str| {
        let mut command = home.command(&["registry", "remove", host]);
        command.env("REGISTRY_AUTH_FILE", &podman);
        Kubegate::refused(command)
    };
    let ended = remove("r.example:443");
    assert_eq!(ended.code, Some(0), "{ended:?}");
    for file in [&docker, &podman] {
        assert!(ended.stdout.contains(file.to_str().unwrap()), "{ended:?}");
    }
    let left = json!({"b.example": "pass", "s.example:5000": "kubegate"});
    assert_eq!(json_of(&docker)["credHelpers"], left);
    assert_eq!(remove("s.example:5000").code, Some(0));
    assert_eq!(
        json_of(&docker),
        json!({"credHelpers": {"b.example": "pass"}})
    );
    assert_eq!(json_of(&podman), json!({}));
    // Another helper's line stays, and lines alone are removed as well.
    assert_eq!(remove("b.example").code, Some(1));
    fs::write(&docker, r#"{"credHelpers": {"r.example:443": "kubegate"}}"#).unwrap();
    assert_eq!(remove("r.example").code, Some(0));
    assert_eq!(json_of(&docker), json!({}));
    // A file that cannot be read keeps no registry.
    assert_eq!(home.add("r.example", None).code, Some(0));
    fs::write(&docker, "{").unwrap();
    let ended = remove("r.example");
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stderr.contains("config.json"), "{ended:?}");
    assert_eq!(home.registries(), "");
}

#[test]
fn docker_finds_a_registry_with_the_port_443_and_without_it() {
    let home = Home::new();
    for (host, names) in [
        ("r.example", ["r.example", "r.example:443"]),
        ("s.example:443", ["s.example", "s.example:443"]),
        ("[::1]", ["[::1]", "[::1]:443"]),
    ] {
        assert_eq!(home.add(host, None).code, Some(0));
        let written = json_of(&home.path(".docker/config.json"));
        for name in names {
            assert_eq!(written["credHelpers"][name], "kubegate", "{written}");
            let (code, text) = home.get(name);
            assert_eq!(code, Some(0), "{name}: {text}");
        }
    }
}

#[test]
fn a_registry_whose_context_was_renamed_says_how_to_name_another() {
    let home = Home::new();
    assert_eq!(home.add("r.example", None).code, Some(0));
    home.name_context("new");
    let (code, text) = home.get("r.example");
    assert_eq!(code, Some(1), "{text}");
    for part in [
        "\"demo\"",
        "renamed or removed",
        "kubegate registry add r.example --context NAME",
    ] {
        assert!(text.contains(part), "{text}");
    }
    // The control.
    let ended = home.run(&["registry", "add", "r.example", "--context", "new"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(home.get("r.example").0, Some(0));
}
