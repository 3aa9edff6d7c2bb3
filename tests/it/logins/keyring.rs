//! Secrets in the keyring of the desktop.

use std::{fs, os::unix::fs::PermissionsExt as _, process::Command, time::Duration};

use super::{Home, find};
use crate::support::Kubegate;

/// A keyring tool that stores secrets in a file and records its arguments.
const SECRET_TOOL: &str = r#"#!/bin/sh
echo "$@" >> "$HOME/arguments"
for name; do :; done
case $1 in
    store) cat > "$HOME/keyring.$name" ;;
    lookup) cat "$HOME/keyring.$name" ;;
    clear) rm -f "$HOME/keyring.$name" ;;
esac
"#;

#[tokio::test(flavor = "multi_thread")]
async fn with_keyring_the_secrets_are_in_the_keyring() {
    let home = Home::new(2).await;
    let mut without = home.first_login();
    without.arg("--keyring");
    let path = std::env::var("PATH").unwrap();
    // All programs except for a keyring tool.
    let tools = home.path("tools");
    fs::create_dir(&tools).unwrap();
    std::os::unix::fs::symlink(find("curl"), tools.join("curl")).unwrap();
    without.env("PATH", &tools);
    let ended = Kubegate::refused(without);
    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.contains("libsecret-tools"), "{ended:?}");

    let tool = tools.join("secret-tool");
    fs::write(&tool, SECRET_TOOL).unwrap();
    fs::set_permissions(&tool, fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{path}", tools.display());
    let run = |mut command: Command| {
        command.env("PATH", &path);
        let ended = Kubegate::refused(command);
        assert_eq!(ended.code, Some(0), "{ended:?}");
        ended.stdout
    };
    let mut with = home.first_login();
    with.arg("--keyring");
    run(with);
    let marker = fs::read_to_string(home.saved()).unwrap();
    assert!(
        marker.contains("\"keyring\": true") && !marker.contains("token"),
        "{marker}"
    );
    let token = run(home.command(&["token"]));
    // Renewed tokens are saved there too.
    std::thread::sleep(Duration::from_millis(2200));
    let newer = run(home.command(&["token"]));
    assert_ne!(token, newer);
    assert!(
        !fs::read_to_string(home.saved())
            .unwrap()
            .contains("refresh")
    );
    let kept = |folder: &std::path::Path| {
        let files = fs::read_dir(folder)
            .unwrap()
            .map(|file| file.unwrap().file_name());
        files
            .filter(|name| name.to_str().unwrap().starts_with("keyring."))
            .count()
    };
    assert_eq!(kept(home.folder.path()), 1);
    run(home.command(&["logout"]));
    assert_eq!(kept(home.folder.path()), 0);
    let arguments = fs::read_to_string(home.path("arguments")).unwrap();
    assert!(
        arguments.contains("store --label=") && arguments.contains("clear"),
        "{arguments}"
    );
    for token in [&token, &newer] {
        assert!(!arguments.contains(token.trim_end()), "{arguments}");
    }
}
