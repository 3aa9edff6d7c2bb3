//! `kubegate demo --flavor kubernetes`

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context as _;

use super::serve::{serve, target};
use crate::{
    credential::{Credential, Fetch, Source, bearer},
    demo::ControlPlane,
    settings::ProxyFlags,
};

/// Starts a Kubernetes cluster, and the proxy in front of it.
pub(super) async fn run(token_ttl: Duration, flags: &ProxyFlags) -> anyhow::Result<()> {
    let cluster = ControlPlane::start(token_ttl)
        .await
        .context("cannot start the demo's control plane")?;
    let cluster = Arc::new(cluster);
    let target = target(&cluster)?;
    let greet = |address| greeting(address, flags.allow_exec);
    serve(target, Arc::new(Tokens(cluster)), flags, greet).await
}

/// Takes tokens from the demo's control plane.
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
        "\nIt serves the demo's cluster. Try:\n\
         \x20 curl http://{address}/api/v1/pods\n\
         \x20 curl http://{address}/openapi/v3/apis/apps/v1\n\
         \x20 curl -N 'http://{address}/api/v1/pods?watch=1'\n\
         \x20 kubectl -s http://{address} get pods,deployments\n\
         \x20 kubectl -s http://{address} logs -f hello\n\
         {exec}"
    )
}
