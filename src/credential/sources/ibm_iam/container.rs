//! The container service: which clusters there are, and by which CA one is known. Version 2 of
//! its API, and version 1 where there is no other.

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

/// The lists of version 2, one for each infrastructure.
const LISTS: [&str; 3] = [
    "/v2/classic/getClusters",
    "/v2/vpc/getClusters?provider=vpc-gen2",
    "/v2/satellite/getClusters",
];
/// How long the cluster may take to learn what its user may do.
const RBAC_PATIENCE: Duration = Duration::from_secs(30);
const RBAC_PAUSE: Duration = Duration::from_secs(1);

/// All clusters of the account.
pub(super) async fn list(services: &Services) -> Result<Vec<IbmCluster>, Error> {
    let mut clusters = Vec::new();
    let mut answered = false;
    for path in LISTS {
        let response = services.get(&services.endpoints.containers(path)?).await?;
        // An account, or an endpoint, without this infrastructure.
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

/// The cluster of that name or id, with its endpoints.
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

/// Why there is no such cluster, with those that there are.
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

/// The CA that signs the cluster's certificate, PEM; `None` where its kubeconfig names none, for
/// it is publicly trusted. Has the cluster take note of the user's roles on the way.
pub(super) async fn authority(
    services: &Services,
    cluster: &IbmCluster,
    end: Option<IbmEndpoint>,
) -> Result<Option<Vec<u8>>, Error> {
    let mut body = json!({"cluster": cluster.id, "format": "json", "admin": false});
    if end == Some(IbmEndpoint::Private) {
        body["endpointType"] = json!("private");
    }
    let url = services
        .endpoints
        .containers("/v2/applyRBACAndGetKubeconfig")?;
    let mut response = services.post(&url, &body).await?;
    if is_absent(&response) {
        let id = form_encoded(&cluster.id);
        let path = format!("/v2/getKubeconfig?cluster={}&format=json", *id);
        response = services.get(&services.endpoints.containers(&path)?).await?;
    } else if response.status == StatusCode::OK {
        roles_known(services, cluster).await;
    }
    let config: Value = parsed(&response, "a kubeconfig")?;
    let Some(data) = authority_data(&config) else {
        return Ok(None);
    };
    let pem = BASE64_STANDARD.decode(data.trim()).ok();
    let bad = || problem(&response, "its certificate-authority-data is not base64");
    pem.map(Some).ok_or_else(bad)
}

/// The first `certificate-authority-data` in a kubeconfig, wherever IBM Cloud puts it.
fn authority_data(value: &Value) -> Option<&str> {
    match value {
        Value::Object(fields) => {
            let data = fields
                .get("certificate-authority-data")
                .and_then(Value::as_str)
                .filter(|data| !data.is_empty());
            data.or_else(|| fields.values().find_map(authority_data))
        }
        Value::Array(items) => items.iter().find_map(authority_data),
        _ => None,
    }
}

/// Waits until the cluster knows the user's roles. Where it takes longer, the first requests may
/// be forbidden, which the warning says.
async fn roles_known(services: &Services, cluster: &IbmCluster) {
    #[derive(Deserialize)]
    struct Status {
        synchronized: bool,
    }
    let path = format!("/v2/getRBACStatus?cluster={}", *form_encoded(&cluster.id));
    let Ok(url) = services.endpoints.containers(&path) else {
        return;
    };
    let started = Instant::now();
    while started.elapsed() < RBAC_PATIENCE {
        match services.get(&url).await {
            Ok(response) if response.status == StatusCode::OK => {
                let status: Option<Status> = serde_json::from_slice(&response.body).ok();
                if status.is_none_or(|status| status.synchronized) {
                    return;
                }
            }
            // A new cluster may answer so for minutes.
            Ok(response) if response.status == StatusCode::NOT_FOUND => {}
            Err(error) if error.is_transient() => {}
            // A service that cannot tell is not worth waiting for.
            Ok(_) | Err(_) => return,
        }
        tokio::time::sleep(RBAC_PAUSE).await;
    }
    tracing::warn!(
        cluster = cluster.name,
        "IBM Cloud is still telling the cluster what you may do there: it may forbid requests for \
         some minutes"
    );
}

/// Whether the service has no such path, which is not to say that there is no such cluster.
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

/// "The specified cluster could not be found."
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
    fn the_authority_is_found_wherever_it_stands() {
        let inner = json!({"clusters": [{"name": "a", "cluster": {"server": "https://a",
            "certificate-authority-data": "Y2E="}}]});
        assert_eq!(authority_data(&inner), Some("Y2E="));
        let wrapped = json!({"kubeconfig": inner, "format": "json"});
        assert_eq!(authority_data(&wrapped), Some("Y2E="));
        assert_eq!(
            authority_data(&json!({"clusters": [{"cluster": {}}]})),
            None
        );
    }
}
