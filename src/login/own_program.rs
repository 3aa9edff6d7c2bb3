//! The command by which other programs run this kubegate.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use crate::credential;

/// The name by which kubegate is found on `PATH`.
const NAME: &str = "kubegate";

/// Returns `kubegate` if that is this program on `PATH`, else the absolute path of this program.
pub(super) fn command() -> String {
    let Ok(own) = env::current_exe() else {
        return NAME.to_owned();
    };
    let on_path = credential::find_program(Path::new(NAME), env::var_os("PATH").as_deref());
    let called_by = env::args_os().next().map(PathBuf::from);
    command_of(&own, called_by.as_deref(), on_path.as_deref())
}

/// `called_by` is the path that this program was started with. It is preferred to its target, which
/// may change with the next version.
fn command_of(own: &Path, called_by: Option<&Path>, on_path: Option<&Path>) -> String {
    let is_own = |path: &Path| {
        let same = fs::canonicalize(path).ok();
        same.is_some() && same == fs::canonicalize(own).ok()
    };
    if on_path.is_some_and(is_own) {
        return NAME.to_owned();
    }
    let called_by = called_by.filter(|path| path.components().count() > 1 && is_own(path));
    let path = called_by.unwrap_or(own);
    let path = std::path::absolute(path).unwrap_or_else(|_| own.to_owned());
    // A kubeconfig is text.
    path.to_str().unwrap_or(NAME).to_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn the_name_is_enough_only_where_it_is_this_program() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let (own, other, link) = (path("kubegate-2"), path("other"), path("kubegate"));
        fs::write(&own, "2").unwrap();
        fs::write(&other, "1").unwrap();
        symlink(&own, &link).unwrap();
        let text = |path: &Path| path.to_str().unwrap().to_owned();
        for (called_by, on_path, command) in [
            (None, Some(&*link), NAME.to_owned()),
            (Some(&*own), Some(&*own), NAME.to_owned()),
            (None, Some(&*other), text(&own)),
            (None, None, text(&own)),
            (Some(&*link), Some(&*other), text(&link)),
            (Some(Path::new("kubegate")), None, text(&own)),
            (Some(&*other), None, text(&own)),
        ] {
            assert_eq!(
                command_of(&own, called_by, on_path),
                command,
                "{called_by:?} {on_path:?}"
            );
        }
    }
}
