#![allow(clippy::unwrap_used)]
use std::{fs, os::unix::fs::PermissionsExt as _};

use clap::{Args as _, Command};
use tempfile::TempDir;

use super::*;
use crate::settings::{ConnectionFlags, ProxyFlags};

fn keys() -> Keys {
    let proxy = ProxyFlags::augment_args(Command::new("proxy"));
    let global = ConnectionFlags::augment_args(Command::new("kubegate"));
    Keys::new(&proxy, global.get_arguments())
}

/// A folder with `config.toml`.
fn folder(text: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.toml");
    fs::write(&file, text).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    folder
}

fn read(folder: &TempDir) -> Result<Settings, FileError> {
    Settings::read(&Locations::Folder(folder.path().to_owned()), &keys())
}

fn args(text: &str) -> Vec<String> {
    let folder = folder(text);
    let args = read(&folder).unwrap().values.into_iter();
    let args = args.flat_map(|setting| setting.args);
    let root = format!("{}/", folder.path().display());
    args.map(|arg| arg.into_string().unwrap().replace(&root, "FOLDER/"))
        .collect()
}

fn error(text: &str) -> String {
    let folder = folder(text);
    let error = read(&folder).unwrap_err().to_string();
    let root = format!("{}/", folder.path().display());
    error.replace(&root, "")
}

#[test]
fn every_flag_of_the_proxy_is_a_key_and_nothing_else() {
    let proxy = ProxyFlags::augment_args(Command::new("proxy"));
    let all = ConnectionFlags::augment_args(proxy);
    let shown = all.get_arguments().filter(|arg| !arg.is_hide_set());
    let mut flags: Vec<_> = shown.filter_map(|arg| arg.get_long()).collect();
    flags.retain(|flag| *flag != "config");
    let keys = keys();
    let mut names: Vec<_> = keys.all().iter().map(|key| key.name.as_str()).collect();
    flags.sort_unstable();
    names.sort_unstable();
    assert_eq!(names, flags);
    assert!(names.len() > 60, "{}", names.len());
    for hidden in ["config", "help", "version", "cache-dir"] {
        assert!(keys.get(hidden).is_none(), "{hidden}");
    }
    for (name, kind, is_several, is_optional, is_secret) in [
        ("port", Kind::Integer, false, false, false),
        ("v", Kind::Integer, false, false, false),
        ("read-only", Kind::Boolean, false, false, false),
        ("vpc-cri", Kind::Boolean, false, false, false),
        (
            "insecure-skip-tls-verify",
            Kind::Boolean,
            false,
            false,
            false,
        ),
        ("unix-socket", Kind::Path, false, true, false),
        ("apikey-file", Kind::Path, false, false, false),
        ("drain-timeout", Kind::Duration, false, false, false),
        ("reject-paths", Kind::Pattern, true, false, false),
        ("allow-uid", Kind::Text, true, false, false),
        ("as-group", Kind::Text, true, false, false),
        ("server", Kind::Text, false, false, false),
        ("token", Kind::Text, false, false, true),
    ] {
        let key = keys.get(name).unwrap();
        let found = (key.kind, key.is_several, key.is_optional, key.is_secret);
        // `--vpc-cri` gets its value where all boolean flags get one.
        if name != "vpc-cri" {
            assert_eq!(found, (kind, is_several, is_optional, is_secret), "{name}");
        }
        assert_eq!(key.kind, kind, "{name}");
    }
}

#[test]
fn a_value_becomes_the_argument_that_means_the_same() {
    for (text, expected) in [
        ("port = 8002", &["--port=8002"][..]),
        ("port = 0x10", &["--port=16"]),
        ("read-only = true", &["--read-only=true"]),
        ("read-only = false", &[]),
        (
            "append-server-path = false",
            &["--append-server-path=false"],
        ),
        (
            "disable-compression = false",
            &["--disable-compression=false"],
        ),
        ("drain-timeout = 5", &["--drain-timeout=5"]),
        ("drain-timeout = '1m30s'", &["--drain-timeout=1m30s"]),
        ("www = 'pages'", &["--www=FOLDER/pages"]),
        ("www = '/srv'", &["--www=/srv"]),
        ("apikey-file = '-'", &["--apikey-file=-"]),
        ("unix-socket = true", &["--unix-socket"]),
        ("unix-socket = false", &[]),
        ("unix-socket = 's'", &["--unix-socket=FOLDER/s"]),
        (
            "allow-uid = ['a', 'b']",
            &["--allow-uid=a", "--allow-uid=b"],
        ),
        ("allow-uid = 'a'", &["--allow-uid=a"]),
        (
            "reject-paths = ['^/a{1,3}$', '^/b']",
            &["--reject-paths=^/a{1,3}$,^/b"],
        ),
        ("reject-paths = []", &["--reject-paths="]),
        ("token = 'a=b -x'", &["--token=a=b -x"]),
    ] {
        assert_eq!(args(text), expected, "{text}");
    }
}

