//! `kubegate kubeconfig`

use std::{
    path::{Path, PathBuf, absolute},
    time::SystemTime,
};

use anyhow::{Context as _, bail};
use clap::{Args, ValueHint};
use http::{Uri, uri::Scheme};
use serde_json::{Map, Value, json};

use super::{
    output::{self, Format},
    usage::bail_usage,
};
use crate::{
    console,
    credential::{self, store::Store},
    kubeconfig::{
        self, AllContexts, Overrides, Slug,
        edit::{ProxyContext, ProxyContexts, WriteMode, write_proxy_contexts},
    },
    proxy::CLUSTERS,
    settings::{ConnectionFlags, RunningProxyAddress},
};

pub(super) const EXAMPLES: &str = "\
Prints a kubeconfig whose clusters are those of a running `kubegate --all-contexts`, each at its address
below /clusters/, with the names, namespaces and the current context of your kubeconfig. With --context,
it has these contexts alone.

Over plain http it has no credential, since Kubernetes clients send none to http. Over https give
--tls-self-signed (or --certificate-authority) and --token-file (or --client-certificate and
--client-key), with which clients prove who they are to the proxy; the kubeconfig names the files.
--client-name has the local CA issue a certificate, for a proxy whose --client-ca is the CA's file.

Examples:
  KUBECONFIG=<(kubegate kubeconfig) kubectl get pods
  kubegate kubeconfig --write ~/.kube/kubegate
  kubegate kubeconfig --tls-self-signed --token-file ~/.config/kubegate/token --write ~/.kube/kubegate
  kubegate kubeconfig --tls-self-signed --client-name jane --write ~/.kube/kubegate
  kubegate kubeconfig --server https://gate.example --token-file token --merge ~/.kube/team

Exit codes: 0 when printed or written, 1 if the kubeconfig cannot be read or written, 2 for bad flags.";

/// Flags of `kubegate kubeconfig`.
#[derive(Args, Debug)]
pub(super) struct Flags {
    #[command(flatten)]
    proxy: RunningProxyAddress,
    /// The proxy serves https with its local CA; the kubeconfig names the CA's file
    #[arg(long)]
    tls_self_signed: bool,
    /// File with a token of --require-token-file alone; the kubeconfig names the file
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    token_file: Option<PathBuf>,
    /// Issue a client certificate of this name by the local CA, good for a year; the kubeconfig names its
    /// file
    #[arg(long, value_name = "NAME", value_parser = client_name)]
    client_name: Option<String>,
    /// Output format [default: YAML, with a comment where there is no credential]
    #[arg(short, long, value_enum, value_name = "FORMAT", conflicts_with_all = ["write", "merge"])]
    output: Option<Format>,
    /// Write this file, which has nothing else, in place of printing
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, conflicts_with = "merge")]
    write: Option<PathBuf>,
    /// Write the contexts into this file, whose other entries stay
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    merge: Option<PathBuf>,
}

/// Prints or writes the kubeconfig.
pub(super) fn run(connection: &ConnectionFlags, flags: &Flags) -> anyhow::Result<()> {
    let server = server(connection, flags)?;
    let is_https = server.scheme() == Some(&Scheme::HTTPS);
    let user = user(connection, flags)?;
    if !is_https && !user.is_empty() {
        bail_usage!(
            "the proxy is at {server}, and Kubernetes clients send no credential to http; serve https \
             (--tls-self-signed), or leave out --token-file and --client-certificate"
        );
    }
    let env = |name: &str| std::env::var_os(name);
    let explicit = connection.kubeconfig();
    let all = kubeconfig::resolve_contexts(explicit, &Overrides::default(), &env)?;
    let base = format!("{}{CLUSTERS}/", server.to_string().trim_end_matches('/'));
    let proxied = ProxyContexts {
        contexts: contexts(connection, &all, &base)?,
        current: None,
        certificate_authority: authority(connection, flags, is_https)?,
        user,
        base,
    };
    let proxied = ProxyContexts {
        current: current(&proxied, &all),
        ..proxied
    };
    let note = note(is_https, &proxied);
    let (file, mode) = match (&flags.write, &flags.merge) {
        (Some(file), _) => (file, WriteMode::Whole),
        (None, Some(file)) => (file, WriteMode::Merge),
        (None, None) => {
            if let Some(format) = flags.output {
                let names = proxied.contexts.iter().map(|context| context.name.as_str());
                return output::print_as(format, &proxied.to_json(), &names.collect::<Vec<_>>());
            }
            let note = note.map_or_else(String::new, |note| format!("# {note}\n"));
            let yaml = kubeconfig::yaml(&proxied.to_json());
            return output::print_yaml(&format!("{note}{}", *yaml));
        }
    };
    refuse_source(file, &all)?;
    let changed = write_proxy_contexts(file, &proxied, mode)?;
    let did = if changed {
        "Wrote"
    } else {
        "Nothing changes in"
    };
    let count = proxied.contexts.len();
    console::eprint(&format!("{did} {} ({count} contexts)\n", file.display()));
    if let Some(note) = note {
        console::eprint(&format!("{note}\n"));
    }
    Ok(())
}

