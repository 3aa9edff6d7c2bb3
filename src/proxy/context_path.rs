//! Finds the context that a request's path names.

use std::sync::Arc;

use percent_encoding::percent_decode_str;

use super::{
    contexts::{CLUSTERS, ContextEntry, ContextTable, Root},
    refusal::Refusal,
    request_info,
};

/// What a path names below `/clusters`.
pub(super) enum ContextPath {
    /// The list of contexts.
    List,
    /// A context, and where in the path and query the API server's own path begins. That is empty where
    /// the path ends with the context.
    Context(Arc<ContextEntry>, usize),
    /// Nothing below `/clusters`.
    Other,
}

/// Reads a raw path and query. Every reading that a server may give the path must name the same
/// context.
///
/// # Errors
/// The readings differ, or there is no such context.
pub(super) fn read(table: &ContextTable, target: &str) -> Result<ContextPath, Refusal> {
    let raw = target.split('?').next().unwrap_or_default();
    let below = raw.strip_prefix(CLUSTERS);
    let is_only = *table.root() == Root::Only;
    if is_only && (below.is_none() || table.entries().is_empty()) {
        return Ok(ContextPath::Other);
    }
    // An ordinary path outside of `/clusters`.
    if below.is_none() && request_info::has_one_reading(raw) {
        return Ok(ContextPath::Other);
    }
    let readings = match request_info::decoded_readings(raw) {
        Ok(readings) => readings,
        // The layer that reads requests refuses it.
        Err(_) if is_only => return Ok(ContextPath::Other),
        Err(ambiguous) => {
            let message = ambiguous.to_string();
            return Err(Refusal::malformed("ambiguous target", message));
        }
    };
    let named = |path: &str| {
        let below = path.strip_prefix(CLUSTERS)?;
        match below.strip_prefix('/') {
            None if below.is_empty() => Some(Named::List),
            None => None,
            Some("") => Some(Named::List),
            Some(path) => Some(match table.find(path) {
                Some((entry, length)) => Named::Context(Arc::clone(entry), length),
                None => Named::Nothing,
            }),
        }
    };
    let mut readings = readings.iter().map(|path| named(path));
    let first = readings.next().flatten();
    let names_same =
        |other: Option<Named>| other.as_ref().map(Named::slug) == first.as_ref().map(Named::slug);
    if !readings.all(names_same) {
        return ambiguous(is_only);
    }
    match first {
        None => Ok(ContextPath::Other),
        Some(_) if below.is_none() => ambiguous(is_only),
        Some(Named::List) => Ok(ContextPath::List),
        Some(Named::Nothing) if is_only => Ok(ContextPath::Other),
        Some(Named::Nothing) => Err(Refusal::not_found(
            "unknown context",
            format!(
                "no context is served at this path; the contexts are at {}",
                table.addresses()
            ),
        )),
        Some(Named::Context(entry, length)) => {
            // The slash may be encoded.
            let below = below.and_then(|below| below.strip_prefix('/'));
            let begin = CLUSTERS.len() + 1;
            match below.and_then(|below| raw_length(below, length)) {
                Some(length) => Ok(ContextPath::Context(entry, begin + length)),
                None => ambiguous(is_only),
            }
        }
    }
}

/// What one reading of a path names below `/clusters`.
enum Named {
    List,
    /// A context, and the length of its slug or name.
    Context(Arc<ContextEntry>, usize),
    Nothing,
}

impl Named {
    fn slug(&self) -> Option<&str> {
        match self {
            Self::Context(entry, _) => Some(entry.slug().as_str()),
            Self::List | Self::Nothing => None,
        }
    }
}

/// Refuses a path that names no single context. Where there is only one, it is a path of its API, which
/// is judged and sent as it is.
fn ambiguous(is_only: bool) -> Result<ContextPath, Refusal> {
    if is_only {
        return Ok(ContextPath::Other);
    }
    Err(Refusal::malformed(
        "ambiguous context",
        format!(
            "the path can be read as that of several contexts; send {CLUSTERS}/ and the slash behind \
             the context as they are, without empty and . segments"
        ),
    ))
}

/// Returns how much of a raw path decodes to `length` bytes, if a slash or nothing follows.
fn raw_length(raw: &str, length: usize) -> Option<usize> {
    let bytes = raw.as_bytes();
    let mut end = 0;
    for _ in 0..length {
        end += if *bytes.get(end)? == b'%' { 3 } else { 1 };
    }
    let name = raw.get(..end)?;
    // Bytes that are not UTF-8 are longer in a reading than in the path.
    let decoded = percent_decode_str(name).decode_utf8().ok()?;
    let rest = raw.get(end..)?;
    (decoded.len() == length && (rest.is_empty() || rest.starts_with('/'))).then_some(end)
}
