//! The HTTP interface of the container service.

use std::time::SystemTime;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use serde_json::{Value, json};

use super::{
    Cloud,
    clusters::{Cluster, Infrastructure},
    kubeconfig,
};
use crate::demo::{form::Form, https::message, random::new_uuid};

/// An error of the service: HTTP status, code and description.
struct ApiError(u16, &'static str, &'static str);

const UNAUTHORIZED: ApiError = ApiError(401, "E0058", "The IAM token is not valid. Log in again.");
const NO_ACCOUNT: ApiError = ApiError(401, "E0058", "The IAM token is of no account.");
const UNKNOWN_CLUSTER: ApiError = ApiError(
    404,
    "G0004",
    "The specified cluster could not be found. If applicable, make sure that you target the \
     correct account and resource group.",
);
const NOT_READY: ApiError = ApiError(503, "A0002", "The cluster is not ready. Try again later.");
const UNKNOWN_PROVIDER: ApiError = ApiError(400, "E0007", "The provider is not valid.");
const BAD_BODY: ApiError = ApiError(400, "E0007", "The request body is not valid.");
const NO_PRIVATE_ENDPOINT: ApiError = ApiError(
    400,
    "E0113",
    "The private service endpoint is not enabled for the cluster.",
);

const NO_SUCH_ENDPOINT: ApiError = ApiError(
    400,
    "E0114",
    "The cluster has no service endpoint of this type.",
);

impl Cloud {
    pub(super) fn handle_containers(
        &self,
        request: &Request<Bytes>,
        now: SystemTime,
    ) -> Response<Bytes> {
        let path = request.uri().path().strip_prefix("/global");
        let account = match self.account(request, now) {
            Ok(account) => account,
            Err(error) => return error.response(),
        };
        let query = Form::parse(request.uri().query());
        let options = self.options().clone();
        let has_v2 = options.version_2;
        let list = |infrastructure| Ok(self.list(&account, infrastructure, request.headers()));
        let one = |name: Option<&str>| self.cluster(&account, name.unwrap_or_default());
        let result = match (request.method(), path.unwrap_or_default()) {
            (&Method::GET, "/v2/classic/getClusters") if has_v2 => list(Infrastructure::Classic),
            (&Method::GET, "/v2/vpc/getClusters") if has_v2 => {
                if query.get("provider") == Some("vpc-gen2") {
                    list(Infrastructure::Vpc)
                } else {
                    Err(UNKNOWN_PROVIDER)
                }
            }
            (&Method::GET, "/v2/satellite/getClusters") if has_v2 => {
                list(Infrastructure::Satellite)
            }
            (&Method::GET, "/v2/getCluster") if has_v2 => {
                one(query.get("cluster")).map(|cluster| cluster.details(options.flat_endpoints))
            }
            (&Method::GET, "/v2/getRBACStatus") => one(query.get("cluster")).map(|_| {
                let synchronized = self.iam.is_role_known(options.unsynchronized);
                json!({"synchronized": synchronized, "error": ""})
            }),
            (&Method::GET, "/v2/getKubeconfig") => one(query.get("cluster")).and_then(|cluster| {
                self.kubeconfig(cluster, query.get("endpointType"), request, now)
            }),
            (&Method::POST, "/v2/applyRBACAndGetKubeconfig") => {
                self.apply_roles(&account, request, now)
            }
            (&Method::GET, "/v1/clusters") => Ok(self
                .in_account(&account)
                .filter(|cluster| cluster.infrastructure == Infrastructure::Classic)
                .map(Cluster::details_v1)
                .collect()),
            (&Method::GET, path) => match path.strip_prefix("/v1/clusters/") {
                Some(name) => match name.strip_suffix("/config") {
                    Some(name) => one(Some(name)).and_then(|cluster| {
                        self.kubeconfig(cluster, query.get("endpointType"), request, now)
                    }),
                    None => one(Some(name)).map(Cluster::details_v1),
                },
                None => return not_found(),
            },
            _ => return not_found(),
        };
        match result {
            Ok(body) => message::json(StatusCode::OK, &body),
            Err(error) => error.response(),
        }
    }

