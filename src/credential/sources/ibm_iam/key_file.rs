//! Files with an API key or with the settings of IBM's SDKs.

use std::{
    fs::{self, File},
    io::{self, Read as _, stdin},
    os::fd::AsFd as _,
    path::Path,
};

use zeroize::Zeroizing;

use super::{
    api_key,
    error::ibm_error,
    settings_file::{self, ServiceSettings},
};
use crate::{
    credential::{Error, secret_file},
    kubeconfig::text,
    secret::Secret,
};

/// The longest text that is read from a pipe, in bytes.
const LIMIT: u64 = 1 << 20;
/// The name of standard input as a file.
const STDIN: &str = "-";

/// Reads the key in the file at `path`. Blocks.
pub(super) fn read(path: &Path) -> Result<Secret, Error> {
    let text = text(path)?;
    api_key::parse(&text)
        .map_err(|problem| ibm_error(format!("the API key file {} {problem}", path.display())))
}

/// Reads the key in a file that can be read only once, such as `-` (standard input) or the pipe of
/// `<(pass ibm)`. Returns `None` for every other file. Blocks until the writer has written it.
pub(super) fn read_once(path: &Path) -> Result<Option<Secret>, Error> {
    let is_stdin = path == Path::new(STDIN);
    let name = if is_stdin {
        "standard input".to_owned()
    } else {
        path.display().to_string()
    };
    // A file that is missing now may be there when its key is needed.
    let is_pipe = || fs::metadata(path).is_ok_and(|found| !found.is_file() && !found.is_dir());
    if !is_stdin && !is_pipe() {
        return Ok(None);
    }
    let bad = |problem: String| ibm_error(format!("cannot read {name}: {problem}"));
    let bytes = all_of(path, is_stdin).map_err(|error| bad(error.to_string()))?;
    let text = text::decode(&bytes).map_err(|problem| bad(format!("it {problem}")))?;
    let key = api_key::parse(&text).map_err(|problem| ibm_error(format!("{name} {problem}")))?;
    Ok(Some(key))
}

fn all_of(path: &Path, is_stdin: bool) -> io::Result<Zeroizing<Vec<u8>>> {
    let file = if is_stdin {
        // Not `Stdin`, whose buffer would keep a copy of the key.
        File::from(stdin().as_fd().try_clone_to_owned()?)
    } else {
        File::open(path)?
    };
    // The capacity at once: a growing vector leaves copies behind that are not wiped.
    let mut bytes = Zeroizing::new(Vec::with_capacity(64 << 10));
    file.take(LIMIT).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Returns the IAM endpoint that a credentials file of IBM's SDKs names.
pub(super) fn auth_url(path: &Path) -> Option<String> {
    // A problem with the file is reported when its key is needed.
    let text = text(path).ok()?;
    let mut entries = settings_file::entries(&text);
    let (_, url) = entries.find(|(name, _)| name.ends_with("_AUTH_URL"))?;
    // The URL of a virtual server's metadata service is no IAM.
    let is_vpc = service(path).is_some_and(|service| service.auth_type == "vpc");
    (!is_vpc).then(|| url.to_owned())
}

/// Returns how a credentials file of IBM's SDKs says to log in without an API key.
pub(super) fn service(path: &Path) -> Option<ServiceSettings> {
    let text = text(path).ok()?;
    let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    settings_file::service(&settings_file::entries(&text).map(owned).collect::<Vec<_>>())
}

fn text(path: &Path) -> Result<Zeroizing<String>, Error> {
    let bad = |problem: String| ibm_error(format!("cannot read {}: {problem}", path.display()));
    let bytes = secret_file::read_text(path).map_err(|error| bad(error.to_string()))?;
    let bytes = bytes.ok_or_else(|| bad("it is not a file, or has more than 1 MiB".to_owned()))?;
    text::decode(&bytes).map_err(|_| bad("it is not UTF-8 text".to_owned()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::fs;

    use super::*;

    #[test]
    fn the_error_names_the_file_and_not_its_content() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for (text, says) in [
            (" \n", "is empty"),
            ("sesame-ibm-6 and more", "more than an API key"),
            ("sesame-ibm-6\u{200b}", "not ASCII"),
        ] {
            fs::write(file.path(), text).unwrap();
            let error = read(file.path()).unwrap_err();
            let shown = format!("{error} {error:?}");
            assert!(shown.contains(says), "{shown}");
            let path = file.path().display().to_string();
            assert!(shown.contains(&path), "{shown}");
            assert!(!shown.contains("sesame-ibm-6"), "{shown}");
        }
        let missing = read(Path::new("/nonexistent/key")).unwrap_err();
        assert!(
            missing.to_string().contains("/nonexistent/key"),
            "{missing}"
        );
    }

    #[test]
    fn only_what_is_no_file_is_read_once() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(read_once(file.path()).unwrap().is_none());
        assert!(read_once(Path::new("/nonexistent/key")).unwrap().is_none());
        let utf16 = "\u{feff}IBMCLOUD_API_KEY=sesame-ibm-6\r\n"
            .encode_utf16()
            .flat_map(u16::to_le_bytes);
        fs::write(file.path(), utf16.collect::<Vec<_>>()).unwrap();
        assert_eq!(read(file.path()).unwrap().expose(), "sesame-ibm-6");
    }
}
