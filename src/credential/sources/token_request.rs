//! `--service-account`: tokens of a service account that the API server issues on request
//! (`TokenRequest` of `authentication.k8s.io/v1`).

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::{Method, StatusCode, Uri};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::json;

use crate::{
    credential::{
        Cache, Credential, Error, Fetch, RefreshPolicy, Source,
        protocol::{
            api_server::{ApiServer, refusal},
            authorization,
            issuer::Response,
            jwt,
        },
    },
    kubeconfig::Cluster,
    secret::Secret,
    settings::Namespaced,
};

/// A source that requests the tokens of a service account as the context's own user.
pub(in crate::credential) struct TokenRequest {
    api: ApiServer,
    url: Uri,
    account: Namespaced,
    request: Bytes,
}

impl TokenRequest {
    pub(in crate::credential) fn new(
        cluster: &Cluster,
        base: Arc<Cache>,
        account: &Namespaced,
        audiences: &[String],
        lifetime: Duration,
    ) -> Result<Self, Error> {
        let api = ApiServer::new(cluster, base)?;
        let Namespaced { namespace, name } = account;
        let path = format!("/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token");
        let request = json!({
            "kind": "TokenRequest",
            "apiVersion": "authentication.k8s.io/v1",
            "spec": {"audiences": audiences, "expirationSeconds": lifetime.as_secs()},
        });
        Ok(Self {
            url: api.url(&path)?,
            api,
            account: account.clone(),
            request: request.to_string().into(),
        })
    }

    async fn obtain(&self) -> Result<Credential, Error> {
        let sent = self
            .api
            .send(&Method::POST, &self.url, self.request.clone());
        let response = sent.await?;
        if !response.status.is_success() {
            return Err(self.refused(&response));
        }
        let granted: Granted = response.json("no TokenRequest with a token")?;
        let token = granted.status.token;
        let bearer = authorization::bearer_of(token.expose(), || self.subject())?;
        Ok(Credential {
            authorization: Some(bearer),
            expires_at: expiry(&token, granted.status.expiration_timestamp.as_deref()),
            ..Credential::default()
        })
    }

    /// The error for the server's `Status`, whose text is not shown.
    fn refused(&self, response: &Response) -> Error {
        let Namespaced { namespace, name } = &self.account;
        let problem = match response.status {
            StatusCode::FORBIDDEN => format!(
                "the kubeconfig's user may not `create` `serviceaccounts/token` of {name} in \
                 namespace {namespace} (403); allow it by a role: kubectl -n {namespace} create \
                 role {name}-token --verb=create --resource=serviceaccounts/token \
                 --resource-name={name}, and bind that to the user"
            ),
            StatusCode::NOT_FOUND => format!(
                "there is no service account {name} in namespace {namespace} (404); see kubectl \
                 -n {namespace} get serviceaccounts"
            ),
            StatusCode::UNPROCESSABLE_ENTITY => invalid(response),
            _ => return refusal(response),
        };
        response.error(problem)
    }
}

impl Source for TokenRequest {
    fn subject(&self) -> String {
        format!("service account {}", self.account)
    }

    fn fetch(&self) -> Fetch<'_> {
        Box::pin(self.obtain())
    }

    fn refresh_policy(&self) -> RefreshPolicy {
        RefreshPolicy {
            max_wait: self.api.base().max_wait(),
            ..RefreshPolicy::ISSUER
        }
    }

    fn files(&self) -> Vec<PathBuf> {
        self.api.base().files()
    }

    fn login_files(&self) -> Vec<PathBuf> {
        self.api.base().login_files()
    }

    fn inputs_changed(&self) {
        self.api.base().recheck_in_background();
    }
}

#[derive(Deserialize)]
struct Granted {
    status: Grant,
}

#[derive(Deserialize)]
struct Grant {
    token: Secret,
    #[serde(rename = "expirationTimestamp")]
    expiration_timestamp: Option<String>,
}

/// The earliest of the times that limit the token. The token of a pod may be valid for a year,
/// while `warnafter` asks for its renewal after an hour.
fn expiry(token: &Secret, timestamp: Option<&str>) -> Option<SystemTime> {
    let claims = jwt::claims(token.expose());
    let timestamp = timestamp.and_then(|text| text.parse::<Timestamp>().ok());
    [
        timestamp.map(SystemTime::from),
        claims.map(|claims| claims.expires_at),
        claims.and_then(|claims| claims.warn_after),
    ]
    .into_iter()
    .flatten()
    .min()
}

/// Says which field of the request the server rejects.
fn invalid(response: &Response) -> String {
    #[derive(Deserialize)]
    struct Status {
        details: Details,
    }
    #[derive(Deserialize)]
    struct Details {
        causes: Vec<Cause>,
    }
    #[derive(Deserialize)]
    struct Cause {
        field: String,
    }
    let status: Option<Status> = serde_json::from_slice(&response.body).ok();
    let causes = status
        .map(|status| status.details.causes)
        .unwrap_or_default();
    let rejects = |field| causes.iter().any(|cause| cause.field.starts_with(field));
    if rejects("spec.expirationSeconds") {
        "it does not issue tokens of that lifetime (422); ask for 10m (600 s) or more by \
         --service-account-lifetime"
    } else if rejects("spec.audiences") {
        "it does not issue tokens for that audience (422); correct --service-account-audience"
    } else {
        "it takes the request as invalid (422); see --service-account-lifetime and \
         --service-account-audience"
    }
    .to_owned()
}

#[cfg(test)]
mod tests {
    use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};

    use super::*;

    #[test]
    fn the_earliest_expiry_counts() {
        let at = |seconds| Some(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
        let timestamp = Some("1970-01-01T01:00:00Z");
        for (claims, timestamp, end) in [
            (r#"{"exp": 7200}"#, timestamp, at(3600)),
            (r#"{"exp": 60}"#, timestamp, at(60)),
            (
                r#"{"exp": 7200, "kubernetes.io": {"warnafter": 3000}}"#,
                timestamp,
                at(3000),
            ),
            (r#"{"exp": 7200}"#, None, at(7200)),
            ("opaque", timestamp, at(3600)),
            ("opaque", Some("tomorrow"), None),
        ] {
            let token = format!("e30.{}.c2ln", BASE64_URL_SAFE_NO_PAD.encode(claims));
            assert_eq!(
                expiry(&Secret::new(token), timestamp),
                end,
                "{claims} {timestamp:?}"
            );
        }
    }
}
