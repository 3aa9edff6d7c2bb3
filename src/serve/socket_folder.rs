//! The folder of a unix socket: who may write to it decides who can put another socket in its place.

use std::{
    ffi::OsString,
    fs, io,
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use super::listen_error::Error;

/// The default socket in the user's folder for sockets.
const DEFAULT: &str = "kubegate/proxy.sock";
/// The mode of the default's folder.
const PRIVATE: u32 = 0o700;
/// Write permission of the group, and of others.
const BY_GROUP: u32 = 0o020;
const BY_OTHERS: u32 = 0o002;
/// Only the owner of a file can replace it.
const STICKY: u32 = 0o1000;

/// Returns the path of the default socket: `$XDG_RUNTIME_DIR/kubegate/proxy.sock`. `runtime` is the value
/// of the variable (XDG Base Directory Specification); `None` without one.
#[must_use]
pub fn default_socket(runtime: Option<OsString>) -> Option<PathBuf> {
    let folder = runtime.map(PathBuf::from)?;
    folder.is_absolute().then(|| folder.join(DEFAULT))
}

/// Makes the folder of the default socket, for this user alone. One that is there already must be the
/// user's own, and becomes private.
///
/// # Errors
/// It cannot be made, is no folder, or belongs to another user.
pub fn make_private(folder: &Path) -> Result<(), Error> {
    let failed = |source: io::Error| Error::NoFolder {
        folder: folder.to_owned(),
        source,
    };
    match fs::DirBuilder::new().mode(PRIVATE).create(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(failed(error)),
        _ => {}
    }
    let found = fs::symlink_metadata(folder).map_err(failed)?;
    if !found.is_dir() {
        return Err(failed(io::ErrorKind::NotADirectory.into()));
    }
    if found.uid() != own_uid() {
        return Err(refused(folder, "another user owns"));
    }
    if found.mode() & 0o777 != PRIVATE {
        let private = fs::Permissions::from_mode(PRIVATE);
        fs::set_permissions(folder, private).map_err(failed)?;
    }
    Ok(())
}

/// Checks who may replace the socket at `path`. With `is_shared`, every user may connect anyway, and what
/// would be refused is a warning.
///
/// # Errors
/// The folder belongs to another user, or it or one above lets others replace what is in it.
pub(super) fn check(path: &Path, is_shared: bool) -> Result<(), Error> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    // Binding reports a folder that is missing or cannot be searched.
    let Ok(folder) = folder.unwrap_or(Path::new(".")).canonicalize() else {
        return Ok(());
    };
    for (index, folder) in folder.ancestors().enumerate() {
        let Ok(found) = fs::metadata(folder) else {
            return Ok(());
        };
        let finding = judge(found.uid(), found.mode(), own_uid(), index == 0);
        match finding {
            Finding::Private => {}
            Finding::Doubtful(why) => warn(folder, why),
            Finding::Open(why) if is_shared => warn(folder, why),
            Finding::Open(why) => return Err(refused(folder, why)),
        }
    }
    Ok(())
}

/// Who may replace what is in a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Finding {
    /// Its owner alone.
    Private,
    /// Others under conditions.
    Doubtful(&'static str),
    /// Others.
    Open(&'static str),
}

/// Judges a folder by its owner and mode. `is_direct` says that the socket itself is in it.
fn judge(owner: u32, mode: u32, own: u32, is_direct: bool) -> Finding {
    let is_sticky = mode & STICKY != 0;
    if mode & BY_OTHERS != 0 && !is_sticky {
        return Finding::Open("every user can write to");
    }
    // Root may rely on folders of users, and is the one that can.
    if owner != own && owner != 0 {
        return match own {
            0 if is_direct => Finding::Doubtful("another user owns"),
            0 => Finding::Private,
            _ => Finding::Open("another user owns"),
        };
    }
    if !is_direct {
        return Finding::Private;
    }
    if mode & BY_OTHERS != 0 {
        // As /tmp. While kubegate does not run, others can put a socket there.
        return Finding::Doubtful("every user can write to");
    }
    if mode & BY_GROUP != 0 && !is_sticky {
        return Finding::Doubtful("the users of a group can write to");
    }
    Finding::Private
}

fn warn(folder: &Path, why: &str) {
    tracing::warn!(
        "--unix-socket: {why} {}, and could put a socket of their own there, which clients take for this \
         one; the default, --unix-socket without a path, is in a private folder",
        folder.display()
    );
}

fn refused(folder: &Path, problem: &'static str) -> Error {
    Error::Folder {
        folder: folder.to_owned(),
        problem,
    }
}

fn own_uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_folder_is_judged_by_who_can_replace_the_socket() {
        let (private, open) = (
            |owner, mode, own| judge(owner, mode, own, true) == Finding::Private,
            |owner, mode, own| matches!(judge(owner, mode, own, true), Finding::Open(_)),
        );
        assert!(private(1000, 0o40700, 1000) && private(0, 0o40755, 1000));
        assert!(private(1000, 0o41775, 1000));
        for (owner, mode) in [
            (1000, 0o40777),
            (0, 0o40777),
            (1001, 0o40700),
            (1001, 0o41777),
        ] {
            assert!(open(owner, mode, 1000), "{owner} {mode:o}");
        }
        for (owner, mode) in [(0, 0o41777), (1000, 0o40775), (1000, 0o41777)] {
            assert!(!open(owner, mode, 1000) && !private(owner, mode, 1000));
        }
        // Root in a folder of a user.
        assert!(matches!(
            judge(1000, 0o40700, 0, true),
            Finding::Doubtful(_)
        ));
        assert_eq!(judge(1000, 0o40700, 0, false), Finding::Private);
        // A folder above: /tmp is as good as any, and one without the sticky bit is not.
        assert_eq!(judge(0, 0o41777, 1000, false), Finding::Private);
        assert!(matches!(judge(0, 0o40777, 1000, false), Finding::Open(_)));
        assert!(matches!(
            judge(1001, 0o40755, 1000, false),
            Finding::Open(_)
        ));
    }

    #[test]
    fn the_default_is_in_a_private_folder() {
        let runtime = tempfile::tempdir().unwrap();
        let socket = default_socket(Some(runtime.path().into())).unwrap();
        let folder = socket.parent().unwrap();
        for mode in [None, Some(0o777)] {
            if let Some(mode) = mode {
                fs::set_permissions(folder, fs::Permissions::from_mode(mode)).unwrap();
            }
            make_private(folder).unwrap();
            let found = fs::metadata(folder).unwrap().permissions().mode();
            assert_eq!(found & 0o777, PRIVATE);
        }
        fs::remove_dir(folder).unwrap();
        std::os::unix::fs::symlink("/", folder).unwrap();
        assert!(make_private(folder).is_err());
        for none in [None, Some("".into()), Some("relative".into())] {
            assert_eq!(default_socket(none), None);
        }
    }
}
