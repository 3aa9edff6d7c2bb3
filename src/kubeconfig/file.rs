//! One kubeconfig file: read within bounds, parsed, and cut into its entries.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read},
    os::unix::fs::FileTypeExt,
    path::{Path, PathBuf},
};

use serde_json::{Map, Value};
use serde_saphyr::options::NonFiniteFloatPolicy;
use zeroize::Zeroizing;

use crate::kubeconfig::{
    Error,
    fields::{Entry, Place},
};

/// Bytes a kubeconfig may have: some 1,000 clusters with their certificates.
pub(super) const LIMIT: u64 = 8 << 20;

/// What one file holds.
#[derive(Default)]
pub(super) struct Document {
    pub(super) current_context: Option<String>,
    pub(super) clusters: BTreeMap<String, Entry>,
    pub(super) users: BTreeMap<String, Entry>,
    pub(super) contexts: BTreeMap<String, Entry>,
}

impl Document {
    /// Reads one kubeconfig file.
    pub(super) fn read(path: &Path) -> Result<Self, Error> {
        Self::parse(path, &read_bounded("kubeconfig", path, LIMIT)?)
    }

    /// Parses the bytes of a kubeconfig; `path` is where they stand.
    pub(super) fn parse(path: &Path, bytes: &[u8]) -> Result<Self, Error> {
        let syntax = |problem| Error::Syntax {
            path: path.to_owned(),
            position: None,
            problem,
        };
        let text = std::str::from_utf8(bytes).map_err(|_| syntax("is not UTF-8 text"))?;
        let mut top = match parse_yaml(path, text)? {
            Value::Object(top) => top,
            Value::Null => return Ok(Self::default()),
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
        })
    }
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

/// YAML, of which JSON is a part. The parser's own messages are dropped: they quote the file.
pub(super) fn parse_yaml(path: &Path, text: &str) -> Result<Value, Error> {
    let options = serde_saphyr::options! {
        with_snippet: false,
        // The scanner looks up to 1,024 signs ahead for a key: with a limit beyond that, deep
        // flow collections meet `max_depth` (64) first, whose error says what is wrong.
        budget: serde_saphyr::budget! { max_documents: 2, flow_nesting_limit: 1_100 },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: 100_000 },
        // YAML 1.1's `yes` and `on` may be meant as text or as a flag: `Fields::flag` judges.
        strict_booleans: true,
        non_finite_float_policy: NonFiniteFloatPolicy::Reject,
    };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| Error::Syntax {
        path: path.to_owned(),
        position: error
            .location()
            .map(|at| (at.line(), at.column()))
            .filter(|at| at.0 > 0),
        problem: problem(&error),
    })
}

fn problem(error: &serde_saphyr::Error) -> &'static str {
    use serde_saphyr::{Error as E, budget::BudgetBreach as B};
    match error {
        E::Budget {
            breach: B::Depth { .. },
            ..
        } => "is nested too deep",
        E::Budget { .. } => "has too many values, anchors or aliases",
        E::AliasReplayCounterOverflow { .. }
        | E::AliasReplayLimitExceeded { .. }
        | E::AliasExpansionLimitExceeded { .. }
        | E::AliasReplayStackDepthExceeded { .. } => "its aliases expand to too much",
        E::AliasError { error, .. } | E::WithSnippet { error, .. } => problem(error),
        E::UnknownAnchor { .. } => "an alias (*name) has no anchor (&name); put text in quotes",
        E::MultipleDocuments { .. } => "holds more than one YAML document; keep one",
        E::DuplicateMappingKey { .. } => "the same key is given twice in one mapping",
        E::NonFiniteFloat { .. } => "a number is out of range; put text in quotes",
        E::Eof { .. } => "ends too early",
        _ => "is not valid YAML or JSON here",
    }
}

/// Reads a whole file of at most `limit` bytes, without hanging on a pipe or device. Pipes
/// that the shell hands over (`<(...)`, `/dev/stdin`) are read to their end.
pub(super) fn read_bounded(
    what: &str,
    path: &Path,
    limit: u64,
) -> Result<Zeroizing<Vec<u8>>, Error> {
    let failed = |source: io::Error| Error::Read {
        what: what.to_owned(),
        path: path.to_owned(),
        source,
    };
    let refuse = |problem: String| Error::NotReadable {
        what: what.to_owned(),
        path: path.to_owned(),
        problem,
    };
    let too_large = || refuse(format!("it has more than {limit} bytes"));

    let metadata = std::fs::metadata(path).map_err(failed)?;
    let kind = metadata.file_type();
    if kind.is_dir() {
        return Err(refuse("it is a directory".to_owned()));
    }
    if !(kind.is_file() || kind.is_fifo() && is_handed_over(path)) {
        return Err(refuse("it is not a regular file".to_owned()));
    }
    if metadata.len() > limit {
        return Err(too_large());
    }
    // Room for all of it at once: growing would leave unwiped copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(
        usize::try_from(metadata.len()).unwrap_or(0) + 1,
    ));
    let mut file = File::open(path).map_err(failed)?.take(limit + 1);
    file.read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > limit {
        return Err(too_large());
    }
    Ok(bytes)
}

/// Whether a path is that of an open file, such as a pipe of the shell, which can be read once.
pub(super) fn is_handed_over(path: &Path) -> bool {
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
