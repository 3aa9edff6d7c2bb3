//! Where a saved login belongs. Its name alone opens nothing: a kubeconfig that came from
//! elsewhere can name it too, beside an issuer or API server of its own.

use http::Uri;

use super::{Error, Saved};
use crate::kubeconfig::{self, Cluster, ProxyScheme, ProxyUrl};

/// An issuer and an API server that a login is to be used with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoginBinding {
    issuer: Option<String>,
    server: Option<String>,
}

impl LoginBinding {
    /// A cluster; of its own issuer, until another is named.
    #[must_use]
    pub fn of_cluster(cluster: &Cluster) -> Self {
        Self {
            server: Some(server(&cluster.server, cluster.proxy_url.as_ref())),
            issuer: None,
        }
    }

    /// An API server that is reached without a proxy of its own.
    #[must_use]
    pub fn of_server(url: &Uri) -> Self {
        Self {
            server: Some(server(url, None)),
            issuer: None,
        }
    }

    /// An issuer, whatever the cluster.
    #[must_use]
    pub fn of_issuer(url: &str) -> Self {
        Self::default().with_issuer(url)
    }

    /// The same by tokens of the issuer at `url`.
    #[must_use]
    pub fn with_issuer(self, url: &str) -> Self {
        let issuer = Some(url.trim_end_matches('/').to_owned());
        Self { issuer, ..self }
    }

    /// The API server, where one is meant.
    #[must_use]
    pub fn server(&self) -> Option<&str> {
        self.server.as_deref()
    }

    /// Whether it is the issuer that gave what is saved.
    #[must_use]
    pub fn is_issuer_of(&self, saved: &Saved) -> bool {
        self.issuer == saved.issuer
    }

    /// Refuses what was saved for another place.
    pub(super) fn check(&self, login: &str, saved: &Saved) -> Result<(), Error> {
        let (given, known) = match &self.server {
            _ if !self.is_issuer_of(saved) => (
                named(self.issuer.as_deref()),
                named(saved.issuer.as_deref()),
            ),
            Some(server) if !saved.servers.contains(server) => (
                format!("the API server {server}"),
                match &saved.servers[..] {
                    [] => "no API server".to_owned(),
                    servers => servers.join(", "),
                },
            ),
            _ => return Ok(()),
        };
        Err(Error::Elsewhere {
            login: login.to_owned(),
            given,
            known,
        })
    }

    /// What is saved, now for this place too.
    pub(super) fn stamped(&self, saved: &Saved) -> Saved {
        let mut saved = saved.clone();
        saved.issuer.clone_from(&self.issuer);
        if let Some(server) = &self.server
            && !saved.servers.contains(server)
        {
            saved.servers.push(server.clone());
        }
        saved
    }
}

fn named(url: Option<&str>) -> String {
    match url {
        Some(url) => format!("the issuer {url}"),
        None => "a cluster's own issuer".to_owned(),
    }
}

/// The API server, and the proxy before it: with a proxy and an authority of one's own, any
/// server can be played.
fn server(url: &Uri, proxy: Option<&ProxyUrl>) -> String {
    let scheme = url.scheme_str().unwrap_or_default();
    let host = kubeconfig::host(url).to_ascii_lowercase();
    let host = if host.contains(':') {
        format!("[{host}]")
    } else {
        host
    };
    let path = url.path().trim_end_matches('/');
    let url = format!("{scheme}://{host}:{}{path}", kubeconfig::port(url));
    match proxy {
        Some(proxy) => {
            let scheme = match proxy.scheme {
                ProxyScheme::Http => "http",
                ProxyScheme::Https => "https",
                ProxyScheme::Socks5 => "socks5",
            };
            let address = proxy.address().to_ascii_lowercase();
            format!("{url} by the proxy {scheme}://{address}")
        }
        None => url,
    }
}
