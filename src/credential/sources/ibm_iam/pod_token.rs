//! A pod's compute-resource token: what a trusted profile believes.

use std::path::Path;

use super::error::ibm_error;
use crate::{
    credential::{Error, secret_file},
    secret::Secret,
};

/// A pod's token, or `@` and its file.
pub(super) const VARIABLE: &str = "IBMCLOUD_CR_TOKEN";
/// Where IBM Cloud puts a pod's token; the first one that is there counts.
const PLACES: [&str; 3] = [
    "/var/run/secrets/tokens/vault-token",
    "/var/run/secrets/tokens/sa-token",
    "/var/run/secrets/codeengine.cloud.ibm.com/compute-resource-token/token",
];

/// The token given, in the file given, or in the first of IBM's files that is there below `root`.
/// Blocks.
pub(super) fn read(given: Option<&Secret>, root: &Path) -> Result<Secret, Error> {
    if let Some(given) = given {
        return match given.expose().strip_prefix('@') {
            Some(path) => token_in(Path::new(path)),
            None => Ok(Secret::new(given.expose().trim())),
        };
    }
    for path in PLACES {
        let path = root.join(path.trim_start_matches('/'));
        if path.exists() {
            return token_in(&path);
        }
    }
    Err(ibm_error(format!(
        "there is no compute-resource token: {VARIABLE} is not set, and none of {} is \
         there; mount a service account token with the audience `iam`, or use an API key",
        PLACES.join(", ")
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
    fn the_first_token_file_that_is_there_counts() {
        let root = tempfile::tempdir().unwrap();
        let none = read(None, root.path()).unwrap_err().to_string();
        assert!(PLACES.iter().all(|path| none.contains(path)), "{none}");
        for (path, token) in PLACES.iter().zip(["first", "second", "third"]).rev() {
            let path = root.path().join(path.trim_start_matches('/'));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, format!("{token}\n")).unwrap();
            assert_eq!(read(None, root.path()).unwrap().expose(), token);
            // Read anew each time.
            fs::write(&path, "rotated").unwrap();
            assert_eq!(read(None, root.path()).unwrap().expose(), "rotated");
            fs::write(&path, token).unwrap();
        }
        let first = root.path().join(&PLACES[0][1..]);
        let given = Secret::new(format!("@{}", first.display()));
        assert_eq!(read(Some(&given), root.path()).unwrap().expose(), "first");
        let given = Secret::new("itself");
        assert_eq!(read(Some(&given), root.path()).unwrap().expose(), "itself");
    }
}
