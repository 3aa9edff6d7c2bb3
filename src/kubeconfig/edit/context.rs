//! Adds the context of a login with its cluster and user, and removes them again.

use std::path::Path;

use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use super::{
    exec_entry::ExecEntry,
    in_place::{edit_file, try_edit},
    login_note,
    new_context::NewContext,
    parsed::Parsed,
    patch,
};
use crate::kubeconfig::{Error, document::Document};

/// Fields of a cluster that a login replaces.
const CLUSTER: [&str; 6] = [
    "server",
    "certificate-authority",
    "certificate-authority-data",
    "insecure-skip-tls-verify",
    "tls-server-name",
    "proxy-url",
];
/// Fields of a user that a login replaces: all login methods.
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
/// Fields of a context that a login replaces; the last one only if the login has a namespace.
const CONTEXT: [&str; 4] = ["cluster", "user", "extensions", "namespace"];

/// Writes a context, its cluster and its user into the kubeconfig at `path`. In existing entries of
/// these names, the fields of a login are replaced and all others stay, as does all other text. The
/// context gets a note of the entries that existed before, for [`forget_user`]. A missing file is
/// created, with its folder. Blocks. The file is locked and replaced atomically; its mode is 0600.
///
/// # Errors
/// A file that is locked, is not a kubeconfig, cannot be written, or has a form that cannot be
/// edited; the latter error contains the YAML to add by hand.
pub fn add_context(path: &Path, new: &NewContext, make_current: bool) -> Result<(), Error> {
    edit_file(path, true, |text| {
        with_context(path, text, new, make_current)
    })
}

/// Checks that [`add_context`] can edit the file, before a login begins. Blocks.
///
/// # Errors
/// The error that [`add_context`] would return for the file's content.
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
        exec: ExecEntry::default(),
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
        let extensions = login_note::extensions(config, new, make_current);
        fields.insert("extensions".to_owned(), extensions);
        put(
            config,
            "cluster",
            &new.cluster,
            new.cluster_fields(),
            &CLUSTER,
        );
        let user = new.user_fields(config);
        put(config, "user", &new.user, user, &USER);
        let owned = if new.namespace.is_some() {
            &CONTEXT[..]
        } else {
            &CONTEXT[..3]
        };
        put(config, "context", &new.context, fields, owned);
        if make_current {
            config.insert("current-context".to_owned(), json!(new.context));
        }
    })?;
    edited.ok_or_else(|| Error::NotEditable {
        path: path.to_owned(),
        by_hand: format!("add this to it by hand:\n{}", *new.to_yaml()),
    })
}

/// Removes a user from the kubeconfig at `path`, with the contexts and clusters that the user's login
/// added, and restores the `current-context` of before the login. Returns `false` if there is no such
/// user, or no such file.
///
/// # Errors
/// The errors of [`add_context`].
pub fn forget_user(path: &Path, user: &str) -> Result<bool, Error> {
    if !has_user(path, user)? {
        return Ok(false);
    }
    edit_file(path, false, |text| without_user(path, text, user))?;
    Ok(true)
}

/// Checks that [`forget_user`] can edit the file, before a session is ended. Blocks.
///
/// # Errors
/// The error that [`forget_user`] would return for the file's content.
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
    let edited = change(path, text, |config| login_note::restore(config, user))?;
    edited.ok_or_else(|| Error::NotEditable {
        path: path.to_owned(),
        by_hand: format!("remove user {user:?} and its contexts by hand"),
    })
}

/// The text after `act` has changed its content; `None` if no edit of the text gives that content.
fn change(
    path: &Path,
    text: &str,
    act: impl FnOnce(&mut Map<String, Value>),
) -> Result<Option<Zeroizing<String>>, Error> {
    // Reports a file that is not a kubeconfig.
    Document::parse(path, text.as_bytes())?;
    let old = Parsed::read(path, text)?;
    let mut config = match &old.0 {
        Value::Object(config) => config.clone(),
        _ => Map::new(),
    };
    act(&mut config);
    let intended = Parsed(Value::Object(config));
    if old.0 == intended.0 {
        return Ok(Some(Zeroizing::new(text.to_owned())));
    }
    let edited = patch::patched(text, &old.0, &intended.0);
    Ok(edited.filter(|edited| intended.is_content_of(path, edited)))
}

/// Adds an entry to the list of its kind. In an existing entry of the same name, the fields in
/// `owned` are replaced and all others stay.
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

#[cfg(test)]
mod tests;
