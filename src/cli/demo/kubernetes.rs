//! `kubegate demo --flavor kubernetes`

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;

use super::serve::{Door, serve, target};
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
    let greet = |door: &Door| greeting(door, flags.allow_exec);
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

fn greeting(door: &Door, allow_exec: bool) -> String {
    let exec = if allow_exec {
        door.kubectl("exec -it hello -- sh")
    } else {
        "  (start with --allow-exec to try kubectl exec and attach)\n".to_owned()
    };
    [
        "\nIt serves the demo's cluster. Try:\n",
        &door.curl("", "/api/v1/pods"),
        &door.curl("", "/openapi/v3/apis/apps/v1"),
        &door.curl(" -N", "/api/v1/pods?watch=1"),
        &door.kubectl("get pods,deployments"),
        &door.kubectl("logs -f hello"),
        &exec,
        door.note(),
    ]
    .concat()
}
