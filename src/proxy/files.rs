//! [`StaticFiles`]: what `--www` serves under `--www-prefix`.
//!
//! tower-http serves the files; which may be opened, and how, is decided here. A name is resolved
//! first, links and all, and the file is then opened from the folder on without following any
//! link: whoever swaps a folder or a file for a link in between gains nothing. What is neither
//! file nor folder is not opened at all, since that alone may wait for ever (a pipe) or do
//! something (a device).

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

use super::{Body, Error, route::Prefix};

/// Which files of the folder are served beside the ordinary ones.
#[derive(Clone, Copy, Debug, Default)]
pub struct StaticFileOptions {
    /// `--www-follow-symlinks`: those outside of it that a symlink in it leads to.
    pub follow_symlinks: bool,
    /// `--www-dotfiles`: those whose name, or whose folder's, begins with a dot.
    pub dotfiles: bool,
}

/// `--www` under `--www-prefix`.
#[derive(Clone, Debug)]
pub struct StaticFiles {
    /// Begins and ends with a slash.
    prefix: String,
    service: ServeDir<DefaultServeDirFallback, Folder>,
}

impl StaticFiles {
    /// Serves `folder` under `prefix`.
    #[must_use]
    pub fn new(prefix: &str, folder: &Path, extras: StaticFileOptions) -> Self {
        let folder = Folder(Arc::new(Place {
            path: folder.to_owned(),
            extras,
        }));
        Self {
            prefix: Prefix::new(prefix).into_string(),
            service: ServeDir::with_backend("", folder),
        }
    }

    pub(super) fn prefix(&self) -> &str {
        &self.prefix
    }

    pub(super) async fn serve(self, request: Request<Body>) -> Result<Response<Body>, Error> {
        let served = self.service.oneshot(request).await;
        let response = served.unwrap_or_else(|never: Infallible| match never {});
        Ok(under(&self.prefix, response.map(Body::file)))
    }
}

