//! [`StaticFiles`]: what `--www` serves under `--www-prefix`.
//!
//! tower-http serves the files; this module decides which may be opened, and how. A name is resolved
//! first, with its symlinks, and the file is then opened from the folder on without following any, so
//! that swapping a folder or a file for a symlink in between gains nothing. What is neither file nor
//! folder is not opened at all: opening a pipe may block for ever, and opening a device may have
//! side effects.

use std::{
    convert::Infallible,
    fs,
    future::{Ready, ready},
    io::{self, SeekFrom},
    os::{fd::OwnedFd, unix::ffi::OsStrExt as _},
    path::{Component, Path, PathBuf},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::SystemTime,
};

use http::{Request, Response, header::LOCATION};
use rustix::{
    fs::{AtFlags, FileType, Mode, OFlags, open, openat, statat},
    io::Errno,
};
use tokio::io::{AsyncRead, AsyncSeek, ReadBuf};
use tower::ServiceExt as _;
use tower_http::services::{
    ServeDir,
    fs::{Backend, DefaultServeDirFallback, File, Metadata},
};

use super::{body::Body, error::Error, path_prefix::Prefix};

/// Which files are served beside the ordinary ones.
#[derive(Clone, Copy, Debug, Default)]
pub struct StaticFileOptions {
    /// `--www-follow-symlinks`: those outside of the folder that a symlink in it leads to.
    pub follow_symlinks: bool,
    /// `--www-dotfiles`: those whose name, or whose folder's name, begins with a dot.
    pub dotfiles: bool,
}

/// `--www` under `--www-prefix`.
#[derive(Clone, Debug)]
pub struct StaticFiles {
    prefix: Prefix,
    service: ServeDir<DefaultServeDirFallback, Folder>,
}

impl StaticFiles {
    /// Serves `folder` under `prefix`.
    #[must_use]
    pub fn new(prefix: &str, folder: &Path, options: StaticFileOptions) -> Self {
        let folder = Folder(Arc::new(FolderRules {
            path: folder.to_owned(),
            options,
        }));
        Self {
            prefix: Prefix::new(prefix),
            service: ServeDir::with_backend("", folder),
        }
    }

    pub(super) fn prefix(&self) -> &str {
        self.prefix.as_str()
    }

    pub(super) async fn serve(self, request: Request<Body>) -> Result<Response<Body>, Error> {
        let served = self.service.oneshot(request).await;
        let response = served.unwrap_or_else(|never: Infallible| match never {});
        Ok(with_prefix(self.prefix.as_str(), response.map(Body::file)))
    }
}

/// Puts the prefix back into a redirect, such as that from a folder's name to the folder: tower-http
/// does not know it.
fn with_prefix(prefix: &str, mut response: Response<Body>) -> Response<Body> {
    if let Some(location) = response.headers().get(LOCATION)
        && let Ok(path) = location.to_str()
        && let Ok(location) = format!("{prefix}{}", path.trim_start_matches('/')).try_into()
    {
        response.headers_mut().insert(LOCATION, location);
    }
    response
}

/// A folder, as tower-http opens files in it.
#[derive(Clone, Debug)]
struct Folder(Arc<FolderRules>);

#[derive(Debug)]
struct FolderRules {
    path: PathBuf,
    options: StaticFileOptions,
}

/// What a path leads to.
enum Entry {
    File(fs::File, fs::Metadata),
    Folder,
}

impl FolderRules {
    /// Opens what a path within the folder leads to.
    fn find(&self, wanted: &Path) -> io::Result<Entry> {
        let mut path = self.path.clone();
        for component in wanted.components() {
            match component {
                Component::CurDir => {}
                Component::Normal(name) if self.serves(name.as_bytes()) => path.push(name),
                _ => return Err(io::ErrorKind::NotFound.into()),
            }
        }
        // Resolved each time: a site may be replaced by changing a symlink.
        let top = fs::canonicalize(&self.path)?;
        let real = fs::canonicalize(path)?;
        if let Ok(within) = real.strip_prefix(&top) {
            return find_below(&top, within);
        }
        match real.strip_prefix("/") {
            Ok(anywhere) if self.options.follow_symlinks => find_below(Path::new("/"), anywhere),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn serves(&self, name: &[u8]) -> bool {
        self.options.dotfiles || !name.starts_with(b".")
    }
}

/// Opens what is at `path` below the folder `top`, if there are no symlinks on the way.
fn find_below(top: &Path, path: &Path) -> io::Result<Entry> {
    let Some(name) = path.file_name() else {
        return Ok(Entry::Folder);
    };
    let mut folder: OwnedFd = open(top, TRAVERSE, Mode::empty())?;
    for component in path.parent().into_iter().flat_map(Path::components) {
        let flags = TRAVERSE | OFlags::NOFOLLOW;
        folder = openat(&folder, component.as_os_str(), flags, Mode::empty())?;
    }
    let found = statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW)?;
    match FileType::from_raw_mode(found.st_mode) {
        FileType::Directory => Ok(Entry::Folder),
        FileType::RegularFile => {
            // If it is something else by now, opening it does not block, and the check below finds out.
            let how = OFlags::RDONLY
                | OFlags::NOFOLLOW
                | OFlags::NONBLOCK
                | OFlags::NOCTTY
                | OFlags::CLOEXEC;
            let file = fs::File::from(openat(&folder, name, how, Mode::empty())?);
            let metadata = file.metadata()?;
            if metadata.is_file() {
                return Ok(Entry::File(file, metadata));
            }
            Err(io::ErrorKind::NotFound.into())
        }
        _ => Err(io::ErrorKind::NotFound.into()),
    }
}

/// How a folder on the way is opened: where the system can, without the permission to list it.
#[cfg(any(target_os = "linux", target_os = "android"))]
const TRAVERSE: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const TRAVERSE: OFlags = OFlags::DIRECTORY.union(OFlags::CLOEXEC);

/// Turns the errors of names that lead nowhere into "not found".
fn not_found(error: io::Error) -> io::Error {
    let nowhere = [Errno::LOOP, Errno::NOTDIR, Errno::NAMETOOLONG, Errno::NXIO];
    match Errno::from_io_error(&error) {
        Some(errno) if nowhere.contains(&errno) => io::ErrorKind::NotFound.into(),
        _ => error,
    }
}

type IoFuture<T> = Pin<Box<dyn Future<Output = io::Result<T>> + Send>>;

impl Folder {
    /// Finds it on a thread that may wait for a disk.
    fn find(&self, wanted: PathBuf) -> IoFuture<Entry> {
        let rules = Arc::clone(&self.0);
        Box::pin(async move {
            let found = tokio::task::spawn_blocking(move || rules.find(&wanted));
            found.await.map_err(io::Error::other)?.map_err(not_found)
        })
    }
}

impl Backend for Folder {
    type File = OpenFile;
    type Metadata = FileMetadata;
    type OpenFuture = IoFuture<OpenFile>;
    type MetadataFuture = IoFuture<FileMetadata>;

