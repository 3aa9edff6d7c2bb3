//! Reviews: who the user is, and what the user may do. They are not stored.

use http::{Response, StatusCode};
use serde_json::{Value, json};

use crate::demo::{
    kubernetes::{
        api_server::RequestContext,
        encoding::{response, status::Status},
        objects::{
            metadata::{as_map, timestamp},
            resources::{Review, group_version},
        },
    },
    server::Body,
};

/// Responds to a review of the user who sends it.
pub(crate) fn respond(
    context: &RequestContext<'_>,
    review: &Review,
    mut object: Value,
) -> Result<Response<Body>, Status> {
    let map = as_map(&mut object);
    let version = group_version(review.group, "v1");
    map.insert("kind".to_owned(), json!(review.kind));
    // The version of the request: the router has checked it.
    map.entry("apiVersion").or_insert_with(|| json!(version));
    let status = match review.kind {
        "SelfSubjectReview" => {
            map.insert(
                "metadata".to_owned(),
                json!({"creationTimestamp": timestamp()}),
            );
            map.remove("spec");
            json!({"userInfo": context.user})
        }
        "SelfSubjectRulesReview" => json!({
            "resourceRules": [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}],
            "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}],
            "incomplete": false,
        }),
        // The router has authenticated the user, who may do everything.
        _ => json!({"allowed": true}),
    };
    map.entry("metadata").or_insert_with(|| json!({}));
    map.insert("status".to_owned(), status);
    response::json(StatusCode::CREATED, &object, &context.format)
}
