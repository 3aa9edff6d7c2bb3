//! The host of the container service.

use std::time::SystemTime;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use serde_json::{Value, json};

use super::{
    Cloud,
    clusters::{Cluster, Infrastructure},
    kubeconfig,
};
use crate::demo::{form::Query, https::messages, random::new_uid};

/// Why a request is refused: status, code and description.
struct Fault(u16, &'static str, &'static str);

const UNAUTHORIZED: Fault = Fault(401, "E0058", "The IAM token is not valid. Log in again.");
const NO_ACCOUNT: Fault = Fault(401, "E0058", "The IAM token is of no account.");
const UNKNOWN: Fault = Fault(
    404,
    "G0004",
    "The specified cluster could not be found. If applicable, make sure that you target the \
     correct account and resource group.",
);
const YOUNG: Fault = Fault(503, "A0002", "The cluster is not ready. Try again later.");
const BAD_BODY: Fault = Fault(400, "E0007", "The request body is not valid.");

const NO_PRIVATE: Fault = Fault(
    400,
    "E0113",
    "The private service endpoint is not enabled for the cluster.",
);

impl Cloud {
    pub(super) fn answer_containers(
        &self,
        request: &Request<Bytes>,
        now: SystemTime,
    ) -> Response<Bytes> {
        let path = request.uri().path().strip_prefix("/global");
        let account = match self.account(request, now) {
            Ok(account) => account,
            Err(fault) => return fault.answer(),
        };
        let query = Query::parse(request.uri().query());
        let lists = self.options.version_2;
        let list = |infrastructure| Ok(self.list(&account, infrastructure, request.headers()));
        let one = |name: Option<&str>| self.cluster(&account, name.unwrap_or_default());
        let answered = match (request.method(), path.unwrap_or_default()) {
            (&Method::GET, "/v2/classic/getClusters") if lists => list(Infrastructure::Classic),
            (&Method::GET, "/v2/vpc/getClusters") if lists => list(Infrastructure::Vpc),
            (&Method::GET, "/v2/satellite/getClusters") if lists => list(Infrastructure::Satellite),
            (&Method::GET, "/v2/getCluster") if lists => {
                one(query.get("cluster")).map(|cluster| cluster.whole(self.options.flat_endpoints))
            }
            (&Method::GET, "/v2/getRBACStatus") => one(query.get("cluster")).map(|_| {
                let synchronized = self.book.knows_role(self.options.unsynchronized);
                json!({"synchronized": synchronized, "error": ""})
            }),
            (&Method::GET, "/v2/getKubeconfig") => one(query.get("cluster"))
                .and_then(|cluster| self.kubeconfig(cluster, false, request, now)),
            (&Method::POST, "/v2/applyRBACAndGetKubeconfig") => self.apply(&account, request, now),
            (&Method::GET, "/v1/clusters") => Ok(self
                .in_account(&account)
                .filter(|cluster| cluster.infrastructure == Infrastructure::Classic)
                .map(Cluster::first_version)
                .collect()),
            (&Method::GET, path) => match path.strip_prefix("/v1/clusters/") {
                Some(name) => one(Some(name)).map(Cluster::first_version),
                None => return nothing(),
            },
            _ => return nothing(),
        };
        match answered {
            Ok(body) => messages::json(StatusCode::OK, &body),
            Err(fault) => fault.answer(),
        }
    }

    /// The account of the caller.
    fn account(&self, request: &Request<Bytes>, now: SystemTime) -> Result<String, Fault> {
        let claims = self.access(request, now).ok_or(UNAUTHORIZED)?;
        let account = claims["account"]["bss"].as_str();
        account.map(str::to_owned).ok_or(NO_ACCOUNT)
    }

    fn in_account<'a>(&'a self, account: &'a str) -> impl Iterator<Item = &'a Cluster> {
        let clusters = self.clusters.iter();
        clusters.filter(move |cluster| cluster.account == account)
    }

    /// A list, of one resource group where a header names it.
    fn list(&self, account: &str, infrastructure: Infrastructure, headers: &HeaderMap) -> Value {
        let group = headers.get("x-auth-resource-group");
        self.in_account(account)
            .filter(|cluster| cluster.infrastructure == infrastructure)
            .map(Cluster::item)
            .filter(|item| {
                group.is_none_or(|group| {
                    [&item["resourceGroup"], &item["resourceGroupName"]]
                        .iter()
                        .any(|known| known.as_str().is_some_and(|known| group == known))
                })
            })
            .collect()
    }

    fn cluster<'a>(&'a self, account: &'a str, name: &str) -> Result<&'a Cluster, Fault> {
        let mut clusters = self.in_account(account);
        clusters
            .find(|cluster| [cluster.id, cluster.name].contains(&name))
            .ok_or(UNKNOWN)
    }

    fn apply(
        &self,
        account: &str,
        request: &Request<Bytes>,
        now: SystemTime,
    ) -> Result<Value, Fault> {
        let body: Value = serde_json::from_slice(request.body()).map_err(|_| BAD_BODY)?;
        let name = body["cluster"].as_str().ok_or(BAD_BODY)?;
        let private = body["endpointType"] == "private";
        self.kubeconfig(self.cluster(account, name)?, private, request, now)
    }

    /// The kubeconfig of a cluster; with tokens only for who shows a refresh token.
    fn kubeconfig(
        &self,
        cluster: &Cluster,
        private: bool,
        request: &Request<Bytes>,
        now: SystemTime,
    ) -> Result<Value, Fault> {
        if cluster.default_url().is_empty() {
            return Err(YOUNG);
        }
        let server = if private {
            cluster.private.as_deref().ok_or(NO_PRIVATE)?
        } else {
            cluster.default_url()
        };
        let shown = request.headers().get("x-auth-refresh-token");
        let shown = shown.and_then(|token| token.to_str().ok());
        let tokens = shown.and_then(|token| self.kube_tokens(token, now));
        let issuer = self.iam_url.get().map_or("", String::as_str);
        Ok(kubeconfig::of(cluster, server, issuer, tokens.as_ref()))
    }
}

impl Fault {
    fn answer(self) -> Response<Bytes> {
        let Self(status, code, description) = self;
        let body = json!({
            "incidentID": new_uid(),
            "code": code,
            "description": description,
            "type": "Provisioning",
        });
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
        messages::json(status, &body)
    }
}

/// What is said of paths that are not served.
fn nothing() -> Response<Bytes> {
    messages::text(StatusCode::NOT_FOUND, "404 page not found")
}
