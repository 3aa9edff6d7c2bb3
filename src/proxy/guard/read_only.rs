//! `--read-only`: what cannot change anything.

use http::Method;

use super::{
    Refusal, Wanted,
    attributes::{Attributes, Verb},
    commands,
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

/// Lets get, list, watch and reviews pass. A plain GET through the proxy of a service or
/// pod is a get to the API server, and passes; of a node's only the kubelet's reports do,
/// and no upgrade but a watch's, whatever else is allowed.
pub(super) fn judge(wanted: &Wanted<'_>, path: &str) -> Result<(), Refusal> {
    let attributes = Attributes::parse(wanted.method, path, wanted.query);
    if commands::run_by(wanted, path).is_none() && reads(wanted, attributes.as_ref()) {
        return Ok(());
    }
    let method = wanted.method;
    let upgrade = if wanted.upgrade {
        " with an upgrade"
    } else {
        ""
    };
    Err(Refusal::forbidden(format!(
        "{method}{upgrade} of {path:?} is refused: with --read-only nothing passes but get, list, \
         watch and access reviews"
    )))
}

fn reads(wanted: &Wanted<'_>, attributes: Option<&Attributes<'_>>) -> bool {
    let Some(attributes) = attributes else {
        return wanted.is_plain_get();
    };
    match attributes.verb {
        Verb::Get | Verb::List | Verb::Watch if wanted.is_plain_get() => true,
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
