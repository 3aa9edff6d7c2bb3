//! The upstream of a target, by the flags and the environment.

use std::{
    net::SocketAddr,
    sync::{Arc, OnceLock},
    time::Duration,
};

use super::{listen::refuse_own_listener, upstream_headers::UpstreamHeaders, warnings};
use crate::{
    dial::{Dialer, Environment, Tcp},
    error::BoxError,
    kubeconfig::Cluster,
    serve::{Connector, ExtraUpstream},
    settings::{ProxyFlags, UpstreamFlags},
    tls::Trust,
    upstream::{Timeouts, Upstream},
};

/// Returns the function that makes the upstream of a target. `own` is the proxy's listener, set once
/// it is bound.
///
/// # Errors
/// The value of a header cannot be read.
pub(super) fn connector(
    flags: &ProxyFlags,
    own: Arc<OnceLock<SocketAddr>>,
    routes: Vec<ExtraUpstream>,
) -> anyhow::Result<Connector> {
    let builder = UpstreamBuilder::new(flags);
    let headers = UpstreamHeaders::watched(flags)?;
    let connector = Connector::new(Arc::new(move |target| {
        let cluster = &target.cluster;
        if let Some(own) = own.get() {
            refuse_own_listener(*own, &cluster.server)?;
        }
        let upstream = builder.build(cluster)?;
        warnings::of_cluster(cluster);
        let headers = headers.of_context(target.context.as_deref());
        if upstream.is_plaintext() && !headers.is_empty() {
            tracing::warn!(
                "no header of --upstream-header or the settings file is sent over plain http"
            );
        }
        Ok(upstream.with_headers(headers))
    }));
    Ok(connector.with_routes(routes))
}

/// Makes the upstreams of clusters.
pub(super) struct UpstreamBuilder {
    environment: Environment,
    timeouts: Timeouts,
    tcp: Tcp,
    append_path: bool,
}

impl UpstreamBuilder {
    pub(super) fn new(flags: &ProxyFlags) -> Self {
        let timeouts = timeouts(&flags.upstream);
        Self {
            environment: Environment::read(|name| std::env::var(name).ok()),
            timeouts,
            tcp: tcp(flags, timeouts),
            append_path: flags.append_server_path,
        }
    }

    /// Returns the upstream of `cluster`. Makes no connection yet.
    pub(super) fn build(&self, cluster: &Cluster) -> Result<Upstream, BoxError> {
        self.build_at(cluster, self.append_path)
    }

    /// The same for a server that gets the path of its URL before every request's path.
    pub(super) fn build_below_path(&self, cluster: &Cluster) -> Result<Upstream, BoxError> {
        self.build_at(cluster, true)
    }

    fn build_at(&self, cluster: &Cluster, append_path: bool) -> Result<Upstream, BoxError> {
        let trust = Trust::of_cluster(cluster)?;
        let dialer = Dialer::new(cluster, &self.environment, self.tcp)?;
        Ok(Upstream::new(
            cluster,
            trust,
            dialer,
            append_path,
            self.timeouts,
        )?)
    }
}

fn timeouts(flags: &UpstreamFlags) -> Timeouts {
    Timeouts {
        connect: flags.upstream_connect_timeout,
        ping_after: flags.upstream_ping_after,
        ping_timeout: flags.upstream_ping_timeout,
        silence: flags.upstream_silence_timeout,
        idle: flags.upstream_idle_timeout,
        max_age: flags.upstream_max_age,
    }
}

/// TCP keep-alive probes cover connections that no protocol above TCP can probe, such as tunnels.
fn tcp(flags: &ProxyFlags, timeouts: Timeouts) -> Tcp {
    let keepalive = flags.keepalive.unwrap_or(timeouts.silence / 2);
    Tcp {
        connect_timeout: timeouts.connect,
        keepalive: (keepalive > Duration::ZERO).then_some(keepalive),
    }
}
