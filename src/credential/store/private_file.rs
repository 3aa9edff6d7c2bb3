//! Files and folders that only their owner may use.

use std::{
    fs::{self, Metadata},
    io::{self, Read as _},
    os::unix::fs::{
        DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _,
    },
    path::{Path, PathBuf},
    sync::Once,
};

use rustix::{fs::OFlags, process::geteuid};
use zeroize::Zeroizing;

use super::Error;
use crate::kubeconfig::replacement::Replacement;

/// Bytes that a file may have.
const LIMIT: u64 = 1 << 20;

/// Bytes that are written to see whether a file can be: more than most saved logins have.
const CHECKED_SIZE: usize = 16 << 10;

/// Reads a file that only its owner may read; `None` if there is no such file.
pub(super) fn read(path: &Path) -> Result<Option<Zeroizing<Vec<u8>>>, Error> {
    let failed = Error::io("read", path);
    let opened = fs::OpenOptions::new()
        .read(true)
        // Neither another user's file nor a pipe without a writer.
        .custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed())
        .open(path);
    let file = match opened {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(failed(source)),
    };
    let found = file.metadata().map_err(&failed)?;
    let broken = |problem| Error::Broken {
        path: path.to_owned(),
        problem,
    };
    if !found.is_file() {
        return Err(broken(
            "is no regular file; remove it, and log in again if it was a login",
        ));
    }
    let look = || file.metadata();
    match make_private(path, &found, 0o600, |mode| file.set_permissions(mode), look)? {
        Access::Private => {}
        Access::Removed => warn_of_removed(path),
        // A login, and each write, warns of it.
        Access::Stays(_) => tracing::debug!(path = %path.display(), "{STAYS_OPEN}"),
    }
    // The capacity is allocated at once: growing would leave copies that are not wiped.
    let capacity = usize::try_from(found.len().min(LIMIT)).unwrap_or(0) + 1;
    let mut text = Zeroizing::new(Vec::with_capacity(capacity));
    file.take(LIMIT + 1)
        .read_to_end(&mut text)
        .map_err(&failed)?;
    if text.len() as u64 > LIMIT {
        return Err(broken(
            "has more than 1 MiB; remove it, and log in again if it was a login",
        ));
    }
    Ok(Some(text))
}

/// Replaces the file at `path`, in a folder below `root`, as a whole.
pub(super) fn write(root: &Path, path: &Path, text: &[u8]) -> Result<(), Error> {
    write_after(root, path, text, || Ok(()))
}

/// As [`write`], and runs `work` when the new file is complete and only has to take its place. If
/// `work` fails, the file stays as it was.
pub(super) fn write_after(
    root: &Path,
    path: &Path,
    text: &[u8],
    work: impl FnOnce() -> Result<(), Error>,
) -> Result<(), Error> {
    make_folder_of(root, path)?;
    let mut worked = Ok(());
    let written = Replacement::new(path, new_path(path)).and_then(|new| {
        new.put(text, || {
            worked = work();
            Ok(worked.is_ok())
        })
    });
    worked?;
    written.map(drop).map_err(Error::io("write", path))
}

/// Returns the path of the file that takes the place of the one at `path`.
fn new_path(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".new.{}", std::process::id()));
    path.with_file_name(name)
}

/// Checks that [`write`] can replace the file at `path`: a new file of some size is written beside it.
pub(super) fn check_writable(root: &Path, path: &Path) -> Result<(), Error> {
    make_folder_of(root, path)?;
    let new = Replacement::new(path, new_path(path));
    let written = new.and_then(|new| new.put(&[0; CHECKED_SIZE], || Ok(false)));
    written.map(drop).map_err(Error::io("write", path))
}

