//! `kubegate login oidc`

use std::path::PathBuf;

use anyhow::{Context as _, anyhow};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use clap::{Args, ValueHint};

use crate::{
    cli::{output, usage::bail_usage},
    credential::{
        self, exec_credential,
        oidc::Client,
        secret_file,
        store::{LoginBinding as Bond, Saved, Store},
    },
    kubeconfig::{
        self, Login, Overrides, Pem, Target,
        edit::{NewContext, add_context, may_add_context},
    },
    login::{
        Naming, cluster_name, confirm, keep, name_for,
        oidc::{Redirect, Way, log_in},
    },
    secret::Secret,
    settings::{self, ConnectionFlags, OidcFlags},
};

pub(in crate::cli) const EXAMPLES: &str = "\
Examples:
  # A cluster that is in no kubeconfig yet
  kubegate login oidc --server https://api.example:6443 --certificate-authority ca.crt \\
    --oidc-issuer-url https://issuer.example --oidc-client-id kubernetes

  # Another user for a context; later, to log in again, without the flags of the issuer
  kubegate login oidc --context staging --oidc-issuer-url https://issuer.example \\
    --oidc-client-id kubernetes --oidc-extra-scope groups

Exit codes: 0 when logged in, 1 where that failed, 2 for bad flags.";

// The doc comments are the help's text.
#[allow(clippy::doc_markdown)]
#[derive(Args, Debug)]
pub(in crate::cli) struct Flags {
    /// Name for the saved login [default: the name of the user's entry]
    #[arg(long, value_name = "NAME")]
    login: Option<String>,
    /// URL of the issuer
    #[arg(long, value_name = "URL")]
    oidc_issuer_url: Option<String>,
    /// Client id at the issuer
    #[arg(long, value_name = "ID")]
    oidc_client_id: Option<String>,
    /// File with the client's secret, which is then saved; a public client has none
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    oidc_client_secret_file: Option<PathBuf>,
    /// Scope to ask for beside openid; may be repeated
    #[arg(long, value_name = "SCOPE")]
    oidc_extra_scope: Vec<String>,
    /// File with the certificates of the authorities to trust for the issuer
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    oidc_certificate_authority: Option<PathBuf>,
    /// Where the browser comes back to, as the issuer knows it
    /// [default: http://localhost:8000, else http://localhost:18000]
    #[arg(long, value_name = "URL")]
    oidc_redirect_url: Option<String>,
    /// Show the URL to log in at, and open no browser
    #[arg(long)]
    no_browser: bool,
    /// Keep the tokens in the OS's keyring
    #[arg(long)]
    keyring: bool,
}

/// Logs in with a browser, and writes the context.
pub(super) async fn run(connection: &ConnectionFlags, flags: &Flags) -> anyhow::Result<()> {
    let env = |name: &str| std::env::var_os(name);
    let target = chosen(connection, flags)?;
    let prior = target.as_ref().and_then(prior);
    let mut login = issuer(flags, prior)?;
    let store = Store::of_user(&env)?;
    let mut saved = match flags.login.as_deref().unwrap_or(&login.login) {
        "" => Saved::default(),
        // What another issuer gave, a client's secret for example, is not for this one.
        name => {
            let issuer = Bond::of_issuer(&login.oidc_issuer_url);
            let saved = store.read(name)?.unwrap_or_default();
            if issuer.is_issuer_of(&saved) {
                saved
            } else {
                Saved::default()
            }
        }
    };
    if let Some(path) = &flags.oidc_client_secret_file {
        saved.client_secret = Some(secret_file::read("client secret", path)?);
    }
    let redirects = match &flags.oidc_redirect_url {
        Some(url) => vec![Redirect::parse(url).map_err(|e| anyhow!("--oidc-redirect-url {e}"))?],
        None => Redirect::defaults(),
    };
    if target.is_some() {
        may_add_context(&kubeconfig::file_to_edit(connection.kubeconfig(), &env)?)?;
    }
    let client = Client::of_flags(&login)?;
    let metadata = client.metadata().await?;
    let way = Way {
        extra_scopes: &login.oidc_extra_scope,
        redirects: &redirects,
        opens_browser: !flags.no_browser,
    };
    let secret = saved.client_secret.clone();
    let tokens = log_in(&client, &metadata, secret.as_ref(), &way, &env).await?;
    saved.refresh_token = None;
    saved.take(&tokens);
    saved.keyring = flags.keyring || saved.keyring;

    let place = match &target {
        Some(target) => {
            let token = tokens.id_token.as_ref();
            Some(Place::of(connection, flags, target, token, &store, &mut login).await?)
        }
        None => None,
    };
    let write = async || match &place {
        Some(place) => Ok(add_context(&place.file, &place.new, true)?),
        None => Ok(()),
    };
    let here = match &target {
        Some(target) => Bond::of_cluster(&target.cluster),
        None => Bond::default(),
    };
    let here = here.with_issuer(&login.oidc_issuer_url);
    let file = place.as_ref().map(|place| place.file.as_path());
    keep(&store, here, &login.login, &saved, file, write).await?;
    if saved.refresh_token.is_none() {
        let end = saved.expires_at.map(exec_credential::timestamp);
        tracing::warn!(
            "the issuer gave no refresh token, so this login ends at {}; perhaps it wants \
             --oidc-extra-scope offline_access",
            end.as_deref().unwrap_or("a time that it does not say")
        );
    }
    let Some(place) = place else {
        return output::print(&format!("Logged in; saved as {}\n", login.login));
    };
    output::print(&format!(
        "Logged in to {} as {}.\nContext {} is now current in {}\n",
        place.new.server,
        place.username,
        place.new.context,
        place.file.display()
    ))
}

