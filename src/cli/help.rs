//! The help: each command shows its own flags, and says where the others are listed.
//!
//! The commands that parse a line have every flag. The ones here are made from them only to be shown.

use clap::{Arg, Args as _, Command};

use crate::settings::ConnectionFlags;

/// The flags in the help of the program, with texts that fit a line of 80 columns.
const USED_MOST: &[(&str, &str)] = &[
    ("port", "Port to listen on; 0 for a free one"),
    (
        "context",
        "Context of the kubeconfig, if not the current one",
    ),
    (
        "kubeconfig",
        "Else the files of KUBECONFIG, else ~/.kube/config",
    ),
    ("read_only", "Allow only get, list and watch"),
    ("allow_exec", "Allow exec, attach and the like"),
    ("verbosity", "Log level, from 0 to 9"),
];

/// The flags of the proxy that `-h` shows.
const OF_THE_PROXY: &[&str] = &[
    "port",
    "address",
    "unix_socket",
    "www",
    "accept_hosts",
    "reject_paths",
    "allow_exec",
    "read_only",
    "allow_origin",
    "ibm_cluster",
];

const OF_THE_DEMO: &[&str] = &["flavor", "token_ttl", "port", "read_only", "allow_exec"];

const MORE_OF_THE_PROGRAM: &str = "\
`kubegate proxy --help` shows all flags of the proxy, `kubegate COMMAND --help` \
those of a command, `kubegate options` those for cluster and user.";

const MORE_OF_A_COMMAND: &str =
    "`kubegate options` lists the flags for cluster and user, which every command takes.";

const MORE_OF_THE_DEMO: &str = "\
The demo also takes the other flags of the proxy (`kubegate proxy --help`), except for those \
that choose a cluster or user.";

/// Returns the program with the help to show; `brief` is for `-h`.
// Replaces clap's short and long help, since the long one takes three lines per flag.
pub(super) fn shown(program: Command, brief: bool) -> Command {
    let global: Vec<Arg> = program
        .get_arguments()
        .filter(|arg| arg.is_global_set())
        .map(|arg| arg.clone().hide(true))
        .collect();
    let program = program.mut_args(used_most);
    let program = program.mut_subcommands(|command| {
        let command = match command.get_name() {
            "proxy" => command.mut_args(|arg| {
                let is_shown = OF_THE_PROXY.contains(&arg.get_id().as_str());
                let is_hidden = arg.is_hide_set() || brief && !is_shown;
                arg.hide(is_hidden)
            }),
            "demo" => command.mut_args(|arg| {
                let is_shown = OF_THE_DEMO.contains(&arg.get_id().as_str());
                arg.hide(!is_shown)
            }),
            _ => command,
        };
        of_a_command(command, &global, brief)
    });
    explained(program, MORE_OF_THE_PROGRAM, brief)
}

/// Returns the help of the flags that every command takes.
pub(super) fn connection_flags() -> Command {
    let flags = ConnectionFlags::augment_args(Command::new("options"));
    let without_meaning: Vec<String> = flags
        .get_arguments()
        .filter(|arg| arg.is_hide_set())
        .filter_map(|arg| Some(format!("--{}", arg.get_long()?)))
        .collect();
    let without_meaning = lines_of(&without_meaning);
    flags.disable_help_flag(true).help_template(format!(
        "Every command takes the following flags, before or after its name.\n\n\
         {{all-args}}\n\n\
         Accepted because kubectl has them, without an effect:\n{without_meaning}"
    ))
}

/// Wraps words into indented lines of at most 80 columns.
fn lines_of(words: &[String]) -> String {
    let mut lines = vec![String::from(" ")];
    for word in words {
        if let Some(line) = lines.last()
            && line.len() + 1 + word.len() > 80
        {
            lines.push(String::from(" "));
        }
        if let Some(line) = lines.last_mut() {
            line.push(' ');
            line.push_str(word);
        }
    }
    lines.join("\n") + "\n"
}

fn used_most(arg: Arg) -> Arg {
    let at = USED_MOST.iter().position(|(id, _)| arg.get_id() == *id);
    match at {
        None => arg.hide(true),
        Some(at) => arg
            .help(USED_MOST[at].1)
            .help_heading(None)
            .display_order(at),
    }
}

/// Hides the flags that `kubegate options` lists.
fn of_a_command(command: Command, global: &[Arg], brief: bool) -> Command {
    let own: Vec<_> = command
        .get_arguments()
        .map(|arg| arg.get_id().clone())
        .collect();
    // A flag of the command's own takes precedence over a global one of the same name.
    let inherited = global.iter().filter(|arg| !own.contains(arg.get_id()));
    let more = match command.get_name() {
        "demo" => MORE_OF_THE_DEMO,
        _ => MORE_OF_A_COMMAND,
    };
    let command = command
        .args(inherited.cloned())
        .mut_subcommands(|command| of_a_command(command, global, brief));
    explained(command, more, brief)
}

/// Sets the text below the flags: examples, exit codes, and where to find more.
fn explained(command: Command, more: &'static str, brief: bool) -> Command {
    if brief {
        return command.after_help(format!(
            "{more}\n`--help` also shows examples and exit codes."
        ));
    }
    let examples = command.get_after_help().cloned().unwrap_or_default();
    command.after_help(format!("{}\n\n{more}", examples.ansi()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::settings::ProxyFlags;

    #[test]
    fn the_flags_chosen_for_help_exist() {
        let proxy = ProxyFlags::augment_args(Command::new("proxy"));
        let all = ConnectionFlags::augment_args(proxy);
        let known = |id: &str| all.get_arguments().any(|arg| arg.get_id() == id);
        let used_most = USED_MOST.iter().map(|(id, _)| *id);
        for id in used_most.chain(OF_THE_PROXY.iter().copied()) {
            assert!(known(id), "{id}");
        }
        let of_the_demo = OF_THE_DEMO.iter().filter(|id| known(id));
        assert_eq!(of_the_demo.count(), OF_THE_DEMO.len() - 2, "its own two");
        assert!(!known("no_such_flag"));
    }
}
