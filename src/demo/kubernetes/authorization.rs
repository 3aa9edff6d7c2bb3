//! The action that a request attempts: a verb and a resource, as RBAC rules name them.

use http::{Method, Request};

use super::route::{Route, Target};
use crate::demo::{
    form::Form,
    kubernetes::{
        encoding::status::{Status, Subject},
        objects::resources::Resource,
    },
};

/// A verb and its target.
#[derive(Debug)]
pub(crate) struct Action<'a> {
    pub(crate) verb: String,
    pub(crate) target: ActionTarget<'a>,
}

#[derive(Debug)]
pub(crate) enum ActionTarget<'a> {
    /// A path that is not a resource's.
    NonResource(&'a str),
    Resource {
        subject: Subject<'a>,
        subresource: Option<&'a str>,
        namespace: Option<&'a str>,
    },
}

impl<'a> Action<'a> {
    /// The action of a request whose path has this route, if it has one.
    pub(crate) fn of<B>(request: &'a Request<B>, route: Option<&'a Route>) -> Self {
        match route {
            Some(Route::Object(target)) => Self {
                verb: verb(request, target.name.is_some()).to_owned(),
                target: resource(target),
            },
            Some(Route::Review(review)) => Self {
                verb: verb(request, false).to_owned(),
                target: ActionTarget::Resource {
                    subject: Subject {
                        group: review.group,
                        plural: review.plural,
                        name: "",
                    },
                    subresource: None,
                    namespace: None,
                },
            },
            _ => Self {
                verb: request.method().as_str().to_lowercase(),
                target: ActionTarget::NonResource(request.uri().path()),
            },
        }
    }

    /// The action of a request on a cluster-scoped resource.
    pub(crate) fn on_resource<B>(
        request: &Request<B>,
        resource: &Resource,
        name: Option<&'a str>,
    ) -> Self {
        Self {
            verb: verb(request, name.is_some()).to_owned(),
            target: ActionTarget::Resource {
                subject: Subject {
                    group: resource.group,
                    plural: resource.plural,
                    name: name.unwrap_or_default(),
                },
                subresource: None,
                namespace: None,
            },
        }
    }

    /// The error that forbids a user the action. `reason` ends its message.
    pub(crate) fn forbidden(&self, user: &str, reason: &str) -> Status {
        let verb = &self.verb;
        match &self.target {
            ActionTarget::NonResource(path) => {
                let sentence = format!("User {user:?} cannot {verb} path {path:?}{reason}");
                Status::forbidden(None, &sentence)
            }
            ActionTarget::Resource {
                subject,
                subresource,
                namespace,
            } => {
                let named = match subresource {
                    Some(subresource) => format!("{}/{subresource}", subject.plural),
                    None => subject.plural.to_owned(),
                };
                let scope = match namespace {
                    Some(namespace) => format!("in the namespace {namespace:?}"),
                    None => "at the cluster scope".to_owned(),
                };
                let sentence = format!(
                    "User {user:?} cannot {verb} resource {named:?} in API group {:?} {scope}{reason}",
                    subject.group,
                );
                Status::forbidden(Some(*subject), &sentence)
            }
        }
    }
}

fn resource(target: &Target) -> ActionTarget<'_> {
    ActionTarget::Resource {
        subject: Subject {
            group: target.resource.group,
            plural: target.resource.plural,
            name: target.name.as_deref().unwrap_or_default(),
        },
        subresource: target.subresource.as_deref(),
        namespace: target.namespace.as_deref(),
    }
}

fn verb<B>(request: &Request<B>, has_name: bool) -> &'static str {
    match *request.method() {
        Method::POST => "create",
        Method::PUT => "update",
        Method::PATCH => "patch",
        Method::DELETE if has_name => "delete",
        Method::DELETE => "deletecollection",
        _ if has_name => "get",
        _ if Form::parse(request.uri().query()).flag("watch") => "watch",
        _ => "list",
    }
}
