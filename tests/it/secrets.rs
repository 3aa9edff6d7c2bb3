//! That a secret which is told is noticed: the controls to the search that all tests make.

use std::{fs, os::unix::fs::PermissionsExt as _};

use serde_json::json;
use tempfile::tempdir;

use crate::support::{Connection, Kubegate, Upstream, cert, get, secrets, status};

#[test]
fn what_looks_like_a_secret_is_found_and_what_does_not_is_not() {
    for text in [
        "a sesame-7 b",
        "authorization: Bearer x",
        r#""authorization": "Basic YTpi""#,
        "token eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0.c2ln",
        "sha256~0123456789012345678901234567890123456789012",
        "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEIBkg4xNLa0aP",
    ] {
        assert_eq!(secrets::secrets_in(text).len(), 1, "{text}");
    }
    for text in [
        "authorization: Sensitive",
        "basic authentication",
        "sha256~",
        "PEM with a line \"-----BEGIN PRIVATE KEY-----\" (or RSA or EC PRIVATE KEY)",
    ] {
        assert!(secrets::secrets_in(text).is_empty(), "{text}");
    }
    secrets::register("planted-in-the-register");
    assert!(!secrets::secrets_in("x planted-in-the-register y").is_empty());
}

#[tokio::test]
async fn a_secret_in_a_log_an_answer_or_an_argument_would_be_found() {
    let upstream = Upstream::tls("localhost", Connection::echo).await;
    let home = tempdir().unwrap();
    let plugin = home.path().join("plugin");
    // kubegate passes on what a plugin complains of, but for the token that it printed.
    fs::write(
        &plugin,
        "#!/bin/sh\necho planted-by-a-plugin >&2; sleep 1; exit 1\n",
    )
    .unwrap();
    fs::set_permissions(&plugin, fs::Permissions::from_mode(0o755)).unwrap();
    let config = json!({
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {
            "server": upstream.url(),
            "certificate-authority": cert("ca.pem"),
        }}],
        "users": [{"name": "u", "user": {"exec": {
            "apiVersion": "client.authentication.k8s.io/v1",
            "command": plugin,
            "args": ["planted-in-an-argument"],
            "interactiveMode": "Never",
        }}}],
    });
    let path = home.path().join("config");
    fs::write(&path, config.to_string()).unwrap();
    let kubegate = Kubegate::start(["--kubeconfig", path.to_str().unwrap()]);
    let response = get(&kubegate.address, "/x").await;
    assert_eq!(status(&response), 401, "{response}");
    let (log, arguments) = kubegate.unsearched();
    let planted = [
        ("answer", response, "planted-by-a-plugin"),
        ("log", log, "planted-by-a-plugin"),
        ("arguments", arguments, "planted-in-an-argument"),
    ];
    for (what, text, _) in &planted {
        assert!(secrets::secrets_in(text).is_empty(), "{what}: {text}");
    }
    for (what, text, planted) in planted {
        secrets::register(planted);
        assert_eq!(secrets::secrets_in(&text), [planted], "{what}: {text}");
    }
}

/// A folder that every user may enter, with kubegate in it.
fn for_everybody() -> (tempfile::TempDir, std::path::PathBuf) {
    let home = tempdir().unwrap();
    fs::set_permissions(home.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let program = home.path().join("kubegate");
    fs::copy(env!("CARGO_BIN_EXE_kubegate"), &program).unwrap();
    (home, program)
}

/// The soft limit of core dumps in `/proc/PID/limits`.
fn core_limit(id: u32) -> String {
    let limits = fs::read_to_string(format!("/proc/{id}/limits")).unwrap();
    let line = limits
        .lines()
        .find(|line| line.starts_with("Max core file size"));
    line.unwrap()["Max core file size".len()..]
        .split_whitespace()
        .next()
        .unwrap()
        .to_owned()
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn no_memory_of_ours_is_dumped_and_plugins_are_as_they_were() {
    use std::os::unix::{fs::MetadataExt as _, process::CommandExt as _};

    const NOBODY: u32 = 65534;
    let upstream = Upstream::tls("localhost", Connection::echo).await;
    let (home, program) = for_everybody();
    // What of a process is dumpable belongs to its user, all else to root.
    let (seen, plugin) = (home.path().join("seen"), home.path().join("plugin"));
    fs::create_dir(&seen).unwrap();
    fs::set_permissions(&seen, fs::Permissions::from_mode(0o777)).unwrap();
    let script = format!(
        "#!/bin/sh\nulimit -Sc > {0}/limit; stat -c %u /proc/$$/environ > {0}/owner\n\
         echo '{{\"apiVersion\":\"client.authentication.k8s.io/v1\",\"kind\":\"ExecCredential\",\
         \"status\":{{\"token\":\"t\"}}}}'\n",
        seen.display()
    );
    fs::write(&plugin, script).unwrap();
    fs::set_permissions(&plugin, fs::Permissions::from_mode(0o755)).unwrap();
    let ca = home.path().join("ca.pem");
    fs::copy(cert("ca.pem"), &ca).unwrap();
    let config = json!({
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": upstream.url(), "certificate-authority": ca}}],
        "users": [{"name": "u", "user": {"exec": {
            "apiVersion": "client.authentication.k8s.io/v1",
            "command": plugin,
            "interactiveMode": "Never",
        }}}],
    });
    let path = home.path().join("config");
    fs::write(&path, config.to_string()).unwrap();
    let mut command = std::process::Command::new("sh");
    // As high as it may be, so that there is something to lower.
    command.args(["-c", "ulimit -Sc $(ulimit -Hc); exec \"$@\"", "sh"]);
    command
        .arg(&program)
        .args(["-v", "9", "--port", "0", "--kubeconfig"])
        .arg(&path);
    command.stdin(std::process::Stdio::null());
    // Another user cannot read the settings of the one that runs the tests.
    command.env("XDG_CONFIG_HOME", home.path());
    let is_root = rustix::process::geteuid().is_root();
    let us = if is_root {
        command.uid(NOBODY).gid(NOBODY);
        NOBODY
    } else {
        rustix::process::geteuid().as_raw()
    };
    let kubegate = Kubegate::spawn(command);
    assert_eq!(status(&get(&kubegate.address, "/x").await), 200);
    assert_eq!(core_limit(kubegate.id()), "0");
    let memory = fs::metadata(format!("/proc/{}/environ", kubegate.id())).unwrap();
    assert_eq!(memory.uid(), 0, "it is dumpable");
    // The controls: its plugin has what kubegate was started with.
    let reported = |name: &str| {
        fs::read_to_string(seen.join(name))
            .unwrap()
            .trim()
            .to_owned()
    };
    assert_eq!(reported("owner"), us.to_string());
    let hard = std::process::Command::new("sh")
        .args(["-c", "ulimit -Hc"])
        .output();
    let hard = String::from_utf8(hard.unwrap().stdout).unwrap();
    assert_eq!(reported("limit"), hard.trim());
}
