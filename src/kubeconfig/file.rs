//! One kubeconfig file: read within bounds, parsed, and cut into its entries.

use std::{
    collections::BTreeMap,
    fs::{File, OpenOptions},
    io::{self, IsTerminal as _, Read as _},
    os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    thread::sleep,
    time::{Duration, Instant},
};

use rustix::fs::OFlags;
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use crate::kubeconfig::{
    Error,
    fields::{Entry, Place},
    syntax::{self, Survey, survey},
    text,
};

/// Bytes a kubeconfig may have: some 1,000 clusters with their certificates.
pub(super) const LIMIT: u64 = 8 << 20;
/// How long a pipe is waited for.
const PIPE_PATIENCE: Duration = Duration::from_secs(10);
const PIPE_RETRY: Duration = Duration::from_millis(10);

/// What one file holds.
#[derive(Default)]
pub(super) struct Document {
    pub(super) current_context: Option<String>,
    pub(super) clusters: BTreeMap<String, Entry>,
    pub(super) users: BTreeMap<String, Entry>,
    pub(super) contexts: BTreeMap<String, Entry>,
    /// What in it does not count, though somebody may think so.
    pub(super) warnings: Vec<String>,
}

impl Document {
    /// Reads one kubeconfig file.
    pub(super) fn read(path: &Path) -> Result<Self, Error> {
        Self::parse(path, &read_whole(path)?)
    }

    /// The same for one that was read before: nobody writes to a pipe again.
    pub(super) fn read_again(path: &Path) -> Result<Self, Error> {
        Self::parse(path, &read_bounded("kubeconfig", path, LIMIT)?)
    }

    /// Parses the bytes of a kubeconfig; `path` is where they stand.
    pub(super) fn parse(path: &Path, bytes: &[u8]) -> Result<Self, Error> {
        let syntax = |problem| Error::Syntax {
            path: path.to_owned(),
            position: None,
            problem,
        };
        let text = text::decode(bytes).map_err(syntax)?;
        let survey = survey(&text);
        let warnings = warnings(path, &survey);
        let mut top = match syntax::parse(path, &text, &survey)? {
            Value::Object(top) => top,
            Value::Null => {
                return Ok(Self {
                    warnings,
                    ..Self::default()
                });
            }
            _ => return Err(syntax("is not a mapping with clusters, users and contexts")),
        };
        let place = Place::file(path);
        let mut section = |kind| entries(&place, &mut top, kind);
        let (clusters, users, contexts) =
            (section("cluster")?, section("user")?, section("context")?);
        let rest = Entry::new(place, top);
        let current_context = rest.fields().text("current-context")?.map(str::to_owned);
        Ok(Self {
            current_context,
            clusters,
            users,
            contexts,
            warnings,
        })
    }
}

/// What kubectl passes over in silence.
fn warnings(path: &Path, survey: &Survey) -> Vec<String> {
    let path = path.display();
    let mut warnings = Vec::new();
    if let Some(line) = survey.rest {
        warnings.push(format!(
            "kubeconfig {path}: only the first YAML document counts; what begins on line {line} is \
             ignored"
        ));
    }
    if let Some(repeated) = &survey.repeated {
        let key = match &repeated.key {
            Some(key) => format!("the key {key:?}"),
            None => "a key".to_owned(),
        };
        let [first, last] = repeated.lines;
        let more = match survey.more_repeated {
            0 => String::new(),
            more => format!(" (and {more} more like it)"),
        };
        warnings.push(format!(
            "kubeconfig {path}, line {last}: {key} is given twice, first on line {first}; the last \
             one counts{more}"
        ));
    }
    warnings
}

/// Takes the section of one kind (`clusters: [{name: ..., cluster: {...}}]`) out of the file.
/// Entries without a name are left out, as nothing can refer to them.
fn entries(
    place: &Place,
    top: &mut Map<String, Value>,
    kind: &'static str,
) -> Result<BTreeMap<String, Entry>, Error> {
    let mut found = BTreeMap::new();
    let section = format!("{kind}s");
    let items = match top.remove(&section) {
        None | Some(Value::Null) => return Ok(found),
        Some(Value::Array(items)) => items,
        Some(other) => return Err(place.wrong(&section, "a list", &other)),
    };
    for (at, item) in items.into_iter().enumerate() {
        let mut item = match item {
            Value::Null => continue,
            Value::Object(item) => item,
            other => return Err(place.wrong(&format!("{section}[{at}]"), "a mapping", &other)),
        };
        let name = match item.remove("name") {
            None | Some(Value::Null) => continue,
            Some(Value::String(name)) if name.is_empty() => continue,
            Some(Value::String(name)) => name,
            Some(other) => {
                return Err(place.wrong(&format!("{section}[{at}].name"), "text", &other));
            }
        };
        let place = place.entry(kind, &name);
        let body = match item.remove(kind) {
            None | Some(Value::Null) => Map::new(),
            Some(Value::Object(body)) => body,
            Some(other) => return Err(place.wrong(kind, "a mapping", &other)),
        };
        if found
            .insert(name.clone(), Entry::new(place.clone(), body))
            .is_some()
        {
            return Err(Error::Duplicate {
                path: place.path().to_owned(),
                kind,
                name,
            });
        }
    }
    Ok(found)
}

