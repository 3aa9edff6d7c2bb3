//! `--read-only`: lets pass what cannot change anything.

use http::Method;

use super::capabilities::{Capabilities, is_get};
use crate::proxy::{
    refusal::Refusal,
    request_info::{Reading, Resource, Verb},
};

/// Groups whose reviews ask a question, although they are created by POST.
const REVIEW_GROUPS: [&str; 3] = [
    "authentication.k8s.io",
    "authorization.k8s.io",
    "authorization.openshift.io",
];

const REVIEWS: [&str; 9] = [
    "localresourceaccessreviews",
    "localsubjectaccessreviews",
    "resourceaccessreviews",
    "selfsubjectaccessreviews",
    "selfsubjectreviews",
    "selfsubjectrulesreviews",
    "subjectaccessreviews",
    "subjectrulesreviews",
    "tokenreviews",
];

/// Lets get, list, watch and reviews pass. A plain GET through the proxy of a service or pod is a
/// get to the API server, but an app may change its state by it, so it takes `allow_proxy`; of a
/// node only the kubelet's reports pass. Of upgrades only those of watches pass.
pub(super) fn check(
    method: &Method,
    upgrades: bool,
    reading: Reading<'_>,
    capabilities: &Capabilities,
    allow_proxy: bool,
) -> Result<(), Refusal> {
    let acts = capabilities.commands.is_some() || capabilities.connection;
    let reads = !acts && reads(method, upgrades, reading.resource());
    if reads && (allow_proxy || !capabilities.app) {
        return Ok(());
    }
    let path = reading.path();
    let upgrade = if upgrades { " with an upgrade" } else { "" };
    let remedy = if reads {
        ": an app behind a proxy may change its state by GET; --allow-proxy lets such a GET pass"
    } else {
        ""
    };
    Err(Refusal::forbidden(
        "--read-only",
        format!(
            "{method}{upgrade} of {path:?} is refused: --read-only allows only get, list, watch \
         and access reviews{remedy}"
        ),
    ))
}

fn reads(method: &Method, upgrades: bool, resource: Option<Resource<'_>>) -> bool {
    let is_plain_get = !upgrades && is_get(method);
    let Some(resource) = resource else {
        return is_plain_get;
    };
    match resource.verb {
        Verb::Get | Verb::List | Verb::Watch | Verb::Proxy if is_plain_get => true,
        // An upgrade must be a watch to every server.
        Verb::Watch => {
            *method == Method::GET && resource.is_plain_watch && resource.subresource.is_empty()
        }
        Verb::Create => !upgrades && is_review(&resource),
        _ => false,
    }
}

fn is_review(resource: &Resource<'_>) -> bool {
    resource.name.is_empty()
        && REVIEW_GROUPS.contains(&resource.api_group)
        && REVIEWS.contains(&resource.resource)
}
