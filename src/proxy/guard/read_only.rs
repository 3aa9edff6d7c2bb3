//! `--read-only`: what cannot change anything.

use http::Method;

use super::{
    Refusal, Wanted,
    attributes::{Attributes, Verb},
    capabilities::Capabilities,
};

/// Groups whose reviews are questions, although they are asked by POST.
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
/// node only the kubelet's reports pass. No upgrade does but a watch's, whatever else is allowed.
pub(super) fn judge(
    wanted: &Wanted<'_>,
    path: &str,
    reach: &Capabilities,
    allow_proxy: bool,
) -> Result<(), Refusal> {
    let attributes = Attributes::parse(wanted.method, path, wanted.query);
    let acts = reach.commands.is_some() || reach.connection;
    let reads = !acts && reads(wanted, attributes.as_ref());
    if reads && (allow_proxy || !reach.app) {
        return Ok(());
    }
    let method = wanted.method;
    let upgrade = if wanted.upgrade {
        " with an upgrade"
    } else {
        ""
    };
    let remedy = if reads {
        ": an app behind a proxy may change its state by GET; --allow-proxy lets such a GET pass"
    } else {
        ""
    };
    Err(Refusal::forbidden(format!(
        "{method}{upgrade} of {path:?} is refused: with --read-only nothing passes but get, list, \
         watch and access reviews{remedy}"
    )))
}

fn reads(wanted: &Wanted<'_>, attributes: Option<&Attributes<'_>>) -> bool {
    let Some(attributes) = attributes else {
        return wanted.is_plain_get();
    };
    match attributes.verb {
        Verb::Get | Verb::List | Verb::Watch | Verb::Proxy if wanted.is_plain_get() => true,
        Verb::Watch => *wanted.method == Method::GET && attributes.subresource.is_empty(),
        Verb::Create => !wanted.upgrade && is_review(attributes),
        _ => false,
    }
}

fn is_review(attributes: &Attributes<'_>) -> bool {
    attributes.name.is_empty()
        && REVIEW_GROUPS.contains(&attributes.group)
        && REVIEWS.contains(&attributes.resource)
}
