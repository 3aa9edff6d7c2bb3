//! The context, cluster and user that a login writes into the kubeconfig: which existing entries are of
//! the same login, and the name under which it is saved.

use std::{ffi::OsString, path::Path};

use super::{
    Error,
    login_name::{NameRequest, choose_login_name, has_same_flags, is_same_client},
    login_users::users_of,
    own_program,
};
use crate::{
    credential::store::Store,
    kubeconfig::{
        ContextRef, ExecApiVersion, ExecConfig, Overrides,
        edit::{
            ChosenNames, ExecEntry, LoginIdentity, NewContext, Written, files, files_to_edit,
            plan_context,
        },
    },
    printable::printable,
    settings::{IbmFlags, Login, OidcFlags, OpenshiftFiles},
    shell::in_quotes,
};

/// The names of entries that the flags choose; the entry of a cluster only if it has a flag of its own.
pub(super) fn chosen_names(connection: &Overrides) -> ChosenNames {
    ChosenNames {
        context: connection.context.clone(),
        cluster: connection.cluster.clone(),
        user: connection.user.clone(),
    }
}

/// The plugin of the user entry, which runs this program.
pub(super) fn exec_entry(args: Vec<String>, api_version: Option<ExecApiVersion>) -> ExecEntry {
    ExecEntry {
        command: own_program::command(),
        args,
        api_version,
    }
}

/// A user entry is of the same session if it runs kubegate for a session at the same API server.
pub(super) fn openshift_identity(files: &OpenshiftFiles) -> LoginIdentity {
    let args = files.to_args();
    LoginIdentity {
        is_same: Box::new(|exec| matches!(Login::of_exec(exec), Some(Login::Openshift(_)))),
        has_same_flags: Box::new(move |exec| match Login::of_exec(exec) {
            Some(Login::Openshift(other)) => other.files.to_args() == args,
            _ => false,
        }),
        is_login: is_login(),
        is_session: true,
    }
}

/// A user entry is of the same login if it has the same issuer and client, and the same saved login
/// where `--login` names one.
pub(super) fn oidc_identity(flags: &OidcFlags, login: Option<&str>) -> LoginIdentity {
    let (flags, login) = (flags.clone(), login.map(str::to_owned));
    let same = flags.clone();
    LoginIdentity {
        is_same: Box::new(move |exec| match Login::of_exec(exec) {
            Some(Login::Oidc(other)) => {
                is_same_client(&flags, &other)
                    && login.as_ref().is_none_or(|login| *login == other.login)
            }
            _ => false,
        }),
        has_same_flags: Box::new(move |exec| match Login::of_exec(exec) {
            Some(Login::Oidc(other)) => has_same_flags(&same, &other),
            _ => false,
        }),
        is_login: is_login(),
        is_session: false,
    }
}

/// A user entry is of the same login if it gets tokens for the same cluster.
pub(super) fn ibm_identity(flags: &IbmFlags) -> LoginIdentity {
    let (cluster, args) = (flags.cluster.clone(), flags.to_args());
    LoginIdentity {
        is_same: Box::new(move |exec| match Login::of_exec(exec) {
            Some(Login::Ibm(other)) => other.cluster == cluster,
            _ => false,
        }),
        // The saved login is of one account, and a session or an API key.
        has_same_flags: Box::new(move |exec| match Login::of_exec(exec) {
            Some(Login::Ibm(other)) => other.to_args() == args,
            _ => false,
        }),
        is_login: is_login(),
        is_session: false,
    }
}

fn is_login() -> Box<dyn Fn(&ExecConfig) -> bool + Send + Sync> {
    Box::new(|exec| Login::of_exec(exec).is_some())
}

/// Warns of an earlier login of the context that no context uses any more, and says how to end it.
/// `kubeconfig` is `--kubeconfig`.
pub(super) fn warn_of_orphan(written: &Written, kubeconfig: Option<&Path>) {
    let Some(orphan) = &written.orphan else {
        return;
    };
    let cluster = orphan.cluster.as_ref();
    let cluster = cluster.map(|name| format!(" --cluster {}", in_quotes(name)));
    let context = ContextRef {
        name: written.context.clone(),
        kubeconfig: kubeconfig.map(Path::to_owned),
    };
    let command = format!(
        "kubegate logout {}{} --user {} --forget",
        context.to_flags(),
        cluster.unwrap_or_default(),
        in_quotes(&orphan.user)
    );
    tracing::warn!(
        "no context uses user {} any more, whose login goes on; to end and remove it, run: {}",
        printable(&orphan.user),
        printable(&command)
    );
}

/// Warns of the saved login that the user named before `login`, if no user entry names it any more.
/// `kubeconfig` is `--kubeconfig`.
pub(super) fn warn_of_replaced(
    written: &Written,
    login: &str,
    store: &Store,
    kubeconfig: Option<&Path>,
    env: &dyn Fn(&str) -> Option<OsString>,
) {
    let former = written.previous.as_ref().and_then(Login::of_exec);
    let former = former.and_then(|former| former.saved_as());
    let Some(former) = former.filter(|name| name != login && store.path(name).exists()) else {
        return;
    };
    let mut files = files(kubeconfig, env);
    files.extend(store.kubeconfigs(&former));
    if users_of(&former, &files).is_empty() {
        tracing::warn!(
            "user {} named the saved login {former:?} before, which goes on though no user names it \
             any more; to end it, log in with `--login {}` and the flags of before to a new context, \
             and log out of that with --forget",
            printable(&written.user),
            printable(&in_quotes(&former))
        );
    }
}

/// Returns the name under which a login is saved: that of the user entry that it renews, else a new one
/// after the name of the entry. `kubeconfig` is `--kubeconfig`.
///
/// # Errors
/// A chosen name that means something else to another context; a kubeconfig that cannot be read.
pub(super) fn planned_login(
    kubeconfig: Option<&Path>,
    kind: &str,
    new: &NewContext,
    store: &Store,
    env: &dyn Fn(&str) -> Option<OsString>,
) -> Result<String, Error> {
    let files = files_to_edit(kubeconfig, env)?;
    let planned = plan_context(&files, new)?;
    let is_same = |exec: &&ExecConfig| (new.identity.is_same)(exec);
    let renewed = planned.previous.as_ref().filter(is_same);
    let name = renewed.and_then(|exec| Login::of_exec(exec)?.saved_as());
    Ok(name.unwrap_or_else(|| {
        let request = NameRequest {
            kubeconfig,
            kind,
            user: None,
            is_shared: false,
            preferred: &planned.user,
        };
        choose_login_name(store, &request, env)
    }))
}
