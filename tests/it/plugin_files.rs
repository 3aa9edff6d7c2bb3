//! A user who may write a kubeconfig decides which plugin runs. If another user may, the start logs a
//! warning, and a plugin that is added later is not run.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
};

use serde_json::{Value, json};
use tempfile::{TempDir, tempdir};

use crate::support::{Connection, Kubegate, Upstream, cert, get, in_time, status};

struct Home(TempDir);

impl Home {
    fn new() -> Self {
        Self(tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A plugin that creates the file `NAME-ran`, and prints the token `sesame-NAME`.
    fn plugin(&self, name: &str) -> Value {
        let path = self.path(name);
        let script = format!(
            "#!/bin/sh\ntouch {}\necho '{{\"apiVersion\":\"client.authentication.k8s.io/v1\",\
             \"kind\":\"ExecCredential\",\"status\":{{\"token\":\"sesame-{name}\"}}}}'\n",
            self.path(&format!("{name}-ran")).display()
        );
        fs::write(&path, script).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        json!({"exec": {
            "apiVersion": "client.authentication.k8s.io/v1",
            "command": path,
            "interactiveMode": "Never",
        }})
    }

    /// Replaces the kubeconfig atomically by one with this mode.
    fn config(&self, upstream: &Upstream, user: &Value, mode: u32) -> PathBuf {
        let config = json!({
            "current-context": "c",
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
            "clusters": [{"name": "c", "cluster": {
                "server": upstream.url(), "certificate-authority": cert("ca.pem"),
            }}],
            "users": [{"name": "u", "user": user}],
        });
        let (new, path) = (self.path("config.part"), self.path("config"));
        fs::write(&new, config.to_string()).unwrap();
        fs::set_permissions(&new, fs::Permissions::from_mode(mode)).unwrap();
        fs::rename(new, &path).unwrap();
        path
    }
}

const WARNING: &str = "may be written by every user";

fn start(config: &Path) -> Kubegate {
    Kubegate::start(["-v", "0", "--kubeconfig", config.to_str().unwrap()])
}

async fn logged(kubegate: &Kubegate, part: &str) {
    in_time(async {
        while !kubegate.log().contains(part) {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_plugin_in_a_file_that_others_may_write_is_warned_of() {
    let upstream = Upstream::tls("localhost", Connection::echo).await;
    let home = Home::new();
    let plugin = home.plugin("plugin");
    let link = home.path("link");
    symlink(home.path("config"), &link).unwrap();
    for (user, mode, warns) in [
        (&plugin, 0o666, true),
        (&plugin, 0o600, false),
        (&plugin, 0o644, false),
        // This user has no plugin.
        (&json!({"token": "sesame"}), 0o666, false),
    ] {
        let path = home.config(&upstream, user, mode);
        for path in [&path, &link] {
            let kubegate = start(path);
            assert_eq!(status(&get(&kubegate.address, "/x").await), 200);
            let log = kubegate.log();
            assert_eq!(log.contains(WARNING), warns, "{mode:o} {log}");
            if warns {
                let names = log.contains(path.to_str().unwrap()) && log.contains("/plugin");
                assert!(names && log.contains("chmod go-w"), "{log}");
            }
        }
        let mut command = Kubegate::command(["token"]);
        command.env("KUBECONFIG", &path);
        let token = Kubegate::refused(command);
        assert_eq!(token.stderr.contains(WARNING), warns, "{token:?}");
        assert_eq!(token.code, Some(0), "{token:?}");
    }
}

#[tokio::test]
async fn a_plugin_that_others_may_have_added_later_is_not_run() {
    let upstream = Upstream::tls("localhost", Connection::echo).await;
    let home = Home::new();
    let (plugin, other) = (home.plugin("plugin"), home.plugin("other"));
    let path = home.config(&upstream, &json!({"token": "sesame-first"}), 0o666);
    let kubegate = start(&path);
    assert!(get(&kubegate.address, "/x").await.contains("sesame-first"));
    home.config(&upstream, &plugin, 0o666);
    logged(&kubegate, "not reloaded, the last good configuration stays").await;
    assert!(get(&kubegate.address, "/x").await.contains("sesame-first"));
    let log = kubegate.log();
    assert!(
        log.contains(WARNING) && log.contains("restart kubegate"),
        "{log}"
    );
    assert!(!home.path("plugin-ran").exists());
    // The control: a file that no other user may write is used.
    home.config(&upstream, &plugin, 0o600);
    logged(&kubegate, "reloaded; changed: user").await;
    assert!(get(&kubegate.address, "/x").await.contains("sesame-plugin"));
    assert_eq!(kubegate.log().matches("not reloaded").count(), 1);
    drop(kubegate);

    // A plugin that was warned of at the start is kept, as long as it is the same.
    let path = home.config(&upstream, &plugin, 0o666);
    let kubegate = start(&path);
    assert!(get(&kubegate.address, "/x").await.contains("sesame-plugin"));
    kubegate.signal("HUP");
    logged(&kubegate, "reloaded; nothing changed").await;
    home.config(&upstream, &other, 0o666);
    logged(&kubegate, "not reloaded").await;
    assert!(!home.path("other-ran").exists());
}
