//! [`Pem`]: certificates and keys of a kubeconfig, inline or in a file.

use std::{
    borrow::Cow,
    fmt,
    path::{Path, PathBuf},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use zeroize::Zeroizing;

use crate::kubeconfig::{Error, read, text};

/// PEM text and where it comes from. Two values are equal if they hold the same inline text, or name
/// the same file.
#[derive(Clone)]
pub enum Pem {
    /// The decoded value of a `*-data` field.
    Inline {
        /// The PEM text.
        data: Zeroizing<Vec<u8>>,
        /// File, entry and field, for error messages.
        origin: String,
    },
    /// A file, which is read when it is needed.
    File {
        /// The file; absolute, or relative to the working directory.
        path: PathBuf,
        /// File, entry and field, for error messages.
        origin: String,
    },
}

impl Pem {
    /// The most bytes that a certificate, chain or key file may have.
    const LIMIT: u64 = 1 << 20;

    /// Decodes PEM text from base64, as in the `-data` fields of a kubeconfig. `origin` is
    /// `LOCATION: FIELD`, for error messages.
    ///
    /// # Errors
    /// Text that is not base64.
    pub fn from_base64(origin: &str, text: &str) -> Result<Self, Error> {
        let (location, field) = origin.rsplit_once(": ").unwrap_or(("", origin));
        let data = decode_base64(text);
        Ok(Self::Inline {
            data: data.ok_or_else(|| Error::field(location, field, "is not valid base64"))?,
            origin: origin.to_owned(),
        })
    }

    /// The file that a flag names.
    #[must_use]
    pub fn from_flag(flag: &str, path: &Path) -> Self {
        Self::File {
            path: path.to_owned(),
            origin: flag.to_owned(),
        }
    }

    /// Returns the inline PEM text or the present content of the file, as UTF-8 without a byte order
    /// mark.
    ///
    /// # Errors
    /// A file that cannot be read or has more than 1 MiB; the error names the file and its origin.
    pub fn read(&self) -> Result<Zeroizing<Vec<u8>>, Error> {
        match self {
            Self::Inline { data, .. } => Ok(as_utf8(data)),
            Self::File { path, origin } => {
                let what = format!("the file that {origin} names,");
                let bytes = read::read_bounded(&what, path, Self::LIMIT)?;
                Ok(as_utf8(&bytes))
            }
        }
    }

    /// Returns the present content as an inline value.
    ///
    /// # Errors
    /// The errors of [`Pem::read`].
    pub fn inlined(&self) -> Result<Self, Error> {
        Ok(Self::Inline {
            data: self.read()?,
            origin: self.location().into_owned(),
        })
    }

    /// The path, where this is a file.
    pub(super) fn path(&self) -> Option<&Path> {
        match self {
            Self::Inline { .. } => None,
            Self::File { path, .. } => Some(path),
        }
    }

    /// File, entry and field that this comes from, for error messages.
    #[must_use]
    pub fn origin(&self) -> &str {
        match self {
            Self::Inline { origin, .. } | Self::File { origin, .. } => origin,
        }
    }

    /// [`Pem::origin`], followed by the path where this is a file.
    #[must_use]
    pub fn location(&self) -> Cow<'_, str> {
        match self.path() {
            None => Cow::Borrowed(self.origin()),
            Some(path) => Cow::Owned(format!("{}, {}", self.origin(), path.display())),
        }
    }
}

/// Decodes base64 as Go's decoder for `[]byte` does: padded, line breaks allowed.
pub(super) fn decode_base64(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let mut packed = Zeroizing::new(Vec::with_capacity(text.len()));
    packed.extend(text.bytes().filter(|byte| !byte.is_ascii_whitespace()));
    BASE64_STANDARD.decode(&*packed).ok().map(Zeroizing::new)
}

/// The bytes as UTF-8 without a byte order mark. Bytes that are not text stay as they are: the PEM
/// parser reports them.
fn as_utf8(bytes: &[u8]) -> Zeroizing<Vec<u8>> {
    let text = text::decode(bytes).ok();
    let text = text.as_ref().map_or(bytes, |text| text.as_bytes());
    Zeroizing::new(text.to_vec())
}

impl PartialEq for Pem {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Inline { data, .. }, Self::Inline { data: other, .. }) => data == other,
            _ => self.path().is_some() && self.path() == other.path(),
        }
    }
}

/// Shows the origin and never the content, which may be a private key.
impl fmt::Debug for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pem({})", self.origin())
    }
}