/// Returns the proxy's URL.
fn server(connection: &ConnectionFlags, flags: &Flags) -> anyhow::Result<Uri> {
    let overrides = Overrides::from(connection);
    let Some(server) = overrides.server else {
        let is_https = flags.tls_self_signed || overrides.certificate_authority.is_some();
        let scheme = if is_https { "https" } else { "http" };
        let url = format!("{scheme}://{}", flags.proxy.server());
        return url.parse().context("the address of the proxy");
    };
    let flag = Overrides {
        server: Some(server),
        ..Overrides::default()
    };
    Ok(kubeconfig::resolve(None, &flag, &|_| None)?.cluster.server)
}

/// Returns the fields of the user, which name files alone.
fn user(connection: &ConnectionFlags, flags: &Flags) -> anyhow::Result<Map<String, Value>> {
    let overrides = Overrides::from(connection);
    let refused = [
        ("--token", overrides.token.is_some(), "--token-file"),
        ("--username", overrides.username.is_some(), "--token-file"),
        ("--password", overrides.password.is_some(), "--token-file"),
    ];
    if let Some((flag, _, other)) = refused.into_iter().find(|(_, given, _)| *given) {
        bail_usage!(
            "{flag} would put a secret into the kubeconfig; give {other}, whose file it names"
        );
    }
    let mut user = Map::new();
    if let Some(file) = &flags.token_file {
        check_token(file)?;
        user.insert("tokenFile".to_owned(), json!(absolute(file)?));
    }
    let files = (&overrides.client_certificate, &overrides.client_key);
    match (files, &flags.client_name) {
        ((None, None), None) => {}
        ((None, None), Some(name)) => {
            let file = issue(name, flags)?;
            for field in ["client-certificate", "client-key"] {
                user.insert(field.to_owned(), json!(file));
            }
        }
        (_, Some(_)) => bail_usage!(
            "--client-name and --client-certificate exclude each other; give one of them"
        ),
        ((Some(certificate), Some(key)), None) => {
            let files = [("client-certificate", certificate), ("client-key", key)];
            for (field, file) in files {
                if !file.is_file() {
                    bail!("--{field} {}: no such file", file.display());
                }
                user.insert(field.to_owned(), json!(absolute(file)?));
            }
        }
        _ => bail_usage!("--client-certificate and --client-key belong together; give both"),
    }
    Ok(user)
}

/// Has the local CA issue a client certificate. Returns the file with it and its key.
fn issue(name: &str, flags: &Flags) -> anyhow::Result<PathBuf> {
    if !flags.tls_self_signed {
        bail_usage!("--client-name needs --tls-self-signed, whose local CA issues the certificate");
    }
    let store = Store::of_user(&|name| std::env::var_os(name))?;
    let file = store.issue_client_certificate(name, SystemTime::now())?;
    Ok(absolute(file)?)
}

/// Parses the name of a client, which becomes a common name (RFC 5280 limits it to 64 characters) and the
/// name of a file.
fn client_name(text: &str) -> Result<String, String> {
    let is_good = |byte: u8| byte.is_ascii_alphanumeric() || b"._@-".contains(&byte);
    if text.is_empty() || text.len() > 64 || text.starts_with('.') || !text.bytes().all(is_good) {
        return Err(
            "must be 1 to 64 letters, digits, `-`, `_`, `@` or `.`, and begin with no `.`"
                .to_owned(),
        );
    }
    Ok(text.to_owned())
}

/// Checks that a file holds a token alone, which clients send as it stands there.
fn check_token(file: &Path) -> anyhow::Result<()> {
    let text = credential::secret_file::read_lines("token", file)?;
    if text.split_ascii_whitespace().count() == 1 {
        return Ok(());
    }
    bail!(
        "--token-file {}: clients send all of the file as the token, so it must hold the token alone and \
         not lines NAME TOKEN",
        file.display()
    )
}