    /// The account of the caller.
    fn account(&self, request: &Request<Bytes>, now: SystemTime) -> Result<String, ApiError> {
        let claims = self.access_token_claims(request, now).ok_or(UNAUTHORIZED)?;
        let account = claims["account"]["bss"].as_str();
        account.map(str::to_owned).ok_or(NO_ACCOUNT)
    }

    fn in_account<'a>(&'a self, account: &'a str) -> impl Iterator<Item = &'a Cluster> {
        let clusters = self.clusters.iter();
        clusters.filter(move |cluster| cluster.account == account)
    }

    /// A list of clusters, limited to one resource group if a header names it.
    fn list(&self, account: &str, infrastructure: Infrastructure, headers: &HeaderMap) -> Value {
        let group = headers.get("x-auth-resource-group");
        self.in_account(account)
            .filter(|cluster| cluster.infrastructure == infrastructure)
            .map(Cluster::summary)
            .filter(|item| {
                group.is_none_or(|group| {
                    [&item["resourceGroup"], &item["resourceGroupName"]]
                        .iter()
                        .any(|own| own.as_str().is_some_and(|own| group == own))
                })
            })
            .collect()
    }

    fn cluster<'a>(&'a self, account: &'a str, name: &str) -> Result<&'a Cluster, ApiError> {
        let mut clusters = self.in_account(account);
        clusters
            .find(|cluster| [cluster.id, cluster.name].contains(&name))
            .ok_or(UNKNOWN_CLUSTER)
    }

    fn apply_roles(
        &self,
        account: &str,
        request: &Request<Bytes>,
        now: SystemTime,
    ) -> Result<Value, ApiError> {
        let body: Value = serde_json::from_slice(request.body()).map_err(|_| BAD_BODY)?;
        if body["format"] != "json" || body["admin"] != false {
            return Err(BAD_BODY);
        }
        let name = body["cluster"].as_str().ok_or(BAD_BODY)?;
        let endpoint = body["endpointType"].as_str();
        self.kubeconfig(self.cluster(account, name)?, endpoint, request, now)
    }

    /// The kubeconfig of a cluster. It contains tokens only if the request has a refresh token.
    fn kubeconfig(
        &self,
        cluster: &Cluster,
        endpoint: Option<&str>,
        request: &Request<Bytes>,
        now: SystemTime,
    ) -> Result<Value, ApiError> {
        if cluster.default_url().is_empty() {
            return Err(NOT_READY);
        }
        let server = match endpoint {
            Some("private") => cluster.private.as_deref().ok_or(NO_PRIVATE_ENDPOINT)?,
            Some("vpe") => cluster.vpe.as_deref().ok_or(NO_SUCH_ENDPOINT)?,
            Some("link") => cluster.link.as_deref().ok_or(NO_SUCH_ENDPOINT)?,
            _ => cluster.default_url(),
        };
        let refresh_token = request.headers().get("x-auth-refresh-token");
        let refresh_token = refresh_token.and_then(|token| token.to_str().ok());
        let tokens = refresh_token.and_then(|token| self.kube_tokens(token, now));
        let issuer = self.iam_url.get().map_or("", String::as_str);
        Ok(kubeconfig::build(cluster, server, issuer, tokens.as_ref()))
    }
}

impl ApiError {
    fn response(self) -> Response<Bytes> {
        let Self(status, code, description) = self;
        let body = json!({
            "incidentID": new_uuid(),
            "code": code,
            "description": description,
            "type": "Provisioning",
        });
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
        message::json(status, &body)
    }
}

fn not_found() -> Response<Bytes> {
    message::text(StatusCode::NOT_FOUND, "404 page not found")
}
