//! Reads a file with one line: a secret, or the user name that belongs to it. Or one with several.

use std::{
    fs::File,
    io::{self, Read as _},
    path::Path,
    sync::Arc,
};

use zeroize::Zeroizing;

use super::Error;
use crate::{kubeconfig::text, secret::Secret};

/// Bytes that such a file may have.
const LIMIT: u64 = 1 << 20;

/// Returns the only line of a file, without its line break but with its spaces. `what` names it in
/// errors: `password`.
///
/// # Errors
/// A file that cannot be read, is empty, has more lines, or is no text.
pub fn read(what: &'static str, path: &Path) -> Result<Secret, Error> {
    let bad = |problem| bad_file(what, path, problem);
    let text = read_lines(what, path)?;
    let line = text.strip_suffix('\n').unwrap_or(&text);
    let line = line.strip_suffix('\r').unwrap_or(line);
    if line.is_empty() {
        return Err(bad("is empty"));
    }
    if line.contains(char::is_control) {
        return Err(bad("has more than one line, or a control character"));
    }
    Ok(Secret::new(line))
}

/// Returns the text of a file, without a byte order mark. `what` names it in errors.
///
/// # Errors
/// A file that cannot be read, or is no text.
pub fn read_lines(what: &'static str, path: &Path) -> Result<Zeroizing<String>, Error> {
    let bad = |problem| bad_file(what, path, problem);
    let text = read_text(path).map_err(|source| Error::SecretFile {
        what,
        path: path.to_owned(),
        source: Arc::new(source),
    })?;
    let text = text.ok_or_else(|| bad("is not a file, or has more than 1 MiB"))?;
    text::decode(&text).map_err(|_| bad("is not UTF-8 text"))
}

fn bad_file(what: &'static str, path: &Path, problem: &'static str) -> Error {
    Error::BadSecretFile {
        what,
        path: path.to_owned(),
        problem,
    }
}

/// Reads a file; `None` if it is no regular file, or too large.
pub(super) fn read_text(path: &Path) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
    // Opening a pipe without a writer would block forever.
    let metadata = std::fs::metadata(path)?;
    if !metadata.is_file() || metadata.len() > LIMIT {
        return Ok(None);
    }
    let mut text = Zeroizing::new(Vec::with_capacity(8 << 10));
    File::open(path)?.take(LIMIT + 1).read_to_end(&mut text)?;
    let fits = u64::try_from(text.len()).is_ok_and(|len| len <= LIMIT);
    Ok(fits.then_some(text))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_file_must_have_exactly_one_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("password");
        for text in [" a b ", " a b \n", " a b \r\n"] {
            std::fs::write(&path, text).unwrap();
            assert_eq!(read("password", &path).unwrap().expose(), " a b ");
        }
        let utf16 = "\u{feff} a b \r\n"
            .encode_utf16()
            .flat_map(u16::to_be_bytes);
        for bytes in ["\u{feff} a b \n".as_bytes().to_vec(), utf16.collect()] {
            std::fs::write(&path, bytes).unwrap();
            assert_eq!(read("password", &path).unwrap().expose(), " a b ");
        }
        for (text, problem) in [
            (&b""[..], "is empty"),
            ("\u{feff}\n".as_bytes(), "is empty"),
            (b"\n", "is empty"),
            (b"hunter2\nhunter2\n", "more than one line"),
            (b"hunter2\xff", "UTF-8"),
        ] {
            std::fs::write(&path, text).unwrap();
            let error = read("password", &path).unwrap_err();
            let shown = format!("{error} {error:?}");
            assert!(
                shown.contains(problem) && shown.contains("password"),
                "{shown}"
            );
            assert!(!shown.contains("hunter2"), "{shown}");
        }
        let error = read("password", &folder.path().join("missing")).unwrap_err();
        assert!(error.to_string().contains("missing"), "{error}");
    }
}
