//! [`Fields`]: typed access to the fields of a file, with errors that name file, entry and field.

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

use serde_json::{Map, Value};
use zeroize::Zeroize;

use crate::{
    kubeconfig::{Error, Pem, pem::decode_base64, read},
    secret::Secret,
};

/// The file and the entry of a field, for error messages.
#[derive(Clone)]
pub(super) struct FieldLocation {
    /// `kubeconfig`, or `environment` for a variable.
    source: &'static str,
    /// The file, or the name of the variable.
    path: Arc<Path>,
    /// The entry, as `: user "name"`; empty for the top level of the file.
    entry: String,
}

impl FieldLocation {
    pub(super) fn file(path: &Path) -> Self {
        Self {
            source: "kubeconfig",
            path: path.into(),
            entry: String::new(),
        }
    }

    pub(super) fn variable(name: &str) -> Self {
        Self {
            source: "environment",
            path: Path::new(name).into(),
            entry: String::new(),
        }
    }

    pub(super) fn entry(&self, kind: &str, name: &str) -> Self {
        Self {
            source: self.source,
            path: Arc::clone(&self.path),
            entry: format!(": {kind} {name:?}"),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// An error about a field at this location.
    pub(super) fn error(&self, field: &str, problem: impl Into<String>) -> Error {
        Error::field(self.to_string(), field, problem)
    }

    /// An error about a value of the wrong type. It names the type and does not show the value.
    pub(super) fn wrong_type(&self, field: &str, wanted: &str, found: &Value) -> Error {
        let (kind, hint) = match found {
            Value::Null => ("nothing", ""),
            Value::Bool(_) => ("a boolean", "; put it in quotes"),
            Value::Number(_) => ("a number", "; put it in quotes"),
            Value::String(_) => ("text", ""),
            Value::Array(_) => ("a list", ""),
            Value::Object(_) => ("a mapping", ""),
        };
        let hint = if wanted == "text" { hint } else { "" };
        self.error(field, format!("must be {wanted}, not {kind}{hint}"))
    }
}

impl fmt::Display for FieldLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}{}", self.source, self.path.display(), self.entry)
    }
}

/// One entry of a file with all its fields as they are written, unknown ones included. Its text is
/// wiped on drop.
pub(super) struct Entry {
    location: FieldLocation,
    map: Map<String, Value>,
}

impl Entry {
    /// The file that holds it.
    pub(super) fn path(&self) -> &Path {
        self.location.path()
    }

    pub(super) fn new(location: FieldLocation, map: Map<String, Value>) -> Self {
        Self { location, map }
    }

    pub(super) fn fields(&self) -> Fields<'_> {
        Fields {
            location: &self.location,
            prefix: String::new(),
            map: &self.map,
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.map.values_mut().for_each(wipe);
    }
}

