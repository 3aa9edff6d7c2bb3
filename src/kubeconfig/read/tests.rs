#![allow(clippy::unwrap_used)]

use std::{fs, os::unix::fs::PermissionsExt as _};

use super::*;
use crate::kubeconfig::document::Document;

#[test]
fn a_file_beyond_the_limit_is_refused_unread() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config");
    let file = File::create(&path).unwrap();
    file.set_len(LIMIT).unwrap();
    assert_eq!(
        read_bounded("kubeconfig", &path, LIMIT).unwrap().len() as u64,
        LIMIT
    );
    file.set_len(100 << 20).unwrap();
    let error = Document::read(&path).err().unwrap().to_string();
    assert!(
        error.contains("config: it has more than 8388608 bytes"),
        "{error}"
    );
}

#[test]
fn a_directory_pipe_or_device_is_refused_without_hanging() {
    let folder = tempfile::tempdir().unwrap();
    let error = Document::read(folder.path()).err().unwrap().to_string();
    assert!(error.ends_with("it is a directory"), "{error}");

    let fifo = folder.path().join("fifo");
    assert!(
        std::process::Command::new("mkfifo")
            .arg(&fifo)
            .status()
            .unwrap()
            .success()
    );
    for path in [fifo.as_path(), Path::new("/dev/zero")] {
        let error = read_bounded("CA", path, LIMIT).unwrap_err().to_string();
        assert!(error.ends_with("it is not a regular file"), "{error}");
    }
    let patience = Duration::from_millis(30);
    let error = read_named_pipe("kubeconfig", &fifo, LIMIT, patience).unwrap_err();
    assert!(
        error.to_string().contains("nothing was written to it"),
        "{error}"
    );
    // A writer that writes nothing.
    let _writer = OpenOptions::new()
        .read(true)
        .write(true)
        .open(&fifo)
        .unwrap();
    let error = read_named_pipe("kubeconfig", &fifo, LIMIT, patience).unwrap_err();
    assert!(
        error.to_string().contains("nothing was written to it"),
        "{error}"
    );
}

#[test]
fn a_named_pipe_is_read_to_its_end_or_its_limit() {
    use std::io::Write as _;
    let folder = tempfile::tempdir().unwrap();
    let fifo = folder.path().join("fifo");
    let made = std::process::Command::new("mkfifo").arg(&fifo).status();
    assert!(made.unwrap().success());
    let written = |text: Vec<u8>, limit: u64| {
        let path = fifo.clone();
        let writer = std::thread::spawn(move || {
            let mut pipe = OpenOptions::new().write(true).open(path).unwrap();
            // The reader closes the pipe at its limit, which fails the rest.
            let _ = pipe.write_all(&text);
        });
        let read = read_named_pipe("kubeconfig", &fifo, limit, Duration::from_secs(10));
        writer.join().unwrap();
        read
    };
    let text = format!("# {}\ncurrent-context: piped", "x".repeat(200_000));
    assert_eq!(
        **written(text.clone().into_bytes(), LIMIT).unwrap(),
        *text.as_bytes()
    );
    let error = written(vec![b'x'; 300_000], 100_000).unwrap_err();
    assert!(
        error.to_string().contains("more than 100000 bytes"),
        "{error}"
    );
}

#[test]
fn a_device_without_content_is_an_empty_file() {
    let document = Document::read(Path::new("/dev/null")).unwrap();
    assert!(document.current_context.is_none() && document.warnings.is_empty());
    assert!(
        read_bounded("CA", Path::new("/dev/null"), 1)
            .unwrap()
            .is_empty()
    );
}

#[test]
fn a_pipe_from_the_shell_is_read_to_its_end() {
    use std::{io::Write as _, os::fd::AsRawFd as _};
    let (reader, mut writer) = std::io::pipe().unwrap();
    writer.write_all(b"current-context: piped").unwrap();
    drop(writer);
    let path = format!("/dev/fd/{}", reader.as_raw_fd());
    let document = Document::read(Path::new(&path)).unwrap();
    assert_eq!(document.current_context.as_deref(), Some("piped"));
}

#[test]
fn a_file_without_permission_is_named_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config");
    fs::write(&path, "").unwrap();
    assert!(Document::read(&path).is_ok());
    fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).unwrap();
    // Root may read it in spite of its mode.
    match Document::read(&path) {
        Err(Error::Read {
            path: named,
            source,
            ..
        }) => {
            assert_eq!(named, path);
            assert_eq!(source.kind(), io::ErrorKind::PermissionDenied);
        }
        Err(other) => panic!("{other}"),
        Ok(_) => assert!(rustix::process::geteuid().is_root()),
    }
}