/// The files know nothing of their prefix: where they lead elsewhere, as from a folder's name
/// to the folder, it is put back.
fn under(prefix: &str, mut response: Response<Body>) -> Response<Body> {
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
struct Folder(Arc<Place>);

#[derive(Debug)]
struct Place {
    path: PathBuf,
    extras: StaticFileOptions,
}

/// What a name stands for.
enum Found {
    File(fs::File, fs::Metadata),
    Folder,
}

impl Place {
    /// Opens what is asked for by a path within the folder.
    fn find(&self, wanted: &Path) -> io::Result<Found> {
        let mut path = self.path.clone();
        for component in wanted.components() {
            match component {
                Component::CurDir => {}
                Component::Normal(name) if self.serves(name.as_bytes()) => path.push(name),
                _ => return Err(io::ErrorKind::NotFound.into()),
            }
        }
        // Anew each time: a site may be replaced by a link's change.
        let top = fs::canonicalize(&self.path)?;
        let real = fs::canonicalize(path)?;
        if let Ok(within) = real.strip_prefix(&top) {
            return find_below(&top, within);
        }
        match real.strip_prefix("/") {
            Ok(anywhere) if self.extras.follow_symlinks => find_below(Path::new("/"), anywhere),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn serves(&self, name: &[u8]) -> bool {
        self.extras.dotfiles || !name.starts_with(b".")
    }
}

/// Opens what stands at `path` below the folder `top`, if there are no symlinks on the way.
fn find_below(top: &Path, path: &Path) -> io::Result<Found> {
    let Some(name) = path.file_name() else {
        return Ok(Found::Folder);
    };
    let mut folder: OwnedFd = open(top, THROUGH, Mode::empty())?;
    for between in path.parent().into_iter().flat_map(Path::components) {
        let through = THROUGH | OFlags::NOFOLLOW;
        folder = openat(&folder, between.as_os_str(), through, Mode::empty())?;
    }
    let found = statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW)?;
    match FileType::from_raw_mode(found.st_mode) {
        FileType::Directory => Ok(Found::Folder),
        FileType::RegularFile => {
            // Should it be something else by now, opening it does not wait, and it is found out.
            let how = OFlags::RDONLY
                | OFlags::NOFOLLOW
                | OFlags::NONBLOCK
                | OFlags::NOCTTY
                | OFlags::CLOEXEC;
            let file = fs::File::from(openat(&folder, name, how, Mode::empty())?);
            let metadata = file.metadata()?;
            if metadata.is_file() {
                return Ok(Found::File(file, metadata));
            }
            Err(io::ErrorKind::NotFound.into())
        }
        _ => Err(io::ErrorKind::NotFound.into()),
    }
}

/// How to open a folder on the way: where the system can, without the right to list it.
#[cfg(any(target_os = "linux", target_os = "android"))]
const THROUGH: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const THROUGH: OFlags = OFlags::DIRECTORY.union(OFlags::CLOEXEC);

/// Names that lead nowhere are not found, whatever the system says of them.
fn not_found(error: io::Error) -> io::Error {
    let nowhere = [Errno::LOOP, Errno::NOTDIR, Errno::NAMETOOLONG, Errno::NXIO];
    match Errno::from_io_error(&error) {
        Some(errno) if nowhere.contains(&errno) => io::ErrorKind::NotFound.into(),
        _ => error,
    }
}

type Finding<T> = Pin<Box<dyn Future<Output = io::Result<T>> + Send>>;

impl Folder {
    /// Looks on a thread that may wait for a disk.
    fn find(&self, wanted: PathBuf) -> Finding<Found> {
        let place = Arc::clone(&self.0);
        Box::pin(async move {
            let found = tokio::task::spawn_blocking(move || place.find(&wanted));
            found.await.map_err(io::Error::other)?.map_err(not_found)
        })
    }
}

impl Backend for Folder {
    type File = Opened;
    type Metadata = About;
    type OpenFuture = Finding<Opened>;
    type MetadataFuture = Finding<About>;

    fn open(&self, path: PathBuf) -> Finding<Opened> {
        let found = self.find(path);
        Box::pin(async move {
            match found.await? {
                Found::File(file, metadata) => Ok(Opened {
                    about: About::of(&metadata),
                    file: tokio::fs::File::from_std(file),
                }),
                Found::Folder => Err(io::ErrorKind::NotFound.into()),
            }
        })
    }

    fn metadata(&self, path: PathBuf) -> Finding<About> {
        let found = self.find(path);
        Box::pin(async move {
            Ok(match found.await? {
                Found::File(_, metadata) => About::of(&metadata),
                Found::Folder => About::FOLDER,
            })
        })
    }
}

/// What is told of a file, or that it is a folder.
#[derive(Clone, Copy)]
struct About {
    is_folder: bool,
    length: u64,
    modified: Option<SystemTime>,
}

impl About {
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

impl Metadata for About {
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

/// A file that may be read.
struct Opened {
    file: tokio::fs::File,
    about: About,
}

impl File for Opened {
    type Metadata = About;
    type MetadataFuture<'a> = Ready<io::Result<About>>;

    fn metadata(&self) -> Ready<io::Result<About>> {
        ready(Ok(self.about))
    }
}

impl AsyncRead for Opened {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.file).poll_read(cx, buffer)
    }
}

impl AsyncSeek for Opened {
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

    /// What a link that is always being swapped hands out: never what lies outside.
    #[test]
    fn a_name_that_is_swapped_for_a_link_meanwhile_leads_nowhere() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for name in ["www", "www/in", "out"] {
            fs::create_dir(at(name)).unwrap();
        }
        fs::write(at("www/in/f"), "inside").unwrap();
        fs::write(at("out/f"), "outside").unwrap();
        let place = Place {
            path: at("www"),
            extras: StaticFileOptions::default(),
        };
        // In `find`, the folder is resolved and opened apart; here it is swapped in between.
        let top = fs::canonicalize(at("www")).unwrap();
        assert!(matches!(
            find_below(&top, Path::new("in/f")).unwrap(),
            Found::File(..)
        ));
        fs::rename(at("www/in"), at("www/was")).unwrap();
        symlink(at("out"), at("www/in")).unwrap();
        assert!(find_below(&top, Path::new("in/f")).is_err());
        fs::remove_file(at("www/was/f")).unwrap();
        symlink(at("out/f"), at("www/was/f")).unwrap();
        assert!(find_below(&top, Path::new("was/f")).is_err());
        assert!(place.find(Path::new("./in/f")).is_err());
    }
}