/// Whom the new context is for, and what it says.
struct Place {
    username: String,
    /// The kubeconfig that it goes into.
    file: PathBuf,
    new: NewContext,
}

impl Place {
    /// Asks the cluster who the token is, before anything is written.
    async fn of(
        connection: &ConnectionFlags,
        flags: &Flags,
        target: &Target,
        token: Option<&Secret>,
        store: &Store,
        login: &mut OidcFlags,
    ) -> anyhow::Result<Self> {
        let token = token.context("the issuer gave no ID token")?;
        let user = credential::from_token(token)?;
        let identity = credential::whoami(&target.cluster, user).await;
        let username = identity
            .context("the issuer let you in, but the cluster did not")?
            .username;
        let server = target.cluster.url();
        let cluster = match &target.cluster.name {
            Some(name) => name.clone(),
            None => cluster_name(&target.cluster),
        };
        let user = format!("{username}/{cluster}");
        let namespace = connection.namespace.clone();
        let namespace = namespace.filter(|name| !name.is_empty());
        let context = target.context.clone().unwrap_or_else(|| {
            let namespace = namespace.as_deref().unwrap_or("default");
            format!("{namespace}/{cluster}/{username}")
        });
        match &flags.login {
            Some(name) => login.login.clone_from(name),
            // The context's own, unless that is another user's.
            None if !login.login.is_empty() && target.user.name.as_ref() == Some(&user) => {}
            None => {
                let naming = Naming {
                    kubeconfig: connection.kubeconfig(),
                    kind: "oidc",
                    user: Some(&user),
                    wanted: &user,
                };
                login.login = name_for(store, &naming, &|name| std::env::var_os(name));
            }
        }
        let authority = target.cluster.certificate_authority.as_ref();
        let new = NewContext {
            context,
            user,
            namespace,
            certificate_authority: authority
                .map(Pem::read)
                .transpose()?
                .map(|pem| pem.to_vec()),
            tls_server_name: target.cluster.tls_server_name.clone(),
            proxy_url: super::proxy_url(connection, &target.cluster),
            credential_args: login.to_args(),
            cluster,
            server,
        };
        let env = |name: &str| std::env::var_os(name);
        Ok(Self {
            file: kubeconfig::file_to_edit(connection.kubeconfig(), &env)?,
            username,
            new,
        })
    }
}

/// The cluster that the flags choose: a new one by its URL, or one of the kubeconfig; the current
/// context's, where somebody says that it is meant. Nothing where they only name a login to renew.
fn chosen(connection: &ConnectionFlags, flags: &Flags) -> anyhow::Result<Option<Target>> {
    let mut overrides = Overrides::from(connection);
    if overrides.server.is_some() {
        // What the kubeconfig says of another cluster has no say here.
        let cluster = overrides.cluster.take();
        let context = overrides.context.take();
        let mut target = kubeconfig::resolve(None, &overrides, &|_| None)?;
        target.cluster.name = cluster;
        target.context = context;
        return Ok(Some(target));
    }
    if overrides.context.is_some() || overrides.cluster.is_some() {
        let env = |name: &str| std::env::var_os(name);
        let mut target = kubeconfig::resolve(connection.kubeconfig(), &overrides, &env)?;
        // Not the current context, where that was not meant.
        target.context = overrides.context;
        return Ok(Some(target));
    }
    if flags.login.is_some() {
        return Ok(None);
    }
    let env = |name: &str| std::env::var_os(name);
    match kubeconfig::resolve(connection.kubeconfig(), &overrides, &env) {
        Ok(target) if target.context.is_some() => {
            confirm(&target)?;
            Ok(Some(target))
        }
        _ => bail_usage!(
            "say which cluster to log in to: --server URL, or --context or --cluster NAME of the \
             kubeconfig"
        ),
    }
}

/// The OIDC login that a context has already.
fn prior(target: &Target) -> Option<OidcFlags> {
    let Login::Exec(config) = &target.user.login else {
        return None;
    };
    match settings::Login::of_exec(config)? {
        settings::Login::Oidc(flags) => Some(flags),
        _ => None,
    }
}

/// What the flags say of the issuer, over what the context said before.
fn issuer(flags: &Flags, prior: Option<OidcFlags>) -> anyhow::Result<OidcFlags> {
    let mut login = prior.unwrap_or_default();
    if let Some(url) = &flags.oidc_issuer_url {
        login.oidc_issuer_url.clone_from(url);
    }
    if let Some(id) = &flags.oidc_client_id {
        login.oidc_client_id.clone_from(id);
    }
    if !flags.oidc_extra_scope.is_empty() {
        login.oidc_extra_scope.clone_from(&flags.oidc_extra_scope);
    }
    if let Some(path) = &flags.oidc_certificate_authority {
        let pem = Pem::from_flag("--oidc-certificate-authority", path).read()?;
        login.certificate_authority = None;
        login.certificate_authority_data = Some(BASE64_STANDARD.encode(&*pem));
    }
    if let Some(name) = &flags.login {
        login.login.clone_from(name);
    }
    if login.oidc_issuer_url.is_empty() || login.oidc_client_id.is_empty() {
        bail_usage!("say who issues the tokens: --oidc-issuer-url URL and --oidc-client-id ID");
    }
    Ok(login)
}
