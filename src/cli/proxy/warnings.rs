//! Log lines about the target, and about what is less safe than it could be.

use http::uri::Scheme;

use super::listen::{Place, exposure};
use crate::{
    cli::contexts::verified_by,
    kubeconfig::Cluster,
    proxy::guard::Guard,
    serve::{Listener, Reloader},
    settings::ProxyFlags,
};

/// Logs where requests go, which the line on standard output does not say.
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

/// Warns at the start of what the listener and the guard allow.
pub(super) fn of_listener(guard: &Guard, place: &Place, flags: &ProxyFlags) {
    let addresses = place.addresses().into_iter();
    for address in addresses.filter(|address| exposure(flags, address.ip()).is_unsafe()) {
        tracing::warn!(
            "--unsafe-listen: other machines that reach {address} act in the cluster with your credential, \
             or read what is sent"
        );
    }
    if flags.tls.tls_self_signed && !flags.address.to_canonical().is_loopback() {
        tracing::warn!(
            "--tls-self-signed is good for localhost, 127.0.0.0/8 and ::1 alone: clients that connect to \
             another name or address refuse it; give --tls-cert and --tls-key for those"
        );
    }
    if guard.accepts_any_host() {
        tracing::warn!(
            "requests may name any host, so a web page whose name is made to resolve to this machine \
             (DNS rebinding) gets in; narrow --accept-hosts and leave out --disable-filter"
        );
    }
    if guard.accepts_beyond_loopback() {
        tracing::info!(
            "browsers may use this proxy at loopback names, such as localhost, or through https in front \
             of it; their requests over plain http to other names are refused"
        );
    }
    if flags.trust_proxied_pages {
        tracing::warn!(
            "pages behind */proxy and in logs are trusted (--trust-proxied-pages): each of them \
             can use your credential for everything in the cluster"
        );
    } else {
        tracing::info!(
            "pages behind */proxy are sandboxed in browsers, so a web UI there cannot load its parts; \
             --trust-proxied-pages allows that, and lets the pages use your credential"
        );
    }
}

/// Warns of a connection to the cluster that is not verified or not encrypted.
pub(super) fn of_cluster(cluster: &Cluster) {
    let server = &cluster.server;
    if cluster.insecure_skip_tls_verify {
        tracing::warn!(
            "the certificate of {server} is NOT verified (insecure-skip-tls-verify): others \
             on the network can read and change everything, your credential included"
        );
    }
    if server.scheme() == Some(&Scheme::HTTP) {
        tracing::warn!("{server} is reached over plain http, so your credential is not sent to it");
    }
}
