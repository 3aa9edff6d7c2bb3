//! The issuer and API server that a saved login is for. Its name is not enough to use it: a
//! kubeconfig from another source can name it too, with its own issuer or API server.

use http::Uri;

use super::{Error, SavedLogin};
use crate::kubeconfig::{self, Cluster, ProxyScheme, ProxyUrl, issuer_name};

/// An issuer and an API server that a login is used with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoginBinding {
    issuer: Option<String>,
    /// The client at the issuer; `None` means any.
    client: Option<String>,
    server: Option<String>,
}

impl LoginBinding {
    /// A cluster with its own issuer, until [`LoginBinding::with_issuer`] names another.
    #[must_use]
    pub fn of_cluster(cluster: &Cluster) -> Self {
        Self {
            server: Some(server(&cluster.server, cluster.proxy_url.as_ref())),
            ..Self::default()
        }
    }

    /// An API server that is reached without `proxy-url`.
    #[must_use]
    pub fn of_server(url: &Uri) -> Self {
        Self {
            server: Some(server(url, None)),
            ..Self::default()
        }
    }

    /// An issuer, for any cluster.
    #[must_use]
    pub fn of_issuer(url: &str) -> Self {
        Self::default().with_issuer(url)
    }

    /// The same with the issuer at `url`.
    #[must_use]
    pub fn with_issuer(self, url: &str) -> Self {
        let issuer = Some(issuer_name(url).to_owned());
        Self { issuer, ..self }
    }

    /// The same with a client at the issuer.
    #[must_use]
    pub fn with_client(self, id: &str) -> Self {
        let client = Some(id.to_owned());
        Self { client, ..self }
    }

    /// The API server, if there is one.
    #[must_use]
    pub fn server(&self) -> Option<&str> {
        self.server.as_deref()
    }

    /// Whether its issuer gave the saved login.
    #[must_use]
    pub fn is_issuer_of(&self, saved: &SavedLogin) -> bool {
        self.issuer == saved.issuer
    }

    fn is_of_other_client(&self, saved: &SavedLogin) -> bool {
        let both = self.client.as_ref().zip(saved.client_id.as_ref());
        both.is_some_and(|(own, saved)| own != saved)
    }

    /// Refuses a login that was saved for another issuer, client or API server.
    pub(super) fn check(&self, login: &str, saved: &SavedLogin) -> Result<(), Error> {
        let (given, known) = match &self.server {
            _ if !self.is_issuer_of(saved) => (
                named(self.issuer.as_deref()),
                named(saved.issuer.as_deref()),
            ),
            _ if self.is_of_other_client(saved) => (
                client(self.client.as_deref()),
                client(saved.client_id.as_deref()),
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
        Err(Error::OtherBinding {
            login: login.to_owned(),
            given,
            known,
        })
    }

    /// The saved login, for this API server too.
    pub(super) fn added_to(&self, saved: &SavedLogin) -> SavedLogin {
        let mut saved = saved.clone();
        saved.issuer.clone_from(&self.issuer);
        if self.client.is_some() {
            saved.client_id.clone_from(&self.client);
        }
        if let Some(server) = &self.server
            && !saved.servers.contains(server)
        {
            saved.servers.push(server.clone());
        }
        saved
    }
}

fn client(id: Option<&str>) -> String {
    format!("the client {:?}", id.unwrap_or_default())
}

fn named(url: Option<&str>) -> String {
    match url {
        Some(url) => format!("the issuer {url}"),
        None => "a cluster's own issuer".to_owned(),
    }
}

/// The API server, and the proxy in front of it: with a proxy and a certificate authority of its
/// own, a kubeconfig can impersonate any server.
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
