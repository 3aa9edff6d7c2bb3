//! Getting one object and listing many, page by page.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{Response, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::demo::{
    form::Query,
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

/// One object by name.
pub(crate) fn get(store: &Store, target: &Target, view: &View) -> Result<Response<Body>, Status> {
    let name = target.name.as_deref().unwrap_or_default();
    let object = store
        .get(&Key::new(target.resource, target.namespace(), name))
        .ok_or_else(|| Status::not_found(target.resource, name))?;
    let shown = view.one(target.resource, &object.value);
    response::json(StatusCode::OK, &shown, &view.format)
}

/// Where a page ended; the client brings it back as `?continue=`.
#[derive(Debug, Serialize, Deserialize)]
struct Continue {
    v: String,
    /// The revision of the first page, which the whole list is said to be of.
    rv: u64,
    /// The last key shown, as `namespace/name`.
    start: String,
}

/// Objects of a kind, `?limit=` at a time.
///
/// Later pages show the objects as they are by then, while their resource version stays that of
/// the first page: a watch from there tells again of what changed in between.
pub(crate) fn list(
    store: &Store,
    target: &Target,
    query: &Query,
    view: &View,
) -> Result<Response<Body>, Status> {
    let selection = Selection::new(target, query)?;
    let listing = store.list(target.resource, target.namespace.as_deref());
    let from = query.get("continue").map(decode).transpose()?;
    let revision = from.as_ref().map_or(listing.revision, |from| from.rv);
    let start = from.map(|from| from.start).unwrap_or_default();
    if let Some(asked) = query.number("resourceVersion")
        && asked > listing.revision
    {
        return Err(Status::too_large_version(asked, listing.revision));
    }

    let mut shown: Vec<&(Key, _)> = listing
        .objects
        .iter()
        .filter(|(key, object)| position(key) > start && selection.matches(&object.value))
        .collect();
    let limit = query.number("limit").unwrap_or_default();
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let rest = match limit {
        0 => 0,
        limit => shown.len().saturating_sub(limit),
    };
    shown.truncate(shown.len() - rest);

    let mut metadata = json!({"resourceVersion": revision.to_string()});
    if let (1.., Some((last, _))) = (rest, shown.last()) {
        metadata["continue"] = encode(revision, last)?.into();
        if selection.is_everything() {
            metadata["remainingItemCount"] = rest.into();
        }
    }
    let objects: Vec<&Value> = shown.iter().map(|(_, object)| &object.value).collect();
    view.list(target.resource, &objects, metadata)
}

fn position(key: &Key) -> String {
    // NUL sorts before every character of a name, as keys sort in the store.
    format!("{}\0{}", key.namespace, key.name)
}

fn encode(revision: u64, last: &Key) -> Result<String, Status> {
    let token = Continue {
        v: "meta.k8s.io/v1".to_owned(),
        rv: revision,
        start: position(last),
    };
    let json = serde_json::to_vec(&token).map_err(|e| Status::internal(e.to_string()))?;
    Ok(URL_SAFE_NO_PAD.encode(json))
}

fn decode(token: &str) -> Result<Continue, Status> {
    let json = URL_SAFE_NO_PAD.decode(token).ok();
    json.and_then(|json| serde_json::from_slice(&json).ok())
        .ok_or_else(|| Status::bad_request("continue key is not valid"))
}
