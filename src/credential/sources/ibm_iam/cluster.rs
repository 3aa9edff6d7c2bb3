//! A cluster, and where its API server is reached.

use http::Uri;
use serde::Deserialize;

use super::error::{VENDOR, ibm_error};
use super::names::Named;
use crate::{
    credential::{Error, protocol::issuer},
    settings::IbmEndpoint,
};

/// A cluster, as a list or its own entry tells of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct IbmCluster {
    /// Its id.
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
    /// Version 1's name for it.
    #[serde(rename = "serverURL")]
    server: Option<String>,
    #[serde(rename = "serviceEndpoints")]
    nested: Option<Ends>,
    #[serde(flatten)]
    flat: Ends,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
struct Ends {
    #[serde(rename = "publicServiceEndpointEnabled")]
    public_enabled: Option<bool>,
    #[serde(rename = "publicServiceEndpointURL")]
    public: Option<String>,
    #[serde(rename = "privateServiceEndpointEnabled")]
    private_enabled: Option<bool>,
    #[serde(rename = "privateServiceEndpointURL")]
    private: Option<String>,
}

impl Ends {
    fn url(&self, end: IbmEndpoint) -> Option<&str> {
        let (enabled, url) = match end {
            IbmEndpoint::Public => (self.public_enabled, &self.public),
            IbmEndpoint::Private => (self.private_enabled, &self.private),
        };
        let url = url.as_deref().filter(|url| !url.is_empty());
        url.filter(|_| enabled != Some(false))
    }

    /// Whether it is told if there is such an endpoint.
    fn tells(&self, end: IbmEndpoint) -> bool {
        match end {
            IbmEndpoint::Public => self.public_enabled.is_some(),
            IbmEndpoint::Private => self.private_enabled.is_some(),
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
    /// Whether it is an `OpenShift` cluster, which has an OAuth server of its own.
    #[must_use]
    pub fn is_openshift(&self) -> bool {
        self.kind.as_deref() == Some("openshift")
    }

    /// Where its API server is; without a word, where IBM Cloud says that it is by default.
    ///
    /// # Errors
    /// A state in which it cannot serve, an endpoint that it does not have.
    pub fn endpoint(&self, asked: Option<IbmEndpoint>) -> Result<Uri, Error> {
        self.serves()?;
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
        // An older answer names its one endpoint alone.
        let only = |end| {
            let told = self.nested.as_ref().is_some_and(|ends| ends.tells(end));
            let fits = |url: &&str| is_private(url) == (end == IbmEndpoint::Private);
            default.filter(|url| fits(url) && !told && !self.flat.tells(end))
        };
        let url = match asked {
            None => default,
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
                None => ("", " yet; wait until its master is deployed"),
            };
            ibm_error(format!(
                "cluster {name:?} has no {kind}service endpoint{other}"
            ))
        })?;
        let url = if url.contains("://") {
            url.to_owned()
        } else {
            format!("https://{url}")
        };
        let url = issuer::https(&format!("the endpoint of cluster {name:?}"), &url)?;
        Ok(if self.is_openshift() {
            trusted_name(url)
        } else {
            url
        })
    }

    /// Whether its state lets it answer. The words are those of IBM Cloud's documentation.
    fn serves(&self) -> Result<(), Error> {
        let (advice, transient) = match self.state.as_deref().unwrap_or_default() {
            "requested" | "deploying" => ("wait until its master is deployed", true),
            "deploy_failed" | "aborted" => ("its master was never deployed; make a new one", false),
            "deleting" | "deleted" => ("it can be reached no more; choose another", false),
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

/// `OpenShift` clusters show publicly trusted certificates under names that end in `-e` alone:
/// `c100.private...` is `c100-e.private...`.
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
