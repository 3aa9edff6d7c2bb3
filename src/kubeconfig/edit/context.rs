//! Adds a context with its cluster and user, and takes a user out again.

use std::path::Path;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use super::{Parsed, edit_file, patch};
use crate::kubeconfig::{
    Error,
    block::yaml,
    file::{Document, parse_yaml},
};

/// Fields of a cluster that a login says anew.
const CLUSTER: [&str; 6] = [
    "server",
    "certificate-authority",
    "certificate-authority-data",
    "insecure-skip-tls-verify",
    "tls-server-name",
    "proxy-url",
];
/// Fields of a user that a login says anew: every way to log in.
const USER: [&str; 10] = [
    "client-certificate",
    "client-certificate-data",
    "client-key",
    "client-key-data",
    "token",
    "tokenFile",
    "username",
    "password",
    "auth-provider",
    "exec",
];
const CONTEXT: [&str; 3] = ["cluster", "user", "namespace"];

/// A context that a login makes, whose user runs `kubegate credential`.
pub struct NewContext {
    /// Name of the context.
    pub context: String,
    /// Name of the cluster's entry.
    pub cluster: String,
    /// Name of the user's entry.
    pub user: String,
    /// Default namespace; `None` keeps the one that a context of this name has.
    pub namespace: Option<String>,
    /// URL of the API server.
    pub server: String,
    /// PEM text of the only roots to trust.
    pub certificate_authority: Option<Vec<u8>>,
    /// Name to ask for and to check in place of the server's host.
    pub tls_server_name: Option<String>,
    /// Proxy to reach the server through.
    pub proxy_url: Option<String>,
    /// Words behind `kubegate`: `credential openshift --login NAME ...`. Never a secret.
    pub credential_args: Vec<String>,
}

/// Writes a context, its cluster and its user into the kubeconfig at `path`, in place of what
/// has their names; fields that are not a login's stay, and so does all other text. The file is
/// made where it is missing, and its folder. Blocks; locked, atomic, mode 0600.
///
/// # Errors
/// Where the file is locked, is no kubeconfig, cannot be written, or has a form that cannot be
/// edited: that error prints what to add by hand.
pub fn add_context(path: &Path, new: &NewContext, make_current: bool) -> Result<(), Error> {
    edit_file(path, true, |text| {
        change(path, text, |config| {
            if config.is_empty() {
                config.insert("apiVersion".to_owned(), json!("v1"));
                config.insert("kind".to_owned(), json!("Config"));
            }
            put(
                config,
                "cluster",
                &new.cluster,
                new.cluster_fields(),
                &CLUSTER,
            );
            put(config, "user", &new.user, new.user_fields(), &USER);
            let mut fields = new.context_fields();
            let kept = fields
                .remove("namespace")
                .map_or(&CONTEXT[..2], |namespace| {
                    fields.insert("namespace".to_owned(), namespace);
                    &CONTEXT
                });
            put(config, "context", &new.context, fields, kept);
            if make_current {
                config.insert("current-context".to_owned(), json!(new.context));
            }
        })?
        .ok_or_else(|| Error::NotEditable {
            path: path.to_owned(),
            by_hand: format!("add this to it by hand:\n{}", *new.by_hand()),
        })
    })
}

/// Takes a user out of the kubeconfig at `path`, with the contexts that are that user's; the
/// clusters stay. `false` where there is no such user, or no such file.
///
/// # Errors
/// As for [`add_context`].
pub fn remove_user(path: &Path, user: &str) -> Result<bool, Error> {
    if !path.exists() || !Document::read(path)?.users.contains_key(user) {
        return Ok(false);
    }
    edit_file(path, false, |text| {
        change(path, text, |config| {
            let current = config.get("current-context").cloned();
            take(config, "users", |item| item["name"] != user);
            let mut gone = Vec::new();
            take(config, "contexts", |item| {
                let stays = item["context"]["user"] != user;
                if !stays {
                    gone.push(item["name"].clone());
                }
                stays
            });
            if current.is_some_and(|current| gone.contains(&current)) {
                config.remove("current-context");
            }
        })?
        .ok_or_else(|| Error::NotEditable {
            path: path.to_owned(),
            by_hand: format!("remove user {user:?} and its contexts by hand"),
        })
    })?;
    Ok(true)
}

