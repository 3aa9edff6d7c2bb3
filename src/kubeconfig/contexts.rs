//! All contexts of the kubeconfig, rather than the one to work with.

use std::{ffi::OsString, path::Path};

use crate::kubeconfig::{Error, ExecConfig, Overrides, Target, exec, file::Document, load, select};

/// A context and what it comes to.
#[derive(Debug)]
pub struct Context {
    /// Its name.
    pub name: String,
    /// Whether it is the current one.
    pub is_current: bool,
    /// Its cluster and user, or what is wrong with them.
    pub target: Result<Target, Error>,
}

/// The users of one file that run a plugin, by name. What is wrong with one of them is not said.
///
/// # Errors
/// A file that cannot be read or parsed.
pub fn exec_users(file: &Path) -> Result<Vec<(String, ExecConfig)>, Error> {
    let document = Document::read_again(file)?;
    let users = document.users.iter().filter_map(|(name, entry)| {
        let fields = entry.fields().inner("exec").ok()??;
        Some((name.clone(), exec::config(&fields).ok()?))
    });
    Ok(users.collect())
}

/// The contexts of the kubeconfig as kubectl finds it, by name; none where there is no file.
/// `explicit` is `--kubeconfig`, `env` reads an environment variable.
///
/// # Errors
/// A file that cannot be read or parsed.
pub fn contexts(
    explicit: Option<&Path>,
    env: &dyn Fn(&str) -> Option<OsString>,
) -> Result<Vec<Context>, Error> {
    let config = load::load(explicit, env)?;
    let context = |name: &String| Context {
        name: name.clone(),
        is_current: config.current_context.as_ref() == Some(name),
        target: select::target(
            &config,
            &Overrides {
                context: Some(name.clone()),
                ..Overrides::default()
            },
        ),
    };
    Ok(config.contexts.keys().map(context).collect())
}