#[test]
fn an_error_names_file_line_and_key_and_what_to_write() {
    for (text, expected) in [
        (
            "\nprot = 1",
            "config.toml:2: unknown key \"prot\"; did you mean port?",
        ),
        ("read_only = true", "did you mean read-only?"),
        ("zzz = 1", "the keys are the long flags"),
        ("config = 'x'", "unknown key \"config\""),
        (
            "port = '8001'",
            "config.toml:1: port: expected a number, such as 1, found a string",
        ),
        (
            "# port\nread-only = 1",
            "config.toml:2: read-only: expected true or false, found a number",
        ),
        (
            "server = ['x']",
            "server: expected a string in quotes, found a list",
        ),
        (
            "allow-uid = [1]",
            "allow-uid: expected a string in quotes, or a list",
        ),
        ("port = 1\nport = 2", "config.toml:2: "),
        ("port = ", "config.toml:1: "),
        ("[tls]\nx = 1", "config.toml:1: unknown key"),
        (
            "[port]\nx = 1",
            "port: expected a number, such as 1, found a table",
        ),
        ("drain-timeout = 1.5", "drain-timeout: expected a duration"),
        ("reject-paths = ['a(', 'b)']", "reject-paths: an expression"),
        ("\"a\\u001b[2J\" = 1", "unknown key"),
    ] {
        let error = error(text);
        assert!(error.contains(expected), "{text}: {error}");
        assert!(error.starts_with("settings file config.toml:"), "{error}");
        assert!(!error.contains('\u{1b}'), "{error:?}");
    }
}

#[test]
fn no_error_shows_a_secret() {
    for text in [
        "token = 'hunter2",
        "token = hunter2",
        "token = ['hunter2']",
        "hunter2",
    ] {
        let folder = folder(text);
        let error = read(&folder).unwrap_err();
        if text != "hunter2" {
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
        }
    }
    let settings = read(&folder("token = 'hunter2'")).unwrap();
    assert!(!format!("{settings:?}").contains("hunter2"));
}

#[test]
fn later_files_replace_keys_of_earlier_ones() {
    let folder = folder("port = 1\nread-only = true\nallow-uid = ['a']");
    fs::create_dir(folder.path().join("conf.d")).unwrap();
    for (name, text) in [
        ("20-b.toml", "port = 3"),
        ("10-a.toml", "port = 2\nallow-uid = ['b']"),
        (".hidden.toml", "port = 4"),
        ("other.txt", "port = 5"),
    ] {
        fs::write(folder.path().join("conf.d").join(name), text).unwrap();
    }
    let settings = read(&folder).unwrap();
    let args: Vec<_> = settings
        .values
        .iter()
        .flat_map(|s| s.args.clone())
        .collect();
    assert_eq!(args, ["--read-only=true", "--allow-uid=b", "--port=3"]);
    assert_eq!(settings.files.len(), 3);
    let port = &settings.values[2].place;
    assert!(port.file.ends_with("conf.d/20-b.toml") && port.line == 1);
}

#[test]
fn a_missing_file_matters_only_to_the_flag() {
    let folder = tempfile::tempdir().unwrap();
    assert!(read(&folder).unwrap().files.is_empty());
    let named = Locations::File(folder.path().join("mine.toml"));
    let error = Settings::read(&named, &keys()).unwrap_err().to_string();
    assert!(error.contains("mine.toml"), "{error}");
    assert!(
        Settings::read(&Locations::Nowhere, &keys())
            .unwrap()
            .files
            .is_empty()
    );
    let env = |name: &str| (name == "HOME").then(|| "/home/jane".into());
    let found = Locations::find(None, &env);
    assert_eq!(
        found,
        Locations::Folder("/home/jane/.config/kubegate".into())
    );
    let env = |name: &str| {
        Some(
            if name == "HOME" {
                "/home/jane"
            } else {
                "/etc/xdg"
            }
            .into(),
        )
    };
    assert_eq!(
        Locations::find(None, &env),
        Locations::Folder("/etc/xdg/kubegate".into())
    );
    let file = Some(Path::new("/a.toml"));
    assert_eq!(
        Locations::find(file, &env),
        Locations::File("/a.toml".into())
    );
}

#[test]
fn a_file_that_others_may_write_or_whose_secrets_they_may_read_is_refused() {
    for (text, mode, refusal) in [
        ("port = 1", 0o644, None),
        ("port = 1", 0o602, Some("may be written by every user")),
        ("token = 'hunter2'", 0o600, None),
        (
            "port = 1\ntoken = 'hunter2'",
            0o640,
            Some("a secret in line 2"),
        ),
        ("token = 'hunter2'", 0o604, Some("chmod 600")),
        ("token = ''", 0o644, None),
        (
            "proxy-url = 'http://jane:hunter2@p:1'",
            0o644,
            Some("a secret in line 1"),
        ),
        ("proxy-url = 'http://p:1'", 0o644, None),
    ] {
        let folder = folder(text);
        let file = folder.path().join("config.toml");
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        match (read(&folder), refusal) {
            (Ok(_), None) => {}
            (Err(error), Some(refusal)) => {
                let error = error.to_string();
                assert!(
                    error.contains(refusal) && error.contains("config.toml"),
                    "{error}"
                );
                assert!(!error.contains("hunter2"), "{error}");
            }
            (found, _) => panic!("{text} {mode:o}: {found:?}"),
        }
    }
}
