#![allow(clippy::unwrap_used)]
use std::{
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink},
    path::Path,
    time::{Duration, Instant, UNIX_EPOCH},
};

use super::*;
use crate::secret::Secret;

fn store() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().as_os_str().to_owned();
    let store = Store::of_user(&|name| (name == "HOME").then(|| home.clone())).unwrap();
    (folder, store)
}

#[test]
fn a_time_beyond_the_clock_is_refused() {
    let (_folder, store) = store();
    store.write("a", &SavedLogin::default()).unwrap();
    for (seconds, is_good) in [(4_000_000_000, true), (u64::MAX, false)] {
        for field in ["issued-at", "expires-at"] {
            let text = format!("{{\"token\": \"t\", \"{field}\": {seconds}}}");
            fs::write(store.path("a"), text).unwrap();
            assert_eq!(store.read("a").is_ok(), is_good, "{field} {seconds}");
        }
    }
}

#[test]
fn a_login_is_readable_by_its_owner_only() {
    let (_folder, store) = store();
    let login = "default/api.example:6443/../jane";
    assert!(store.read(login).unwrap().is_none());
    let saved = SavedLogin {
        token: Some(Secret::new("a\"b\\c\u{e9}")),
        expires_at: Some(UNIX_EPOCH + Duration::from_secs(1_900_000_000)),
        ..SavedLogin::default()
    };
    store.write(login, &saved).unwrap();
    let read = store.read(login).unwrap().unwrap();
    assert_eq!(read.token, saved.token);
    assert_eq!(read.expires_at, saved.expires_at);
    assert_eq!(read.api_key, None);
    let path = store.path(login);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&path), 0o600);
    assert_eq!(mode(path.parent().unwrap()), 0o700);
    assert_eq!(mode(store.folder()), 0o700);
    assert_eq!(path.parent().unwrap(), store.folder().join("logins"));
    assert!(store.remove(login).unwrap());
    assert!(!store.remove(login).unwrap());
}

#[test]
fn a_broken_file_is_named_and_not_shown() {
    let (_folder, store) = store();
    store.write("a", &SavedLogin::default()).unwrap();
    fs::write(store.path("a"), "{\"token\": hunter2}").unwrap();
    let error = store.read("a").unwrap_err();
    let shown = format!("{error} {error:?}");
    assert!(
        shown.contains("a.json") && shown.contains("log in again"),
        "{shown}"
    );
    assert!(!shown.contains("hunter2"), "{shown}");
}

#[test]
fn access_of_other_users_is_removed_before_use() {
    let (_folder, store) = store();
    let saved = SavedLogin {
        token: Some(Secret::new("t")),
        ..SavedLogin::default()
    };
    store.write("a", &saved).unwrap();
    let path = store.path("a");
    let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
    let open = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    open(&path, 0o644);
    assert_eq!(store.read("a").unwrap().unwrap().token, saved.token);
    assert_eq!(mode(&path), 0o600);
    open(store.folder(), 0o755);
    open(path.parent().unwrap(), 0o777);
    store.write("a", &saved).unwrap();
    assert_eq!(mode(store.folder()), 0o700);
    assert_eq!(mode(path.parent().unwrap()), 0o700);
}

#[test]
fn a_link_folder_pipe_or_large_file_is_refused() {
    let (folder, store) = store();
    store.write("a", &SavedLogin::default()).unwrap();
    let path = store.path("a");
    let elsewhere = folder.path().join("elsewhere");
    fs::rename(&path, &elsewhere).unwrap();
    symlink(&elsewhere, &path).unwrap();
    assert!(store.read("a").is_err(), "a symlink");
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert!(store.read("a").is_err(), "a folder");
    fs::remove_dir(&path).unwrap();
    let made = std::process::Command::new("mkfifo").arg(&path).status();
    assert!(made.unwrap().success());
    assert!(store.read("a").is_err(), "a pipe");
    fs::remove_file(&path).unwrap();
    fs::write(&path, " ".repeat(2 << 20)).unwrap();
    let error = store.read("a").unwrap_err().to_string();
    assert!(error.contains("1 MiB"), "{error}");
    fs::rename(&elsewhere, &path).unwrap();
    assert!(store.read("a").unwrap().is_some(), "the control");
    // Only root can give files away.
    if std::os::unix::fs::chown(&path, Some(4321), None).is_ok() {
        let error = store.read("a").unwrap_err().to_string();
        assert!(error.contains("another user"), "{error}");
    }
}

#[test]
fn a_login_is_renewed_by_one_process_at_a_time() {
    let (_folder, store) = store();
    let first = store.lock_for_renewal("a/b").unwrap();
    drop(store.lock_for_renewal("other").unwrap());
    let waiting = std::thread::spawn({
        let store = store.clone();
        move || {
            let _lock = store.lock_for_renewal("a/b").unwrap();
            Instant::now()
        }
    });
    std::thread::sleep(Duration::from_millis(200));
    assert!(!waiting.is_finished());
    let given_up = Instant::now();
    drop(first);
    assert!(waiting.join().unwrap() >= given_up);
    assert_eq!(store.names().unwrap(), [""; 0]);
    store.write("a/b", &SavedLogin::default()).unwrap();
    assert_eq!(store.names().unwrap(), ["a/b"]);
}

