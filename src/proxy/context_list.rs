//! The list of contexts at `/clusters`.

use http::{
    HeaderValue, Method, Response,
    header::{CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS},
};
use serde_json::{Value, json};

use super::{
    body::Body,
    contexts::{CLUSTERS, ContextEntry, ContextTable},
    refusal::Refusal,
};
use crate::printable::{escaped_json, printable};

/// Answers a request for the list.
///
/// # Errors
/// The method is neither GET nor HEAD.
pub(super) fn respond(table: &ContextTable, method: &Method) -> Result<Response<Body>, Refusal> {
    if !matches!(*method, Method::GET | Method::HEAD) {
        let message = format!("{CLUSTERS} lists the contexts, by GET alone");
        return Err(Refusal::method("method of the list of contexts", message));
    }
    let clusters = table.entries().iter().map(|entry| item(entry));
    let list = json!({
        "clusters": clusters.collect::<Vec<_>>(),
        "default": table.default_entry().map(|entry| entry.slug().as_str()),
    });
    let text = escaped_json(&list.to_string()).into_owned() + "\n";
    let mut response = Response::new(Body::text(text));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    Ok(response)
}

fn item(entry: &ContextEntry) -> Value {
    let summary = entry.summary();
    let failure = entry.handle().failure().or_else(|| summary.error.clone());
    let state = match (entry.handle().has_destination(), &failure) {
        (true, _) => "active",
        (false, Some(_)) => "failed",
        (false, None) => "idle",
    };
    let mut item = json!({
        "name": summary.name,
        "slug": entry.slug().as_str(),
        "path": format!("{CLUSTERS}/{}/", entry.slug()),
        "server": summary.server,
        "verifiedBy": summary.verified_by,
        "state": state,
    });
    if let (false, Some(failure)) = (state == "active", failure) {
        item["error"] = json!(printable(&failure));
    }
    item
}
