//! `kubegate login list`

use std::{
    path::PathBuf,
    time::{Duration, SystemTime},
};

use clap::Args;
use serde_json::{Value, json};

use crate::{
    cli::output::{self, Format},
    credential::{
        exec_credential::timestamp,
        store::{SavedLogin, Store},
    },
    kubeconfig::{self, edit},
    login::users_of,
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
    /// `openshift`, `ibm` or `oidc`.
    kind: &'static str,
    /// Where it is for: the API servers, or else the issuer.
    servers: Vec<String>,
    issuer: Option<String>,
    expiry: Expiry,
    keyring: bool,
    /// The contexts that use it, with their kubeconfigs.
    contexts: Vec<(String, PathBuf)>,
    /// The error if the file cannot be read.
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
    let mut files = edit::files(connection.kubeconfig(), &env);
    for file in store.kubeconfigs(&name) {
        if !files.contains(&file) {
            files.push(file);
        }
    }
    files.retain(|file| file.is_file());
    let mut contexts = Vec::new();
    let mut entry = None;
    for used in users_of(&name, &files) {
        for context in kubeconfig::contexts(Some(&used.file), &env).unwrap_or_default() {
            let Ok(target) = context.target else { continue };
            let kubeconfig::Login::Exec(exec) = &target.user.login else {
                continue;
            };
            if target.user.name.as_deref() == Some(&*used.user) {
                entry = entry.or_else(|| Login::of_exec(exec));
                contexts.push((context.name, used.file.clone()));
            }
        }
    }
    let (saved, error) = match store.read_without_keyring(&name) {
        Ok(saved) => (saved.unwrap_or_default(), None),
        Err(error) => (SavedLogin::default(), Some(error.to_string())),
    };
    Listed {
        kind: entry.as_ref().map_or_else(|| kind(&saved), Login::kind),
        expiry: expiry(&saved, entry.as_ref()),
        servers: saved.servers,
        issuer: saved.issuer,
        keyring: saved.keyring,
        name,
        contexts,
        error,
    }
}

/// The kind of a login that no kubeconfig uses, by what is saved of it.
fn kind(saved: &SavedLogin) -> &'static str {
    match (&saved.api_key, &saved.issuer) {
        (Some(_), _) => "ibm",
        (None, Some(issuer)) if issuer.contains("iam.cloud.ibm.com") => "ibm",
        (None, Some(_)) => "oidc",
        (None, None) if saved.keyring => "-",
        (None, None) => "openshift",
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
