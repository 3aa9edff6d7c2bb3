//! Signals that come while a login or logout waits for the lock of a kubeconfig.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use rustix::process::Signal;
use serde_json::{Value, json};

use super::Home;
use crate::support::{Kubegate, Refused};

/// The saved logins of a home folder.
fn saved_in(home: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(home.join(".local/state/kubegate/logins"));
    let files = files.into_iter().flatten().map(|file| file.unwrap().path());
    files
        .filter(|path| path.extension().is_some_and(|end| end == "json"))
        .collect()
}

/// Runs a login whose kubeconfig is locked for good, and sends it the signal once a login is saved.
/// Returns what was saved then.
pub fn interrupt_at_lock(
    command: Command,
    signal: Signal,
    (home, lock): (&Path, &Path),
) -> (Refused, Value) {
    fs::create_dir_all(lock.parent().unwrap()).unwrap();
    fs::write(lock, "").unwrap();
    let mut seen = Value::Null;
    let ended = Kubegate::signalled(command, signal, || {
        let Some(saved) = saved_in(home).pop() else {
            return false;
        };
        seen = serde_json::from_slice(&fs::read(saved).unwrap()).unwrap();
        true
    });
    assert_eq!(ended.code, Some(1), "{ended:?}");
    for says in ["interrupted", "nothing was changed"] {
        assert!(ended.stderr.contains(says), "{says}: {ended:?}");
    }
    assert_eq!(saved_in(home), Vec::<PathBuf>::new(), "{ended:?}");
    fs::remove_file(lock).unwrap();
    (ended, seen)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_login_that_is_interrupted_at_the_lock_leaves_no_tokens() {
    let home = Home::new(3600).await;
    let lock = home.path(".kube/config.lock");
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        let at = (home.folder.path(), lock.as_path());
        let (ended, saved) = interrupt_at_lock(home.first_login(), signal, at);
        assert!(saved["refresh-token"].is_string(), "{ended:?}");
        assert!(!home.path(".kube/config").exists(), "{ended:?}");
    }
    // The control.
    home.log_in();
    assert!(home.out(&["whoami", "-o", "name"]).starts_with("oidc:jane"));
}

fn with_both(home: &Home, mut command: Command) -> Command {
    let files = [home.path("a"), home.path("b")];
    command.env("KUBECONFIG", std::env::join_paths(files).unwrap());
    command
}

/// Two kubeconfigs, of which the second has the context and is locked by another program.
fn with_second_locked(home: &Home, command: Command) -> (Command, [PathBuf; 2]) {
    let locks = [home.path("a.lock"), home.path("b.lock")];
    fs::write(&locks[1], "").unwrap();
    (with_both(home, command), locks)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_login_leaves_no_lock_of_its_own() {
    let home = Home::new(3600).await;
    fs::write(home.path("a"), "current-context: x\n").unwrap();
    let of_b = json!({"contexts": [{"name": "b", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": home.plane.url()}}]});
    fs::write(home.path("b"), of_b.to_string()).unwrap();
    let mut login = home.first_login();
    login.args(["--context", "b"]);
    let (login, [own, others]) = with_second_locked(&home, login);
    let ended = Kubegate::signalled(login, Signal::TERM, || own.exists());
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("nothing was changed"), "{ended:?}");
    assert!(!own.exists() && others.exists(), "{ended:?}");
    assert_eq!(
        fs::read_to_string(home.path("b")).unwrap(),
        of_b.to_string()
    );
    assert_eq!(saved_in(home.folder.path()), Vec::<PathBuf>::new());
}
