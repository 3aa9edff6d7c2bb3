//! Adds a context with its cluster and user, and takes a user out again.

use std::path::Path;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use super::{Parsed, before, edit_file, is, patch, try_edit};
use crate::kubeconfig::{Error, block::yaml, file::Document, syntax::parse_yaml};

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
/// And of a context; the last only where the login names one.
const CONTEXT: [&str; 4] = ["cluster", "user", "extensions", "namespace"];

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
/// has their names; fields that are not a login's stay, and so does all other text. What was there
/// before is noted in the context, for [`forget_user`]. The file is made where it is missing, and
/// its folder. Blocks; locked, atomic, mode 0600.
///
/// # Errors
/// Where the file is locked, is no kubeconfig, cannot be written, or has a form that cannot be
/// edited: that error prints what to add by hand.
pub fn add_context(path: &Path, new: &NewContext, make_current: bool) -> Result<(), Error> {
    edit_file(path, true, |text| {
        with_context(path, text, new, make_current)
    })
}

/// Whether [`add_context`] will find the file in a form that it can edit, to be asked before a
/// login begins. Blocks.
///
/// # Errors
/// Where it has not.
pub fn may_add_context(path: &Path) -> Result<(), Error> {
    let name = || "the new login".to_owned();
    let any = NewContext {
        context: name(),
        cluster: name(),
        user: name(),
        namespace: None,
        server: "https://SERVER".to_owned(),
        certificate_authority: None,
        tls_server_name: None,
        proxy_url: None,
        credential_args: Vec::new(),
    };
    try_edit(path, true, |text| {
        with_context(path, text, &any, true).map_err(|error| match error {
            Error::NotEditable { path, .. } => Error::NotEditable {
                path,
                by_hand: "name another by --kubeconfig, or write its lists and mappings without \
                          anchors and aliases"
                    .to_owned(),
            },
            error => error,
        })
    })
}

fn with_context(
    path: &Path,
    text: &str,
    new: &NewContext,
    make_current: bool,
) -> Result<Zeroizing<String>, Error> {
    let edited = change(path, text, |config| {
        if config.is_empty() {
            config.insert("apiVersion".to_owned(), json!("v1"));
            config.insert("kind".to_owned(), json!("Config"));
        }
        let mut fields = new.context_fields();
        let extensions = before::noted(config, new, make_current);
        fields.insert("extensions".to_owned(), extensions);
        put(
            config,
            "cluster",
            &new.cluster,
            new.cluster_fields(),
            &CLUSTER,
        );
        put(config, "user", &new.user, new.user_fields(), &USER);
        let kept = if new.namespace.is_some() {
            &CONTEXT[..]
        } else {
            &CONTEXT[..3]
        };
        put(config, "context", &new.context, fields, kept);
        if make_current {
            config.insert("current-context".to_owned(), json!(new.context));
        }
    })?;
    edited.ok_or_else(|| Error::NotEditable {
        path: path.to_owned(),
        by_hand: format!("add this to it by hand:\n{}", *new.by_hand()),
    })
}

/// Takes a user out of the kubeconfig at `path`, with the contexts and clusters that that user's
/// login made, and makes current what was before it. `false` where there is no such user, or no
/// such file.
///
/// # Errors
/// As for [`add_context`].
pub fn forget_user(path: &Path, user: &str) -> Result<bool, Error> {
    if !has_user(path, user)? {
        return Ok(false);
    }
    edit_file(path, false, |text| without_user(path, text, user))?;
    Ok(true)
}

/// Whether [`forget_user`] will find the file in a form that it can edit, to be asked before a
/// session is ended. Blocks.
///
/// # Errors
/// Where it has not.
pub fn may_forget_user(path: &Path, user: &str) -> Result<(), Error> {
    if !has_user(path, user)? {
        return Ok(());
    }
    try_edit(path, false, |text| without_user(path, text, user))
}

fn has_user(path: &Path, user: &str) -> Result<bool, Error> {
    Ok(path.exists() && Document::read_again(path)?.users.contains_key(user))
}

fn without_user(path: &Path, text: &str, user: &str) -> Result<Zeroizing<String>, Error> {
    let edited = change(path, text, |config| before::restore(config, user))?;
    edited.ok_or_else(|| Error::NotEditable {
        path: path.to_owned(),
        by_hand: format!("remove user {user:?} and its contexts by hand"),
    })
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
    Ok(edited.filter(|edited| is(path, edited, &meant.0)))
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

fn filled<const N: usize>(fields: [(&str, Option<Value>); N]) -> Map<String, Value> {
    let given = fields.into_iter();
    given
        .filter_map(|(name, value)| Some((name.to_owned(), value?)))
        .collect()
}

#[cfg(test)]
mod tests;
