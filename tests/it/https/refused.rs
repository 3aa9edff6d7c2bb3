//! Flags and files that cannot be used are one clear error before anything is bound.

use std::{fs, os::unix::fs::PermissionsExt as _};

use tempfile::tempdir;

use super::with_certificate;
use crate::support::{Kubegate, cert};

fn refused(flags: &[&str]) -> (Option<i32>, String) {
    let mut command = Kubegate::command(["--server", "https://127.0.0.1:1", "--port", "0"]);
    let state = tempdir().unwrap();
    command.args(flags).env("XDG_STATE_HOME", state.path());
    let ended = Kubegate::refused(command);
    assert_eq!(ended.stdout, "", "{flags:?}");
    (ended.code, ended.stderr)
}

#[test]
fn flags_that_do_not_fit_together_are_refused() {
    let (pem, key) = (cert("localhost.pem"), cert("localhost.key"));
    let (pem, key) = (pem.to_str().unwrap(), key.to_str().unwrap());
    for (flags, words) in [
        (&["--tls-cert", pem][..], "--tls-cert needs --tls-key"),
        (&["--tls-key", key], "--tls-key needs --tls-cert"),
        (
            &["--tls-self-signed", "--tls-cert", pem, "--tls-key", key],
            "--tls-self-signed excludes",
        ),
        (
            &["--tls-self-signed", "--tls-key", key],
            "--tls-self-signed excludes",
        ),
        (&["--client-ca", pem], "--client-ca needs TLS"),
    ] {
        let (code, stderr) = refused(flags);
        assert_eq!(code, Some(2), "{flags:?} {stderr}");
        assert!(stderr.contains(words), "{stderr}");
    }
}

#[test]
fn certificates_and_keys_that_cannot_be_used_are_named() {
    let file = |name: &str| cert(name).display().to_string();
    for (certificate, key, flag, words) in [
        (
            "localhost.pem",
            "client.key",
            "--tls-key",
            "does not belong to the certificate",
        ),
        ("expired.pem", "expired.key", "--tls-cert", "expired at"),
        (
            "not-yet-valid.pem",
            "not-yet-valid.key",
            "--tls-cert",
            "is valid from",
        ),
        (
            "client.pem",
            "client-encrypted.key",
            "--tls-key",
            "is encrypted",
        ),
        (
            "localhost.key",
            "localhost.key",
            "--tls-cert",
            "holds no certificate",
        ),
        (
            "localhost.pem",
            "localhost.pem",
            "--tls-key",
            "holds no private key",
        ),
        (
            "missing.pem",
            "localhost.key",
            "--tls-cert",
            "cannot read the file",
        ),
        (
            "localhost.pem",
            "missing.key",
            "--tls-key",
            "cannot read the file",
        ),
    ] {
        let flags = ["--tls-cert", &file(certificate), "--tls-key", &file(key)];
        let (code, stderr) = refused(&flags);
        assert_eq!(code, Some(1), "{stderr}");
        let named = if flag == "--tls-cert" {
            certificate
        } else {
            key
        };
        for part in [flag, named, words] {
            assert!(stderr.contains(part), "{part}: {stderr}");
        }
    }
    let own = with_certificate("localhost");
    let mut flags: Vec<_> = own.iter().map(String::as_str).collect();
    let authority = file("localhost.key");
    flags.extend(["--client-ca", &authority]);
    let (code, stderr) = refused(&flags);
    assert_eq!(code, Some(1), "{stderr}");
    for part in ["--client-ca", "localhost.key", "holds no certificate"] {
        assert!(stderr.contains(part), "{part}: {stderr}");
    }
}

#[test]
fn a_state_folder_that_cannot_be_used_is_one_clear_error() {
    let start = |state: &std::path::Path| {
        let mut command = Kubegate::command(["--server", "https://127.0.0.1:1", "--port", "0"]);
        command
            .arg("--tls-self-signed")
            .env("XDG_STATE_HOME", state);
        Kubegate::refused(command)
    };
    let folder = tempdir().unwrap();
    fs::write(folder.path().join("kubegate"), "a file").unwrap();
    let ended = start(folder.path());
    assert_eq!(
        (ended.code, ended.stdout.as_str()),
        (Some(1), ""),
        "{}",
        ended.stderr
    );
    assert!(
        ended.stderr.contains("--tls-self-signed"),
        "{}",
        ended.stderr
    );
    assert!(ended.stderr.contains("kubegate"), "{}", ended.stderr);

    let folder = tempdir().unwrap();
    let own = folder.path().join("kubegate/local-ca");
    fs::create_dir_all(&own).unwrap();
    fs::write(own.join("key.pem"), "no key").unwrap();
    fs::set_permissions(own.join("key.pem"), fs::Permissions::from_mode(0o600)).unwrap();
    let ended = start(folder.path());
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), ""));
    for part in ["--tls-self-signed", "key.pem", "remove the folder"] {
        assert!(ended.stderr.contains(part), "{part}: {}", ended.stderr);
    }
}
