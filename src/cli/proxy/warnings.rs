//! What the log says at the start about safety and the target.

use http::uri::Scheme;

use crate::{
    cli::contexts::verified_by,
    kubeconfig::Cluster,
    proxy::guard::Guard,
    serve::{Listener, Reloader},
    settings::ProxyFlags,
};

/// Says in the log where requests go, which standard output does not.
pub(super) fn log_listening(listener: &Listener, reloader: &Reloader) {
    let target = reloader.target();
    let cluster = &target.cluster;
    let context = target.context.as_ref();
    let context = context.map_or(String::new(), |context| format!(" of context {context:?}"));
    tracing::info!(
        "listening on {listener} for {}{context}, verified by {}; credential: {}",
        cluster.url(),
        verified_by(cluster),
        reloader.destination().credentials.subject()
    );
}

/// Says once, at start, what is less safe than it could be about our own door.
pub(super) fn of_listener(guard: &Guard, flags: &ProxyFlags) {
    if flags.unix_socket().is_none() && !flags.address.is_loopback() {
        tracing::warn!(
            "listening beyond this machine on {}: whoever reaches it acts in the cluster with \
             your credential",
            flags.address
        );
    }
    if guard.accepts_any_host() {
        tracing::warn!(
            "requests may name any host: a web page whose name is made to resolve to this \
             machine (DNS rebinding) gets in; narrow --accept-hosts and leave out --disable-filter"
        );
    }
    if guard.accepts_beyond_loopback() {
        tracing::info!(
            "browsers may use this proxy at loopback names, such as localhost, or over https \
             before it; their requests over plain http to other names are refused"
        );
    }
    if flags.trust_proxied_pages {
        tracing::warn!(
            "pages behind */proxy and in logs are trusted (--trust-proxied-pages): each of them \
             can use your credential for everything in the cluster"
        );
    } else {
        tracing::info!(
            "pages behind */proxy are sandboxed in browsers: web UIs there do not load their \
             parts; --trust-proxied-pages lets them, and gives them your credential"
        );
    }
}

/// Says what is less safe than it could be on the way to the cluster.
pub(super) fn of_cluster(cluster: &Cluster) {
    let server = &cluster.server;
    if cluster.insecure_skip_tls_verify {
        tracing::warn!(
            "the certificate of {server} is NOT verified (insecure-skip-tls-verify): anybody on \
             the way can read and change everything, your credential included"
        );
    }
    if server.scheme() == Some(&Scheme::HTTP) {
        tracing::warn!(
            "{server} is reached in plain text, so no credential of yours is sent to it"
        );
    }
}
