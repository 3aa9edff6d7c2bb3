//! [`IbmCluster`]: a cluster and the URLs of its API server.

use http::Uri;
use serde::Deserialize;

use super::error::{VENDOR, ibm_error};
use super::names::Named;
use crate::{
    credential::{Error, protocol::issuer},
    settings::IbmEndpoint,
};

/// A cluster in the responses of the container service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct IbmCluster {
    /// Its ID.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Such as `us-south`.
    pub region: Option<String>,
    /// Such as `normal`.
    pub state: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
    #[serde(rename = "masterURL")]
    master: Option<String>,
    /// The same in version 1 of the API.
    #[serde(rename = "serverURL")]
    server: Option<String>,
    /// The endpoint in the cluster's VPC.
    #[serde(rename = "virtualPrivateEndpointURL")]
    vpe: Option<String>,
    #[serde(rename = "serviceEndpoints")]
    nested: Option<ServiceEndpoints>,
    #[serde(flatten)]
    flat: ServiceEndpoints,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
struct ServiceEndpoints {
    #[serde(rename = "publicServiceEndpointEnabled")]
    public_enabled: Option<bool>,
    #[serde(rename = "publicServiceEndpointURL")]
    public: Option<String>,
    #[serde(rename = "privateServiceEndpointEnabled")]
    private_enabled: Option<bool>,
    #[serde(rename = "privateServiceEndpointURL")]
    private: Option<String>,
}

impl ServiceEndpoints {
    fn url(&self, end: IbmEndpoint) -> Option<&str> {
        let (enabled, url) = match end {
            IbmEndpoint::Public => (self.public_enabled, &self.public),
            IbmEndpoint::Private => (self.private_enabled, &self.private),
            IbmEndpoint::Vpe | IbmEndpoint::Link => return None,
        };
        let url = url.as_deref().filter(|url| !url.is_empty());
        url.filter(|_| enabled != Some(false))
    }

    /// Returns whether the response says if there is such an endpoint.
    fn mentions(&self, end: IbmEndpoint) -> bool {
        match end {
            IbmEndpoint::Public => self.public_enabled.is_some(),
            IbmEndpoint::Private => self.private_enabled.is_some(),
            IbmEndpoint::Vpe | IbmEndpoint::Link => true,
        }
    }
}

impl Named for IbmCluster {
    fn name(&self) -> &str {
        &self.name
    }

    fn id(&self) -> &str {
        &self.id
    }
}

impl IbmCluster {
    /// Returns whether it is an `OpenShift` cluster, which has an OAuth server of its own.
    #[must_use]
    pub fn is_openshift(&self) -> bool {
        self.kind.as_deref() == Some("openshift")
    }

    /// Returns the URL of its API server: the endpoint asked for, or IBM Cloud's default.
    ///
    /// # Errors
    /// The cluster is in a state in which it cannot serve, or has no such endpoint.
    pub fn endpoint(&self, asked: Option<IbmEndpoint>) -> Result<Uri, Error> {
        self.check_state()?;
        let of = |end| {
            let nested = self.nested.as_ref().and_then(|ends| ends.url(end));
            nested.or(self.flat.url(end))
        };
        let default = [&self.master, &self.server]
            .into_iter()
            .flatten()
            .map(String::as_str)
            .find(|url| !url.is_empty());
        let is_private = |url: &str| url.contains(".private.");
        // An older response has a single URL, which is either the public or the private one.
        let only = |end| {
            let mentioned = self.nested.as_ref().is_some_and(|ends| ends.mentions(end));
            let fits = |url: &&str| is_private(url) == (end == IbmEndpoint::Private);
            default.filter(|url| fits(url) && !mentioned && !self.flat.mentions(end))
        };
        let url = match asked {
            None => default,
            Some(IbmEndpoint::Vpe) => self.vpe.as_deref().filter(|url| !url.is_empty()),
            Some(end) => of(end).or_else(|| only(end)),
        };
        let name = &self.name;
        let url = url.ok_or_else(|| {
            let (kind, other) = match asked {
                Some(IbmEndpoint::Public) => ("public ", "; ask for --ibm-endpoint private"),
                Some(IbmEndpoint::Private) => (
                    "private ",
                    "; enable it in IBM Cloud, or ask for --ibm-endpoint public",
                ),
                Some(IbmEndpoint::Vpe) => (
                    "virtual private ",
                    ", which only clusters in a VPC have; ask for --ibm-endpoint private",
                ),
                Some(IbmEndpoint::Link) => (
                    "Satellite Link ",
                    ", which only clusters in a Satellite location have; ask for --ibm-endpoint \
                     public",
                ),
                None => ("", " yet; wait until its master is deployed"),
            };
            ibm_error(format!(
                "cluster {name:?} has no {kind}service endpoint{other}"
            ))
        })?;
        let url = self.server_url(url)?;
        // The endpoint in a VPC has a certificate of its own name.
        Ok(if self.is_openshift() && asked != Some(IbmEndpoint::Vpe) {
            trusted_name(url)
        } else {
            url
        })
    }

