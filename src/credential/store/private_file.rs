//! Files and folders that only their owner may use.

use std::{
    fs::{self, Metadata},
    io::{self, Read as _},
    os::unix::fs::{
        DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _,
    },
    path::Path,
};

use rustix::{fs::OFlags, process::geteuid};
use zeroize::Zeroizing;

use super::Error;
use crate::kubeconfig::replacement::Replacement;

/// Bytes that a file may have.
const LIMIT: u64 = 1 << 20;

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
        return Err(broken("is no regular file; remove it and log in again"));
    }
    make_private(path, &found, 0o600, |mode| file.set_permissions(mode))?;
    // The capacity is allocated at once: growing would leave copies that are not wiped.
    let capacity = usize::try_from(found.len().min(LIMIT)).unwrap_or(0) + 1;
    let mut text = Zeroizing::new(Vec::with_capacity(capacity));
    file.take(LIMIT + 1)
        .read_to_end(&mut text)
        .map_err(&failed)?;
    if text.len() as u64 > LIMIT {
        return Err(broken("has more than 1 MiB; remove it and log in again"));
    }
    Ok(Some(text))
}

/// Replaces the file at `path`, in a folder below `root`, as a whole.
pub(super) fn write(root: &Path, path: &Path, text: &[u8]) -> Result<(), Error> {
    make_folder_of(root, path)?;
    let new = path.with_extension(format!("new.{}", std::process::id()));
    let written = Replacement::new(path, new).and_then(|new| new.put(text, || Ok(true)));
    written.map(drop).map_err(Error::io("write", path))
}

/// Creates the folder of `path`, which is below `root`, and removes other users' access to both.
pub(super) fn make_folder_of(root: &Path, path: &Path) -> Result<(), Error> {
    let folder = path.parent().unwrap_or(root);
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(Error::io("create the folder for saved logins,", folder))?;
    for folder in [root, folder] {
        let found = fs::metadata(folder).map_err(Error::io("read", folder))?;
        make_private(folder, &found, 0o700, |mode| {
            fs::set_permissions(folder, mode)
        })?;
    }
    Ok(())
}

/// Removes other users' access to `path`, which must belong to this process's user.
fn make_private(
    path: &Path,
    found: &Metadata,
    mode: u32,
    set: impl FnOnce(fs::Permissions) -> io::Result<()>,
) -> Result<(), Error> {
    if found.uid() != geteuid().as_raw() {
        return Err(Error::Broken {
            path: path.to_owned(),
            problem: "belongs to another user, so no login is kept there; set XDG_STATE_HOME to \
                      a folder of your own",
        });
    }
    if found.mode() & 0o777 & !mode == 0 {
        return Ok(());
    }
    set(fs::Permissions::from_mode(mode))
        .map_err(Error::io("take other users' access from", path))?;
    tracing::warn!(
        path = %path.display(),
        "other users of this machine could use this; now they cannot. If one of them may have \
         read it, log out and in again"
    );
    Ok(())
}
