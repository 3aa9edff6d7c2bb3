//! Reads small files within bounds of size and time, whatever their path leads to.

use std::{
    fs::{File, OpenOptions},
    io::{self, IsTerminal as _, Read as _},
    os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    thread::sleep,
    time::{Duration, Instant},
};

use rustix::fs::OFlags;
use zeroize::Zeroizing;

use crate::kubeconfig::Error;

/// The most bytes that a kubeconfig may have: about 1,000 clusters with their certificates.
pub(super) const LIMIT: u64 = 8 << 20;
/// How long a named pipe may deliver nothing.
const PIPE_PATIENCE: Duration = Duration::from_secs(10);
const PIPE_RETRY: Duration = Duration::from_millis(10);

/// Reads a kubeconfig for the first time. As in kubectl, it may be a named pipe.
pub(super) fn read_kubeconfig(path: &Path) -> Result<Zeroizing<Vec<u8>>, Error> {
    let what = "kubeconfig";
    if is_named_pipe(path) {
        return read_named_pipe(what, path, LIMIT, PIPE_PATIENCE);
    }
    read_bounded(what, path, LIMIT)
}

/// Reads a whole file of at most `limit` bytes, without hanging on a pipe or device. Pipes
/// that the shell hands over (`<(...)`, `/dev/stdin`) are read to their end. A device without
/// content, such as `/dev/null`, is read as an empty file. `what` names the file's purpose in errors.
pub(crate) fn read_bounded(
    what: &str,
    path: &Path,
    limit: u64,
) -> Result<Zeroizing<Vec<u8>>, Error> {
    let failed = failed(what, path);
    let metadata = std::fs::metadata(path).map_err(&failed)?;
    let kind = metadata.file_type();
    if kind.is_dir() {
        return Err(refused(what, path, "it is a directory".to_owned()));
    }
    if kind.is_char_device() && is_empty_device(path).map_err(&failed)? {
        return Ok(Zeroizing::default());
    }
    if !(kind.is_file() || kind.is_fifo() && is_open_file_path(path)) {
        return Err(refused(what, path, "it is not a regular file".to_owned()));
    }
    if metadata.len() > limit {
        return Err(too_large(what, path, limit));
    }
    // The full capacity at once: a growing vector leaves copies behind that are not wiped.
    let mut bytes = Zeroizing::new(Vec::with_capacity(
        usize::try_from(metadata.len()).unwrap_or(0) + 1,
    ));
    let mut file = File::open(path).map_err(&failed)?.take(limit + 1);
    file.read_to_end(&mut bytes).map_err(&failed)?;
    if bytes.len() as u64 > limit {
        return Err(too_large(what, path, limit));
    }
    Ok(bytes)
}

/// Whether the content of this path can be read only once.
pub(super) fn is_pipe(path: &Path) -> bool {
    is_named_pipe(path) || is_open_file_path(path) && !path.is_file()
}

/// Resolves a path that the file `holder` names, against the folder of that file.
pub(super) fn resolve(holder: &Path, path: &str) -> PathBuf {
    // `absolute` fails only without a working directory; the path then stays relative.
    let holder = std::path::absolute(holder).unwrap_or_else(|_| holder.to_owned());
    holder.parent().unwrap_or(Path::new("/")).join(path)
}

/// Reads a named pipe until its writer closes it. kubectl would wait without end for a writer;
/// here the pipe may deliver nothing for at most `patience`.
fn read_named_pipe(
    what: &str,
    path: &Path,
    limit: u64,
    patience: Duration,
) -> Result<Zeroizing<Vec<u8>>, Error> {
    let failed = failed(what, path);
    let mut pipe = open_nonblocking(path).map_err(&failed)?;
    let mut chunk = Zeroizing::new(vec![0; 64 << 10]);
    // The full capacity at once: a growing vector leaves copies behind that are not wiped.
    let capacity = usize::try_from(limit).unwrap_or(0) + chunk.len();
    let mut bytes = Zeroizing::new(Vec::with_capacity(capacity));
    let mut last_read = Instant::now();
    loop {
        match pipe.read(&mut chunk) {
            Ok(0) if !bytes.is_empty() => return Ok(bytes),
            Ok(count @ 1..) => {
                bytes.extend_from_slice(&chunk[..count]);
                last_read = Instant::now();
            }
            // The pipe has no writer yet, or the writer has written nothing yet.
            Ok(0) => sleep(PIPE_RETRY),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => sleep(PIPE_RETRY),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(failed(error)),
        }
        if bytes.len() as u64 > limit {
            return Err(too_large(what, path, limit));
        }
        if last_read.elapsed() >= patience {
            let seconds = patience.as_secs();
            let problem = format!("it is a pipe, and nothing was written to it for {seconds} s");
            return Err(refused(what, path, problem));
        }
    }
}

/// Whether a device has no content, now or later. A terminal is never read from.
fn is_empty_device(path: &Path) -> io::Result<bool> {
    let mut device = open_nonblocking(path)?;
    if device.is_terminal() {
        return Ok(false);
    }
    match device.read(&mut [0]) {
        Ok(count) => Ok(count == 0),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
        Err(error) => Err(error),
    }
}

/// Opens a pipe or device without waiting for the process at its other end.
fn open_nonblocking(path: &Path) -> io::Result<File> {
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits().cast_signed())
        .open(path)
}

fn is_named_pipe(path: &Path) -> bool {
    let metadata = std::fs::metadata(path);
    metadata.is_ok_and(|found| found.file_type().is_fifo()) && !is_open_file_path(path)
}

/// Whether a path leads to an open file of this process, such as a pipe of the shell, which can be
/// read once.
fn is_open_file_path(path: &Path) -> bool {
    path.starts_with("/dev") || path.starts_with("/proc/self/fd")
}

fn failed(what: &str, path: &Path) -> impl Fn(io::Error) -> Error {
    move |source| Error::Read {
        what: what.to_owned(),
        path: path.to_owned(),
        source,
    }
}

fn refused(what: &str, path: &Path, problem: String) -> Error {
    Error::NotReadable {
        what: what.to_owned(),
        path: path.to_owned(),
        problem,
    }
}

fn too_large(what: &str, path: &Path, limit: u64) -> Error {
    refused(what, path, format!("it has more than {limit} bytes"))
}

#[cfg(test)]
mod tests;
