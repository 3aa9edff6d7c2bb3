//! Writes the new content of a file: by a new file that is renamed over the old one, or in place where
//! the file cannot be replaced, as one that is a mount of its own (`EBUSY`).

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read as _},
    os::unix::fs::{
        FileExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown,
    },
    path::Path,
};

use rustix::{
    fs::{Access, OFlags, access, fgetxattr},
    io::Errno,
};
use zeroize::Zeroizing;

use super::file_lock::{failed, sibling};
use crate::kubeconfig::{Error, own_writes, replacement::Replacement, warn_once};

/// The permissions of the group and of others in a file's mode.
const OTHERS: u32 = 0o077;

/// The widest mode that a file keeps: its group may read it.
const WIDEST: u32 = 0o640;

/// Writes `bytes` to the file `target`. Returns `false` and leaves it if its content is no longer
/// `before`, where `None` stands for a missing file.
pub(super) fn write_file(
    target: &Path,
    before: Option<&[u8]>,
    bytes: &[u8],
) -> Result<bool, Error> {
    let replaced = match before {
        Some(_) if has_other_names(target) => Err(Errno::MLINK.into()),
        _ => replace(target, before, bytes),
    };
    let written = match (replaced, before) {
        (Err(error), Some(before)) if prevents_rename(&error) => {
            write_in_place(target, before, bytes, &error)
        }
        (replaced, _) => replaced,
    };
    written.map_err(failed(target))
}

/// Checks whether [`write_file`] can write the file, as far as the system tells without a try.
pub(super) fn may_write(target: &Path, exists: bool) -> io::Result<()> {
    let folder = target.parent();
    let mut folder = folder.filter(|folder| !folder.as_os_str().is_empty());
    if exists {
        let in_folder = access(folder.unwrap_or(Path::new(".")), Access::WRITE_OK);
        return in_folder
            .or_else(|_| access(target, Access::WRITE_OK))
            .map_err(io::Error::from);
    }
    // Folders that are missing are created.
    while let Some(missing) = folder.filter(|folder| !folder.exists()) {
        folder = missing.parent().filter(|up| !up.as_os_str().is_empty());
    }
    Ok(access(folder.unwrap_or(Path::new(".")), Access::WRITE_OK)?)
}

/// Whether a file has several names, each of which is to have the new content, as with kubectl.
fn has_other_names(target: &Path) -> bool {
    fs::symlink_metadata(target).is_ok_and(|found| found.is_file() && found.nlink() > 1)
}

/// Writes `bytes` to a new file and renames it over `target`.
fn replace(target: &Path, before: Option<&[u8]>, bytes: &[u8]) -> io::Result<bool> {
    let new = sibling(target, &format!(".kubegate.{}", std::process::id()));
    let new = Replacement::new(target, new)?;
    let mut modes = None;
    match (fs::metadata(target), before) {
        (Ok(old), Some(_)) => {
            let mode = kept_mode(target, &old, bytes);
            keep_owner(new.file(), &old)?;
            new.file()
                .set_permissions(fs::Permissions::from_mode(mode))?;
            let now = new.file().metadata()?.mode() & 0o777;
            modes = Some([old.mode() & 0o777, mode, now]);
        }
        (Err(error), None) if error.kind() == io::ErrorKind::NotFound => {}
        (Err(error), _) => return Err(error),
        (Ok(_), None) => return Ok(false),
    }
    let is_replaced = new.put(bytes, || match before {
        Some(before) => Ok(*Zeroizing::new(fs::read(target)?) == before),
        None => Ok(true),
    })?;
    if let Some(modes) = modes.filter(|_| is_replaced) {
        tell_of_mode(target, modes);
    }
    Ok(is_replaced)
}

/// Whether an error of a replacement says that the file's folder does not let it be replaced. The file
/// itself may be writable all the same.
fn prevents_rename(error: &io::Error) -> bool {
    let errno = Errno::from_io_error(error);
    errno.is_some_and(|errno| {
        [
            Errno::BUSY,
            Errno::MLINK,
            Errno::XDEV,
            Errno::ACCESS,
            Errno::PERM,
            Errno::ROFS,
            Errno::NOSYS,
            Errno::OPNOTSUPP,
        ]
        .contains(&errno)
    })
}

