//! `kubegate demo`: one file a vendor, and plain Kubernetes here.

mod folder;
mod ibm;
mod openshift;
mod program;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context as _;
use clap::{Args, ValueEnum};

use super::{proxy::Fixed, usage::bail_usage};
use crate::{
    credential::{Cache, Credential, Fetch, Source, bearer},
    demo::ControlPlane,
    kubeconfig::{Cluster, Pem, Target, User},
    serve::Listener,
    settings::ProxyFlags,
};

pub(super) const EXAMPLES: &str = "\
Examples:
  kubegate demo
  curl http://127.0.0.1:8001/api/v1/pods
  kubectl -s http://127.0.0.1:8001 get pods

  # Commands in pods are refused unless you allow them
  kubegate demo --port 8002 --allow-exec
  kubectl -s http://127.0.0.1:8002 exec -it hello -- sh

  # OpenShift's logins, sessions, projects and image registry
  kubegate demo --flavor openshift
  curl http://127.0.0.1:8001/apis/user.openshift.io/v1/users/~

  # IBM Cloud's IAM, accounts and clusters, and what to log in with
  kubegate demo --flavor ibm
  kubectl -s http://127.0.0.1:8001 auth whoami

Exit codes: 0 after a drain, 1 where it could not start, 2 for bad flags.";

/// Flags of `kubegate demo`.
#[derive(Args, Debug)]
pub(super) struct Flags {
    /// The vendor whose cluster is pretended
    #[arg(long, value_enum, value_name = "VENDOR", default_value_t)]
    flavor: Flavor,
    /// Lifetime of the pretend cluster's tokens: watch how a new one is fetched in time (-v 4)
    #[arg(long, value_name = "DURATION", default_value = "30s",
          value_parser = crate::settings::duration)]
    token_ttl: Duration,
    #[command(flatten)]
    proxy: ProxyFlags,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Flavor {
    /// Plain Kubernetes
    #[default]
    Kubernetes,
    // The doc comment is the help's text.
    #[allow(clippy::doc_markdown)]
    /// OpenShift, with its OAuth server and its image registry
    Openshift,
    /// IBM Cloud, with IAM and several clusters
    Ibm,
}

/// Starts the pretended cluster and the proxy in front of it.
pub(super) async fn run(flags: &Flags) -> anyhow::Result<()> {
    let proxy = &flags.proxy;
    let account = &proxy.service_account;
    let username_file = &proxy.openshift.openshift_username_file;
    for (flag, is_given) in [
        ("--ibm-cluster", proxy.ibm.ibm_cluster.is_some()),
        ("--service-account", account.service_account.is_some()),
        (
            "--service-account-secret",
            account.service_account_secret.is_some(),
        ),
        ("--openshift-username-file", username_file.is_some()),
    ] {
        if is_given {
            bail_usage!("the demo has a cluster and user of its own; leave out {flag}");
        }
    }
    match flags.flavor {
        Flavor::Kubernetes => kubernetes(flags).await,
        Flavor::Openshift => openshift::run(flags).await,
        Flavor::Ibm => ibm::run(flags).await,
    }
}

async fn kubernetes(flags: &Flags) -> anyhow::Result<()> {
    let cluster = ControlPlane::start(flags.token_ttl)
        .await
        .context("cannot start the demo's control plane")?;
    let cluster = Arc::new(cluster);
    let target = target(&cluster)?;
    let greet = |address| greeting(address, flags.proxy.allow_exec);
    serve(target, Arc::new(Tokens(cluster)), flags, greet).await
}

/// Proxies to `target`; `greet` says what to try at an address, where the listener has one.
async fn serve(
    target: Target,
    source: Arc<dyn Source>,
    flags: &Flags,
    greet: impl FnOnce(SocketAddr) -> String,
) -> anyhow::Result<()> {
    let plan = Fixed {
        target,
        credentials: Cache::new(source),
    };
    let greet = |listener: &Listener| listener.tcp_address().map_or_else(String::new, greet);
    super::proxy::serve(Box::new(plan), &flags.proxy, greet).await
}

/// The control plane as a kubeconfig would describe it.
fn target(cluster: &ControlPlane) -> anyhow::Result<Target> {
    Ok(Target {
        context: Some("demo".to_owned()),
        namespace: Some("default".to_owned()),
        cluster: Cluster {
            name: Some("demo".to_owned()),
            server: cluster.url().parse()?,
            certificate_authority: Some(Pem::Inline {
                data: cluster.ca_pem().as_bytes().to_vec().into(),
                origin: "the demo's own authority".to_owned(),
            }),
            insecure_skip_tls_verify: false,
            tls_server_name: None,
            proxy_url: None,
            disable_compression: false,
            exec_config: None,
        },
        file_cluster: None,
        user: User::default(),
    })
}

/// The demo's issuer: asks the control plane itself.
struct Tokens(Arc<ControlPlane>);

impl Source for Tokens {
    fn subject(&self) -> String {
        "the demo's issuer".to_owned()
    }

    fn fetch(&self) -> Fetch<'_> {
        Box::pin(async {
            let (token, expires_at) = self.0.token();
            tracing::debug!("the demo issued a new token");
            Ok(Credential {
                authorization: Some(bearer(token.expose())?),
                expires_at: Some(expires_at),
                ..Credential::default()
            })
        })
    }
}

fn greeting(address: SocketAddr, allow_exec: bool) -> String {
    let exec = if allow_exec {
        format!("  kubectl -s http://{address} exec -it hello -- sh\n")
    } else {
        "  (start with --allow-exec to try kubectl exec and attach)\n".to_owned()
    };
    format!(
        "\nA pretend cluster is behind it. Try:\n\
         \x20 curl http://{address}/api/v1/pods\n\
         \x20 curl http://{address}/openapi/v3/apis/apps/v1\n\
         \x20 curl -N 'http://{address}/api/v1/pods?watch=1'\n\
         \x20 kubectl -s http://{address} get pods,deployments\n\
         \x20 kubectl -s http://{address} logs -f hello\n\
         {exec}"
    )
}
