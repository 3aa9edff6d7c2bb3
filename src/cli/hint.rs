//! Hints at what an invalid command line may mean.

mod redact;

use std::{ffi::OsString, path::Path};

use clap::{Arg, Command, error::ContextKind};

pub(in crate::cli) use self::redact::without_secrets;
use self::redact::{HIDDEN, follows_secret, is_secret, redacted, redacted_words};
use crate::{printable::printable, shell};

/// The commands of kubectl.
const KUBECTL: &[&str] = &[
    "annotate",
    "api-resources",
    "api-versions",
    "apply",
    "attach",
    "auth",
    "autoscale",
    "certificate",
    "cluster-info",
    "cordon",
    "cp",
    "create",
    "debug",
    "delete",
    "describe",
    "diff",
    "drain",
    "edit",
    "events",
    "exec",
    "explain",
    "expose",
    "get",
    "kustomize",
    "label",
    "logs",
    "patch",
    "port-forward",
    "replace",
    "rollout",
    "run",
    "scale",
    "set",
    "taint",
    "top",
    "uncordon",
    "wait",
];

/// The names that other programs give to the command that starts a server.
const SERVE: &[&str] = &["daemon", "listen", "run", "serve", "server", "start", "up"];

/// The values that users give to boolean flags, and the values that they mean.
const BOOLEANS: &[(&str, bool)] = &[
    ("true", true),
    ("t", true),
    ("yes", true),
    ("y", true),
    ("on", true),
    ("1", true),
    ("false", false),
    ("f", false),
    ("no", false),
    ("n", false),
    ("off", false),
    ("0", false),
];

/// Returns a hint if the value of a boolean flag is a word of its own, as in `--read-only true`.
///
/// clap parses that word as a command or an argument, which is never meant.
pub(super) fn boolean_value_apart(program: &Command, line: &[OsString]) -> Option<String> {
    let words: Vec<&str> = line.iter().map_while(|word| word.to_str()).collect();
    let words = words.split(|word| *word == "--").next()?;
    let (flag, value) = words.windows(2).find_map(|pair| {
        let known = BOOLEANS.iter();
        let mut known = known.filter(|(word, _)| word.eq_ignore_ascii_case(pair[1]));
        let (_, value) = known.next()?;
        has_boolean(program, pair[0]).then_some((pair[0], value))
    })?;
    let equals = if *value {
        format!("{flag} alone, or {flag}=true")
    } else {
        format!("{flag}=false")
    };
    Some(format!(
        "the value of {flag} follows an equals sign: {equals}"
    ))
}

/// Returns a hint for a line that clap refuses with `error`.
pub(super) fn for_error(
    program: &Command,
    line: &[OsString],
    error: &clap::Error,
) -> Option<String> {
    boolean_value_apart(program, line)
        .or_else(|| single_dash(program, line))
        .or_else(|| unexpected_word(program, line, error))
}

/// Returns a hint for a long flag with a single dash, as in `-context prod`.
fn single_dash(program: &Command, line: &[OsString]) -> Option<String> {
    let mut words = line.iter().skip(1).map_while(|word| word.to_str());
    words.find_map(|word| {
        let name = word.strip_prefix('-')?.split('=').next()?;
        let is_meant = name.len() > 1 && flag_named(program, name).is_some();
        is_meant.then(|| {
            let shown = redacted(word);
            format!("a long flag begins with two dashes: -{}", printable(&shown))
        })
    })
}

/// Returns a hint for a word that is not a command or an argument.
fn unexpected_word(program: &Command, line: &[OsString], error: &clap::Error) -> Option<String> {
    let at = |kind| error.get(kind).map(ToString::to_string);
    let word = at(ContextKind::InvalidSubcommand).or_else(|| at(ContextKind::InvalidArg))?;
    let at = line.iter().position(|given| *given == *word)?;
    let rest: Vec<&str> = line[at + 1..]
        .iter()
        .map_while(|word| word.to_str())
        .collect();
    let next = rest.first().filter(|next| !next.starts_with('-'));
    if word.starts_with('-') || follows_secret(line, at) {
        return None;
    }
    let shown = redacted(&word);
    let shown = printable(&shown);
    let has_suggestion = error.get(ContextKind::SuggestedSubcommand).is_some();
    let before = at.checked_sub(1).and_then(|before| line[before].to_str());
    if let Some(hint) = behind_command(before, &shown, &rest).filter(|_| !has_suggestion) {
        return Some(hint);
    }
    if !is_of_proxy(program, &line[..at]) {
        return None;
    }
    if word == "demo" {
        return Some("this kubegate was built without its demo (`--no-default-features`)".into());
    }
    if matches!(&*word, "context" | "ctx") && next.is_none() {
        return Some("`kubegate contexts` lists the contexts; --context NAME chooses one".into());
    }
    if let Some(flag) = flag(program, &word, next.copied()) {
        return Some(format!("{shown:?} is not a command; write {flag}"));
    }
    if SERVE.contains(&&*word) && next.is_none() {
        return Some(format!(
            "{shown:?} is not a command; kubegate serves without one, or by `kubegate proxy`"
        ));
    }
    if KUBECTL.contains(&&*word) {
        let base = ["kubectl", "-s", "http://localhost:8001", &word];
        let rest = redacted_words(&rest);
        let line = shell::line(base.into_iter().chain(rest.iter().map(String::as_str)));
        return Some(format!(
            "{shown:?} is a command of kubectl; while kubegate runs: {line}"
        ));
    }
    if matches!(&*word, "list" | "ls") {
        return Some(format!(
            "{shown:?} is not a command; `kubegate contexts` lists the contexts"
        ));
    }
    let is_at_top = error.get(ContextKind::InvalidSubcommand).is_some() && at == 1;
    (is_at_top && !has_suggestion).then(|| {
        let line = shell::line(["kubegate", "--context", &*shown]);
        format!("{shown:?} is not a command; see `kubegate --help`, or for a context: {line}")
    })
}

