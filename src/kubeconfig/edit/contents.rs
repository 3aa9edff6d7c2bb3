//! [`Contents`]: the parsed files of a kubeconfig, with the entries in them.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::parsed::Parsed;
use crate::kubeconfig::{
    Cluster, Error, ExecConfig, cluster,
    document::Document,
    exec,
    fields::{Entry, FieldLocation},
};

/// The top level of one file.
pub(super) type Config = Map<String, Value>;

/// The files of a kubeconfig in the order of their precedence.
pub(super) struct Contents<'a> {
    paths: &'a [PathBuf],
    files: Vec<Parsed>,
}

/// An entry, by the first file that has it.
#[derive(Clone, Copy)]
pub(super) struct Found<'a> {
    /// The file, as an index.
    pub(super) file: usize,
    /// The entry's fields.
    pub(super) body: &'a Value,
}

/// A context that uses an entry.
#[derive(Clone, Copy)]
pub(super) struct ContextEntry<'a> {
    /// The file, as an index.
    pub(super) file: usize,
    pub(super) name: &'a str,
    pub(super) body: &'a Value,
}

impl<'a> Contents<'a> {
    /// Parses the texts of the files at `paths`.
    pub(super) fn parse(paths: &'a [PathBuf], texts: &[&str]) -> Result<Self, Error> {
        let files = paths.iter().zip(texts);
        let files = files.map(|(path, text)| {
            // Reports a file that is not a kubeconfig.
            Document::parse(path, text.as_bytes())?;
            let mut parsed = Parsed::read(path, text)?;
            if !parsed.0.is_object() {
                parsed.0 = Value::Object(Map::new());
            }
            Ok(parsed)
        });
        let files = files.collect::<Result<_, Error>>()?;
        Ok(Self { paths, files })
    }

    pub(super) fn path(&self, file: usize) -> &Path {
        &self.paths[file]
    }

    pub(super) fn len(&self) -> usize {
        self.files.len()
    }

    /// The content of each file.
    pub(super) fn values(&self) -> impl Iterator<Item = &Value> {
        self.files.iter().map(|file| &file.0)
    }

    pub(super) fn config(&self, file: usize) -> Option<&Config> {
        self.files[file].0.as_object()
    }

    pub(super) fn config_mut(&mut self, file: usize) -> Option<&mut Config> {
        self.files[file].0.as_object_mut()
    }

    /// The entry of a kind with this name. The first file counts, as in client-go.
    pub(super) fn find(&self, kind: &str, name: &str) -> Option<Found<'_>> {
        (0..self.len()).find_map(|file| {
            let body = self.find_in(file, kind, name)?;
            Some(Found { file, body })
        })
    }

    /// The entry of a kind with this name in one file.
    pub(super) fn find_in(&self, file: usize, kind: &str, name: &str) -> Option<&Value> {
        let items = self.config(file)?.get(&format!("{kind}s"))?.as_array()?;
        let item = items.iter().find(|item| item["name"] == name)?;
        Some(&item[kind])
    }

    /// All contexts of all files, also those that an earlier file hides: each file may be used alone.
    pub(super) fn contexts(&self) -> impl Iterator<Item = ContextEntry<'_>> {
        self.files.iter().enumerate().flat_map(|(file, config)| {
            let items = config.0["contexts"].as_array().into_iter().flatten();
            items.filter_map(move |item| {
                Some(ContextEntry {
                    file,
                    name: item["name"].as_str()?,
                    body: &item["context"],
                })
            })
        })
    }

    /// The cluster of an entry; `None` if the entry is invalid.
    pub(super) fn cluster(&self, name: &str, found: Found<'_>) -> Option<Cluster> {
        let entry = self.entry("cluster", name, found)?;
        let draft = cluster::Draft::from_entry(Some(name), &entry);
        draft.and_then(cluster::Draft::finish).ok()
    }

    /// The exec plugin of a user's entry; `None` if it has none, or one that is invalid.
    pub(super) fn exec(&self, name: &str, found: Found<'_>) -> Option<ExecConfig> {
        let entry = self.entry("user", name, found)?;
        let fields = entry.fields().inner("exec").ok()??;
        exec::config(&fields).ok()
    }

    fn entry(&self, kind: &str, name: &str, found: Found<'_>) -> Option<Entry> {
        let location = FieldLocation::file(self.path(found.file)).entry(kind, name);
        Some(Entry::new(location, found.body.as_object()?.clone()))
    }
}
