#![allow(clippy::unwrap_used)]
use std::{
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::PathBuf,
};

use serde_json::Value;
use tempfile::{TempDir, tempdir};

use super::*;
use crate::{
    kubeconfig::{Login, Overrides, file_to_edit, resolve, syntax::parse_yaml},
    secret::Secret,
};

const KUBECTL: &str = "\
# mine
apiVersion: v1
clusters:
- cluster: # the old one
    extensions: [{name: x, extension: 1}] # mine too
    insecure-skip-tls-verify: true
    server: https://old.example:6443
  name: c
- cluster:
    server: https://other.example
  name: other
contexts:
  - context:
      cluster: other
      user: other
    name: other
# none yet
current-context: other
kind: Config
preferences: {}
users:
- name: jane
  user:
    exec:
      apiVersion: client.authentication.k8s.io/v1
      command: kubegate
      interactiveMode: Never
    as: other-user
- name: other
  user: {token: yes-token, flag: yes} # theirs
";

fn new() -> NewContext {
    let args = "credential openshift --login a/b:6443/jane --scope user:full";
    let name = |name: &str| Some(name.to_owned());
    NewContext {
        chosen: ChosenNames {
            context: name("dev/c/jane"),
            cluster: name("c"),
            user: name("jane"),
        },
        naming: Naming::Oc {
            namespace: "dev".to_owned(),
        },
        username: "jane".to_owned(),
        namespace: name("dev"),
        default_namespace: None,
        cluster: NewCluster {
            server: "https://api.example:6443".to_owned(),
            certificate_authority: Some(b"-----BEGIN".to_vec()),
            ..NewCluster::default()
        },
        exec: ExecEntry {
            command: "kubegate".to_owned(),
            args: args.split(' ').map(str::to_owned).collect(),
            api_version: None,
        },
        identity: LoginIdentity {
            is_same: Box::new(|exec| exec.command == Path::new("kubegate")),
            has_same_flags: Box::new(|_| true),
            is_login: Box::new(|exec| exec.command == Path::new("kubegate")),
            is_session: false,
        },
    }
}

/// Adds the context to one file.
fn add(path: &Path, new: &NewContext, make_current: bool) -> Result<Written, Error> {
    add_context(&[path.to_owned()], new, make_current)
}

/// Removes a user from one file, whatever its login is.
fn forget(path: &Path, user: &str) -> bool {
    let files = [path.to_owned()];
    let forget = Forget {
        user: user.to_owned(),
        is_same: Box::new(|_| true),
        may_end: Box::new(|_| true),
        context: None,
        at: None,
    };
    may_forget_user(&files, &forget).unwrap();
    forget_user(&files, &forget).unwrap().is_found
}

fn holding(text: &str) -> (TempDir, PathBuf) {
    let folder = tempdir().unwrap();
    let path = folder.path().join("config");
    fs::write(&path, text).unwrap();
    (folder, path)
}

/// Adds the context, checks it by resolving the file, and returns the new text.
fn after(text: &str) -> String {
    let (folder, path) = holding(text);
    add(&path, &new(), true).unwrap();
    let target = resolve(Some(&path), &Overrides::default(), &|_| None).unwrap();
    assert_eq!(target.context.as_deref(), Some("dev/c/jane"));
    assert_eq!(target.namespace.as_deref(), Some("dev"));
    assert_eq!(target.cluster.server, "https://api.example:6443/");
    assert!(!target.cluster.insecure_skip_tls_verify);
    let authority = target
        .cluster
        .certificate_authority
        .unwrap()
        .read()
        .unwrap();
    assert_eq!(**authority, *b"-----BEGIN");
    let Login::Exec(exec) = target.user.login else {
        panic!("{:?}", target.user.login);
    };
    assert_eq!(exec.args, new().exec.args);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    fs::read_to_string(path).unwrap()
}