    /// Returns the URL of an endpoint that only a kubeconfig of IBM Cloud names, as that of a Satellite
    /// Link; `named` is the server of the kubeconfig that was requested for `asked`.
    ///
    /// # Errors
    /// There is none, or it is another endpoint: the service does not know this kind.
    pub(super) fn endpoint_of_kubeconfig(
        &self,
        asked: IbmEndpoint,
        named: Option<&str>,
    ) -> Result<Uri, Error> {
        self.check_state()?;
        let Some(named) = named.filter(|url| !url.is_empty()) else {
            return self.endpoint(Some(asked));
        };
        let url = self.server_url(named)?;
        let others = [None, Some(IbmEndpoint::Public), Some(IbmEndpoint::Private)];
        let mut others = others.into_iter().filter_map(|end| self.endpoint(end).ok());
        if others.any(|other| other == url || other == trusted_name(url.clone())) {
            return self.endpoint(Some(asked));
        }
        Ok(url)
    }

    fn server_url(&self, url: &str) -> Result<Uri, Error> {
        let url = if url.contains("://") {
            url.to_owned()
        } else {
            format!("https://{url}")
        };
        issuer::https(&format!("the endpoint of cluster {:?}", self.name), &url)
    }

    /// Returns an error if the cluster cannot serve in its state. The states are those of IBM Cloud's
    /// documentation.
    fn check_state(&self) -> Result<(), Error> {
        let (advice, transient) = match self.state.as_deref().unwrap_or_default() {
            "requested" | "deploying" => ("wait until its master is deployed", true),
            "deploy_failed" | "aborted" => ("its master was never deployed; make a new one", false),
            "deleting" | "deleted" => ("it can no longer be reached; choose another", false),
            _ => return Ok(()),
        };
        let state = self.state.as_deref().unwrap_or_default();
        Err(Error::Vendor {
            vendor: VENDOR,
            problem: format!("cluster {:?} is in state {state:?}: {advice}", self.name),
            transient,
            retry_after: None,
        })
    }
}

/// Returns the URL under whose name an `OpenShift` cluster has a publicly trusted certificate: for
/// `c100.private...` it is `c100-e.private...`.
fn trusted_name(url: Uri) -> Uri {
    let host = url.host().unwrap_or_default();
    let Some((first, rest)) = host.split_once('.') else {
        return url;
    };
    if !rest.starts_with("private.") || first.ends_with("-e") {
        return url;
    }
    let port = url.port().map(|port| format!(":{port}"));
    let authority = format!("{first}-e.{rest}{}", port.unwrap_or_default());
    let renamed = Uri::builder()
        .scheme("https")
        .authority(authority)
        .path_and_query(url.path())
        .build();
    renamed.unwrap_or(url)
}

#[cfg(test)]
mod tests;
