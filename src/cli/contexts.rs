//! `kubegate contexts`

mod sessions;

use std::time::SystemTime;

use clap::Args;
use http::uri::Scheme;
use serde_json::{Value, json};

use self::sessions::SessionEnds;
use super::output::{self, Format};
use crate::{
    credential::{CredentialStatus, Expiry, exec_credential, store::Store},
    kubeconfig::{self, Cluster, Context, Pem},
    settings::ConnectionFlags,
};

pub(super) const EXAMPLES: &str = "\
Reads the kubeconfig and the saved logins, and runs no plugin. The only requests are for the end of the
sessions that `oc login` left, to their own servers; -o name makes none.

Examples:
  kubegate contexts
  kubegate contexts -o name | fzf

Exit codes: 0 with the list on standard output, 1 if the kubeconfig cannot be read, 2 for
bad flags.";

#[derive(Args, Debug)]
pub(super) struct Flags {
    /// Output format [default: a table]
    #[arg(short, long, value_enum, value_name = "FORMAT")]
    output: Option<Format>,
}

/// Lists the contexts of the kubeconfig.
pub(super) async fn run(connection: &ConnectionFlags, flags: &Flags) -> anyhow::Result<()> {
    let env = |name: &str| std::env::var_os(name);
    let contexts = kubeconfig::contexts(connection.kubeconfig(), &env)?;
    let store = Store::of_user(&env).ok();
    if let Some(format) = flags.output {
        let names: Vec<&str> = contexts
            .iter()
            .map(|context| context.name.as_str())
            .collect();
        if format == Format::Name {
            return output::print_as(format, &Value::Null, &names);
        }
        let ends = SessionEnds::ask(&contexts).await;
        let objects = contexts
            .iter()
            .map(|context| object(context, store.as_ref(), &ends));
        return output::print_as(format, &objects.collect(), &names);
    }
    let header = [
        "CURRENT",
        "CONTEXT",
        "SERVER",
        "USER",
        "VERIFIED BY",
        "EXPIRES IN",
    ];
    let ends = SessionEnds::ask(&contexts).await;
    let mut rows = vec![header.map(str::to_owned).to_vec()];
    let row = |context| row(context, store.as_ref(), &ends);
    rows.extend(contexts.iter().map(row));
    output::print_table(&rows)
}

fn row(context: &Context, store: Option<&Store>, ends: &SessionEnds) -> Vec<String> {
    let current = if context.is_current { "*" } else { "" };
    let mut row = vec![current.to_owned(), context.name.clone()];
    match &context.target {
        Ok(target) => {
            let status = CredentialStatus::of(target, store);
            row.extend([
                target.cluster.url(),
                status.kind,
                verified_by(&target.cluster),
                in_words(ends.of(target).unwrap_or(status.expiry), SystemTime::now()),
            ]);
        }
        Err(error) => row.push(format!("({error})")),
    }
    row
}

fn object(context: &Context, store: Option<&Store>, ends: &SessionEnds) -> Value {
    let mut object = json!({"context": context.name, "current": context.is_current});
    match &context.target {
        Ok(target) => {
            let status = CredentialStatus::of(target, store);
            let expiry = ends.of(target).unwrap_or(status.expiry);
            object["server"] = json!(target.cluster.url());
            object["user"] = json!(status.kind);
            object["verifiedBy"] = json!(verified_by(&target.cluster));
            object["expires"] = match expiry {
                Expiry::At(time) => json!(exec_credential::timestamp(time)),
                _ => Value::Null,
            };
            object["renewed"] = json!(expiry == Expiry::Renewed);
            object["loginNeeded"] = json!(expiry == Expiry::LoginNeeded);
        }
        Err(error) => object["error"] = json!(error.to_string()),
    }
    object
}

pub(super) fn verified_by(cluster: &Cluster) -> String {
    if cluster.server.scheme() != Some(&Scheme::HTTPS) {
        return "nothing (plain http)".to_owned();
    }
    if cluster.insecure_skip_tls_verify {
        return "nothing (insecure)".to_owned();
    }
    match &cluster.certificate_authority {
        Some(Pem::Inline { .. }) => "its own CA".to_owned(),
        Some(Pem::File { path, .. }) => path.display().to_string(),
        None => "the system's CAs".to_owned(),
    }
}

fn in_words(expiry: Expiry, now: SystemTime) -> String {
    match expiry {
        Expiry::At(time) => match time.duration_since(now) {
            Ok(left) => output::span(left.as_secs()),
            Err(_) => "expired".to_owned(),
        },
        Expiry::Renewed => "renewed".to_owned(),
        Expiry::LoginNeeded => "login needed".to_owned(),
        Expiry::Unknown => "-".to_owned(),
    }
}