#[test]
fn a_login_is_added_and_all_other_text_stays() {
    let edited = after(KUBECTL);
    let expected = "\
# mine
apiVersion: v1
clusters:
- cluster: # the old one
    extensions: [{name: x, extension: 1}] # mine too
    server: https://api.example:6443
    certificate-authority-data: LS0tLS1CRUdJTg==
  name: c
- cluster:
    server: https://other.example
  name: other
contexts:
  - context:
      cluster: other
      user: other
    name: other
  - context:
      cluster: c
      extensions:
      - extension:
          clusters:
            c:
              before:
                certificate-authority: null
                certificate-authority-data: null
                insecure-skip-tls-verify: true
                server: https://old.example:6443
              written: ec3d49f81c975387b4efef45e8a58fc09ade3816ba2332574587431742ecf71d
          current:
            before: other
          login:
            user: jane
            username: jane
          made:
          - context
        name: kubegate
      namespace: dev
      user: jane
    name: dev/c/jane
# none yet
current-context: dev/c/jane
kind: Config
preferences: {}
users:
- name: jane
  user:
    exec:
      apiVersion: client.authentication.k8s.io/v1
      command: kubegate
      interactiveMode: Never
      args:
      - credential
      - openshift
      - \"--login\"
      - a/b:6443/jane
      - \"--scope\"
      - user:full
      installHint: \"The user of this context logs in with kubegate, which was not found. \
Install kubegate, or put it on PATH, and run the command again.\"
      provideClusterInfo: true
    as: other-user
- name: other
  user: {token: yes-token, flag: yes} # theirs
";
    assert_eq!(edited, expected);
    assert_eq!(after(&edited), edited, "a second time");
    assert_eq!(
        after(&KUBECTL.replace('\n', "\r\n")),
        expected.replace('\n', "\r\n")
    );
}

#[test]
fn a_file_may_have_no_entries() {
    let fresh = after("");
    assert!(
        fresh.starts_with("apiVersion: v1\nclusters:\n- cluster:\n"),
        "{fresh}"
    );
    assert!(fresh.ends_with("provideClusterInfo: true\n"), "{fresh}");
    let commented = after("# mine");
    assert_eq!(commented, format!("# mine\n{fresh}"));
    for text in [
        "---\n",
        "clusters: null\ncontexts: []\nusers: # none\ncurrent-context: \"\"\n",
        "clusters:\ncontexts: [] # none\nusers: ~\n",
        "kind: Config",
        "{}",
        "kind: Config\n...\n",
    ] {
        let edited = after(text);
        assert!(
            !text.contains("none") || edited.contains("# none"),
            "{edited}"
        );
    }
}

#[test]
fn json_stays_json() {
    let (_folder, path) = holding("");
    add(&path, &new(), true).unwrap();
    let value: Value = parse_yaml(&path, &fs::read_to_string(&path).unwrap()).unwrap();
    for text in [
        serde_json::to_string_pretty(&value)
            .unwrap()
            .replace("c\"", "d\""),
        value.to_string().replace("\"jane\"", "\"joe\""),
        r#"{"clusters": [], "users": null, "contexts": [
             {"name": "a", "context": {"user": "jane"}}]}"#
            .to_owned(),
    ] {
        let edited = after(&text);
        serde_json::from_str::<Value>(&edited).unwrap();
    }
}

#[test]
fn a_login_without_a_namespace_keeps_that_of_the_context() {
    let (_folder, path) = holding(KUBECTL);
    add(&path, &new(), true).unwrap();
    let without = NewContext {
        namespace: None,
        ..new()
    };
    add(&path, &without, false).unwrap();
    let target = resolve(Some(&path), &Overrides::default(), &|_| None).unwrap();
    assert_eq!(target.namespace.as_deref(), Some("dev"));
}

#[test]
fn current_context_changes_only_on_request() {
    let (_folder, path) = holding(KUBECTL);
    add(&path, &new(), false).unwrap();
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains("current-context: other\n") && text.contains("name: dev/c/jane\n"));
}

#[test]
fn a_missing_file_is_created_with_mode_0600() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("home/.kube/config");
    add(&path, &new(), true).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
    assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    add(
        &path,
        &NewContext {
            namespace: Some("x".to_owned()),
            ..new()
        },
        true,
    )
    .unwrap();
    assert_eq!(mode(&path), 0o600);
}