/// Reads a kubeconfig. As in kubectl, it may be a pipe that somebody writes to.
fn read_whole(path: &Path) -> Result<Zeroizing<Vec<u8>>, Error> {
    let what = "kubeconfig";
    if is_named_pipe(path) {
        return read_named_pipe(what, path, LIMIT, PIPE_PATIENCE);
    }
    read_bounded(what, path, LIMIT)
}

/// Reads a whole file of at most `limit` bytes, without hanging on a pipe or device. Pipes
/// that the shell hands over (`<(...)`, `/dev/stdin`) are read to their end, and a device that has
/// nothing to read, such as `/dev/null`, is an empty file.
pub(super) fn read_bounded(
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
    if !(kind.is_file() || kind.is_fifo() && is_handed_over(path)) {
        return Err(refused(what, path, "it is not a regular file".to_owned()));
    }
    if metadata.len() > limit {
        return Err(too_large(what, path, limit));
    }
    // Room for all of it at once: growing would leave unwiped copies behind.
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

/// Reads what somebody writes to a pipe, until it is closed. That must begin, and go on, within
/// `patience`: kubectl would wait for ever.
fn read_named_pipe(
    what: &str,
    path: &Path,
    limit: u64,
    patience: Duration,
) -> Result<Zeroizing<Vec<u8>>, Error> {
    let failed = failed(what, path);
    let mut pipe = open_at_once(path).map_err(&failed)?;
    let mut chunk = Zeroizing::new(vec![0; 64 << 10]);
    // Room for all of it at once: growing would leave unwiped copies behind.
    let room = usize::try_from(limit).unwrap_or(0) + chunk.len();
    let mut bytes = Zeroizing::new(Vec::with_capacity(room));
    let mut last = Instant::now();
    loop {
        match pipe.read(&mut chunk) {
            Ok(0) if !bytes.is_empty() => return Ok(bytes),
            Ok(read @ 1..) => {
                bytes.extend_from_slice(&chunk[..read]);
                last = Instant::now();
            }
            // Nobody has opened it yet, or has written anything.
            Ok(0) => sleep(PIPE_RETRY),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => sleep(PIPE_RETRY),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(failed(error)),
        }
        if bytes.len() as u64 > limit {
            return Err(too_large(what, path, limit));
        }
        if last.elapsed() >= patience {
            let seconds = patience.as_secs();
            let problem = format!("it is a pipe, and nobody wrote to it for {seconds} s");
            return Err(refused(what, path, problem));
        }
    }
}

/// Whether a device has nothing to read, now and ever. A terminal is never asked.
fn is_empty_device(path: &Path) -> io::Result<bool> {
    let mut device = open_at_once(path)?;
    if device.is_terminal() {
        return Ok(false);
    }
    match device.read(&mut [0]) {
        Ok(read) => Ok(read == 0),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
        Err(error) => Err(error),
    }
}

/// Opens what may be a pipe or device, without waiting for whoever is at its other end.
fn open_at_once(path: &Path) -> io::Result<File> {
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits().cast_signed())
        .open(path)
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

/// Whether what is read from this path can be read only once.
pub(super) fn is_pipe(path: &Path) -> bool {
    is_named_pipe(path) || is_handed_over(path) && !path.is_file()
}

fn is_named_pipe(path: &Path) -> bool {
    let found = std::fs::metadata(path);
    found.is_ok_and(|found| found.file_type().is_fifo()) && !is_handed_over(path)
}

/// Whether a path is that of an open file, such as a pipe of the shell, which can be read once.
fn is_handed_over(path: &Path) -> bool {
    path.starts_with("/dev") || path.starts_with("/proc/self/fd")
}

/// A path as the file at `holder` means it: relative to that file's folder.
pub(super) fn resolve(holder: &Path, path: &str) -> PathBuf {
    // `absolute` fails only where there is no working folder; then the text stands as it is.
    let holder = std::path::absolute(holder).unwrap_or_else(|_| holder.to_owned());
    holder.parent().unwrap_or(Path::new("/")).join(path)
}

#[cfg(test)]
mod tests;
