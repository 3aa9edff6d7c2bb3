//! A pod's compute-resource token, with which it logs in to a trusted profile.

use std::path::Path;

use super::error::ibm_error;
use crate::{
    credential::{Error, secret_file},
    secret::Secret,
};

/// The variable with the token, or with `@` and its file.
pub(super) const VARIABLE: &str = "IBMCLOUD_CR_TOKEN";
/// The files of IBM Cloud with a pod's token. The first existing one is used.
const FILES: [&str; 3] = [
    "/var/run/secrets/tokens/vault-token",
    "/var/run/secrets/tokens/sa-token",
    "/var/run/secrets/codeengine.cloud.ibm.com/compute-resource-token/token",
];

/// Returns the token that is given, in the file that is given, or in the first existing one of IBM's
/// files below `root`. Blocks.
pub(super) fn read(given: Option<&Secret>, root: &Path) -> Result<Secret, Error> {
    if let Some(given) = given {
        return match given.expose().strip_prefix('@') {
            Some(path) => token_in(Path::new(path)),
            None => Ok(Secret::new(given.expose().trim())),
        };
    }
    for path in FILES {
        let path = root.join(path.trim_start_matches('/'));
        if path.exists() {
            return token_in(&path);
        }
    }
    Err(ibm_error(format!(
        "there is no compute-resource token: {VARIABLE} is not set, and none of {} is \
         there; mount a service account token with the audience `iam`, or use an API key",
        FILES.join(", ")
    )))
}

fn token_in(path: &Path) -> Result<Secret, Error> {
    let token = secret_file::read("token", path)?;
    Ok(Secret::new(token.expose().trim()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::fs;

    use super::*;

    #[test]
    fn the_first_existing_token_file_is_used() {
        let root = tempfile::tempdir().unwrap();
        let none = read(None, root.path()).unwrap_err().to_string();
        assert!(FILES.iter().all(|path| none.contains(path)), "{none}");
        for (path, token) in FILES.iter().zip(["first", "second", "third"]).rev() {
            let path = root.path().join(path.trim_start_matches('/'));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, format!("{token}\n")).unwrap();
            assert_eq!(read(None, root.path()).unwrap().expose(), token);
            // The file is read each time.
            fs::write(&path, "rotated").unwrap();
            assert_eq!(read(None, root.path()).unwrap().expose(), "rotated");
            fs::write(&path, token).unwrap();
        }
        let first = root.path().join(&FILES[0][1..]);
        let given = Secret::new(format!("@{}", first.display()));
        assert_eq!(read(Some(&given), root.path()).unwrap().expose(), "first");
        let given = Secret::new("itself");
        assert_eq!(read(Some(&given), root.path()).unwrap().expose(), "itself");
    }
}
