//! [`Document`]: one kubeconfig file, parsed and split into its entries.

use std::{collections::BTreeMap, path::Path};

use serde_json::{Map, Value};

use crate::kubeconfig::{
    Error,
    fields::{Entry, FieldLocation},
    read::{LIMIT, read_bounded, read_kubeconfig},
    syntax::{self, Survey, survey},
    text,
};

/// The content of one kubeconfig file.
#[derive(Default)]
pub(super) struct Document {
    pub(super) current_context: Option<String>,
    pub(super) clusters: BTreeMap<String, Entry>,
    pub(super) users: BTreeMap<String, Entry>,
    pub(super) contexts: BTreeMap<String, Entry>,
    /// Parts of the file that have no effect, although they look as if they had.
    pub(super) warnings: Vec<String>,
}

impl Document {
    /// Reads one kubeconfig file.
    pub(super) fn read(path: &Path) -> Result<Self, Error> {
        Self::parse(path, &read_kubeconfig(path)?)
    }

    /// Reads a file that was read before. It does not wait for a named pipe, whose writer writes only
    /// once.
    pub(super) fn read_again(path: &Path) -> Result<Self, Error> {
        Self::parse(path, &read_bounded("kubeconfig", path, LIMIT)?)
    }

    /// Parses the bytes of the kubeconfig at `path`.
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
        let location = FieldLocation::file(path);
        let mut section = |kind| entries(&location, &mut top, kind);
        let (clusters, users, contexts) =
            (section("cluster")?, section("user")?, section("context")?);
        let rest = Entry::new(location, top);
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

/// Warnings about what kubectl ignores without a message.
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

/// Removes the section of one kind (`clusters: [{name: ..., cluster: {...}}]`) from `top` and returns
/// its entries by name. Entries without a name are dropped, since nothing can refer to them.
fn entries(
    location: &FieldLocation,
    top: &mut Map<String, Value>,
    kind: &'static str,
) -> Result<BTreeMap<String, Entry>, Error> {
    let mut found = BTreeMap::new();
    let section = format!("{kind}s");
    let items = match top.remove(&section) {
        None | Some(Value::Null) => return Ok(found),
        Some(Value::Array(items)) => items,
        Some(other) => return Err(location.wrong_type(&section, "a list", &other)),
    };
    for (at, item) in items.into_iter().enumerate() {
        let mut item = match item {
            Value::Null => continue,
            Value::Object(item) => item,
            other => {
                return Err(location.wrong_type(&format!("{section}[{at}]"), "a mapping", &other));
            }
        };
        let name = match item.remove("name") {
            None | Some(Value::Null) => continue,
            Some(Value::String(name)) if name.is_empty() => continue,
            Some(Value::String(name)) => name,
            Some(other) => {
                return Err(location.wrong_type(&format!("{section}[{at}].name"), "text", &other));
            }
        };
        let location = location.entry(kind, &name);
        let body = match item.remove(kind) {
            None | Some(Value::Null) => Map::new(),
            Some(Value::Object(body)) => body,
            Some(other) => return Err(location.wrong_type(kind, "a mapping", &other)),
        };
        if found
            .insert(name.clone(), Entry::new(location.clone(), body))
            .is_some()
        {
            return Err(Error::Duplicate {
                path: location.path().to_owned(),
                kind,
                name,
            });
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests;
