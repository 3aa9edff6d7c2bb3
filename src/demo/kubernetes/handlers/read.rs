//! Reading one object, and listing objects in pages.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{Response, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::demo::{
    form::Form,
    kubernetes::{
        encoding::{
            response,
            status::Status,
            view::{Selection, View},
        },
        objects::store::{Key, Store},
        route::Target,
    },
    server::Body,
};

/// Responds with one object.
pub(crate) fn get(store: &Store, target: &Target, view: &View) -> Result<Response<Body>, Status> {
    let name = target.name.as_deref().unwrap_or_default();
    let object = store
        .get(&Key::new(target.resource, target.namespace(), name))
        .ok_or_else(|| Status::not_found(target.resource, name))?;
    let shown = view.one(target.resource, &object.value);
    response::json(StatusCode::OK, &shown, &view.format)
}

/// The end of a page, which the client sends back as `?continue=`.
#[derive(Debug, Serialize, Deserialize)]
struct ContinueToken {
    v: String,
    /// The revision of the first page, which is the resource version of all pages.
    rv: u64,
    /// The position of the last object on the page.
    start: String,
}

/// Responds with a list of objects, at most `?limit=` on a page.
///
/// Later pages have the objects of their own time but the resource version of the first page, so
/// that a watch from there repeats the changes in between.
pub(crate) fn list(
    store: &Store,
    target: &Target,
    query: &Form,
    view: &View,
) -> Result<Response<Body>, Status> {
    let selection = Selection::new(target, query)?;
    let listing = store.list(target.resource, target.namespace.as_deref());
    let token = query.get("continue").map(decode).transpose()?;
    let revision = token.as_ref().map_or(listing.revision, |token| token.rv);
    let start = token.map(|token| token.start).unwrap_or_default();
    if let Some(requested) = query.number("resourceVersion")
        && requested > listing.revision
    {
        return Err(Status::too_large_version(requested, listing.revision));
    }

    let mut page: Vec<&(Key, _)> = listing
        .objects
        .iter()
        .filter(|(key, object)| position(key) > start && selection.matches(&object.value))
        .collect();
    let limit = query.number("limit").unwrap_or_default();
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let remaining = match limit {
        0 => 0,
        limit => page.len().saturating_sub(limit),
    };
    page.truncate(page.len() - remaining);

    let mut metadata = json!({"resourceVersion": revision.to_string()});
    if let (1.., Some((last, _))) = (remaining, page.last()) {
        metadata["continue"] = encode(revision, last)?.into();
        if selection.is_everything() {
            metadata["remainingItemCount"] = remaining.into();
        }
    }
    let objects: Vec<&Value> = page.iter().map(|(_, object)| &object.value).collect();
    view.list(target.resource, &objects, metadata)
}

fn position(key: &Key) -> String {
    // NUL sorts before every character of a name, so that positions sort like keys.
    format!("{}\0{}", key.namespace, key.name)
}

fn encode(revision: u64, last: &Key) -> Result<String, Status> {
    let token = ContinueToken {
        v: "meta.k8s.io/v1".to_owned(),
        rv: revision,
        start: position(last),
    };
    let json = serde_json::to_vec(&token).map_err(|e| Status::internal(e.to_string()))?;
    Ok(URL_SAFE_NO_PAD.encode(json))
}

fn decode(token: &str) -> Result<ContinueToken, Status> {
    let json = URL_SAFE_NO_PAD.decode(token).ok();
    json.and_then(|json| serde_json::from_slice(&json).ok())
        .ok_or_else(|| Status::bad_request("continue key is not valid"))
}
