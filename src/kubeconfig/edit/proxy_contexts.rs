//! Writes the contexts of a kubegate that serves them below `/clusters/` into a kubeconfig.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use super::{
    parsed::Parsed,
    patch,
    transaction::{Edit, edit_files},
    write_lock::PATIENCE,
};
use crate::kubeconfig::{Error, block, document::Document};

/// The name of the user that all contexts of the proxy have.
const USER: &str = "kubegate";

/// The contexts that a proxy serves, as entries of a kubeconfig.
#[derive(Clone, Debug)]
pub struct ProxyContexts {
    /// The URL that the addresses of its contexts begin with, with a slash at its end:
    /// `http://127.0.0.1:8001/clusters/`.
    pub base: String,
    /// The contexts, by name.
    pub contexts: Vec<ProxyContext>,
    /// The name of the current one.
    pub current: Option<String>,
    /// The file with the CA certificates of the proxy.
    pub certificate_authority: Option<PathBuf>,
    /// The fields of the user: files with a token or a client certificate.
    pub user: Map<String, Value>,
}

/// One context that a proxy serves.
#[derive(Clone, Debug)]
pub struct ProxyContext {
    /// Its name.
    pub name: String,
    /// The name of its cluster's entry.
    pub cluster: String,
    /// Its default namespace.
    pub namespace: Option<String>,
    /// Its slug.
    pub slug: String,
}

/// What becomes of a file's other content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteMode {
    /// The file has nothing else.
    Whole,
    /// Other entries stay.
    Merge,
}

impl ProxyContexts {
    /// The whole kubeconfig.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut config = json!({"apiVersion": "v1", "kind": "Config"});
        for (kind, entries) in self.entries() {
            config[kind] = Value::Array(entries);
        }
        if let Some(current) = &self.current {
            config["current-context"] = json!(current);
        }
        config
    }

    fn entries(&self) -> [(&'static str, Vec<Value>); 3] {
        let cluster = |context: &ProxyContext| {
            let mut cluster = json!({"server": format!("{}{}", self.base, context.slug)});
            if let Some(file) = &self.certificate_authority {
                cluster["certificate-authority"] = json!(file);
            }
            json!({"name": context.cluster, "cluster": cluster})
        };
        let context = |context: &ProxyContext| {
            let mut fields = json!({"cluster": context.cluster, "user": USER});
            if let Some(namespace) = &context.namespace {
                fields["namespace"] = json!(namespace);
            }
            json!({"name": context.name, "context": fields})
        };
        [
            ("clusters", self.contexts.iter().map(cluster).collect()),
            ("contexts", self.contexts.iter().map(context).collect()),
            ("users", vec![json!({"name": USER, "user": self.user})]),
        ]
    }
}

/// Writes the contexts of a proxy into `file`, under its lock and at once. Contexts that it wrote before
/// and that are gone are removed. A missing file is created with its folder. Returns whether the file
/// changes. Blocks.
///
/// # Errors
/// The file has other entries of these names, or with [`WriteMode::Whole`] any other; it is locked, is no
/// kubeconfig, or cannot be written. It is then as it was.
pub fn write_proxy_contexts(
    file: &Path,
    proxy: &ProxyContexts,
    mode: WriteMode,
) -> Result<bool, Error> {
    let files = [file.to_owned()];
    edit_files(&files, Some(0), PATIENCE, |texts| {
        let text = texts.first().copied().unwrap_or_default();
        Document::parse(file, text.as_bytes())?;
        let before = Parsed::read(file, text)?;
        let new = Parsed(merged(file, &before.0, proxy, mode)?);
        if before.0 == new.0 {
            return Ok(Edit {
                texts: vec![None],
                outcome: false,
            });
        }
        let edited = match (mode, before.0.is_null()) {
            (WriteMode::Whole, _) | (_, true) => Some(block::yaml(&new.0)),
            (WriteMode::Merge, false) => patch::patched(text, &before.0, &new.0),
        };
        let edited: Option<Zeroizing<String>> =
            edited.filter(|edited| new.is_content_of(file, edited));
        let edited = edited.ok_or_else(|| Error::NotEditable {
            path: file.to_owned(),
            by_hand: "write the contexts into a file of their own with --write, and name both in \
                      KUBECONFIG"
                .to_owned(),
        })?;
        Ok(Edit {
            texts: vec![Some(edited)],
            outcome: true,
        })
    })
}