#[test]
fn a_login_is_read_only_for_its_issuer_and_server() {
    let (_folder, store) = store();
    let at = |server: &str| LoginBinding::of_server(&server.parse().unwrap());
    let issuer = "https://issuer.example";
    let here = store.bound_to(at("https://api.example").with_issuer(issuer));
    let saved = SavedLogin {
        token: Some(Secret::new("t")),
        ..SavedLogin::default()
    };
    here.write("a", &saved).unwrap();
    for (binding, reads) in [
        (
            at("https://API.example:443/").with_issuer("https://issuer.example/"),
            true,
        ),
        (LoginBinding::of_issuer(issuer), true),
        (at("https://api.example"), false),
        (
            at("https://api.example").with_issuer("https://issuer.example:444"),
            false,
        ),
        (at("https://api.example.org").with_issuer(issuer), false),
        (at("https://api.example:444").with_issuer(issuer), false),
        (at("https://api.example/proxy").with_issuer(issuer), false),
        (at("http://api.example:443").with_issuer(issuer), false),
    ] {
        let read = store.bound_to(binding.clone()).read("a");
        assert_eq!(read.is_ok(), reads, "{binding:?}");
    }
    // After a write for another server it is for both.
    let other = at("https://other.example").with_issuer(issuer);
    let read = store.read("a").unwrap().unwrap();
    store.bound_to(other.clone()).write("a", &read).unwrap();
    assert!(here.read("a").is_ok() && store.bound_to(other).read("a").is_ok());
    // A login that was saved without a binding is for no server.
    store.write("b", &saved).unwrap();
    assert!(store.bound_to(at("https://api.example")).read("b").is_err());
}

#[test]
fn a_list_of_kubeconfigs_with_one_path_per_line_is_read_and_kept() {
    let (folder, store) = store();
    let [old, other, new] = ["old", "other", "new\nline"].map(|name| folder.path().join(name));
    for file in [&old, &other, &new] {
        fs::write(file, "").unwrap();
    }
    store.write("a", &SavedLogin::default()).unwrap();
    let list = format!("{}\n{}\n", old.display(), other.display());
    fs::write(store.path("a").with_extension("kubeconfigs"), list).unwrap();
    assert_eq!(store.kubeconfigs("a"), [old.clone(), other.clone()]);
    store.note_kubeconfig("a", &new).unwrap();
    assert_eq!(store.kubeconfigs("a"), [old, other, new]);
}

#[test]
fn a_login_with_a_long_name_is_saved_found_and_listed() {
    let (_folder, store) = store();
    let ou = "\u{55b6}\u{696d}\u{90e8}".repeat(40);
    let login = format!("oidc:CN=\u{5c71}\u{7530} \u{592a}\u{90ce},OU={ou}/api-example:6443");
    let saved = SavedLogin {
        token: Some(Secret::new("t")),
        ..SavedLogin::default()
    };
    for login in [login.clone(), format!("{login}/2"), "a".repeat(1000)] {
        store.write(&login, &saved).unwrap();
        assert_eq!(store.read(&login).unwrap().unwrap().token, saved.token);
        let kubeconfig = Path::new("/home/jane/config");
        store.note_kubeconfig(&login, kubeconfig).unwrap();
        assert_eq!(store.kubeconfigs(&login), [kubeconfig]);
        drop(store.lock_for_renewal(&login).unwrap());
    }
    let mut expected = [login.clone(), format!("{login}/2"), "a".repeat(1000)];
    expected.sort_unstable();
    assert_eq!(store.names().unwrap(), expected);
    for file in fs::read_dir(store.folder().join("logins")).unwrap() {
        let length = file.unwrap().file_name().len();
        assert!(length <= 143 - ".new.4194304".len(), "{length}");
    }
    assert!(store.remove(&login).unwrap());
    assert!(store.read(&login).unwrap().is_none());
}

#[test]
fn a_long_file_name_of_before_is_found_and_kept() {
    let (_folder, store) = store();
    let login = "a".repeat(200);
    store.write("b", &SavedLogin::default()).unwrap();
    let before = store.folder().join("logins").join(format!("{login}.json"));
    fs::rename(store.path("b"), &before).unwrap();
    assert_eq!(store.path(&login), before);
    assert_eq!(store.names().unwrap(), [login.as_str()]);
    let saved = SavedLogin {
        token: Some(Secret::new("t")),
        ..SavedLogin::default()
    };
    store.write(&login, &saved).unwrap();
    let files = fs::read_dir(store.folder().join("logins")).unwrap().count();
    assert_eq!(files, 1, "no second file");
    assert_eq!(store.read(&login).unwrap().unwrap().token, saved.token);
}

#[test]
fn kubeconfigs_that_are_noted_at_the_same_time_are_all_kept() {
    let (folder, store) = store();
    let files: Vec<_> = (0..16).map(|n| folder.path().join(n.to_string())).collect();
    for file in &files {
        fs::write(file, "").unwrap();
    }
    std::thread::scope(|scope| {
        for file in &files {
            scope.spawn(|| store.note_kubeconfig("a", file).unwrap());
        }
    });
    let mut noted = store.kubeconfigs("a");
    noted.sort_unstable();
    let mut expected = files.clone();
    expected.sort_unstable();
    assert_eq!(noted, expected);
}

#[test]
fn a_registry_that_was_saved_with_its_port_is_found_without_it() {
    let (_folder, store) = store();
    assert!(
        !store
            .change_registries(|all| all.remove("a").is_some())
            .unwrap()
    );
    let path = store.folder().join("registries.json");
    assert!(!path.exists(), "nothing has changed");
    let text = r#"{"a.example:443": {"context": "one"}, "b.example:5000": {"context": "two"}}"#;
    fs::write(&path, text).unwrap();
    let registries = store.registries().unwrap();
    let hosts: Vec<_> = registries.keys().map(String::as_str).collect();
    assert_eq!(hosts, ["a.example", "b.example:5000"]);
    let removed = store.change_registries(|all| all.remove("a.example"));
    assert_eq!(removed.unwrap().unwrap().context, "one");
    assert_eq!(store.registries().unwrap().len(), 1);
}
