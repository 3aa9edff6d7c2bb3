//! What an `OpenShift` API server serves beside Kubernetes.

use std::{sync::Arc, time::SystemTime};

use http::{Method, Response, StatusCode};
use serde::Serialize;
use serde_json::{Value, json};

use super::{
    Flows,
    oauth::OAuthServer,
    scopes::{self, SCOPES},
    sessions::OAUTH_GROUP,
};
use crate::demo::{
    form::Query,
    kubernetes::{
        authentication::user_info::Identity,
        authorization::{Action, Object},
        encoding::{
            response::{self, Format},
            status::Status,
            view::View,
        },
        handlers::{read, watch},
        objects::{
            metadata::metadata_mut,
            resources::{self, Resource},
            store::Key,
        },
        route::Target,
        vendor::{Asked, Flavor},
    },
    server::Body,
};

/// One's own tokens.
pub(super) static USER_TOKENS: Resource = Resource {
    plural: "useroauthaccesstokens",
    singular: "useroauthaccesstoken",
    kind: "UserOAuthAccessToken",
    verbs: &["delete", "get", "list", "watch"],
    ..OAUTH
};

/// Everybody's tokens. Whoever knows the name of one may delete it.
pub(super) static OAUTH_TOKENS: Resource = Resource {
    plural: "oauthaccesstokens",
    singular: "oauthaccesstoken",
    kind: "OAuthAccessToken",
    verbs: &["delete"],
    ..OAUTH
};

static USERS: Resource = Resource {
    group: "user.openshift.io",
    plural: "users",
    singular: "user",
    kind: "User",
    verbs: &["get"],
    ..OAUTH
};

/// Namespaces, as their users see them.
static PROJECTS: Resource = Resource {
    group: "project.openshift.io",
    plural: "projects",
    singular: "project",
    kind: "Project",
    verbs: &["get", "list"],
    ..OAUTH
};

const OAUTH: Resource = Resource {
    group: "oauth.openshift.io",
    version: "v1",
    plural: "",
    singular: "",
    kind: "",
    namespaced: false,
    short_names: &[],
    categories: &[],
    subresources: &[],
    selectable: &[],
    verbs: &[],
    counts_generations: false,
};

static OWN: [&Resource; 4] = [&OAUTH_TOKENS, &USER_TOKENS, &PROJECTS, &USERS];

const WELL_KNOWN: &str = "/.well-known/oauth-authorization-server";

impl Flavor for OAuthServer {
    fn identify(&self, token: &str, now: SystemTime) -> Option<Identity> {
        self.sessions.identify(token, now)
    }

    fn resources(&self) -> &'static [&'static Resource] {
        &OWN
    }

    fn answer(&self, asked: &Asked<'_>) -> Option<Result<Response<Body>, Status>> {
        let path = asked.request.uri().path();
        if path == WELL_KNOWN && self.options().discovery {
            return Some(self.well_known(asked));
        }
        let mut parts = path
            .strip_prefix("/apis/")?
            .trim_end_matches('/')
            .split('/');
        let (group, version, plural) = (parts.next()?, parts.next()?, parts.next()?);
        let (name, rest) = (parts.next(), parts.next());
        let resource = *OWN
            .iter()
            .find(|known| (known.group, known.version, known.plural) == (group, version, plural))?;
        if rest.is_some() {
            return Some(Err(Status::no_such_path()));
        }
        Some(self.resource(asked, resource, name))
    }

    /// Everybody is an admin of every project, and sees all of the cluster but secrets.
    fn refuses(&self, identity: &Identity, action: &Action<'_>) -> Option<String> {
        let scopes = identity.extra.get(SCOPES)?;
        if !scopes::allow(scopes, action) {
            return Some(format!(
                ": scopes [{}] prevent this action",
                scopes.join(" ")
            ));
        }
        (!role_allows(action)).then(String::new)
    }
}

fn role_allows(action: &Action<'_>) -> bool {
    let verb = action.verb.as_str();
    let reads = matches!(verb, "get" | "list" | "watch" | "head");
    let Object::Resource {
        subject, namespace, ..
    } = &action.object
    else {
        return reads;
    };
    match (subject.group, subject.plural) {
        _ if namespace.is_some() => true,
        ("authentication.k8s.io" | "authorization.k8s.io", _) => true,
        ("oauth.openshift.io", "useroauthaccesstokens") => reads || verb == "delete",
        ("oauth.openshift.io", _) => verb == "delete",
        ("user.openshift.io", _) => verb == "get" && subject.name == "~",
        ("", "secrets") => false,
        _ => reads,
    }
}

/// The document of RFC 8414, in the server's order.
#[derive(Serialize)]
struct WellKnown {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    scopes_supported: [&'static str; 5],
    response_types_supported: &'static [&'static str],
    grant_types_supported: &'static [&'static str],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    code_challenge_methods_supported: &'static [&'static str],
}

