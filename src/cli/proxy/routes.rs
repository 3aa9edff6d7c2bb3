//! Routes to other servers than the API server, by the flags and the settings file.

use std::net::SocketAddr;

use anyhow::Context as _;

use super::{listen::refuse_own_listener, upstreams::UpstreamBuilder};
use crate::{
    cli::usage::bail_usage,
    credential::ibm_iam,
    kubeconfig::{Cluster, Pem},
    proxy::Prefix,
    serve::{ExtraUpstream, RouteCredential},
    settings::{ProxyFlags, Route},
};

/// The first segments of paths that an API server, or kubegate itself, serves.
const RESERVED: [&str; 17] = [
    ".kubegate",
    ".well-known",
    "api",
    "apis",
    "clusters",
    "debug",
    "healthz",
    "livez",
    "logs",
    "metrics",
    "oapi",
    "oauth",
    "openapi",
    "openid",
    "readyz",
    "swaggerapi",
    "version",
];

/// Returns the routes of the flags and of the settings file. A flag replaces a setting of the same path.
/// `is_several` tells whether several contexts are served.
///
/// # Errors
/// A route hides another path, or it is not clear whose credential its server gets.
pub(super) fn of_flags(flags: &ProxyFlags, is_several: bool) -> anyhow::Result<Vec<ExtraUpstream>> {
    if is_several && let Some(route) = flags.route.first() {
        bail_usage!(
            "--route {} gets the credential of the one context, but several are served; set it in the \
             settings file with its context, below [routes.\"{}\"]",
            route.path,
            route.path
        );
    }
    let is_flag = |path: &str| flags.route.iter().any(|route| route.path == path);
    let settings = flags.routes.iter().filter(|route| !is_flag(&route.path));
    let routes: Vec<&Route> = flags.route.iter().chain(settings).collect();
    refuse_overlaps(&routes, flags)?;
    let builder = UpstreamBuilder::new(flags);
    let made = routes.into_iter().map(|route| {
        require_context(route, flags, is_several)?;
        made(route, &builder).with_context(|| format!("route {}", route.path))
    });
    made.collect()
}

/// Refuses routes that lead to the listener itself.
pub(super) fn refuse_loops(flags: &ProxyFlags, own: SocketAddr) -> anyhow::Result<()> {
    let mut routes = flags.route.iter().chain(&flags.routes);
    routes.try_for_each(|route| {
        refuse_own_listener(own, &route.url).with_context(|| format!("route {}", route.path))
    })
}

fn refuse_overlaps(routes: &[&Route], flags: &ProxyFlags) -> anyhow::Result<()> {
    let overlap = |one: &Prefix, other: &Prefix| one.is_below(other) || other.is_below(one);
    let api = ("--api-prefix", &flags.api_prefix);
    let files = flags.www().map(|_| ("--www-prefix", &flags.www_prefix));
    for (index, route) in routes.iter().enumerate() {
        let path = &route.path;
        let first = path.split('/').nth(1).unwrap_or_default();
        if RESERVED.iter().any(|name| name.eq_ignore_ascii_case(first)) {
            bail_usage!(
                "route {path} would hide /{first}, which the API server or kubegate serves; choose \
                 another path"
            );
        }
        let prefix = Prefix::new(path);
        let others = routes.iter().skip(index + 1);
        if let Some(other) = others
            .map(|r| &r.path)
            .find(|p| overlap(&prefix, &Prefix::new(p)))
        {
            bail_usage!("routes {path} and {other} overlap; choose another path for one of them");
        }
        for (flag, other) in [Some(api), files].into_iter().flatten() {
            let other_prefix = Prefix::new(other);
            // Everything is below the root.
            if other_prefix != Prefix::new("/") && overlap(&prefix, &other_prefix) {
                bail_usage!(
                    "route {path} and {flag} {other} overlap; choose another path for one of them"
                );
            }
        }
    }
    Ok(())
}

/// Refuses a route of which it is not clear whose credential its server gets.
fn require_context(route: &Route, flags: &ProxyFlags, is_several: bool) -> anyhow::Result<()> {
    if route.context.is_some() || !(is_several || flags.follow_current_context) {
        return Ok(());
    }
    let path = &route.path;
    bail_usage!(
        "route {path} would get the credential of every context that is served; name one in the settings \
         file: context = \"NAME\" below [routes.\"{path}\"]"
    )
}

fn made(route: &Route, builder: &UpstreamBuilder) -> anyhow::Result<ExtraUpstream> {
    // Only a user of IBM Cloud needs the variables for its services to be right.
    let of_ibm = ibm_iam::endpoints(None).ok();
    let of_ibm = of_ibm.and_then(|endpoints| endpoints.container_service(&route.url));
    let credential = match of_ibm {
        Some(_) => RouteCredential::IbmCloud,
        None => RouteCredential::OfApiServer,
    };
    let authority = route.certificate_authority.as_ref();
    let cluster = Cluster {
        name: None,
        server: of_ibm.unwrap_or_else(|| route.url.clone()),
        certificate_authority: authority.map(|file| Pem::from_flag("certificate-authority", file)),
        insecure_skip_tls_verify: false,
        tls_server_name: None,
        proxy_url: None,
        disable_compression: false,
        exec_config: None,
    };
    let upstream = builder
        .build_below_path(&cluster)
        .map_err(anyhow::Error::from_boxed)?;
    let (path, context) = (&route.path, route.context.as_deref());
    ExtraUpstream::new(path, context, upstream, credential).map_err(anyhow::Error::from_boxed)
}
