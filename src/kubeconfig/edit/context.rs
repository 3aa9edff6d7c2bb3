//! Adds the context of a login with its cluster and user, and removes them again.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use super::{
    contents::{Config, Contents},
    exec_entry::ExecEntry,
    forget::{self, Forget, Forgotten, USER},
    login_note,
    new_context::{ChosenNames, LoginIdentity, Naming, NewCluster, NewContext},
    patch,
    plan::{Orphan, Plan, plan},
    transaction::{Edit, edit_files, main_file, try_edit_files},
    write_lock::PATIENCE,
};
use crate::kubeconfig::{Error, ExecConfig, syntax::parse_yaml};

/// The entries that a login took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// Name of the context.
    pub context: String,
    /// Name of the cluster's entry.
    pub cluster: String,
    /// Name of the user's entry.
    pub user: String,
    /// The file that has the context.
    pub file: PathBuf,
    /// The file that has the user's entry.
    pub user_file: PathBuf,
    /// The file that says which context is the current one.
    pub current_in: PathBuf,
    /// The exec plugin that the user's entry had before.
    pub previous: Option<ExecConfig>,
    /// What an earlier login gave the context, if no context uses its user any more.
    pub orphan: Option<Orphan>,
}

/// Writes a context, its cluster and its user into the kubeconfig of the files `files`, in the order
/// of their precedence. An entry is changed in the first file that has it; others are added to the file
/// of the context, and a new context to the first file that exists. An entry that another context
/// uses keeps its meaning. In changed entries, the fields of a login are replaced and all others stay, as
/// does all other text. The context gets a note of the entries that existed before, for [`forget_user`]. A
/// missing file is created, with its folder. Blocks.
///
/// # Errors
/// A chosen name whose entry another context uses with another meaning; a file that is locked, is not a
/// kubeconfig, cannot be written, or has a form that cannot be edited; the latter error contains the
/// YAML to add by hand. All files are then as they were.
pub fn add_context(
    files: &[PathBuf],
    new: &NewContext,
    make_current: bool,
) -> Result<Written, Error> {
    let creates = Some(main_file(files));
    edit_files(files, creates, PATIENCE, |texts| {
        with_context(files, texts, new, make_current)
    })
}

/// Returns the entries that [`add_context`] would take now. Blocks.
///
/// # Errors
/// The errors of [`add_context`], as far as they are known without writing.
pub fn plan_context(files: &[PathBuf], new: &NewContext) -> Result<Written, Error> {
    let mut written = None;
    try_edit_files(files, |texts| {
        if files.is_empty() {
            return Err(no_file());
        }
        let contents = Contents::parse(files, texts)?;
        let main = main_file(files);
        let plan = plan(&contents, main, new)?;
        written = Some(written_by(&contents, main, &plan));
        Ok(Edit::none(texts.len()))
    })?;
    written.ok_or_else(no_file)
}

/// The error that no file is named.
pub(super) fn no_file() -> Error {
    let problem = "are not set, so there is no kubeconfig to write; name one with --kubeconfig";
    Error::field("environment", "KUBECONFIG and HOME", problem)
}

/// Checks before a login begins that [`add_context`] can edit the file that gets a new context, and
/// can write it. Blocks.
///
/// # Errors
/// The error that [`add_context`] would return.
pub fn may_add_context(files: &[PathBuf]) -> Result<(), Error> {
    let name = || Some("the new login".to_owned());
    let any = NewContext {
        chosen: ChosenNames {
            context: name(),
            cluster: name(),
            user: name(),
        },
        naming: Naming::Ibm(String::new()),
        username: String::new(),
        namespace: None,
        default_namespace: None,
        cluster: NewCluster {
            server: "https://SERVER".to_owned(),
            ..NewCluster::default()
        },
        exec: ExecEntry::default(),
        identity: LoginIdentity {
            is_same: Box::new(|_| false),
            is_login: Box::new(|_| false),
            is_session: false,
        },
    };
    try_edit_files(files, |texts| {
        let edit = with_context(files, texts, &any, true).map_err(|error| match error {
            Error::NotEditable { path, .. } => Error::NotEditable {
                path,
                by_hand: "name another by --kubeconfig, or write its lists and mappings without \
                          anchors and aliases"
                    .to_owned(),
            },
            error => error,
        });
        Ok(edit?.map(drop))
    })
}

/// Removes the user of a login from every file, with the contexts and clusters that the login added, and
/// restores what existed before the login. Changes nothing if there is no such user.
///
/// # Errors
/// The errors of [`add_context`].
pub fn forget_user(files: &[PathBuf], forget: &Forget) -> Result<Forgotten, Error> {
    edit_files(files, None, PATIENCE, |texts| {
        without_user(files, texts, forget)
    })
}

/// Returns what [`forget_user`] would do, and checks that it can edit and write the files, before a
/// session is ended. Blocks.
///
/// # Errors
/// The error that [`forget_user`] would return.
pub fn may_forget_user(files: &[PathBuf], forget: &Forget) -> Result<Forgotten, Error> {
    try_edit_files(files, |texts| without_user(files, texts, forget))
}

fn with_context(
    files: &[PathBuf],
    texts: &[&str],
    new: &NewContext,
    make_current: bool,
) -> Result<Edit<Written>, Error> {
    if files.is_empty() {
        return Err(no_file());
    }
    let main = main_file(files);
    let mut contents = Contents::parse(files, texts)?;
    let plan = plan(&contents, main, new)?;
    let written = written_by(&contents, main, &plan);
    apply(&mut contents, &plan, main, new, make_current);
    let edited = edited_texts(files, texts, &contents, |_| {
        let entries = new.to_yaml(&plan.context.name, &plan.cluster.name, &plan.user.name);
        format!("add this to it by hand:\n{}", *entries)
    })?;
    Ok(Edit {
        texts: edited,
        outcome: written,
    })
}

