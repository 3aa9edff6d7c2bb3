//! The extension of the control plane: `OpenShift`'s tokens, users, projects and discovery.

use std::time::SystemTime;

use http::{Method, Response, StatusCode};
use serde::Serialize;
use serde_json::json;

use super::{
    oauth_server::OAuthServer,
    options::Flows,
    projects,
    resources::{OAUTH_TOKENS, USERS, VENDOR_RESOURCES},
    scopes::{self, SCOPES},
    sessions::OAUTH_GROUP,
};
use crate::demo::{
    form::Form,
    kubernetes::{
        authentication::user_info::UserInfo,
        authorization::{Action, ActionTarget},
        encoding::{
            response::{self, Format},
            status::Status,
            view::View,
        },
        handlers::{read, watch},
        objects::{metadata::metadata_mut, resources::Resource},
        route::Target,
        vendor::{self, VendorExtension, VendorRequest},
    },
    server::Body,
};

const WELL_KNOWN_PATH: &str = "/.well-known/oauth-authorization-server";

impl VendorExtension for OAuthServer {
    fn authenticate(&self, token: &str, now: SystemTime) -> Option<UserInfo> {
        self.sessions.authenticate(token, now)
    }

    fn resources(&self) -> &'static [&'static Resource] {
        &VENDOR_RESOURCES
    }

    fn respond(&self, request: &VendorRequest<'_>) -> Option<Result<Response<Body>, Status>> {
        let path = request.request.uri().path();
        if path == WELL_KNOWN_PATH && self.options().discovery {
            return Some(self.well_known(request));
        }
        let mut parts = path
            .strip_prefix("/apis/")?
            .trim_end_matches('/')
            .split('/');
        let (group, version, plural) = (parts.next()?, parts.next()?, parts.next()?);
        let (name, rest) = (parts.next(), parts.next());
        let resource = *VENDOR_RESOURCES
            .iter()
            .find(|own| (own.group, own.version, own.plural) == (group, version, plural))?;
        if rest.is_some() {
            return Some(Err(Status::no_such_path()));
        }
        Some(self.resource(request, resource, name))
    }

    /// Allows what the scopes of the token and the user's role allow. Every user is an admin of
    /// every project and can read the rest of the cluster, except for secrets.
    fn refuse(&self, user: &UserInfo, action: &Action<'_>) -> Option<String> {
        let scopes = user.extra.get(SCOPES)?;
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
    let is_read = matches!(verb, "get" | "list" | "watch" | "head");
    let ActionTarget::Resource {
        subject, namespace, ..
    } = &action.target
    else {
        return is_read;
    };
    match (subject.group, subject.plural) {
        _ if namespace.is_some() => true,
        ("authentication.k8s.io" | "authorization.k8s.io", _) => true,
        ("oauth.openshift.io", "useroauthaccesstokens") => is_read || verb == "delete",
        ("oauth.openshift.io", _) => verb == "delete",
        ("user.openshift.io", _) => verb == "get" && subject.name == "~",
        ("", "secrets") => false,
        _ => is_read,
    }
}

/// The metadata of RFC 8414, in the server's order.
#[derive(Serialize)]
struct AuthorizationServerMetadata {
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
    /// Responds to anonymous and authenticated requests alike. The router has refused those with an
    /// invalid token.
    fn well_known(&self, request: &VendorRequest<'_>) -> Result<Response<Body>, Status> {
        if !matches!(*request.request.method(), Method::GET | Method::HEAD) {
            return Err(Status::method_not_allowed());
        }
        let (issuer, flows) = (self.url(), self.options().flows);
        let only_implicit = flows == Flows::Implicit;
        let document = AuthorizationServerMetadata {
            issuer: issuer.to_owned(),
            authorization_endpoint: format!("{issuer}/oauth/authorize"),
            token_endpoint: format!("{issuer}/oauth/token"),
            scopes_supported: scopes::KNOWN,
            response_types_supported: if only_implicit {
                &["token"]
            } else {
                &["code", "token"]
            },
            grant_types_supported: if only_implicit {
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
        request: &VendorRequest<'_>,
        resource: &'static Resource,
        name: Option<&str>,
    ) -> Result<Response<Body>, Status> {
        let VendorRequest {
            stop,
            user,
            request: http,
            ..
        } = request;
        let action = Action::on_resource(http, resource, name);
        vendor::authorize(Some(self), user, &action)?;
        let query = Form::parse(http.uri().query());
        let view = View::new(Format::negotiate(http.headers(), &query)?, &query)?;
        let target = Target {
            resource,
            namespace: None,
            name: name.map(str::to_owned),
            subresource: None,
        };
        let method = http.method();
        let is_read = matches!(*method, Method::GET | Method::HEAD);
        match (resource.plural, name) {
            ("useroauthaccesstokens", _) => {
                // The store keeps a user's tokens under the user's name.
                let target = Target {
                    namespace: Some(user.username.clone()),
                    ..target
                };
                let store = &self.sessions.store;
                self.sessions.remove_expired(SystemTime::now());
                match name {
                    Some(_) if is_read => read::get(store, &target, &view),
                    Some(name) if *method == Method::DELETE => {
                        self.delete_token(name, Some(&user.username), (resource, &view))
                    }
                    None if is_read && query.flag("watch") => {
                        watch::respond((store, stop), &target, &query, view)
                    }
                    None if is_read => read::list(store, &target, &query, &view),
                    _ => Err(Status::method_not_allowed()),
                }
            }
            ("oauthaccesstokens", Some(name)) if *method == Method::DELETE => {
                self.delete_token(name, None, (resource, &view))
            }
            ("users", Some("~")) if is_read => self.user_object(user, &view),
            ("projects", _) if is_read && !query.flag("watch") => {
                projects::respond(&self.options(), request, &target, &view)
            }
            _ => Err(Status::method_not_allowed()),
        }
    }

    /// Ends a session and responds with the deleted object.
    fn delete_token(
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

    /// The user who sends the request. For a service account and others without a user object, the
    /// response has only the name and the groups.
    fn user_object(&self, user: &UserInfo, view: &View) -> Result<Response<Body>, Status> {
        let name = &user.username;
        let mut object = json!({
            "kind": USERS.kind,
            "apiVersion": USERS.api_version(),
            "metadata": {"name": name, "creationTimestamp": null},
            "groups": user.groups,
        });
        if let Some(known) = self.user(name) {
            metadata_mut(&mut object).insert("uid".to_owned(), json!(known.uid));
            object["identities"] = json!([format!("htpasswd:{name}")]);
            object["groups"] = json!(["system:authenticated", OAUTH_GROUP]);
        }
        response::json(StatusCode::OK, &view.one(&USERS, &object), &view.format)
    }
}
