//! The proxy in front of the demo's cluster.

use std::{net::SocketAddr, sync::Arc};

use crate::{
    cli::proxy::{self, Fixed, Sources},
    credential::{Cache, Source},
    demo::ControlPlane,
    kubeconfig::{Cluster, Pem, Target, User},
    serve::Listener,
    settings::ProxyFlags,
};

/// Proxies to `target`. `greet` returns what to try at the listener's TCP address.
pub(super) async fn serve(
    target: Target,
    credential_source: Arc<dyn Source>,
    flags: &ProxyFlags,
    greet: impl FnOnce(SocketAddr) -> String,
) -> anyhow::Result<()> {
    let source = Fixed {
        target,
        credentials: Cache::new(credential_source),
    };
    let greet = |listener: &Listener| listener.tcp_address().map_or_else(String::new, greet);
    let sources = Sources::One(Box::new(source));
    proxy::serve(sources, Arc::default(), flags, greet).await
}

/// Returns the control plane as a kubeconfig would describe it.
pub(super) fn target(cluster: &ControlPlane) -> anyhow::Result<Target> {
    Ok(Target {
        context: Some("demo".to_owned()),
        context_ref: None,
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