impl NewContext {
    fn cluster_fields(&self) -> Map<String, Value> {
        let authority = self.certificate_authority.as_ref();
        filled([
            ("server", Some(json!(self.server))),
            (
                "certificate-authority-data",
                authority.map(|pem| json!(BASE64_STANDARD.encode(pem))),
            ),
            (
                "tls-server-name",
                self.tls_server_name.as_ref().map(|name| json!(name)),
            ),
            ("proxy-url", self.proxy_url.as_ref().map(|url| json!(url))),
        ])
    }

    fn user_fields(&self) -> Map<String, Value> {
        let exec = json!({
            "apiVersion": "client.authentication.k8s.io/v1",
            "command": "kubegate",
            "args": self.credential_args,
            "interactiveMode": "Never",
            "provideClusterInfo": true,
        });
        filled([("exec", Some(exec))])
    }

    fn context_fields(&self) -> Map<String, Value> {
        filled([
            ("cluster", Some(json!(self.cluster))),
            ("user", Some(json!(self.user))),
            ("namespace", self.namespace.as_ref().map(|name| json!(name))),
        ])
    }

    /// The entries as YAML. A proxy's password is left out: this is shown.
    fn by_hand(&self) -> Zeroizing<String> {
        let mut cluster = self.cluster_fields();
        if let Some(Value::String(url)) = cluster.get_mut("proxy-url")
            && let Some((_, host)) = url.rsplit_once('@')
        {
            *url = format!("http://USER:PASSWORD@{host}");
        }
        let entries = json!({
            "clusters": [{"name": self.cluster, "cluster": cluster}],
            "users": [{"name": self.user, "user": self.user_fields()}],
            "contexts": [{"name": self.context, "context": self.context_fields()}],
        });
        yaml(&entries)
    }
}

/// The text after `act`; `None` where it cannot be edited so. An edit counts when it parses to
/// what was meant.
fn change(
    path: &Path,
    text: &str,
    act: impl FnOnce(&mut Map<String, Value>),
) -> Result<Option<Zeroizing<String>>, Error> {
    // Says what is wrong with a file that is no kubeconfig.
    Document::parse(path, text.as_bytes())?;
    let old = Parsed(parse_yaml(path, text)?);
    let mut meant = match &old.0 {
        Value::Object(config) => config.clone(),
        _ => Map::new(),
    };
    act(&mut meant);
    let meant = Parsed(Value::Object(meant));
    if old.0 == meant.0 {
        return Ok(Some(Zeroizing::new(text.to_owned())));
    }
    let edited = patch::patched(text, &old.0, &meant.0);
    Ok(edited
        .filter(|edited| parse_yaml(path, edited).is_ok_and(|parsed| Parsed(parsed).0 == meant.0)))
}

/// Puts an entry among those of its kind; of one with the same name, what `owned` does not list
/// stays.
fn put(
    config: &mut Map<String, Value>,
    kind: &str,
    name: &str,
    fields: Map<String, Value>,
    owned: &[&str],
) {
    let section = config.entry(format!("{kind}s")).or_insert(Value::Null);
    if section.is_null() {
        *section = json!([]);
    }
    let Value::Array(items) = section else {
        return;
    };
    let Some(item) = items.iter_mut().find(|item| item["name"] == name) else {
        items.push(json!({"name": name, kind: fields}));
        return;
    };
    let mut body = match item[kind].take() {
        Value::Object(body) => body,
        _ => Map::new(),
    };
    body.retain(|field, _| !owned.contains(&field.as_str()));
    body.extend(fields);
    item[kind] = Value::Object(body);
}

fn take(config: &mut Map<String, Value>, section: &str, stays: impl FnMut(&Value) -> bool) {
    if let Some(Value::Array(items)) = config.get_mut(section) {
        items.retain(stays);
    }
}

fn filled<const N: usize>(fields: [(&str, Option<Value>); N]) -> Map<String, Value> {
    let given = fields.into_iter();
    given
        .filter_map(|(name, value)| Some((name.to_owned(), value?)))
        .collect()
}

#[cfg(test)]
mod tests;
