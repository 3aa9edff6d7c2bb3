//! Finds out whether other users may write a file that is trusted, such as a kubeconfig, where they could
//! choose the program that runs as its exec plugin; or read one with secrets.

use std::{os::unix::fs::MetadataExt as _, path::Path};

use rustix::process::{getegid, geteuid};

/// Returns who may write a file besides this user and root, as a clause that follows the file's name.
/// Returns `None` if no other user may, or if `file` is not a regular file.
#[must_use]
pub fn foreign_writers(file: &Path) -> Option<String> {
    // Follows symbolic links.
    let metadata = file.metadata().ok().filter(std::fs::Metadata::is_file)?;
    let us = (geteuid().as_raw(), getegid().as_raw());
    let mode = has_modes(file).then(|| metadata.mode());
    judge((metadata.uid(), metadata.gid()), mode, us)
}

/// Returns who may read a file besides this user, its group and root, as a clause. Returns `None` if no other
/// user may, or if `file` is a volume of a pod (mode 0644 by default), which its containers alone see.
#[must_use]
pub fn foreign_readers(file: &Path) -> Option<String> {
    let metadata = file.metadata().ok().filter(std::fs::Metadata::is_file)?;
    // Kubernetes puts the files of Secrets below such a link (k8s.io/kubernetes/pkg/volume/util, AtomicWriter).
    let is_volume = file.with_file_name("..data").is_symlink();
    if is_volume || !has_modes(file) {
        return None;
    }
    let group = metadata.gid();
    if metadata.mode() & 0o004 != 0 {
        return Some("every user may read it".to_owned());
    }
    // As in systemd's credentials and volumes with an fsGroup, root's file is for its group.
    let is_groups = group == getegid().as_raw() || metadata.uid() == 0;
    let may_read = metadata.mode() & 0o040 != 0 && !is_groups;
    may_read.then(|| format!("the group with id {group} may read it"))
}

fn judge(owner: (u32, u32), mode: Option<u32>, us: (u32, u32)) -> Option<String> {
    const ROOT: u32 = 0;
    const GROUP_WRITES: u32 = 0o020;
    const OTHERS_WRITE: u32 = 0o002;
    let ((user, group), (our_user, our_group)) = (owner, us);
    let mode = mode.unwrap_or_default();
    if user != our_user && user != ROOT {
        return Some(format!("belongs to the user with id {user}"));
    }
    if mode & OTHERS_WRITE != 0 {
        return Some("may be written by every user".to_owned());
    }
    // The user's primary group may write: on many systems it has no other members, and the umask is 002.
    if mode & GROUP_WRITES != 0 && group != our_group {
        return Some(format!("may be written by the group with id {group}"));
    }
    None
}

/// Whether the mode of a file says who may write it. FAT, NTFS and network shares show a mode that
/// has no meaning.
#[cfg(target_os = "linux")]
fn has_modes(file: &Path) -> bool {
    const WITHOUT: [u32; 9] = [
        0x0000_4d44, // FAT
        0x2011_bab0, // exFAT
        0x5346_544e, // NTFS
        0x7366_746e, // ntfs3
        0x0102_1997, // 9p, by which WSL has Windows' drives
        0xff53_4d42, // CIFS
        0xfe53_4d42, // SMB 2
        0x0000_517b, // SMB
        0x786f_4256, // shared folders of VirtualBox
    ];
    let kind = rustix::fs::statfs(file).map(|system| system.f_type);
    // The type has 32 significant bits, signed on some architectures.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    kind.map_or(true, |kind| !WITHOUT.contains(&(kind as u32)))
}

#[cfg(not(target_os = "linux"))]
fn has_modes(_: &Path) -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_writer_of_the_file_is_named() {
        const US: (u32, u32) = (1000, 1000);
        for (owner, mode, expected) in [
            ((1000, 1000), 0o600, None),
            ((1000, 1000), 0o644, None),
            ((1000, 1000), 0o664, None),
            ((1000, 50), 0o644, None),
            ((0, 0), 0o644, None),
            ((0, 1000), 0o664, None),
            ((1000, 50), 0o664, Some("the group with id 50")),
            ((0, 0), 0o664, Some("the group with id 0")),
            ((1000, 1000), 0o602, Some("every user")),
            ((0, 0), 0o666, Some("every user")),
            ((1001, 1000), 0o600, Some("the user with id 1001")),
            ((65534, 1000), 0o400, Some("the user with id 65534")),
        ] {
            let judged = judge(owner, Some(mode), US);
            let holds = match (&judged, expected) {
                (Some(judged), Some(expected)) => judged.contains(expected),
                (None, None) => true,
                _ => false,
            };
            assert!(holds, "{owner:?} {mode:o}: {judged:?}");
        }
        // For root, files of other users count.
        assert_eq!(judge((0, 0), Some(0o600), (0, 0)), None);
        assert!(judge((1000, 0), Some(0o600), (0, 0)).is_some());
    }

    #[test]
    fn without_modes_only_the_owner_counts() {
        assert_eq!(judge((1000, 50), None, (1000, 1000)), None);
        assert!(judge((1001, 1000), None, (1000, 1000)).is_some());
    }

    #[test]
    fn a_file_of_this_user_is_judged_by_its_mode() {
        use std::{fs, os::unix::fs::PermissionsExt as _};
        let file = tempfile::NamedTempFile::new().expect("a file");
        for (mode, is_safe) in [(0o600, true), (0o606, false), (0o644, true)] {
            fs::set_permissions(file.path(), fs::Permissions::from_mode(mode)).expect("a mode");
            assert_eq!(foreign_writers(file.path()).is_none(), is_safe, "{mode:o}");
        }
        for (mode, is_private) in [(0o600, true), (0o640, true), (0o644, false)] {
            fs::set_permissions(file.path(), fs::Permissions::from_mode(mode)).expect("a mode");
            let readers = foreign_readers(file.path());
            assert_eq!(readers.is_none(), is_private, "{mode:o}");
        }
        // These are not regular files.
        assert_eq!(foreign_writers(Path::new("/dev/null")), None);
        assert_eq!(foreign_writers(Path::new("/nonexistent")), None);
    }
}
