//! Adds the context of a login with its cluster and user, and removes them again.

use std::path::{Path, PathBuf};

use serde_json::Map;
use zeroize::Zeroizing;

use super::{
    apply::apply,
    contents::Contents,
    exec_entry::ExecEntry,
    forget::{self, Forget, Forgotten},
    new_context::{ChosenNames, LoginIdentity, Naming, NewCluster, NewContext},
    parsed::Parsed,
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
            has_same_flags: Box::new(|_| false),
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
            let old = Parsed(parse_yaml(path, text)?);
            let is_unchanged = old.0 == *intended
                || old.0.is_null() && intended.as_object().is_some_and(Map::is_empty);
            if is_unchanged {
                return Ok(None);
            }
            let intended = Parsed(intended.clone());
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

#[cfg(test)]
mod tests;
