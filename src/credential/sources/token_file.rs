//! `tokenFile`: a bearer token that another program keeps fresh on disk, such as the projected
//! service account token that the kubelet renews.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Once,
        atomic::{AtomicBool, Ordering},
    },
};

use http::HeaderValue;

use crate::{
    credential::{
        Credential, Error, Fetch, RefreshPolicy, Source, blocking::blocking,
        protocol::authorization, secret_file,
    },
    kubeconfig::text,
    secret::Secret,
};

/// A source that reads the token from its file each time.
pub(in crate::credential) struct TokenFile {
    path: PathBuf,
    /// Used until the file was read once.
    fallback: Option<HeaderValue>,
    was_read: AtomicBool,
    warned: Once,
}

impl TokenFile {
    /// Reads the file at once if there is no fallback.
    pub(in crate::credential) fn new(
        path: PathBuf,
        fallback: Option<&Secret>,
    ) -> Result<Self, Error> {
        let subject = || format!("the token beside token file {}", path.display());
        let fallback = match fallback {
            Some(token) => Some(authorization::bearer_of(token.expose(), subject)?),
            None => None,
        };
        if fallback.is_none() {
            read(&path)?;
        }
        Ok(Self {
            path,
            fallback,
            was_read: AtomicBool::new(false),
            warned: Once::new(),
        })
    }

    async fn obtain(&self) -> Result<HeaderValue, Error> {
        let path = self.path.clone();
        let outcome = blocking(|| self.subject(), move || read(&path))
            .await
            .flatten();
        match (&outcome, &self.fallback) {
            (Ok(_), _) => self.was_read.store(true, Ordering::Relaxed),
            (Err(error), Some(fallback)) if !self.was_read.load(Ordering::Relaxed) => {
                self.warned.call_once(|| {
                    let error = error as &dyn std::error::Error;
                    tracing::warn!(error, "`token` is used in place of `tokenFile`");
                });
                return Ok(fallback.clone());
            }
            (Err(_), _) => {}
        }
        outcome
    }
}

impl Source for TokenFile {
    fn subject(&self) -> String {
        format!("token file {}", self.path.display())
    }

    fn fetch(&self) -> Fetch<'_> {
        Box::pin(async {
            Ok(Credential {
                authorization: Some(self.obtain().await?),
                ..Credential::default()
            })
        })
    }

    fn refresh_policy(&self) -> RefreshPolicy {
        RefreshPolicy::FILE
    }
}

fn read(path: &Path) -> Result<HeaderValue, Error> {
    let bad = |what| Error::BadTokenFile {
        path: path.to_owned(),
        what,
    };
    let text = secret_file::read_text(path).map_err(|source| Error::TokenFile {
        path: path.to_owned(),
        source: Arc::new(source),
    })?;
    let Some(text) = text else {
        return Err(bad("is not a file, or has more than 1 MiB"));
    };
    let text = text::decode(&text).map_err(|_| bad("is not text"))?;
    // Editors and `echo` add a line break at the end, which no header can have.
    match text.trim() {
        "" => Err(bad("is empty")),
        token => authorization::bearer_of(token, || format!("token file {}", path.display())),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn folder() -> tempfile::TempDir {
        tempfile::tempdir().unwrap()
    }

    #[test]
    fn white_space_around_the_token_is_no_part_of_it() {
        let folder = folder();
        let path = folder.path().join("token");
        std::fs::write(&path, "\r\n  abc.def \n\n").unwrap();
        assert_eq!(read(&path).unwrap(), "Bearer abc.def");
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_the_token() {
        let folder = folder();
        let path = folder.path().join("token");
        let utf16 = "\u{feff}abc.def\r\n"
            .encode_utf16()
            .flat_map(u16::to_le_bytes);
        for bytes in ["\u{feff}abc.def\n".as_bytes().to_vec(), utf16.collect()] {
            std::fs::write(&path, bytes).unwrap();
            assert_eq!(read(&path).unwrap(), "Bearer abc.def");
        }
        std::fs::write(&path, "\u{feff}\n").unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("is empty"));
    }

    #[test]
    fn the_error_names_the_file_and_not_its_content() {
        let folder = folder();
        let path = folder.path().join("token");
        let large = vec![b'a'; (1 << 20) + 1];
        for (content, what) in [
            (&b" \n"[..], "is empty"),
            (b"hunter2\nhunter2", "header"),
            (b"hunter2\xff", "is not text"),
            (&large, "1 MiB"),
        ] {
            std::fs::write(&path, content).unwrap();
            let error = read(&path).unwrap_err();
            let shown = format!("{error} {error:?}");
            assert!(shown.contains(path.to_str().unwrap()), "{shown}");
            assert!(error.to_string().contains(what), "{shown}");
            assert!(!shown.contains("hunter2") && shown.len() < 1000);
        }
        std::fs::write(&path, vec![b'a'; 1 << 20]).unwrap();
        assert!(read(&path).is_ok());
    }

    #[test]
    fn without_a_fallback_a_missing_file_is_an_error_at_once() {
        let folder = folder();
        let missing = folder.path().join("missing");
        for path in [folder.path(), &missing] {
            let error = TokenFile::new(path.to_owned(), None).err().unwrap();
            assert!(error.to_string().contains(path.to_str().unwrap()));
            assert!(TokenFile::new(path.to_owned(), Some(&Secret::new("a"))).is_ok());
        }
    }

    #[tokio::test]
    async fn the_fallback_is_used_until_the_file_was_read_once() {
        let folder = folder();
        let path = folder.path().join("token");
        let source = TokenFile::new(path.clone(), Some(&Secret::new("fallback"))).unwrap();
        assert_eq!(source.obtain().await.unwrap(), "Bearer fallback");
        std::fs::write(&path, "from-file").unwrap();
        assert_eq!(source.obtain().await.unwrap(), "Bearer from-file");
        std::fs::remove_file(&path).unwrap();
        assert!(source.obtain().await.is_err());
    }
}
