//! What `--help` shows: each command its own flags, and where the others are listed.
//!
//! The commands that parse hold every flag; those here are made from them for showing alone.

use clap::{Arg, Args as _, Command};

use crate::settings::ConnectionFlags;

/// The flags in the program's own help, with a text that fits one line of 80 columns.
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
    ("read_only", "Let get, list and watch pass and nothing else"),
    ("allow_exec", "Let exec, attach and their like pass"),
    ("verbosity", "Verbosity of the log, from 0 to 9"),
];

/// Those of the proxy's flags that `-h` shows, and the help of commands that take them too.
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
It takes the other flags of the proxy too (`kubegate proxy --help`), but none that chooses \
a cluster or user.";

/// The program with the help that is shown of it; `brief` for `-h`.
// Not clap's own two forms of help: its long one takes three lines for a flag.
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

/// The flags that every command takes.
pub(super) fn connection_flags() -> Command {
    let flags = ConnectionFlags::augment_args(Command::new("options"));
    let without_meaning: Vec<String> = flags
        .get_arguments()
        .filter(|arg| arg.is_hide_set())
        .filter_map(|arg| Some(format!("--{}", arg.get_long()?)))
        .collect();
    let without_meaning = lines_of(&without_meaning);
    flags.disable_help_flag(true).help_template(format!(
        "The following flags can be given to any command, before or after its name.\n\n\
         {{all-args}}\n\n\
         Accepted because kubectl has them, without a meaning here:\n{without_meaning}"
    ))
}

/// Words in indented lines of at most 80 columns.
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

/// A command without the flags that `kubegate options` lists.
fn of_a_command(command: Command, global: &[Arg], brief: bool) -> Command {
    let own: Vec<_> = command
        .get_arguments()
        .map(|arg| arg.get_id().clone())
        .collect();
    // A flag that is there already is not inherited.
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

/// Examples and exit codes, and where there is more.
fn explained(command: Command, more: &'static str, brief: bool) -> Command {
    if brief {
        return command.after_help(format!(
            "{more}\n`--help` shows examples and exit codes, too."
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
    fn the_flags_chosen_for_help_are_flags() {
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
