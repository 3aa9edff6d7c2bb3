#![allow(clippy::unwrap_used)]
use std::{
    fs::{self, File},
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink},
    time::Duration,
};

use rustix::fs::{FlockOperation, flock};
use tempfile::{TempDir, tempdir};

use super::{
    file_lock::sibling, tokens::write_tokens_within, write_file::write_file as replace, *,
};
use crate::{kubeconfig::OidcTokens, secret::Secret};

const YAML: &str = "\
# mine
apiVersion: v1
users:
- name: other
  user: {token: old-id}
- name: jane # hers
  user:
    surprise: [1, 2]
    auth-provider:
      name: oidc
      config:
        client-id: kube
        idp-issuer-url: https://issuer.example
        id-token: old-id # short-lived
        refresh-token: 'old-refresh'
";

fn tokens(id: &str, refresh: Option<&str>) -> OidcTokens {
    OidcTokens {
        id_token: Some(Secret::new(id)),
        refresh_token: refresh.map(Secret::new),
    }
}

fn holding(text: &str) -> (TempDir, PathBuf) {
    let folder = tempdir().unwrap();
    let path = folder.path().join("config");
    fs::write(&path, text).unwrap();
    (folder, path)
}

fn after(text: &str, new: &OidcTokens) -> String {
    let (folder, path) = holding(text);
    write_tokens(&path, "jane", new).unwrap();
    assert_eq!(
        OidcTokens::read(&path, "jane").unwrap().id_token,
        new.id_token
    );
    assert_eq!(
        fs::read_dir(folder.path()).unwrap().count(),
        1,
        "something was left"
    );
    fs::read_to_string(path).unwrap()
}

#[test]
fn only_the_two_values_change_in_yaml() {
    let expected = YAML
        .replace("id-token: old-id", "id-token: new.id")
        .replace("'old-refresh'", "'new-refresh'");
    assert_eq!(
        after(YAML, &tokens("new.id", Some("new-refresh"))),
        expected
    );
    let expected = YAML.replace("id-token: old-id", "id-token: new.id");
    assert_eq!(after(YAML, &tokens("new.id", None)), expected);
}