/// Returns the file with the CA of the proxy.
fn authority(
    connection: &ConnectionFlags,
    flags: &Flags,
    is_https: bool,
) -> anyhow::Result<Option<PathBuf>> {
    let given = Overrides::from(connection).certificate_authority;
    let file = match (given, flags.tls_self_signed) {
        (Some(_), true) => bail_usage!(
            "--certificate-authority and --tls-self-signed exclude each other; give one of them"
        ),
        (Some(file), false) => file,
        (None, false) => return Ok(None),
        (None, true) => Store::of_user(&|name| std::env::var_os(name))?.authority_file(),
    };
    if !is_https {
        bail_usage!("the proxy's URL is http, which has no certificates; leave out the CA");
    }
    if !file.is_file() {
        bail!(
            "{}: no such file; the local CA is made when `kubegate --tls-self-signed` first starts",
            file.display()
        );
    }
    Ok(Some(absolute(file)?))
}

/// Returns the contexts to write: those of `--context`, or all. Contexts that lead to the proxy itself are
/// left out.
fn contexts(
    connection: &ConnectionFlags,
    all: &AllContexts,
    base: &str,
) -> anyhow::Result<Vec<ProxyContext>> {
    let chosen = connection.contexts();
    if let Some(unknown) = chosen
        .iter()
        .find(|name| !all.contexts.contains_key(**name))
    {
        bail!("there is no context {unknown:?}; see `kubegate contexts`");
    }
    let mut contexts = Vec::<ProxyContext>::new();
    for (name, resolved) in &all.contexts {
        let target = resolved.as_ref().ok().map(|resolved| &resolved.target);
        let is_own = target.is_some_and(|target| target.cluster.url().starts_with(base));
        if is_own || !(chosen.is_empty() || chosen.contains(&name.as_str())) {
            continue;
        }
        let slug = Slug::of_context(name).to_string();
        if let Some(other) = contexts.iter().find(|other| other.slug == slug) {
            bail!(
                "the contexts {:?} and {name:?} have the same slug, {slug}; rename one of them (kubectl \
                 config rename-context)",
                other.name
            );
        }
        contexts.push(ProxyContext {
            cluster: cluster_name(name, all),
            name: name.clone(),
            namespace: target.and_then(|target| target.namespace.clone()),
            slug,
        });
    }
    if contexts.is_empty() {
        bail!("every context of the kubeconfig leads to the proxy at {base} itself");
    }
    Ok(contexts)
}

/// Returns the name of a context's cluster, if no other context has it or has its own name so, else the
/// context's name: contexts of one cluster have different addresses here.
fn cluster_name(context: &str, all: &AllContexts) -> String {
    let cluster = |name: &str| {
        let resolved = all.contexts.get(name)?.as_ref().ok()?;
        resolved.target.cluster.name.clone()
    };
    let mut others = all.contexts.keys().filter(|name| *name != context);
    cluster(context)
        .filter(|own| others.all(|other| other != own && cluster(other).as_ref() != Some(own)))
        .unwrap_or_else(|| context.to_owned())
}

/// Returns the current context: that of the kubeconfig, or the only one.
fn current(proxied: &ProxyContexts, all: &AllContexts) -> Option<String> {
    let has = |name: &&String| {
        proxied
            .contexts
            .iter()
            .any(|context| context.name == **name)
    };
    match (
        all.current.as_ref().filter(has),
        proxied.contexts.as_slice(),
    ) {
        (Some(current), _) => Some(current.clone()),
        (None, [only]) => Some(only.name.clone()),
        (None, _) => None,
    }
}

/// Says why there is no credential.
fn note(is_https: bool, proxied: &ProxyContexts) -> Option<&'static str> {
    match (is_https, proxied.user.is_empty()) {
        (false, _) => Some(
            "without credentials: Kubernetes clients send none to http, and the proxy adds its own",
        ),
        (true, true) => Some(
            "without a credential kubectl asks for a user name over https; give --token-file, \
             --client-name, or --client-certificate and --client-key",
        ),
        (true, false) => None,
    }
}

/// Refuses a file that the contexts come from: the proxy would then lead to itself.
fn refuse_source(file: &Path, all: &AllContexts) -> anyhow::Result<()> {
    let canonical = |file: &Path| std::fs::canonicalize(file).unwrap_or_else(|_| file.to_owned());
    let target = canonical(file);
    if all.files.iter().any(|source| canonical(source) == target) {
        bail!(
            "{} is the kubeconfig that the contexts come from: their clusters would become the proxy's own \
             addresses, and it would lead to itself; name another file",
            file.display()
        );
    }
    Ok(())
}