/// Returns a hint for a word behind a command of kubegate whose name means something else to kubectl, or is
/// that of a flag.
fn behind_command(command: Option<&str>, word: &str, rest: &[&str]) -> Option<String> {
    match command? {
        "config" => {
            let rest = redacted_words(rest);
            let rest = rest.iter().map(String::as_str);
            let line = shell::line(["kubectl", "config", word].into_iter().chain(rest));
            Some(format!("\"config {word}\" is a command of kubectl: {line}"))
        }
        "kubeconfig" => Some(format!(
            "the command kubeconfig takes no file; for the kubeconfig to read, write --kubeconfig {}",
            shell::quoted(word)
        )),
        _ => None,
    }
}

/// Whether the beginning of a line names a command that starts a proxy, or no command.
fn is_of_proxy(program: &Command, line: &[OsString]) -> bool {
    let mut words = line.iter().skip(1).filter_map(|word| word.to_str());
    let command = words.find(|word| program.find_subcommand(word).is_some());
    matches!(command, None | Some("proxy" | "demo"))
}

/// Returns the flag that a word without dashes may stand for: `port 8001`, `port=8001`, `8001`,
/// `0.0.0.0:8001`, a URL, a file.
fn flag(program: &Command, word: &str, next: Option<&str>) -> Option<String> {
    let (name, value) = match word.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (word, next),
    };
    if name.len() > 1
        && let Some(arg) = flag_named(program, name)
    {
        let value = value.filter(|_| !is_boolean(arg) || word.contains('='));
        let flag = match value {
            Some(_) if is_secret(name) => format!("--{name} {HIDDEN}"),
            Some(value) if word.contains('=') => format!("--{name}={}", shell::quoted(value)),
            Some(value) => format!("--{name} {}", shell::quoted(value)),
            None => format!("--{name}"),
        };
        return Some(printable(&flag).into_owned());
    }
    if word.parse::<u16>().is_ok() {
        return Some(format!("--port {word}"));
    }
    if let Some((host, port)) = word.rsplit_once(':')
        && port.parse::<u16>().is_ok()
    {
        return match host {
            "" | "localhost" | "127.0.0.1" => Some(format!("--port {port}")),
            _ if host
                .trim_matches(['[', ']'])
                .parse::<std::net::IpAddr>()
                .is_ok() =>
            {
                Some(format!("--address {host} --port {port}"))
            }
            _ => Some(format!("--server {}", shell::quoted(word))),
        };
    }
    if word.starts_with("http://") || word.starts_with("https://") {
        let url = redacted(word);
        return Some(format!("--server {}", shell::quoted(&printable(&url))));
    }
    let ending = Path::new(word).extension();
    let is_file =
        word.contains('/') || ending.is_some_and(|ending| ending == "yaml" || ending == "yml");
    is_file.then(|| format!("--kubeconfig {}", shell::quoted(&printable(word))))
}

/// Returns the first flag of this name in the program and its commands.
fn flag_named<'a>(command: &'a Command, name: &str) -> Option<&'a Arg> {
    let mut own = command.get_arguments();
    own.find(|arg| arg.get_long() == Some(name)).or_else(|| {
        let mut commands = command.get_subcommands();
        commands.find_map(|command| flag_named(command, name))
    })
}

/// Whether the program or one of its commands has this boolean flag.
fn has_boolean(command: &Command, flag: &str) -> bool {
    let mut own = command.get_arguments().filter(|arg| is_boolean(arg));
    own.any(|arg| match flag.strip_prefix("--") {
        Some(long) => arg.get_long() == Some(long),
        None => arg
            .get_short()
            .is_some_and(|short| flag == format!("-{short}")),
    }) || command
        .get_subcommands()
        .any(|command| has_boolean(command, flag))
}

/// Whether a flag takes a value only after an equals sign, as Go's boolean flags do.
fn is_boolean(arg: &Arg) -> bool {
    arg.is_require_equals_set()
}

#[cfg(test)]
mod tests;
