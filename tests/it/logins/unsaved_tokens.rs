//! Renewed tokens that cannot be stored: where the state folder is read-only, or one write fails.

use std::{
    ffi::OsStr,
    fs,
    path::PathBuf,
    time::{Duration, Instant},
};

use super::{
    Home,
    unwritable::{READ_ONLY, mounted},
};
use crate::support::{Kubegate, get, status};

/// The state folder as in a container with a read-only mount.
const READ_ONLY_STATE: &str = "mount --bind \"$HOME/.local/state\" \"$HOME/.local/state\" && \
                               mount -o remount,bind,ro \"$HOME/.local/state\"";

impl Home {
    /// The folder that takes the place of the new file of a saved login, so that it cannot be written.
    fn obstacle(&self, kubegate: &Kubegate) -> PathBuf {
        let mut name = self.saved().file_name().unwrap().to_owned();
        name.push(format!(".new.{}", kubegate.id()));
        self.saved().with_file_name(name)
    }

    fn has_saved_login(&self) -> bool {
        let files = fs::read_dir(self.path(".local/state/kubegate/logins")).unwrap();
        let mut paths = files.map(|file| file.unwrap().path());
        paths.any(|path| path.extension() == Some(OsStr::new("json")))
    }
}

/// Sends requests until one has the outcome that is waited for.
async fn until(kubegate: &Kubegate, mut is_reached: impl FnMut(u16) -> bool) {
    let started = Instant::now();
    loop {
        let response = get(&kubegate.address, "/api/v1/nodes").await;
        if is_reached(status(&response)) {
            return;
        }
        let log = kubegate.log();
        assert!(
            started.elapsed() < Duration::from_secs(60),
            "{response}: {log}"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_spends_no_refresh_token_whose_successor_it_cannot_store() {
    let home = Home::new(3600).await;
    home.log_in();
    let token = home.command(&["token"]);
    let Some(command) = mounted(READ_ONLY_STATE, &token) else {
        return;
    };
    // The control: the stored token is valid.
    let ended = Kubegate::refused(command);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    home.expire();
    let before = home.issuer.refreshes();
    for args in [&["token"][..], &["token", "--renew"], &["whoami"]] {
        let command = mounted(READ_ONLY_STATE, &home.command(args)).unwrap();
        let ended = Kubegate::refused(command);
        assert_eq!(ended.code, Some(1), "{args:?}: {ended:?}");
        for says in [".local/state/kubegate/logins", "Read-only file system"] {
            assert!(ended.stderr.contains(says), "{says}: {ended:?}");
        }
    }
    assert_eq!(home.issuer.refreshes(), before);
    home.out(&["token"]);
    assert_eq!(home.issuer.refused(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_spends_no_refresh_token_of_a_kubeconfig_that_it_cannot_write() {
    let home = Home::new(3600).await;
    let config = home.with_auth_provider();
    home.write_data("");
    fs::write(home.path(".kube/config"), config).unwrap();
    let token = home.command(&["token"]);
    let Some(command) = mounted(READ_ONLY, &token) else {
        return;
    };
    let ended = Kubegate::refused(command);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    for says in [".kube/config", "Read-only file system"] {
        assert!(ended.stderr.contains(says), "{says}: {ended:?}");
    }
    assert_eq!(home.issuer.refreshes(), 0);
    home.out(&["token"]);
    assert_eq!((home.issuer.refreshes(), home.issuer.refused()), (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_that_could_not_be_stored_give_way_to_a_logout_and_another_login() {
    let home = Home::new(3).await;
    home.log_in();
    let context = home.out(&["contexts", "-o", "name"]);
    let again = ["--context", context.trim_end()];
    let kubegate = Kubegate::spawn(home.command(&["--port", "0"]));
    let keep_in_memory = async |failed: usize| {
        let obstacle = home.obstacle(&kubegate);
        fs::create_dir(&obstacle).unwrap();
        let has_failed = |status| {
            assert_eq!(status, 200);
            kubegate.log().matches("kept in memory only").count() == failed
        };
        until(&kubegate, has_failed).await;
        obstacle
    };
    let obstacle = keep_in_memory(1).await;
    home.out(&["logout"]);
    fs::remove_dir(obstacle).unwrap();
    until(&kubegate, |status| status == 401).await;
    assert!(!home.has_saved_login());
    let ended = Kubegate::refused(home.log_in_with(&again));
    assert_eq!(ended.code, Some(0), "{ended:?}");
    until(&kubegate, |status| status == 200).await;

    let obstacle = keep_in_memory(2).await;
    let ended = Kubegate::refused(home.log_in_with(&again));
    assert_eq!(ended.code, Some(0), "{ended:?}");
    fs::remove_dir(obstacle).unwrap();
    // The new login is renewed, and not the former one.
    let refresh_token = home.saved_refresh_token();
    until(&kubegate, |status| {
        assert_eq!(status, 200);
        !home.issuer.accepts_refresh_token(&refresh_token)
    })
    .await;
    assert_eq!(home.issuer.refused(), 0);
}
