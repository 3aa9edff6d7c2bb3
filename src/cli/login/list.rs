//! `kubegate login list`

use std::{
    error::Error as _,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use clap::Args;
use serde_json::{Value, json};

use crate::{
    cli::output::{self, Format},
    credential::{
        exec_credential::timestamp,
        store::{self, SavedLogin, Store},
    },
    kubeconfig::{self, edit},
    settings::{ConnectionFlags, Login},
};

pub(super) const EXAMPLES: &str = "\
Reads the state folder and the kubeconfigs that use its logins; makes no request.

Examples:
  kubegate login list
  kubegate login list -o json

Exit codes: 0 with the list on standard output, 1 if the state folder cannot be read, 2 for bad flags.";

#[derive(Args, Debug)]
pub(in crate::cli) struct Flags {
    /// Output format [default: a table]
    #[arg(short, long, value_enum, value_name = "FORMAT")]
    output: Option<Format>,
}

/// A saved login, as the list shows it.
struct Listed {
    name: String,
    /// `openshift`, `ibm` or `oidc`; `broken` if the file cannot be read, `-` if nothing tells the kind.
    kind: &'static str,
    /// Where it is for: the API servers, or else the issuer.
    servers: Vec<String>,
    issuer: Option<String>,
    expiry: Expiry,
    keyring: bool,
    /// The contexts that use it, with their kubeconfigs.
    contexts: Vec<(String, PathBuf)>,
    /// The error if the file cannot be read, and what to do.
    error: Option<String>,
}

enum Expiry {
    At(SystemTime),
    Renewed,
    Unknown,
}

/// Lists the saved logins.
pub(super) fn run(connection: &ConnectionFlags, flags: &Flags) -> anyhow::Result<()> {
    let store = Store::of_user(&|name| std::env::var_os(name))?;
    let names = store.names()?;
    let logins = names
        .into_iter()
        .map(|name| listed(&store, connection, name));
    let logins: Vec<Listed> = logins.collect();
    if let Some(format) = flags.output {
        let names: Vec<&str> = logins.iter().map(|login| login.name.as_str()).collect();
        return output::print_as(format, &logins.iter().map(object).collect(), &names);
    }
    let header = ["LOGIN", "KIND", "FOR", "EXPIRES IN", "CONTEXTS"];
    let mut rows = vec![header.map(str::to_owned).to_vec()];
    rows.extend(logins.iter().map(row));
    output::print_table(&rows)
}

fn listed(store: &Store, connection: &ConnectionFlags, name: String) -> Listed {
    let env = |name: &str| std::env::var_os(name);
    let used = uses(store, connection.kubeconfig(), &name, &env);
    let entry = used.first().map(|one| &one.login);
    let read = store.read_without_keyring(&name);
    let error = read.as_ref().err().map(|error| broken(error, store, &name));
    let saved = read.ok().flatten().unwrap_or_default();
    Listed {
        kind: match (&error, entry) {
            (Some(_), _) => "broken",
            (None, Some(entry)) => entry.kind(),
            (None, None) => kind(&saved),
        },
        expiry: match error {
            Some(_) => Expiry::Unknown,
            None => expiry(&saved, entry),
        },
        servers: saved.servers,
        issuer: saved.issuer,
        keyring: saved.keyring,
        name,
        contexts: used
            .into_iter()
            .map(|one| (one.context, one.file))
            .collect(),
        error,
    }
}

/// A context that uses a login.
struct Use {
    context: String,
    /// The kubeconfig that has the context.
    file: PathBuf,
    /// The plugin of its user.
    login: Login,
}

/// Returns the contexts that use the login `name`: those of the kubeconfig that kubectl would use, where
/// a context and its user may be in different files, then those of each other file that is known to use
/// it. `explicit` is `--kubeconfig`.
fn uses(
    store: &Store,
    explicit: Option<&Path>,
    name: &str,
    env: &dyn Fn(&str) -> Option<OsString>,
) -> Vec<Use> {
    let mut files = edit::files(explicit, env);
    files.retain(|file| file.is_file());
    let mut found = Vec::new();
    let mut seen = Vec::new();
    // If one of the files cannot be read, each of the others is read on its own.
    if let Ok(all) = kubeconfig::contexts(explicit, env) {
        let origin = |context: &str| {
            let has = |file: &&PathBuf| {
                let names = kubeconfig::names(Some(file.as_path()), env);
                names.contexts.iter().any(|one| one == context)
            };
            files.iter().find(has).cloned()
        };
        found.extend(uses_in(all, name, origin));
        seen.extend(files.drain(..).map(canonical));
    }
    files.extend(store.kubeconfigs(name));
    for file in files {
        let path = canonical(file.clone());
        if seen.contains(&path) || !file.is_file() {
            continue;
        }
        seen.push(path);
        let all = kubeconfig::contexts(Some(&file), env).unwrap_or_default();
        found.extend(uses_in(all, name, |_| Some(file.clone())));
    }
    found
}

/// Returns those of the contexts that use the login `name`. `origin` returns the file of a context.
fn uses_in(
    contexts: Vec<kubeconfig::Context>,
    name: &str,
    origin: impl Fn(&str) -> Option<PathBuf>,
) -> Vec<Use> {
    let uses = contexts.into_iter().filter_map(|context| {
        let target = context.target.ok()?;
        let kubeconfig::Login::Exec(exec) = &target.user.login else {
            return None;
        };
        let login = Login::of_exec(exec).filter(|one| one.saved_as().as_deref() == Some(name))?;
        Some(Use {
            file: origin(&context.name)?,
            context: context.name,
            login,
        })
    });
    uses.collect()
}

/// Returns the path without symbolic links, by which two paths of one file are equal.
fn canonical(file: PathBuf) -> PathBuf {
    fs::canonicalize(&file).unwrap_or(file)
}

/// Says what is wrong with a file, and what to do.
fn broken(error: &store::Error, store: &Store, name: &str) -> String {
    // Names the file, and what to do.
    if matches!(error, store::Error::Broken { .. }) {
        return error.to_string();
    }
    let cause = error.source().map(|cause| format!(": {cause}"));
    let path = store.path(name);
    format!(
        "{error}{}; let this user read {}, or remove it and log in again",
        cause.unwrap_or_default(),
        path.display()
    )
}

/// The kind of a login that no kubeconfig uses, by what is saved of it.
fn kind(saved: &SavedLogin) -> &'static str {
    match (&saved.api_key, &saved.issuer) {
        (Some(_), _) => "ibm",
        (None, Some(issuer)) if issuer.contains("iam.cloud.ibm.com") => "ibm",
        (None, Some(_)) => "oidc",
        (None, None) if saved.token.is_some() => "openshift",
        // The keyring has the rest, or there is none.
        (None, None) => "-",
    }
}

