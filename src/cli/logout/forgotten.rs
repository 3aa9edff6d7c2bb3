//! What `logout --forget` removes and leaves besides the context that is logged out.

use crate::{kubeconfig::edit::Forgotten, printable::printable, settings::Login, shell::in_quotes};

/// The saved logins of the users that no context uses after the logout, with their names.
pub(super) fn orphaned_logins(forgotten: Option<&Forgotten>) -> Vec<(String, Login)> {
    let orphans = forgotten.into_iter().flat_map(|one| &one.orphans);
    let logins = orphans.filter_map(|(_, exec)| Login::of_exec(exec));
    logins
        .filter_map(|login| Some((login.saved_as()?, login)))
        .collect()
}

/// The lines that name the other contexts and users, of which `context` is not one.
pub(super) fn lines_of_contexts(
    forgotten: &Forgotten,
    user: &str,
    context: Option<&str>,
) -> Vec<String> {
    let user = printable(user);
    let others = |names: &[String]| {
        let names = names.iter().filter(|name| Some(name.as_str()) != context);
        names
            .map(|name| printable(name).into_owned())
            .collect::<Vec<_>>()
    };
    let mut lines = Vec::new();
    for name in others(&forgotten.removed) {
        lines.push(format!(
            "Context {name} used user {user} too, and is removed\n"
        ));
    }
    for name in others(&forgotten.restored) {
        lines.push(format!(
            "Context {name} used user {user} too, and is as it was before its login\n"
        ));
    }
    for (orphan, _) in &forgotten.orphans {
        lines.push(format!(
            "User {} of an earlier login is removed too\n",
            printable(orphan)
        ));
    }
    for orphan in &forgotten.kept_orphans {
        let command = format!(
            "kubegate logout --cluster CLUSTER --user {} --forget",
            in_quotes(orphan)
        );
        lines.push(format!(
            "User {} of an earlier login stays: that is for another API server, where `{}` ends it\n",
            printable(orphan),
            printable(&command)
        ));
    }
    let kept = others(&forgotten.kept);
    if !kept.is_empty() {
        lines.push(format!(
            "User {user} stays for what it is used for at other API servers (context {}); `kubegate \
             logout --forget --all` removes that too\n",
            kept.join(", ")
        ));
    }
    lines
}
