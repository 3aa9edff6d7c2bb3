//! `docker-credential-kubegate`: docker's credential helper protocol
//! (<https://github.com/docker/docker-credential-helpers>). Errors go to standard output, where
//! docker reads them.

use std::{
    collections::BTreeMap,
    io::{Read as _, stdin},
    process::ExitCode,
};

use anyhow::{Context as _, bail};
use clap::ValueEnum;
use serde::Deserialize;
use serde_json::json;
use zeroize::Zeroizing;

use super::{
    interrupt::{Interrupted, guarded},
    output,
};
use crate::{
    credential::{
        self, exec_credential, ibm_iam,
        store::{Store, registry_host},
    },
    kubeconfig::{self, Overrides, Target},
    login,
    printable::printable,
    secret::Secret,
    settings::{ConnectionFlags, Login},
};

pub(super) const EXAMPLES: &str = "\
docker runs this command by the name docker-credential-kubegate, a link to kubegate.

Examples:
  kubegate registry add registry.apps.example --context dev
  echo registry.apps.example | kubegate docker-credential get

Exit codes: 0 with the answer on standard output, 1 with an error there, 2 for bad flags.";

/// The error texts of docker's own helpers, by which docker recognizes the error.
const NOT_FOUND: &str = "credentials not found in native keychain";
const NO_SERVER: &str = "no credentials server URL";
const NO_USERNAME: &str = "no credentials username";
/// `OpenShift`'s registry accepts any user name together with a token.
const USERNAME: &str = "kubegate";
/// IBM Cloud's registry accepts this user name together with an access token of IAM.
const IBM_USERNAME: &str = "iambearer";
/// The maximum length of the input, in bytes.
const LIMIT: u64 = 1 << 20;

/// An action that docker requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Verb {
    /// Print a fresh token for the registry named on standard input
    Get,
    /// Accept a login, without storing it
    Store,
    /// Accept a logout, without removing what `kubegate registry add` configured
    Erase,
    /// Print the registries
    List,
    /// Print the version
    Version,
}

/// Performs an action of docker.
pub(super) async fn run(connection: &ConnectionFlags, verb: Verb) -> anyhow::Result<ExitCode> {
    match Box::pin(perform(connection, verb)).await {
        Ok(text) => {
            output::print_data(text.as_str())?;
            Ok(ExitCode::SUCCESS)
        }
        Err(error) if error.is::<Interrupted>() => Err(error),
        Err(error) => {
            let text = format!("{error:#}");
            output::print(&format!("{}\n", printable(&text)))?;
            Ok(ExitCode::FAILURE)
        }
    }
}

async fn perform(connection: &ConnectionFlags, verb: Verb) -> anyhow::Result<Zeroizing<String>> {
    let store = Store::of_user(&|name| std::env::var_os(name))?;
    let text = match verb {
        Verb::Get => return Box::pin(get(connection, &store, &host()?)).await,
        Verb::Store => {
            accept_login(&store, &input()?)?;
            String::new()
        }
        Verb::Erase => {
            // CI jobs log out at their end; the next job needs the registry again.
            if input()?.trim().is_empty() {
                bail!(NO_SERVER);
            }
            String::new()
        }
        Verb::List => {
            let registries = store.registries()?;
            let names = registries.keys().map(|host| (host, username(host)));
            let names: BTreeMap<_, _> = names.collect();
            json!(names).to_string()
        }
        Verb::Version => concat!(
            "docker-credential-kubegate ",
            env!("CARGO_PKG_VERSION"),
            "\n"
        )
        .to_owned(),
    };
    Ok(Zeroizing::new(text))
}

