//! The name of the running program in a shell.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use crate::shell;

const NAME: &str = "kubegate";

/// Returns `kubegate` if PATH finds this program by that name, else its path.
pub(super) fn name() -> String {
    not_on_path().map_or_else(|| NAME.to_owned(), |own| path_of(&own))
}

/// Returns `PATH=FOLDER:$PATH` if kubectl would not find this program by the name that a login writes.
pub(super) fn path_variable() -> Option<String> {
    let own = not_on_path()?;
    Some(format!("PATH={}:$PATH", path_of(own.parent()?)))
}

fn not_on_path() -> Option<PathBuf> {
    let own = env::current_exe().and_then(fs::canonicalize).ok()?;
    let path = env::var_os("PATH").unwrap_or_default();
    let found = found(NAME, env::split_paths(&path));
    found.is_none_or(|found| found != own).then_some(own)
}

/// Quotes a path for a shell.
pub(super) fn path_of(path: &Path) -> String {
    shell::quoted(&path.to_string_lossy()).into_owned()
}

/// Returns the first file of this name.
fn found(name: &str, folders: impl Iterator<Item = PathBuf>) -> Option<PathBuf> {
    let mut files = folders.map(|folder| folder.join(name));
    files.find_map(|file| fs::canonicalize(file).ok().filter(|file| file.is_file()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_first_file_of_the_name_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir_all(at("a/kubegate")).unwrap();
        fs::create_dir(at("b")).unwrap();
        fs::write(at("b/kubegate"), "").unwrap();
        let folders = || ["none", "a", "b"].map(at).into_iter();
        let there = fs::canonicalize(at("b/kubegate")).unwrap();
        assert_eq!(found("kubegate", folders()), Some(there));
        assert_eq!(found("kubectl", folders()), None);
    }

    #[test]
    fn a_path_with_a_blank_is_quoted() {
        assert_eq!(path_of(Path::new("/a b/kubegate")), "'/a b/kubegate'");
        assert_eq!(path_of(Path::new("/ab/kubegate")), "/ab/kubegate");
    }
}