fn without_user(
    files: &[PathBuf],
    texts: &[&str],
    forget: &Forget,
) -> Result<Edit<Forgotten>, Error> {
    let mut contents = Contents::parse(files, texts)?;
    let outcome = forget::forget(&mut contents, forget);
    let edited = edited_texts(files, texts, &contents, |_| {
        format!("remove user {:?} and its contexts by hand", forget.user)
    })?;
    Ok(Edit {
        texts: edited,
        outcome,
    })
}

fn written_by(contents: &Contents<'_>, main: usize, plan: &Plan) -> Written {
    let user = contents.find("user", &plan.user.name);
    Written {
        context: plan.context.name.clone(),
        cluster: plan.cluster.name.clone(),
        user: plan.user.name.clone(),
        file: contents.path(plan.context.file).to_owned(),
        user_file: contents.path(plan.user.file).to_owned(),
        current_in: contents.path(main).to_owned(),
        previous: user.and_then(|found| contents.exec(&plan.user.name, found)),
        orphan: plan.orphan.clone(),
    }
}

/// Changes the contents as planned.
fn apply(
    contents: &mut Contents<'_>,
    plan: &Plan,
    main: usize,
    new: &NewContext,
    make_current: bool,
) {
    let current = current_context(contents).filter(|_| make_current);
    let context = context_fields(contents, plan, new, current.as_deref());
    let owned: Vec<&str> = plan
        .cluster_fields
        .iter()
        .flat_map(|field| field.keys().iter().copied())
        .collect();
    let mut cluster = new.cluster.fields();
    cluster.retain(|key, _| owned.contains(&key.as_str()));
    if !(plan.cluster.exists && owned.is_empty()) {
        put(
            contents,
            plan.cluster.file,
            "cluster",
            &plan.cluster.name,
            cluster,
            &owned,
        );
    }
    let empty = Map::new();
    let config = contents.config(plan.user.file).unwrap_or(&empty);
    let user = new.user_fields(config, &plan.user.name);
    put(
        contents,
        plan.user.file,
        "user",
        &plan.user.name,
        user,
        &USER,
    );

    let owned: Vec<String> = context.keys().cloned().collect();
    let owned: Vec<&str> = owned.iter().map(String::as_str).collect();
    put(
        contents,
        plan.context.file,
        "context",
        &plan.context.name,
        context,
        &owned,
    );
    if make_current && let Some(config) = begun(contents, main) {
        config.insert("current-context".to_owned(), json!(plan.context.name));
    }
}

/// The fields of the context, with its note. The former current context is `current`.
fn context_fields(
    contents: &Contents<'_>,
    plan: &Plan,
    new: &NewContext,
    current: Option<&str>,
) -> Map<String, Value> {
    let mut context = Map::new();
    context.insert("cluster".to_owned(), json!(plan.cluster.name));
    context.insert("user".to_owned(), json!(plan.user.name));
    let old = contents.find_in(plan.context.file, "context", &plan.context.name);
    let has_namespace =
        old.is_some_and(|old| old["namespace"].as_str().is_some_and(|n| !n.is_empty()));
    let default = new.default_namespace.as_ref().filter(|_| !has_namespace);
    if let Some(namespace) = new.namespace.as_ref().or(default) {
        context.insert("namespace".to_owned(), json!(namespace));
    }
    let extensions = login_note::extensions(contents, plan, new, &context, current);
    context.insert("extensions".to_owned(), extensions);
    context
}

/// The current context: the first file that has one counts.
fn current_context(contents: &Contents<'_>) -> Option<String> {
    let mut files = (0..contents.len()).filter_map(|file| contents.config(file));
    let current = files.find_map(|config| {
        let current = config.get("current-context")?.as_str()?;
        (!current.is_empty()).then_some(current)
    });
    current.map(str::to_owned)
}

/// The content of a file, with the head of a kubeconfig if it is empty.
fn begun<'a>(contents: &'a mut Contents<'_>, file: usize) -> Option<&'a mut Config> {
    let config = contents.config_mut(file)?;
    if config.is_empty() {
        config.insert("apiVersion".to_owned(), json!("v1"));
        config.insert("kind".to_owned(), json!("Config"));
    }
    Some(config)
}

/// The text of each file with the new contents; `None` for a file that does not change.
fn edited_texts(
    files: &[PathBuf],
    texts: &[&str],
    contents: &Contents<'_>,
    by_hand: impl Fn(&Path) -> String,
) -> Result<Vec<Option<Zeroizing<String>>>, Error> {
    let values = contents.values();
    let files = files.iter().zip(texts).zip(values);
    files
        .map(|((path, text), intended)| {
            let old = super::parsed::Parsed(parse_yaml(path, text)?);
            let is_unchanged = old.0 == *intended
                || old.0.is_null() && intended.as_object().is_some_and(Map::is_empty);
            if is_unchanged {
                return Ok(None);
            }
            let intended = super::parsed::Parsed(intended.clone());
            let edited = patch::patched(text, &old.0, &intended.0);
            let edited = edited.filter(|edited| intended.is_content_of(path, edited));
            let edited = edited.ok_or_else(|| Error::NotEditable {
                path: path.clone(),
                by_hand: by_hand(path),
            });
            edited.map(Some)
        })
        .collect()
}

/// Adds an entry to the list of its kind. In an existing entry of the same name, the fields in
/// `owned` are replaced and all others stay.
fn put(
    contents: &mut Contents<'_>,
    file: usize,
    kind: &str,
    name: &str,
    fields: Map<String, Value>,
    owned: &[&str],
) {
    let Some(config) = begun(contents, file) else {
        return;
    };
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