/// Overwrites the content of `target`. `cause` is why it cannot be replaced.
fn write_in_place(
    target: &Path,
    before: &[u8],
    bytes: &[u8],
    cause: &io::Error,
) -> io::Result<bool> {
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
        .open(target)?;
    let old = file.metadata()?;
    let mut now = Zeroizing::new(Vec::with_capacity(before.len() + 1));
    file.read_to_end(&mut now)?;
    if *now != before {
        return Ok(false);
    }
    narrow(&file, target, &old, bytes)?;
    own_writes::record(bytes);
    overwrite(&file, before, bytes)?;
    if Errno::from_io_error(cause) == Some(Errno::MLINK) {
        return Ok(true);
    }
    warn_once(&format!(
        "kubeconfig {} cannot be replaced by a new file ({cause}), so it is written in place",
        target.display()
    ));
    Ok(true)
}

/// Overwrites a file of the content `before`. The space is taken first, so that a full disk changes
/// nothing; after another error the old content is written back.
fn overwrite(file: &File, before: &[u8], bytes: &[u8]) -> io::Result<()> {
    let length = |bytes: &[u8]| bytes.len() as u64;
    if let Some(longer) = bytes
        .len()
        .checked_sub(before.len())
        .filter(|more| *more > 0)
    {
        // Line breaks at the end mean nothing, whoever reads them now.
        let space = file.write_all_at(&vec![b'\n'; longer], length(before));
        if let Err(error) = space.and_then(|()| file.sync_all()) {
            file.set_len(length(before))?;
            return Err(error);
        }
    }
    let written = file
        .write_all_at(bytes, 0)
        .and_then(|()| file.set_len(length(bytes)))
        .and_then(|()| file.sync_all());
    if written.is_err() {
        file.write_all_at(before, 0)?;
        file.set_len(length(before))?;
    }
    written
}

/// Takes other users' access to a file that is written in place, before it holds `bytes`.
fn narrow(file: &File, target: &Path, old: &fs::Metadata, bytes: &[u8]) -> io::Result<()> {
    let (wide, mode) = (old.mode() & 0o777, kept_mode(target, old, bytes));
    if wide == mode {
        return Ok(());
    }
    let narrowed = file.set_permissions(fs::Permissions::from_mode(mode));
    let now = file.metadata()?.mode() & 0o777;
    // A secret is not written for others to read; it stays where it was before.
    if holds_secret(bytes) && now & OTHERS != 0 {
        narrowed?;
    }
    tell_of_mode(target, [wide, mode, now]);
    Ok(())
}

/// The mode of a file that gets the content `bytes`: its own, unless others than the group may read it or
/// the content holds a secret that kubegate writes.
fn kept_mode(target: &Path, old: &fs::Metadata, bytes: &[u8]) -> u32 {
    let mode = old.mode() & 0o777;
    let is_private = holds_secret(bytes) || mode & !WIDEST != 0 || has_acl(target);
    if is_private { mode & 0o600 } else { mode }
}

/// Whether the content holds what kubegate itself writes and nobody else may read: renewed tokens, and
/// the password of a proxy.
fn holds_secret(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    let mut lines = text.lines();
    text.contains("refresh-token")
        || text.contains("id-token")
        || lines.any(|line| line.contains("proxy-url") && line.contains('@'))
}

/// Whether an access control list says who may read the file. A new file has none, so that the bits of
/// the group would mean more than before.
fn has_acl(target: &Path) -> bool {
    let Ok(file) = File::open(target) else {
        return false;
    };
    fgetxattr(&file, c"system.posix_acl_access", &mut [0_u8; 0][..]).is_ok()
}

/// Says what became of the access of other users: the mode before, the one to have, and the one that
/// the file has now.
fn tell_of_mode(target: &Path, [old, wanted, now]: [u32; 3]) {
    if old == wanted {
        return;
    }
    if now & OTHERS == 0 {
        tracing::warn!(
            "other users of this machine could use kubeconfig {} (mode {old:04o}); now they cannot \
             (mode {now:04o})",
            target.display()
        );
    } else {
        warn_once(&format!(
            "other users of this machine can use kubeconfig {} (mode {now:04o}), and its file system \
             does not let kubegate change that",
            target.display()
        ));
    }
}

/// Gives the new file the owner of the old one, which differs when root edits a user's file.
fn keep_owner(new: &File, old: &fs::Metadata) -> io::Result<()> {
    let own = new.metadata()?;
    if (own.uid(), own.gid()) == (old.uid(), old.gid()) {
        return Ok(());
    }
    fchown(new, Some(old.uid()), Some(old.gid()))
}