impl OAuthServer {
    /// It is there for everybody whose token, if any, is good.
    fn well_known(&self, asked: &Asked<'_>) -> Result<Response<Body>, Status> {
        if !matches!(*asked.request.method(), Method::GET | Method::HEAD) {
            return Err(Status::method_not_allowed());
        }
        let (issuer, flows) = (self.url(), self.options().flows);
        let implicit = flows == Flows::Implicit;
        let document = WellKnown {
            issuer: issuer.to_owned(),
            authorization_endpoint: format!("{issuer}/oauth/authorize"),
            token_endpoint: format!("{issuer}/oauth/token"),
            scopes_supported: scopes::KNOWN,
            response_types_supported: if implicit {
                &["token"]
            } else {
                &["code", "token"]
            },
            grant_types_supported: if implicit {
                &["implicit"]
            } else {
                &["authorization_code", "implicit"]
            },
            code_challenge_methods_supported: match flows {
                Flows::Pkce => &["plain", "S256"],
                Flows::Code | Flows::Implicit => &[],
            },
        };
        let bytes = serde_json::to_vec(&document);
        let bytes = bytes.map_err(|error| Status::internal(error.to_string()))?;
        Ok(response::json_bytes(StatusCode::OK, bytes))
    }

    fn resource(
        &self,
        asked: &Asked<'_>,
        resource: &'static Resource,
        name: Option<&str>,
    ) -> Result<Response<Body>, Status> {
        let (plane, identity, request) = (asked.plane, asked.identity, asked.request);
        plane.authorize(identity, &Action::on(request, resource, name))?;
        let query = Query::parse(request.uri().query());
        let view = View::new(Format::negotiate(request.headers(), &query)?, &query)?;
        let target = Target {
            resource,
            namespace: None,
            name: name.map(str::to_owned),
            subresource: None,
        };
        let method = request.method();
        let read = matches!(*method, Method::GET | Method::HEAD);
        match (resource.plural, name) {
            ("useroauthaccesstokens", _) => {
                // Where the store keeps one's own.
                let target = Target {
                    namespace: Some(identity.username.clone()),
                    ..target
                };
                let store = &self.sessions.store;
                self.sessions.sweep(SystemTime::now());
                match name {
                    Some(_) if read => read::get(store, &target, &view),
                    Some(name) if *method == Method::DELETE => {
                        self.end(name, Some(&identity.username), (resource, &view))
                    }
                    None if read && query.flag("watch") => {
                        watch::answer((store, &plane.stop), &target, &query, view)
                    }
                    None if read => read::list(store, &target, &query, &view),
                    _ => Err(Status::method_not_allowed()),
                }
            }
            ("oauthaccesstokens", Some(name)) if *method == Method::DELETE => {
                self.end(name, None, (resource, &view))
            }
            ("users", Some("~")) if read => self.user_object(identity, &view),
            ("projects", _) if read && !query.flag("watch") => projects(asked, &target, &view),
            _ => Err(Status::method_not_allowed()),
        }
    }

    /// Ends a session: the answer is the object that went.
    fn end(
        &self,
        name: &str,
        owner: Option<&str>,
        (resource, view): (&Resource, &View),
    ) -> Result<Response<Body>, Status> {
        let deleted = self.sessions.delete(name, owner);
        let deleted = deleted.ok_or_else(|| Status::not_found(resource, name))?;
        let shown = view.one(&OAUTH_TOKENS, &deleted);
        response::json(StatusCode::OK, &shown, &view.format)
    }

    /// Who asks. Whoever has no user object, such as a service account, gets one by name alone.
    fn user_object(&self, identity: &Identity, view: &View) -> Result<Response<Body>, Status> {
        let name = &identity.username;
        let mut object = json!({
            "kind": USERS.kind,
            "apiVersion": USERS.api_version(),
            "metadata": {"name": name, "creationTimestamp": null},
            "groups": identity.groups,
        });
        if let Some(user) = self.user(name) {
            metadata_mut(&mut object).insert("uid".to_owned(), json!(user.uid));
            object["identities"] = json!([format!("htpasswd:{name}")]);
            object["groups"] = json!(["system:authenticated", OAUTH_GROUP]);
        }
        response::json(StatusCode::OK, &view.one(&USERS, &object), &view.format)
    }
}

/// The cluster's namespaces, as projects.
fn projects(asked: &Asked<'_>, target: &Target, view: &View) -> Result<Response<Body>, Status> {
    let store: &Arc<_> = &asked.plane.store;
    let namespaces = resources::find("", "v1", "namespaces").ok_or_else(Status::no_such_path)?;
    if let Some(name) = &target.name {
        let namespace = store.get(&Key::new(namespaces, "", name));
        let namespace = namespace.ok_or_else(|| Status::not_found(&PROJECTS, name))?;
        let project = project(&namespace.value);
        return response::json(StatusCode::OK, &view.one(&PROJECTS, &project), &view.format);
    }
    let listing = store.list(namespaces, None);
    let objects = listing.objects.iter();
    let projects: Vec<Value> = objects.map(|(_, object)| project(&object.value)).collect();
    let shown: Vec<&Value> = projects.iter().collect();
    let metadata = json!({"resourceVersion": listing.revision.to_string()});
    view.list(&PROJECTS, &shown, metadata)
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