/// Returns the new content of a file.
fn merged(
    file: &Path,
    before: &Value,
    proxy: &ProxyContexts,
    mode: WriteMode,
) -> Result<Value, Error> {
    let whole = proxy.to_json();
    if before.is_null() {
        return Ok(whole);
    }
    let own = Own::find(before, &proxy.base);
    let mut new = before.clone();
    for (kind, entries) in proxy.entries() {
        let kept = items(before, kind).iter();
        let kept: Vec<Value> = kept.filter(|item| !own.has(kind, item)).cloned().collect();
        if let (WriteMode::Whole, Some(other)) = (mode, kept.first()) {
            return Err(taken(
                file,
                kind,
                other,
                "is not of this proxy; --merge keeps it",
            ));
        }
        let same = |one: &&Value| entries.iter().any(|entry| entry["name"] == one["name"]);
        if let Some(other) = kept.iter().find(same) {
            let problem = "has the name of one of the proxy's and is not of this proxy; choose another \
                           file with --write";
            return Err(taken(file, kind, other, problem));
        }
        // An entry that stays keeps its place.
        let mut rest = entries;
        let mut list = Vec::new();
        for item in items(before, kind) {
            match rest.iter().position(|entry| entry["name"] == item["name"]) {
                Some(at) => list.push(rest.remove(at)),
                None if own.has(kind, item) => {}
                None => list.push(item.clone()),
            }
        }
        list.extend(rest);
        new[kind] = Value::Array(list);
    }
    if mode == WriteMode::Whole {
        return Ok(whole);
    }
    let current = before["current-context"].as_str().unwrap_or_default();
    let exists = |name: &str| {
        items(&new, "contexts")
            .iter()
            .any(|item| item["name"] == name)
    };
    if !exists(current) {
        match &whole["current-context"] {
            Value::Null => {}
            current => new["current-context"] = current.clone(),
        }
    }
    Ok(new)
}

fn taken(file: &Path, kind: &str, item: &Value, problem: &str) -> Error {
    let name = item["name"].as_str().unwrap_or_default();
    let location = format!(
        "{} {name:?} in {}",
        kind.trim_end_matches('s'),
        file.display()
    );
    Error::field(location, "name", problem)
}

/// The names of a proxy's entries in a file.
struct Own {
    clusters: Vec<Value>,
    contexts: Vec<Value>,
    /// Whether its user is no other context's.
    has_user: bool,
}

impl Own {
    fn find(config: &Value, base: &str) -> Self {
        let names = |kind, is_own: &dyn Fn(&Value) -> bool| -> Vec<Value> {
            let items = items(config, kind).iter();
            items
                .filter(|item| is_own(item))
                .map(|item| item["name"].clone())
                .collect()
        };
        let clusters = names("clusters", &|item| {
            let server = item["cluster"]["server"].as_str();
            server.is_some_and(|server| server.starts_with(base))
        });
        let contexts = names("contexts", &|item| {
            clusters.contains(&item["context"]["cluster"])
        });
        let mut users = items(config, "contexts").iter();
        let has_user =
            users.all(|item| item["context"]["user"] != USER || contexts.contains(&item["name"]));
        Self {
            clusters,
            contexts,
            has_user,
        }
    }

    fn has(&self, kind: &str, item: &Value) -> bool {
        match kind {
            "clusters" => self.clusters.contains(&item["name"]),
            "contexts" => self.contexts.contains(&item["name"]),
            _ => self.has_user && !self.contexts.is_empty() && item["name"] == USER,
        }
    }
}

fn items<'a>(config: &'a Value, kind: &str) -> &'a [Value] {
    config[kind].as_array().map_or(&[], Vec::as_slice)
}
