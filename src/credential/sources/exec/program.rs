//! Finds the program of a plugin.

use std::{
    env,
    ffi::OsStr,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

/// Returns a path as it is, if it exists. A bare name is searched for in `search` (`PATH`), which
/// finds only executable files. Relative folders in `PATH` are skipped, as by Go's
/// `exec.LookPath`: no program should run because it is in the working folder.
#[must_use]
pub fn find(command: &Path, search: Option<&OsStr>) -> Option<PathBuf> {
    if command.components().count() != 1 || command.has_root() {
        return command.exists().then(|| command.to_owned());
    }
    let folders = env::split_paths(search?);
    folders
        .filter(|folder| folder.is_absolute())
        .map(|folder| folder.join(command))
        .find(|path| is_executable(path))
}

fn is_executable(path: &Path) -> bool {
    path.metadata()
        .is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_bare_name_is_an_executable_file_in_an_absolute_folder_of_path() {
        let root = tempfile::tempdir().unwrap();
        let (first, second) = (root.path().join("first"), root.path().join("second"));
        for (folder, mode) in [(&first, 0o644), (&second, 0o755)] {
            std::fs::create_dir(folder).unwrap();
            let path = folder.join("plugin");
            std::fs::write(&path, "").unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        }
        let find_in = |name: &str, folders: &[&Path]| {
            let search = env::join_paths(folders).unwrap();
            find(Path::new(name), Some(&search))
        };
        let found = find_in("plugin", &[&first, &second]);
        assert_eq!(found, Some(second.join("plugin")));
        assert_eq!(find_in("plugin", &[&first]), None);
        assert_eq!(find(Path::new("plugin"), None), None);
        // The working folder of these tests contains the script "certs/generate".
        assert!(is_executable(Path::new("certs/generate")));
        assert_eq!(find_in("generate", &[Path::new("certs")]), None);
    }

    #[test]
    fn a_path_is_not_searched_for() {
        assert_eq!(find(Path::new("/bin/sh"), None), Some("/bin/sh".into()));
        assert_eq!(find(Path::new("/no/such"), Some(OsStr::new("/bin"))), None);
    }
}