fn expiry(saved: &SavedLogin, entry: Option<&Login>) -> Expiry {
    let renews_itself = entry.is_some_and(Login::renews_itself);
    match saved.expires_at {
        _ if renews_itself || saved.api_key.is_some() || saved.refresh_token.is_some() => {
            Expiry::Renewed
        }
        Some(end) => Expiry::At(end),
        None => Expiry::Unknown,
    }
}

fn row(login: &Listed) -> Vec<String> {
    let servers = match (&login.error, &*login.servers, &login.issuer) {
        (Some(error), ..) => format!("({error})"),
        (None, [], Some(issuer)) => issuer.clone(),
        (None, [], None) => "-".to_owned(),
        (None, servers, _) => servers.join(", "),
    };
    let expires = match login.expiry {
        Expiry::At(end) => match end.duration_since(SystemTime::now()) {
            Ok(left) if left > Duration::ZERO => output::span(left.as_secs()),
            _ => "expired".to_owned(),
        },
        Expiry::Renewed => "renewed".to_owned(),
        Expiry::Unknown => "-".to_owned(),
    };
    let contexts: Vec<&str> = login.contexts.iter().map(|(name, _)| &**name).collect();
    let contexts = match &*contexts {
        [] => "-".to_owned(),
        contexts => contexts.join(", "),
    };
    vec![
        login.name.clone(),
        login.kind.to_owned(),
        servers,
        expires,
        contexts,
    ]
}

fn object(login: &Listed) -> Value {
    let contexts = login
        .contexts
        .iter()
        .map(|(name, file)| json!({"context": name, "kubeconfig": file.display().to_string()}));
    json!({
        "login": login.name,
        "kind": login.kind,
        "servers": login.servers,
        "issuer": login.issuer,
        "expires": match login.expiry {
            Expiry::At(end) => json!(timestamp(end)),
            _ => Value::Null,
        },
        "renewed": matches!(login.expiry, Expiry::Renewed),
        "keyring": login.keyring,
        "contexts": contexts.collect::<Vec<_>>(),
        "error": login.error,
    })
}
