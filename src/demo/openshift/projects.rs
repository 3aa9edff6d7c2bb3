//! Projects: the namespaces of the control plane, as users of `OpenShift` see them.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header::CONTENT_TYPE};
use serde_json::{Value, json};

use super::{
    options::{self, Options},
    resources::PROJECTS,
};
use crate::demo::{
    kubernetes::{
        encoding::{response, status::Status, view::View},
        objects::{resources, store::Key},
        route::Target,
        vendor::VendorRequest,
    },
    server::{Body, full_body},
};

/// The project that only some users see.
const DEFAULT: &str = "default";

/// Responds with one project or all.
pub(super) fn respond(
    options: &Options,
    request: &VendorRequest<'_>,
    target: &Target,
    view: &View,
) -> Result<Response<Body>, Status> {
    match options.projects {
        options::Projects::Shown => {}
        options::Projects::Failing => return Err(Status::internal("no projects")),
        options::Projects::Page => return Ok(page()),
    }
    let namespaces = resources::find("", "v1", "namespaces").ok_or_else(Status::no_such_path)?;
    let is_seen = |name: &str| options.sees_default || name != DEFAULT;
    let more = (0..options.more_projects).map(another);
    if let Some(name) = &target.name {
        let namespace = request.store.get(&Key::new(namespaces, "", name));
        let namespace = namespace.filter(|_| is_seen(name));
        let project = match namespace {
            Some(namespace) => Some(project(&namespace.value)),
            None => more
                .map(|one| project(&one))
                .find(|one| one["metadata"]["name"] == **name),
        };
        let project = project.ok_or_else(|| Status::not_found(&PROJECTS, name))?;
        return response::json(StatusCode::OK, &view.one(&PROJECTS, &project), &view.format);
    }
    let listing = request.store.list(namespaces, None);
    let objects = listing.objects.iter();
    let objects = objects.filter(|(key, _)| is_seen(&key.name));
    let projects = objects.map(|(_, object)| project(&object.value));
    let projects: Vec<Value> = projects.chain(more.map(|one| project(&one))).collect();
    let shown: Vec<&Value> = projects.iter().collect();
    let metadata = json!({"resourceVersion": listing.revision.to_string()});
    view.list(&PROJECTS, &shown, metadata)
}

/// A namespace that only the list of projects has, with as many annotations as real ones.
fn another(number: usize) -> Value {
    json!({
        "metadata": {
            "name": format!("project-{number:04}"),
            "annotations": {
                "openshift.io/description": "An application of a team, and its tests. ".repeat(20),
                "openshift.io/sa.scc.mcs": "s0:c26,c5",
                "openshift.io/sa.scc.uid-range": "1000670000/10000",
            },
        },
        "status": {"phase": "Active"},
    })
}

fn project(namespace: &Value) -> Value {
    let mut metadata = namespace["metadata"].clone();
    if let Value::Object(map) = &mut metadata {
        map.remove("managedFields");
    }
    json!({
        "kind": PROJECTS.kind,
        "apiVersion": PROJECTS.api_version(),
        "metadata": metadata,
        "spec": {"finalizers": ["kubernetes"]},
        "status": namespace["status"],
    })
}

fn page() -> Response<Body> {
    let mut response = Response::new(full_body(Bytes::from_static(b"<html>hunter2</html>")));
    let kind = HeaderValue::from_static("text/html; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}