#[test]
fn without_an_edit_the_error_shows_the_entries() {
    for text in [
        "clusters: &all\n- &one {name: c, cluster: {server: x}}\nmine: *all\n",
        "users: &none []\nmine: *none\n",
    ] {
        let (_folder, path) = holding(text);
        let new = NewContext {
            cluster: NewCluster {
                proxy_url: Some(Secret::new("http://me:hunter2@proxy:3128")),
                ..new().cluster
            },
            ..new()
        };
        let error = match add(&path, &new, true) {
            Err(error) => error.to_string(),
            Ok(_) => panic!("{}", fs::read_to_string(&path).unwrap()),
        };
        for part in [
            "add this",
            "config",
            "- context:",
            "- credential",
            "proxy:3128",
        ] {
            assert!(error.contains(part), "{part}: {error}");
        }
        assert!(!error.contains("hunter2"), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
    }
    let (_folder, path) = holding("clusters: {}\n");
    let error = add(&path, &new(), true).unwrap_err().to_string();
    assert!(
        error.contains("clusters") && error.contains("must be a list"),
        "{error}"
    );
}

#[test]
fn a_user_is_removed_with_its_contexts_and_nothing_else() {
    let (_folder, path) = holding(KUBECTL);
    add(&path, &new(), true).unwrap();
    assert!(forget(&path, "jane"));
    let text = fs::read_to_string(&path).unwrap();
    assert!(
        !text.contains("jane") && text.contains("current-context: other\n"),
        "{text}"
    );
    assert!(
        text.contains("old.example") && text.contains("# theirs"),
        "{text}"
    );
    assert!(forget(&path, "other"));
    assert!(!forget(&path, "other"));
    let text = fs::read_to_string(&path).unwrap();
    assert!(
        text.contains("users:") && !text.contains("yes-token"),
        "{text}"
    );
    assert!(!forget(&path.with_extension("none"), "other"));

    let (_folder, path) = holding(r#"{"users": [{"name": "a"}, {"name": "jane"}], "x": 1}"#);
    forget(&path, "jane");
    let text = fs::read_to_string(&path).unwrap();
    assert_eq!(text, r#"{"users": [{"name": "a"}], "x": 1}"#);
    forget(&path, "a");
    assert_eq!(
        fs::read_to_string(&path).unwrap(),
        r#"{"users": [], "x": 1}"#
    );
}

#[test]
fn the_file_to_edit_is_that_of_kubectl() {
    let (folder, path) = holding("");
    let list = format!("/nonexistent/a:{}:/nonexistent/b", path.display());
    let env = |list: &str| {
        let (list, home) = (list.to_owned(), folder.path().as_os_str().to_owned());
        move |name: &str| match name {
            "KUBECONFIG" => Some(list.clone().into()),
            "HOME" => Some(home.clone()),
            _ => None,
        }
    };
    let explicit = Path::new("/x/y");
    assert_eq!(file_to_edit(Some(explicit), &env(&list)).unwrap(), explicit);
    assert_eq!(file_to_edit(None, &env(&list)).unwrap(), path);
    let none = "/nonexistent/a:/nonexistent/b";
    assert_eq!(
        file_to_edit(None, &env(none)).unwrap(),
        Path::new("/nonexistent/b")
    );
    let home = folder.path().join(".kube/config");
    assert_eq!(file_to_edit(None, &env("")).unwrap(), home);
    let error = file_to_edit(None, &|_| None).unwrap_err().to_string();
    assert!(error.contains("--kubeconfig"), "{error}");
}

fn context(context: &str, cluster: &str, user: &str) -> NewContext {
    let name = |name: &str| Some(name.to_owned());
    NewContext {
        chosen: ChosenNames {
            context: name(context),
            cluster: name(cluster),
            user: name(user),
        },
        username: user.to_owned(),
        ..new()
    }
}

#[test]
fn forgetting_a_login_restores_the_file() {
    for before in [
        KUBECTL.to_owned(),
        "apiVersion: v1\nkind: Config\ncurrent-context: a\ncontexts:\n- context: {cluster: c, user: u}\n  \
         name: a\nclusters:\n- cluster: {server: https://a}\n  name: c\nusers:\n- user: {token: t}\n  \
         name: u\n"
            .to_owned(),
        r#"{"current-context": "a", "clusters": [{"name": "c", "cluster": {"server": "https://a"}}],
            "contexts": [{"name": "a", "context": {"cluster": "c", "user": "u"}}],
            "users": [{"name": "u", "user": {"token": "t"}}]}"#
            .to_owned(),
    ] {
        let (_folder, path) = holding(&before);
        let value = |path: &Path| parse_yaml(path, &fs::read_to_string(path).unwrap()).unwrap();
        let old = value(&path);
        add(&path, &context("one", "new-1", "joe"), true).unwrap();
        add(&path, &context("two", "new-2", "jim"), true).unwrap();
        // A second login of the same context does not change the note.
        add(&path, &context("two", "new-2", "jim"), true).unwrap();
        assert!(forget(&path, "jim"));
        assert_eq!(value(&path)["current-context"], "one");
        assert!(forget(&path, "joe"));
        assert_eq!(value(&path), old, "{before}");
    }
    let (_folder, path) = holding("");
    add(&path, &new(), true).unwrap();
    assert!(forget(&path, "jane"));
    let text = fs::read_to_string(&path).unwrap();
    assert!(
        !text.contains("api.example") && !text.contains("jane"),
        "{text}"
    );
}

#[test]
fn forgetting_a_login_restores_the_user_of_its_context() {
    let (_folder, path) = holding(KUBECTL);
    add(&path, &context("other", "other", "jim"), true).unwrap();
    let user = || {
        let target = resolve(Some(&path), &Overrides::default(), &|_| None).unwrap();
        (target.user.name.unwrap(), target.cluster.url())
    };
    assert_eq!(
        user(),
        ("jim".to_owned(), "https://api.example:6443".to_owned())
    );
    assert!(forget(&path, "jim"));
    assert_eq!(
        user(),
        ("other".to_owned(), "https://other.example".to_owned())
    );
    let text = fs::read_to_string(&path).unwrap();
    assert!(
        !text.contains("extensions:\n") && text.contains("yes-token"),
        "{text}"
    );
}

#[test]
fn a_cluster_that_other_contexts_use_stays() {
    let (_folder, path) = holding(KUBECTL);
    add(&path, &context("one", "new", "joe"), true).unwrap();
    add(&path, &context("two", "new", "jim"), false).unwrap();
    assert!(forget(&path, "joe"));
    let text = fs::read_to_string(&path).unwrap();
    assert!(
        text.contains("name: new\n") && text.contains("current-context: other\n"),
        "{text}"
    );
}

#[test]
fn a_login_edits_the_first_document_and_the_last_repeated_key() {
    let twice = KUBECTL.replace("kind: Config\n", "current-context: second\n");
    let edited = after(&twice);
    assert!(edited.contains("current-context: other\n"), "{edited}");
    assert!(edited.contains("current-context: dev/c/jane\n"), "{edited}");
    let second = "---\n# theirs\ncurrent-context: [\n";
    let edited = after(&format!("{KUBECTL}{second}"));
    assert!(edited.ends_with(second), "{edited}");
    assert_eq!(format!("{}{second}", after(KUBECTL)), edited);
    let marked = after(&format!("\u{feff}{KUBECTL}"));
    assert_eq!(marked, format!("\u{feff}{}", after(KUBECTL)));
    let empty = after("---\n---\nkind: Other\n");
    assert!(empty.ends_with("---\nkind: Other\n"), "{empty}");
}

#[test]
fn utf16_becomes_utf8() {
    let (_folder, path) = holding("");
    let marked = format!("\u{feff}{}", KUBECTL.replace('\n', "\r\n"));
    let bytes: Vec<u8> = marked.encode_utf16().flat_map(u16::to_le_bytes).collect();
    fs::write(&path, &bytes).unwrap();
    // Without a change the file is not written.
    assert!(!forget(&path, "missing"));
    assert_eq!(fs::read(&path).unwrap(), bytes);
    add(&path, &new(), true).unwrap();
    assert_eq!(
        fs::read_to_string(&path).unwrap(),
        after(&KUBECTL.replace('\n', "\r\n"))
    );
}

#[test]
fn whether_a_file_can_be_edited_is_checked_before() {
    for text in [KUBECTL, "", "a: 1\n---\nb: 1\n", "kind: A\nkind: B\n"] {
        let (_folder, path) = holding(text);
        may_add_context(std::slice::from_ref(&path)).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
        may_add_context(&[path.with_extension("none")]).unwrap();
    }
    for (text, says) in [
        (
            "clusters: &all\n- &one {name: c, cluster: {server: x}}\nmine: *all\n",
            "aliases",
        ),
        ("clusters: {}\n", "must be a list"),
        ("clusters: [\n", "kubeconfig"),
    ] {
        let (folder, path) = holding(text);
        let error = may_add_context(std::slice::from_ref(&path))
            .unwrap_err()
            .to_string();
        assert!(error.contains(says), "{error}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}

#[test]
fn a_file_with_bare_cr_line_ends_is_refused() {
    let text = KUBECTL.replace('\n', "\r");
    let (_folder, path) = holding(&text);
    for error in [
        may_add_context(std::slice::from_ref(&path)).unwrap_err(),
        add(&path, &new(), true).unwrap_err(),
    ] {
        let error = error.to_string();
        assert!(
            error.contains("a carriage return (CR) alone: save it with line feeds (LF)"),
            "{error}"
        );
    }
    assert_eq!(fs::read_to_string(&path).unwrap(), text);
}