/// Creates the folder of `path`, which is below `root`, and removes other users' access to both.
pub(super) fn make_folder_of(root: &Path, path: &Path) -> Result<(), Error> {
    let folder = path.parent().unwrap_or(root);
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(Error::io("create the state folder", folder))?;
    for folder in [root, folder] {
        let look = || fs::metadata(folder);
        let found = look().map_err(Error::io("read", folder))?;
        let set = |mode| fs::set_permissions(folder, mode);
        match make_private(folder, &found, 0o700, set, look)? {
            Access::Private => {}
            Access::Removed => warn_of_removed(folder),
            Access::Stays(why) => warn_of_open(folder, why.as_ref()),
        }
    }
    Ok(())
}

/// What other users may do with a file or folder.
#[derive(Debug)]
enum Access {
    /// Nothing, neither now nor before.
    Private,
    /// Nothing any more.
    Removed,
    /// As much as before, with the system's error if there was one.
    Stays(Option<io::Error>),
}

const STAYS_OPEN: &str = "other users of this machine may be able to use this";

/// Removes other users' access to `path`, which must belong to this process's user. Some file
/// systems refuse to (vfat, CIFS), or accept the mode without keeping it (Windows' drives in WSL),
/// so `look` reads the mode again.
fn make_private(
    path: &Path,
    found: &Metadata,
    mode: u32,
    set: impl FnOnce(fs::Permissions) -> io::Result<()>,
    look: impl FnOnce() -> io::Result<Metadata>,
) -> Result<Access, Error> {
    if found.uid() != geteuid().as_raw() {
        return Err(Error::Broken {
            path: path.to_owned(),
            problem: "belongs to another user, so nothing is kept there; set XDG_STATE_HOME to \
                      a folder of your own",
        });
    }
    let is_private = |found: &Metadata| found.mode() & 0o777 & !mode == 0;
    if is_private(found) {
        return Ok(Access::Private);
    }
    let done = set(fs::Permissions::from_mode(mode));
    let now = look().map_err(Error::io("read", path))?;
    Ok(if is_private(&now) {
        Access::Removed
    } else {
        Access::Stays(done.err())
    })
}

fn warn_of_removed(path: &Path) {
    tracing::warn!(
        path = %path.display(),
        "other users of this machine could use this; now they cannot. If one of them may have \
         read it, log out and in again"
    );
}

/// Warns once in this process.
fn warn_of_open(path: &Path, why: Option<&io::Error>) {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let why = why.map(tracing::field::display);
        tracing::warn!(
            path = %path.display(),
            why,
            "{STAYS_OPEN}: its file system does not store permissions. Set XDG_STATE_HOME to a \
             folder on another file system, or log in with --keyring"
        );
    });
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// A mode that a file system refuses to change, or does not keep, is never said to be changed.
    #[test]
    fn access_counts_as_removed_only_after_another_look() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let path = file.path();
        fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
        let look = || fs::metadata(path);
        let found = look().unwrap();
        let vfat = |_| Err(io::ErrorKind::PermissionDenied.into());
        let refused = make_private(path, &found, 0o600, vfat, look).unwrap();
        assert!(matches!(refused, Access::Stays(Some(_))), "{refused:?}");
        let drvfs = |_| Ok(());
        let ignored = make_private(path, &found, 0o600, drvfs, look).unwrap();
        assert!(matches!(ignored, Access::Stays(None)), "{ignored:?}");
        let ext4 = |mode| fs::set_permissions(path, mode);
        let removed = make_private(path, &found, 0o600, ext4, look).unwrap();
        assert!(matches!(removed, Access::Removed), "{removed:?}");
        let found = look().unwrap();
        let kept = make_private(path, &found, 0o600, vfat, look).unwrap();
        assert!(matches!(kept, Access::Private), "{kept:?}");
    }

    #[test]
    fn a_file_stays_if_the_work_before_its_replacement_fails() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        write(folder.path(), &path, b"one").unwrap();
        let fails = || {
            // The new file is complete by then.
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
            Err(Error::NoFolder)
        };
        let failed = write_after(folder.path(), &path, b"two", fails);
        assert!(matches!(failed, Err(Error::NoFolder)));
        assert_eq!(fs::read(&path).unwrap(), b"one");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        write_after(folder.path(), &path, b"two", || Ok(())).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
    }
}
