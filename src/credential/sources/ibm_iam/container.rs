//! Requests to the container service: clusters and their CAs. Uses version 2 of its API, or version 1
//! where there is no other.

use std::time::{Duration, Instant};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use http::StatusCode;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::error::ibm_error;
use super::{
    cluster::IbmCluster,
    names::{find, names, suggestions},
    services::{Services, problem},
};
use crate::{
    credential::{
        Error,
        protocol::issuer::{Response, form_encoded},
    },
    settings::IbmEndpoint,
};

/// The paths of the lists in version 2, one for each infrastructure.
const LISTS: [&str; 3] = [
    "/v2/classic/getClusters",
    "/v2/vpc/getClusters?provider=vpc-gen2",
    "/v2/satellite/getClusters",
];
/// How long the cluster may take to apply the user's roles.
const RBAC_TIMEOUT: Duration = Duration::from_secs(30);
const RBAC_PAUSE: Duration = Duration::from_secs(1);

/// Returns all clusters of the account.
pub(super) async fn list(services: &Services) -> Result<Vec<IbmCluster>, Error> {
    let mut clusters = Vec::new();
    let mut answered = false;
    for path in LISTS {
        let response = services.get(&services.endpoints.containers(path)?).await?;
        // The account or the endpoint does not have this infrastructure.
        if is_absent(&response) {
            continue;
        }
        answered = true;
        clusters.append(&mut parsed::<Vec<IbmCluster>>(
            &response,
            "a list of clusters",
        )?);
    }
    if !answered {
        let url = services.endpoints.containers("/v1/clusters")?;
        clusters = parsed(&services.get(&url).await?, "a list of clusters")?;
    }
    Ok(clusters)
}

/// Returns the cluster with the name or ID `asked`, with its endpoints.
pub(super) async fn cluster(services: &Services, asked: &str) -> Result<IbmCluster, Error> {
    let encoded = form_encoded(asked);
    let paths = [
        format!("/v2/getCluster?cluster={}", *encoded),
        format!("/v1/clusters/{}", *encoded),
    ];
    for path in paths {
        let response = services.get(&services.endpoints.containers(&path)?).await?;
        if is_unknown(&response) {
            return Err(unknown(services, asked).await?);
        }
        if !is_absent(&response) {
            return parsed(&response, "a cluster");
        }
    }
    Err(unknown(services, asked).await?)
}

/// Returns the error that there is no such cluster, with those that exist.
async fn unknown(services: &Services, asked: &str) -> Result<Error, Error> {
    let clusters = list(services).await?;
    if let [one, other, ..] = find(&clusters, asked)[..] {
        let both = [one.clone(), other.clone()];
        return Ok(ibm_error(format!(
            "several clusters are named {asked:?}; choose one by its id: {}",
            names(&both)
        )));
    }
    Ok(ibm_error(format!(
        "this account has no cluster {asked:?}; {}",
        suggestions(&clusters, asked)
    )))
}

/// What the cluster's kubeconfig says about its server.
pub(super) struct KubeconfigCluster {
    /// The API server's URL.
    pub(super) server: Option<String>,
    /// Its CA as PEM; `None` if it is publicly trusted.
    pub(super) authority: Option<Vec<u8>>,
}

/// Returns the server of the cluster's kubeconfig for one of its endpoints. The request also makes the
/// cluster apply the user's roles.
pub(super) async fn kubeconfig(
    services: &Services,
    cluster: &IbmCluster,
    end: Option<IbmEndpoint>,
) -> Result<KubeconfigCluster, Error> {
    // The public endpoint is the default, where there is one.
    let kind = end.and_then(|end| match end {
        IbmEndpoint::Public => None,
        IbmEndpoint::Private => Some("private"),
        IbmEndpoint::Vpe => Some("vpe"),
        IbmEndpoint::Link => Some("link"),
    });
    let mut body = json!({"cluster": cluster.id, "format": "json", "admin": false});
    if let Some(kind) = kind {
        body["endpointType"] = json!(kind);
    }
    let url = services
        .endpoints
        .containers("/v2/applyRBACAndGetKubeconfig")?;
    let mut response = services.post(&url, &body).await?;
    if is_absent(&response) {
        let id = form_encoded(&cluster.id);
        let kind = kind.map(|kind| format!("&endpointType={kind}"));
        let kind = kind.unwrap_or_default();
        let path = format!("/v2/getKubeconfig?cluster={}&format=json{kind}", *id);
        response = services.get(&services.endpoints.containers(&path)?).await?;
    } else if response.status == StatusCode::OK {
        wait_for_roles(services, cluster).await;
    }
    // The cluster has no such endpoint.
    if response.status == StatusCode::BAD_REQUEST
        && let Some(end @ (IbmEndpoint::Vpe | IbmEndpoint::Link)) = end
    {
        cluster.endpoint(Some(end))?;
    }
    let config: Value = parsed(&response, "a kubeconfig")?;
    let authority = field(&config, "certificate-authority-data").map(|data| {
        let pem = BASE64_STANDARD.decode(data.trim());
        pem.map_err(|_| problem(&response, "its certificate-authority-data is not base64"))
    });
    Ok(KubeconfigCluster {
        server: field(&config, "server").map(str::to_owned),
        authority: authority.transpose()?,
    })
}

