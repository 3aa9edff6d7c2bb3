//! The refresh token of a kubeconfig's user that its issuer refused last. A kubeconfig has no place for
//! that, and a refused token is not sent again by each process.

use std::{
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use aws_lc_rs::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};

use super::{Error, Store, private_file};
use crate::{hex, secret::Secret};

/// That an issuer refused a refresh token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRefusal {
    /// When, in whole seconds.
    pub at: SystemTime,
    /// The issuer's words, as they may be shown.
    pub words: String,
}

/// The content of the file. A refresh token is random, so its digest tells nothing about it.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Content {
    token: String,
    refused_at: u64,
    words: String,
}

impl Store {
    /// Returns the refusal of this refresh token of a kubeconfig's user, if it is the last one. Blocks.
    ///
    /// # Errors
    /// A file that cannot be read. One that is broken counts as none.
    pub fn refused_refresh_token(
        &self,
        kubeconfig: &Path,
        user: &str,
        token: &Secret,
    ) -> Result<Option<TokenRefusal>, Error> {
        let text = private_file::read(&self.refusal_path(kubeconfig, user))?;
        let content: Option<Content> = text.and_then(|text| serde_json::from_slice(&text).ok());
        let content = content.filter(|one| one.token == sha256(token.expose().as_bytes()));
        Ok(content.and_then(|one| {
            Some(TokenRefusal {
                at: UNIX_EPOCH.checked_add(Duration::from_secs(one.refused_at))?,
                words: one.words,
            })
        }))
    }

    /// Remembers that the issuer refused this refresh token, unless the home of the state folder does not
    /// exist: a user of the system without a home gets none for that. Blocks.
    ///
    /// # Errors
    /// The folder cannot be written to.
    pub fn note_refused_refresh_token(
        &self,
        kubeconfig: &Path,
        user: &str,
        token: &Secret,
        refusal: &TokenRefusal,
    ) -> Result<(), Error> {
        let mut above = self.folder().ancestors().skip(1);
        if above.find(|folder| folder.exists()) == Some(Path::new("/")) {
            return Ok(());
        }
        let since = refusal.at.duration_since(UNIX_EPOCH).unwrap_or_default();
        let content = Content {
            token: sha256(token.expose().as_bytes()),
            refused_at: since.as_secs(),
            words: refusal.words.clone(),
        };
        let path = self.refusal_path(kubeconfig, user);
        let text = serde_json::to_string_pretty(&content)
            .map_err(|error| Error::io("write", &path)(error.into()))?;
        private_file::write(self.folder(), &path, text.as_bytes())
    }

    fn refusal_path(&self, kubeconfig: &Path, user: &str) -> PathBuf {
        let file = std::fs::canonicalize(kubeconfig).unwrap_or_else(|_| kubeconfig.to_owned());
        let name = sha256(format!("{}\0{user}", file.display()).as_bytes());
        let folder = self.folder().join("refused-refresh-tokens");
        folder.join(format!("{}.json", &name[..32]))
    }
}

fn sha256(bytes: &[u8]) -> String {
    hex::encode(digest(&SHA256, bytes).as_ref())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn no_home_is_created_for_a_refusal() {
        let home = format!("/no-home-{}", std::process::id());
        let store = Store::of_user(&|name| (name == "HOME").then(|| home.clone().into())).unwrap();
        let refusal = TokenRefusal {
            at: UNIX_EPOCH,
            words: String::new(),
        };
        let noted = store.note_refused_refresh_token(
            Path::new("/a/config"),
            "jane",
            &Secret::new("hunter2"),
            &refusal,
        );
        assert!(noted.is_ok() && !Path::new(&home).exists());
    }

    #[test]
    fn a_refusal_is_that_of_one_token_of_one_user() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().as_os_str().to_owned();
        let store = Store::of_user(&|_| Some(state.clone())).unwrap();
        let (file, token) = (Path::new("/a/config"), Secret::new("hunter2"));
        let refusal = TokenRefusal {
            at: UNIX_EPOCH + Duration::from_secs(1_795_000_000),
            words: ": invalid_request".to_owned(),
        };
        let read = |file: &str, user: &str, token: &str| {
            let token = Secret::new(token);
            store.refused_refresh_token(Path::new(file), user, &token)
        };
        assert_eq!(read("/a/config", "jane", "hunter2").unwrap(), None);
        store
            .note_refused_refresh_token(file, "jane", &token, &refusal)
            .unwrap();
        assert_eq!(read("/a/config", "jane", "hunter2").unwrap(), Some(refusal));
        for (file, user, token) in [
            ("/a/config", "jane", "other"),
            ("/a/config", "joe", "hunter2"),
            ("/b/config", "jane", "hunter2"),
        ] {
            assert_eq!(read(file, user, token).unwrap(), None, "{file} {user}");
        }
        let path = store.refusal_path(file, "jane");
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(!text.contains("hunter2"), "{text}");
        std::fs::write(&path, "broken").unwrap();
        assert_eq!(read("/a/config", "jane", "hunter2").unwrap(), None);
    }
}