/// Wipes all text in `value`.
pub(super) fn wipe(value: &mut Value) {
    match value {
        Value::String(text) => text.zeroize(),
        Value::Array(items) => items.iter_mut().for_each(wipe),
        Value::Object(map) => map.values_mut().for_each(wipe),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// A mapping in an entry. `null` and empty text count as absent, as in client-go.
pub(super) struct Fields<'a> {
    location: &'a FieldLocation,
    /// Path from the entry to this mapping, such as `exec.env[0].`, for errors.
    prefix: String,
    map: &'a Map<String, Value>,
}

impl<'a> Fields<'a> {
    /// The field's name as errors show it.
    fn name(&self, field: &str) -> String {
        format!("{}{field}", self.prefix)
    }

    fn wrong_type(&self, field: &str, wanted: &str, found: &Value) -> Error {
        self.location.wrong_type(&self.name(field), wanted, found)
    }

    /// The file, as it was named by the caller.
    pub(super) fn file(&self) -> &'a Path {
        self.location.path()
    }

    /// File and entry, for errors.
    pub(super) fn origin(&self) -> String {
        self.location.to_string()
    }

    /// An error about one of these fields.
    pub(super) fn error(&self, field: &str, problem: impl Into<String>) -> Error {
        self.location.error(&self.name(field), problem)
    }

    /// The value of any type; `None` for `null`.
    pub(super) fn value(&self, field: &str) -> Option<&'a Value> {
        self.map.get(field).filter(|value| !value.is_null())
    }

    pub(super) fn text(&self, field: &str) -> Result<Option<&'a str>, Error> {
        match self.value(field) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.as_str()).filter(|text| !text.is_empty())),
            Some(other) => Err(self.wrong_type(field, "text", other)),
        }
    }

    pub(super) fn owned(&self, field: &str) -> Result<Option<String>, Error> {
        Ok(self.text(field)?.map(str::to_owned))
    }

    pub(super) fn secret(&self, field: &str) -> Result<Option<Secret>, Error> {
        Ok(self.text(field)?.map(Secret::new))
    }

    /// A boolean, `false` where it is absent. The spellings of YAML 1.1 (`yes`, `off`) count too, as in
    /// kubectl.
    pub(super) fn flag(&self, field: &str) -> Result<bool, Error> {
        match self.value(field) {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(Value::String(text)) => match text.to_ascii_lowercase().as_str() {
                "yes" | "on" | "y" => Ok(true),
                "no" | "off" | "n" => Ok(false),
                _ => Err(self.error(field, "must be true or false, without quotes")),
            },
            Some(other) => Err(self.wrong_type(field, "true or false", other)),
        }
    }

    /// A path, resolved against the folder of the file.
    pub(super) fn path(&self, field: &str) -> Result<Option<PathBuf>, Error> {
        Ok(self.text(field)?.map(|path| self.resolve(path)))
    }

    pub(super) fn resolve(&self, path: &str) -> PathBuf {
        read::resolve(&self.location.path, path)
    }

    /// A list of text.
    pub(super) fn texts(&self, field: &str) -> Result<Vec<String>, Error> {
        let items = self.items(field)?.iter().enumerate();
        items
            .map(|(at, item)| match item {
                Value::String(text) => Ok(text.clone()),
                other => Err(self.wrong_type(&format!("{field}[{at}]"), "text", other)),
            })
            .collect()
    }

    /// A mapping of text to lists of text.
    pub(super) fn texts_by_key(&self, field: &str) -> Result<BTreeMap<String, Vec<String>>, Error> {
        let Some(inner) = self.inner(field)? else {
            return Ok(BTreeMap::new());
        };
        let keys = inner.map.keys();
        keys.map(|key| Ok((key.clone(), inner.texts(key)?)))
            .collect()
    }

    /// The mappings of a list.
    pub(super) fn each(&self, field: &str) -> Result<Vec<Fields<'a>>, Error> {
        let items = self.items(field)?.iter().enumerate();
        items
            .map(|(at, item)| self.nested(&format!("{field}[{at}]"), item))
            .collect()
    }

    /// A mapping in this mapping.
    pub(super) fn inner(&self, field: &str) -> Result<Option<Fields<'a>>, Error> {
        self.value(field)
            .map(|value| self.nested(field, value))
            .transpose()
    }

    /// PEM text from the base64 of `data_field`, or else the file that `file_field` names.
    pub(super) fn pem(&self, data_field: &str, file_field: &str) -> Result<Option<Pem>, Error> {
        if let Some(text) = self.text(data_field)? {
            let data =
                decode_base64(text).ok_or_else(|| self.error(data_field, "is not valid base64"))?;
            let origin = format!("{}: {}", self.location, self.name(data_field));
            return Ok(Some(Pem::Inline { data, origin }));
        }
        Ok(self.path(file_field)?.map(|path| Pem::File {
            path,
            origin: format!("{}: {}", self.location, self.name(file_field)),
        }))
    }

    fn items(&self, field: &str) -> Result<&'a [Value], Error> {
        match self.value(field) {
            None => Ok(&[]),
            Some(Value::Array(items)) => Ok(items),
            Some(other) => Err(self.wrong_type(field, "a list", other)),
        }
    }

    fn nested(&self, field: &str, value: &'a Value) -> Result<Fields<'a>, Error> {
        let Value::Object(map) = value else {
            return Err(self.wrong_type(field, "a mapping", value));
        };
        Ok(Fields {
            location: self.location,
            prefix: format!("{}{field}.", self.prefix),
            map,
        })
    }
}