#[test]
fn only_the_two_values_change_in_json() {
    let json = r#"{"users": [{"name": "jane", "user": {"auth-provider": {"name": "oidc",
      "config": {"idp-issuer-url": "https://i", "id-token": "a", "x": 1}}}}], "y": null}"#;
    let expected = json
        .replace(r#""https://i""#, r#""https://i", "refresh-token": "r""#)
        .replace(r#""id-token": "a""#, r#""id-token": "b""#);
    assert_eq!(after(json, &tokens("b", Some("r"))), expected);
}

#[test]
fn a_missing_token_gets_a_line_of_its_own() {
    let bare = YAML.replace("        id-token: old-id # short-lived\n", "");
    let expected = bare.replace(
        "https://issuer.example\n",
        "https://issuer.example\n        id-token: \"new\"\n",
    );
    assert_eq!(after(&bare, &tokens("new", None)), expected);
}

#[test]
fn a_value_in_another_form_is_replaced_in_place() {
    let old = "id-token: old-id #";
    for form in [
        "id-token: *t #",
        "id-token: &id old-id #",
        "id-token: '' #",
        "id-token: #",
        "\"id-token\": \"old\\x2did\" #",
    ] {
        let text = YAML
            .replace("{token: old-id}", "{token: &t old-id, flag: yes}")
            .replace(old, form);
        let edited = after(&text, &tokens("new", None));
        let lines = text.lines().zip(edited.lines());
        let changed: Vec<_> = lines.filter(|(old, new)| old != new).collect();
        assert_eq!(changed.len(), 1, "{edited}");
        assert!(changed[0].1.contains("id-token") && changed[0].1.contains("new"));
        assert!(changed[0].1.ends_with("# short-lived"), "{edited}");
    }
    let flow = r#"users: [{name: jane, user: {auth-provider: {config: {id-token: "", x: 1}}}}]"#;
    let expected = flow.replace("\"\"", "\"b\"");
    assert_eq!(after(flow, &tokens("b", None)), expected);
    let odd = "say \"no\": # {it}";
    assert!(after(YAML, &tokens(odd, None)).contains("surprise: [1, 2]"));
}

#[test]
fn crlf_line_ends_stay() {
    let text = YAML.replace('\n', "\r\n");
    let expected = text.replace("id-token: old-id", "id-token: new");
    assert_eq!(after(&text, &tokens("new", None)), expected);
    let empty = text.replace("old-id # short-lived", "");
    let expected = empty.replace("id-token: \r", "id-token: \"new\"\r");
    assert_eq!(after(&empty, &tokens("new", None)), expected);
}

#[test]
fn bare_cr_line_ends_are_named_where_they_cannot_be_edited() {
    let text = YAML.replace('\n', "\r");
    let expected = text.replace("id-token: old-id", "id-token: new");
    assert_eq!(after(&text, &tokens("new", None)), expected);

    let empty = text.replace("old-id # short-lived", "");
    let (_folder, path) = holding(&empty);
    let error = write_tokens(&path, "jane", &tokens("hunter2", None)).unwrap_err();
    let error = error.to_string();
    assert!(
        error.contains("a carriage return (CR) alone: save it with line feeds (LF)"),
        "{error}"
    );
    assert!(!error.contains("hunter2"), "{error}");
    assert_eq!(fs::read_to_string(&path).unwrap(), empty);
}

#[test]
fn a_file_that_cannot_be_edited_stays_unchanged() {
    let text = YAML.replace("old-id # short-lived", "\"old\n          id\"");
    let (folder, path) = holding(&text);
    let error = write_tokens(&path, "jane", &tokens("hunter2", None)).unwrap_err();
    let error = error.to_string();
    assert!(
        error.contains("id-token") && !error.contains("hunter2"),
        "{error}"
    );
    assert_eq!(fs::read_to_string(&path).unwrap(), text);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn the_file_becomes_private_and_symlinks_stay() {
    for (before, after) in [(0o644, 0o600), (0o600, 0o600), (0o400, 0o400)] {
        let (folder, path) = holding(YAML);
        fs::set_permissions(&path, fs::Permissions::from_mode(before)).unwrap();
        let link = folder.path().join("link");
        symlink("config", &link).unwrap();
        write_tokens(&link, "jane", &tokens("new", None)).unwrap();
        assert!(link.is_symlink());
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, after);
        assert!(fs::read_to_string(&path).unwrap().contains("id-token: new"));
    }
}

#[test]
fn a_file_that_root_edits_keeps_its_owner() {
    let (_folder, path) = holding(YAML);
    let old = fs::metadata(&path).unwrap();
    // Only root can change the owner. Other users test that it stays.
    let _ = std::os::unix::fs::chown(&path, Some(4321), Some(4321));
    let given = fs::metadata(&path).unwrap();
    write_tokens(&path, "jane", &tokens("new", None)).unwrap();
    let new = fs::metadata(&path).unwrap();
    assert_ne!(new.ino(), old.ino());
    assert_eq!((new.uid(), new.gid()), (given.uid(), given.gid()));
}

#[test]
fn a_concurrent_change_is_not_overwritten() {
    let (folder, path) = holding(YAML);
    let theirs = YAML.replace("# mine", "# theirs");
    fs::write(&path, &theirs).unwrap();
    assert!(!replace(&path, Some(YAML.as_bytes()), b"ours").unwrap());
    assert_eq!(fs::read_to_string(&path).unwrap(), theirs);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    assert!(replace(&path, Some(theirs.as_bytes()), b"ours").unwrap());
    assert_eq!(fs::read_to_string(&path).unwrap(), "ours");
}

#[test]
fn kubectls_lock_is_awaited_and_named_when_it_stays() {
    let (_folder, path) = holding(YAML);
    let lock = sibling(&path, ".lock");
    File::create(&lock).unwrap();
    let short = Duration::from_millis(50);
    let error = write_tokens_within(&path, "jane", &tokens("new", None), short).unwrap_err();
    assert!(
        error.to_string().contains(lock.to_str().unwrap()),
        "{error}"
    );
    assert_eq!(fs::read_to_string(&path).unwrap(), YAML);

    let writer = std::thread::spawn({
        let path = path.clone();
        move || write_tokens(&path, "jane", &tokens("new", None))
    });
    fs::remove_file(&lock).unwrap();
    writer.join().unwrap().unwrap();
    assert!(!lock.exists());
    assert!(fs::read_to_string(&path).unwrap().contains("id-token: new"));
}

#[test]
fn the_renewal_lock_is_exclusive_through_any_name_of_the_file() {
    let (folder, path) = holding(YAML);
    let link = folder.path().join("link");
    symlink("config", &link).unwrap();
    let first = RenewalLock::of_file(&path).unwrap();
    let file = File::open(sibling(&fs::canonicalize(&link).unwrap(), ".kubegate.lock")).unwrap();
    assert!(flock(&file, FlockOperation::NonBlockingLockExclusive).is_err());
    drop(first);
    drop(RenewalLock::of_file(&link).unwrap());
    flock(&file, FlockOperation::NonBlockingLockExclusive).unwrap();
}

#[test]
fn a_missing_user_is_named_and_nothing_is_written() {
    let (_folder, path) = holding(YAML);
    let error = write_tokens(&path, "joe", &tokens("hunter2", None)).unwrap_err();
    assert!(error.to_string().contains("\"joe\""), "{error}");
    assert!(!error.to_string().contains("hunter2"));
    assert_eq!(fs::read_to_string(&path).unwrap(), YAML);
}

#[test]
fn the_last_value_of_a_repeated_key_changes() {
    let twice = YAML.replace("        client-id: kube\n", "        id-token: old-id\n");
    let edited = after(&twice, &tokens("new", None));
    assert_eq!(edited.matches("id-token: old-id").count(), 1, "{edited}");
    assert!(edited.contains("id-token: new # short-lived"), "{edited}");
    let more = format!("{YAML}---\n{YAML}");
    let expected = format!("{}---\n{YAML}", after(YAML, &tokens("new", Some("next"))));
    assert_eq!(after(&more, &tokens("new", Some("next"))), expected);
}

#[test]
fn whether_tokens_can_be_written_is_checked_before() {
    let (_folder, path) = holding(&format!("{YAML}...\n---\nmore: [\n"));
    may_write_tokens(&path, "jane").unwrap();
    let text = YAML.replace("'old-refresh'", "\"old\\\n          refresh\"");
    let (_folder, path) = holding(&text);
    let error = may_write_tokens(&path, "jane").unwrap_err().to_string();
    assert!(
        error.contains("refresh-token") && error.contains("on one line"),
        "{error}"
    );
    assert_eq!(fs::read_to_string(&path).unwrap(), text);
}