/// Returns the first text of a field at any depth of a response.
fn field<'a>(value: &'a Value, name: &str) -> Option<&'a str> {
    match value {
        Value::Object(fields) => {
            let text = fields.get(name).and_then(Value::as_str);
            let text = text.filter(|text| !text.is_empty());
            text.or_else(|| fields.values().find_map(|inner| field(inner, name)))
        }
        Value::Array(items) => items.iter().find_map(|inner| field(inner, name)),
        _ => None,
    }
}

/// Waits until the cluster has applied the user's roles. If that takes too long, the API server may
/// forbid the first requests, and a warning says so.
async fn wait_for_roles(services: &Services, cluster: &IbmCluster) {
    #[derive(Deserialize)]
    struct Status {
        synchronized: bool,
    }
    let path = format!("/v2/getRBACStatus?cluster={}", *form_encoded(&cluster.id));
    let Ok(url) = services.endpoints.containers(&path) else {
        return;
    };
    let started = Instant::now();
    while started.elapsed() < RBAC_TIMEOUT {
        match services.get(&url).await {
            Ok(response) if response.status == StatusCode::OK => {
                let status: Option<Status> = serde_json::from_slice(&response.body).ok();
                if status.is_none_or(|status| status.synchronized) {
                    return;
                }
            }
            // A new cluster may respond like this for minutes.
            Ok(response) if response.status == StatusCode::NOT_FOUND => {}
            Err(error) if error.is_transient() => {}
            // Waiting does not help if the service cannot tell.
            Ok(_) | Err(_) => return,
        }
        tokio::time::sleep(RBAC_PAUSE).await;
    }
    tracing::warn!(
        cluster = cluster.name,
        "IBM Cloud has not applied your roles in the cluster yet: it may forbid requests for some \
         minutes"
    );
}

/// Returns whether the service has no such path, as opposed to no such cluster.
fn is_absent(response: &Response) -> bool {
    let absent = matches!(
        response.status,
        StatusCode::NOT_FOUND
            | StatusCode::METHOD_NOT_ALLOWED
            | StatusCode::GONE
            | StatusCode::NOT_IMPLEMENTED
    );
    absent && !is_unknown(response)
}

/// Returns whether the error is "The specified cluster could not be found."
fn is_unknown(response: &Response) -> bool {
    #[derive(Deserialize)]
    struct Fault {
        code: String,
    }
    let fault: Option<Fault> = serde_json::from_slice(&response.body).ok();
    response.status == StatusCode::NOT_FOUND && fault.is_some_and(|fault| fault.code == "G0004")
}

fn parsed<T: DeserializeOwned>(response: &Response, what: &str) -> Result<T, Error> {
    match response.status {
        StatusCode::OK => serde_json::from_slice(&response.body)
            .map_err(|_| problem(response, &format!("its answer is not {what}"))),
        status @ (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => Err(problem(
            response,
            &format!(
                "it answered {status}; have the account's administrator give you a role for \
                 Kubernetes Service"
            ),
        )),
        status => Err(problem(response, &format!("it answered {status}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_found_at_any_depth() {
        let inner = json!({"clusters": [{"name": "a", "cluster": {"server": "https://a",
            "certificate-authority-data": "Y2E="}}]});
        let authority = |value| field(value, "certificate-authority-data").map(str::to_owned);
        assert_eq!(authority(&inner).as_deref(), Some("Y2E="));
        assert_eq!(field(&inner, "server"), Some("https://a"));
        let wrapped = json!({"kubeconfig": inner, "format": "json"});
        assert_eq!(authority(&wrapped).as_deref(), Some("Y2E="));
        assert_eq!(authority(&json!({"clusters": [{"cluster": {}}]})), None);
    }
}
