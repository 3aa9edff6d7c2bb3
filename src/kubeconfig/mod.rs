//! WHAT THE FILE SAYS: kubeconfig files, their merging, and the choice of one context.
//!
//! No network and no clock: `load` reads and merges, `select` turns a context and the flags
//! over it into one [`Target`], `in_cluster` makes the same from a pod's service account.
//! Everything further in works on a [`Target`], and [`resolve`] goes the whole way.
//!
//! Fields are taken from the parsed document one by one (`fields`) rather than by a derived
//! type for the file: serde's own errors quote the value they dislike, which may be a token,
//! and cannot name the entry it stands in.

mod cluster;
pub mod edit;
mod error;
mod exec;
mod exec_info;
mod fields;
mod file;
mod in_cluster;
mod load;
mod oidc;
mod proxy_url;
mod select;
mod server_url;
mod target;
mod user;

use std::{ffi::OsString, path::Path};

pub use edit::file_to_edit;
pub use error::Error;
pub use exec_info::{EXEC_INFO, ExecInfo};
pub use oidc::{OidcConfig, OidcTokens};
pub use proxy_url::{ProxyScheme, ProxyUrl};
pub use select::Overrides;
pub use server_url::{host, port};
pub use target::{
    Cluster, ExecConfig, Impersonation, InteractiveMode, KeyPair, Login, Pem, Target, User,
};

/// Finds the API server and user to work with: the kubeconfig as kubectl finds it and
/// `flags` over it; where there is no kubeconfig and no `--server`, a pod's service account.
///
/// `explicit` is `--kubeconfig`, `env` reads an environment variable.
///
/// # Errors
/// [`Error::NothingFound`] where there is none of them, else what is wrong with the one found.
pub fn resolve(
    explicit: Option<&Path>,
    flags: &Overrides,
    env: &dyn Fn(&str) -> Option<OsString>,
) -> Result<Target, Error> {
    let config = load::load(explicit, env)?;
    if config.is_empty() && explicit.is_none() && flags.server.is_none() {
        let folder = Path::new(in_cluster::FOLDER);
        let pod = in_cluster::target(env, folder, flags)?.ok_or_else(|| Error::NothingFound {
            looked_at: config.looked_at().to_vec(),
        })?;
        return entry_named(flags).map_or(Ok(pod), Err);
    }
    select::target(&config, flags)
}

/// A pod has no entries to choose from: whoever names one meant another cluster or user.
fn entry_named(flags: &Overrides) -> Option<Error> {
    let named = [
        ("context", &flags.context),
        ("cluster", &flags.cluster),
        ("user", &flags.user),
    ];
    let (kind, name) = named
        .into_iter()
        .find_map(|(kind, name)| Some((kind, name.clone()?)))?;
    Some(Error::Missing {
        kind,
        name,
        named_by: format!("--{kind}"),
        files: Vec::new(),
        existing: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn with_nothing_to_go_by_the_error_names_what_was_looked_for() {
        let folder = tempfile::tempdir().unwrap();
        let env = |name: &str| (name == "HOME").then(|| folder.path().into());
        let error = resolve(None, &Overrides::default(), &env).unwrap_err();
        assert!(matches!(error, Error::NothingFound { .. }));
        let text = error.to_string();
        let home = folder.path().join(".kube/config").display().to_string();
        assert!(
            text.contains(&home) && text.contains("service account") && text.contains("--server"),
            "{text}"
        );

        let flags = Overrides {
            server: Some("https://a".to_owned()),
            ..Overrides::default()
        };
        assert_eq!(
            resolve(None, &flags, &env).unwrap().cluster.server,
            "https://a/"
        );
    }

    #[test]
    fn an_explicit_file_with_nothing_in_it_is_an_error_of_its_own() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = resolve(Some(file.path()), &Overrides::default(), &|_| None).unwrap_err();
        assert!(matches!(error, Error::NoContext { .. }), "{error}");
    }
}