async fn get(
    connection: &ConnectionFlags,
    store: &Store,
    host: &str,
) -> anyhow::Result<Zeroizing<String>> {
    let registries = store.registries()?;
    let registry = registries.get(host).context(NOT_FOUND)?;
    let overrides = Overrides {
        context: Some(registry.context.clone()),
        ..Overrides::default()
    };
    let env = |name: &str| std::env::var_os(name);
    let found = kubeconfig::resolve_pinned(registry.kubeconfig.as_deref(), &overrides, None, &env);
    let found = found.map_err(|error| match error {
        kubeconfig::Error::Missing {
            kind: "context", ..
        } => anyhow::anyhow!(
            "registry {host} takes the token of context {:?}, which was renamed or removed ({error}); \
             run `kubegate registry add {host} --context NAME`",
            registry.context
        ),
        error => error.into(),
    })?;
    login::note_use(&found, &env);
    let token = if is_ibm(host) {
        Box::pin(guarded(ibm_token(&found.target, &registry.context))).await?
    } else {
        let cache = credential::from_user(&found.target, connection.exec_timeout)?;
        let fetched = guarded(async { Ok(cache.fetch_once(credential::Need::Current).await?) });
        let credential = fetched.await?;
        exec_credential::token(&credential, &format!("context {}", registry.context))?
    };
    let secret = Zeroizing::new(json!(token.expose()).to_string());
    let (server, user) = (json!(host), json!(username(host)));
    Ok(Zeroizing::new(format!(
        "{{\"ServerURL\":{server},\"Username\":{user},\"Secret\":{}}}\n",
        *secret
    )))
}

/// Returns an access token of IAM: IBM Cloud's registry does not accept the token of a cluster.
async fn ibm_token(target: &Target, context: &str) -> anyhow::Result<Secret> {
    let login = match &target.user.login {
        kubeconfig::Login::Exec(entry) => Login::of_exec(entry),
        _ => None,
    };
    let Some(Login::Ibm(flags)) = login else {
        bail!(
            "the registry of IBM Cloud takes the login of `kubegate login ibm`, and context \
             {context:?} has another; run `kubegate registry add` with a context of such a login"
        );
    };
    Ok(ibm_iam::access_token(&flags, &target.cluster).await?)
}

/// Whether it is IBM Cloud's registry: `icr.io`, or that of a region, public or private.
fn is_ibm(host: &str) -> bool {
    let name = host.split(':').next().unwrap_or_default();
    name == "icr.io" || name.ends_with(".icr.io")
}

fn username(host: &str) -> &'static str {
    if is_ibm(host) { IBM_USERNAME } else { USERNAME }
}

/// Accepts the credential of `docker login` if the registry has a context, without storing it: `get`
/// returns a fresh token each time.
fn accept_login(store: &Store, input: &str) -> anyhow::Result<()> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct StoredLogin {
        #[serde(default, rename = "ServerURL")]
        server_url: String,
        #[serde(default)]
        username: String,
        #[serde(rename = "Secret")]
        _secret: Secret,
    }
    // The parser's error is dropped, since it may quote the secret.
    let Ok(login) = serde_json::from_str::<StoredLogin>(input) else {
        bail!("standard input is not the JSON that docker sends");
    };
    if login.server_url.is_empty() {
        bail!(NO_SERVER);
    }
    if login.username.is_empty() {
        bail!(NO_USERNAME);
    }
    let host = registry_host(&login.server_url).map_err(anyhow::Error::msg)?;
    if !store.registries()?.contains_key(&host) {
        bail!(
            "kubegate stores no passwords; run `kubegate registry add {host} --context NAME` to \
             give docker the token of a context"
        );
    }
    Ok(())
}

fn host() -> anyhow::Result<String> {
    let input = input()?;
    if input.trim().is_empty() {
        bail!(NO_SERVER);
    }
    // Text that is not a registry's name has no credentials either.
    registry_host(&input).map_err(|_| anyhow::anyhow!(NOT_FOUND))
}

fn input() -> anyhow::Result<Zeroizing<String>> {
    let mut text = Zeroizing::new(String::with_capacity(64 << 10));
    let read = stdin().take(LIMIT).read_to_string(&mut text);
    read.context("cannot read standard input")?;
    Ok(text)
}
