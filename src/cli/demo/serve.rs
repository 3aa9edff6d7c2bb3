//! The proxy in front of the demo's cluster.

use std::{net::SocketAddr, path::PathBuf, sync::Arc};

use super::program;
use crate::{
    cli::proxy::{self, Fixed, Sources},
    credential::{Cache, Source, store::Store},
    demo::ControlPlane,
    kubeconfig::{Cluster, Pem, Target, User},
    serve::Listener,
    settings::ProxyFlags,
};

/// Where the proxy serves, for the commands that a greeting shows.
pub(super) struct Door {
    url: String,
    is_https: bool,
    /// The certificate of the local CA, with `--tls-self-signed`.
    authority: Option<PathBuf>,
}

impl Door {
    fn new(address: SocketAddr, flags: &ProxyFlags) -> Self {
        let tls = &flags.tls;
        let is_https = tls.is_on();
        let scheme = if is_https { "https" } else { "http" };
        let store = Store::of_user(&|name| std::env::var_os(name)).ok();
        Self {
            url: format!("{scheme}://{address}"),
            is_https,
            authority: store
                .filter(|_| tls.tls_self_signed)
                .map(|store| store.authority_file()),
        }
    }

    /// Returns a line with a command of curl, for a URL without its beginning.
    pub(super) fn curl(&self, options: &str, path: &str) -> String {
        let url = &self.url;
        let url = if path.contains(['?', '&']) {
            format!("'{url}{path}'")
        } else {
            format!("{url}{path}")
        };
        let authority = self.authority.as_ref().map_or_else(String::new, |file| {
            format!(" --cacert {}", program::path_of(file))
        });
        format!("  curl{authority}{options} {url}\n")
    }

    /// Returns a line with a command of kubectl. Over https there is none: kubectl asks for a user name
    /// there, unless it has a credential for the proxy.
    pub(super) fn kubectl(&self, command: &str) -> String {
        if self.is_https {
            return String::new();
        }
        format!("  kubectl -s {} {command}\n", self.url)
    }

    /// Returns a line that says why there is none with kubectl.
    pub(super) fn note(&self) -> &'static str {
        if self.is_https {
            "  (over https kubectl needs a credential for the proxy: kubegate kubeconfig --help)\n"
        } else {
            ""
        }
    }
}

/// Proxies to `target`. `greet` returns what to try at the listener's TCP address.
pub(super) async fn serve(
    target: Target,
    credential_source: Arc<dyn Source>,
    flags: &ProxyFlags,
    greet: impl FnOnce(&Door) -> String,
) -> anyhow::Result<()> {
    let source = Fixed {
        target,
        credentials: Cache::new(credential_source),
    };
    let greet = |listener: &Listener| {
        let door = listener
            .tcp_address()
            .map(|address| Door::new(address, flags));
        door.as_ref().map_or_else(String::new, greet)
    };
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