    fn open(&self, path: PathBuf) -> IoFuture<OpenFile> {
        let found = self.find(path);
        Box::pin(async move {
            match found.await? {
                Entry::File(file, metadata) => Ok(OpenFile {
                    metadata: FileMetadata::of(&metadata),
                    file: tokio::fs::File::from_std(file),
                }),
                Entry::Folder => Err(io::ErrorKind::NotFound.into()),
            }
        })
    }

    fn metadata(&self, path: PathBuf) -> IoFuture<FileMetadata> {
        let found = self.find(path);
        Box::pin(async move {
            Ok(match found.await? {
                Entry::File(_, metadata) => FileMetadata::of(&metadata),
                Entry::Folder => FileMetadata::FOLDER,
            })
        })
    }
}

/// The metadata of a file, or that of any folder.
#[derive(Clone, Copy)]
struct FileMetadata {
    is_folder: bool,
    length: u64,
    modified: Option<SystemTime>,
}

impl FileMetadata {
    const FOLDER: Self = Self {
        is_folder: true,
        length: 0,
        modified: None,
    };

    fn of(metadata: &fs::Metadata) -> Self {
        Self {
            is_folder: false,
            length: metadata.len(),
            modified: metadata.modified().ok(),
        }
    }
}

impl Metadata for FileMetadata {
    fn is_dir(&self) -> bool {
        self.is_folder
    }

    fn modified(&self) -> io::Result<SystemTime> {
        self.modified
            .ok_or_else(|| io::ErrorKind::Unsupported.into())
    }

    fn len(&self) -> u64 {
        self.length
    }
}

/// A file that is open for reading.
struct OpenFile {
    file: tokio::fs::File,
    metadata: FileMetadata,
}

impl File for OpenFile {
    type Metadata = FileMetadata;
    type MetadataFuture<'a> = Ready<io::Result<FileMetadata>>;

    fn metadata(&self) -> Ready<io::Result<FileMetadata>> {
        ready(Ok(self.metadata))
    }
}

impl AsyncRead for OpenFile {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.file).poll_read(cx, buffer)
    }
}

impl AsyncSeek for OpenFile {
    fn start_seek(mut self: Pin<&mut Self>, position: SeekFrom) -> io::Result<()> {
        Pin::new(&mut self.file).start_seek(position)
    }

    fn poll_complete(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<u64>> {
        Pin::new(&mut self.file).poll_complete(cx)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::os::unix::fs::symlink;

    use super::*;

    /// A symlink that is swapped in at any moment never leads outside.
    #[test]
    fn a_name_swapped_for_a_symlink_leads_nowhere() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for name in ["www", "www/in", "out"] {
            fs::create_dir(at(name)).unwrap();
        }
        fs::write(at("www/in/f"), "inside").unwrap();
        fs::write(at("out/f"), "outside").unwrap();
        let rules = FolderRules {
            path: at("www"),
            options: StaticFileOptions::default(),
        };
        // `find` resolves and opens the folder in two steps; here it is swapped between them.
        let top = fs::canonicalize(at("www")).unwrap();
        assert!(matches!(
            find_below(&top, Path::new("in/f")).unwrap(),
            Entry::File(..)
        ));
        fs::rename(at("www/in"), at("www/was")).unwrap();
        symlink(at("out"), at("www/in")).unwrap();
        assert!(find_below(&top, Path::new("in/f")).is_err());
        fs::remove_file(at("www/was/f")).unwrap();
        symlink(at("out/f"), at("www/was/f")).unwrap();
        assert!(find_below(&top, Path::new("was/f")).is_err());
        assert!(rules.find(Path::new("./in/f")).is_err());
    }
}
