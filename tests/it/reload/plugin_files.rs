//! A user who may write a kubeconfig decides which plugin runs. If another user may, the start logs a
//! warning, and a plugin that is added later is not run.

use std::{
    os::unix::fs::{PermissionsExt as _, symlink},
    path::Path,
};

use super::*;

/// Writes a plugin that creates the file `NAME-ran` and prints the token `sesame-NAME`, and returns the
/// user of it.
fn plugin(home: &Home, name: &str) -> Value {
    let ran = home.path(&format!("{name}-ran"));
    home.write(
        name,
        format!(
            "#!/bin/sh\ntouch {}\necho '{{\"apiVersion\":\"client.authentication.k8s.io/v1\",\
             \"kind\":\"ExecCredential\",\"status\":{{\"token\":\"sesame-{name}\"}}}}'\n",
            ran.display()
        ),
    );
    let path = home.path(name);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    json!({"exec": {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": path,
        "interactiveMode": "Never",
    }})
}

/// Replaces the kubeconfig atomically by one with this mode.
fn write_config(home: &Home, upstream: &Upstream, user: &Value, mode: u32) -> PathBuf {
    let (new, path) = (home.path("config.new"), home.path("config"));
    fs::write(&new, config(upstream, user)).unwrap();
    fs::set_permissions(&new, fs::Permissions::from_mode(mode)).unwrap();
    fs::rename(new, &path).unwrap();
    path
}

const WARNING: &str = "may be written by every user";

fn start(config: &Path) -> Kubegate {
    Kubegate::start(["-v", "0", "--kubeconfig", config.to_str().unwrap()])
}

#[tokio::test]
async fn a_plugin_in_a_file_that_others_may_write_is_warned_of() {
    let upstream = Upstream::tls("localhost", Connection::echo).await;
    let home = Home::new();
    let user = plugin(&home, "plugin");
    let link = home.path("link");
    symlink(home.path("config"), &link).unwrap();
    for (user, mode, warns) in [
        (&user, 0o666, true),
        (&user, 0o600, false),
        (&user, 0o644, false),
        // This user has no plugin.
        (&json!({"token": "sesame"}), 0o666, false),
    ] {
        let path = write_config(&home, &upstream, user, mode);
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
    let (user, other) = (plugin(&home, "plugin"), plugin(&home, "other"));
    let path = write_config(&home, &upstream, &json!({"token": "sesame-first"}), 0o666);
    let kubegate = start(&path);
    assert!(get(&kubegate.address, "/x").await.contains("sesame-first"));
    write_config(&home, &upstream, &user, 0o666);
    logged(
        &kubegate,
        "not reloaded, the last good configuration stays in use",
    )
    .await;
    assert!(get(&kubegate.address, "/x").await.contains("sesame-first"));
    let log = kubegate.log();
    assert!(
        log.contains(WARNING) && log.contains("restart kubegate"),
        "{log}"
    );
    assert!(!home.path("plugin-ran").exists());
    // The control: a file that no other user may write is used.
    write_config(&home, &upstream, &user, 0o600);
    logged(&kubegate, "reloaded; changed: user").await;
    assert!(get(&kubegate.address, "/x").await.contains("sesame-plugin"));
    assert_eq!(kubegate.log().matches("not reloaded").count(), 1);
    drop(kubegate);

    // A plugin that was warned of at the start is kept, as long as it is the same.
    let path = write_config(&home, &upstream, &user, 0o666);
    let kubegate = start(&path);
    assert!(get(&kubegate.address, "/x").await.contains("sesame-plugin"));
    kubegate.signal("HUP");
    logged(&kubegate, "reloaded; nothing changed").await;
    write_config(&home, &upstream, &other, 0o666);
    logged(&kubegate, "not reloaded").await;
    assert!(!home.path("other-ran").exists());
}
