//! What a request wants to do, in the words of roles, and the refusal of it.

use http::{Method, Request};

use super::route::{Route, Target};
use crate::demo::{
    form::Query,
    kubernetes::{
        encoding::status::{Status, Subject},
        objects::resources::Resource,
    },
};

/// A verb and what it is done to.
#[derive(Debug)]
pub(crate) struct Action<'a> {
    pub(crate) verb: String,
    pub(crate) object: Object<'a>,
}

#[derive(Debug)]
pub(crate) enum Object<'a> {
    /// A path that names no resource.
    Path(&'a str),
    Resource {
        subject: Subject<'a>,
        subresource: Option<&'a str>,
        namespace: Option<&'a str>,
    },
}

impl<'a> Action<'a> {
    /// What `request` wants; `route` is what its path means, if it means anything.
    pub(crate) fn of<B>(request: &'a Request<B>, route: Option<&'a Route>) -> Self {
        match route {
            Some(Route::Object(target)) => Self {
                verb: verb(request, target.name.is_some()).to_owned(),
                object: object(target),
            },
            Some(Route::Review(review)) => Self {
                verb: verb(request, false).to_owned(),
                object: Object::Resource {
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
                object: Object::Path(request.uri().path()),
            },
        }
    }

    /// What `request` wants with a resource of the cluster, or with one of them by name.
    pub(crate) fn on<B>(request: &Request<B>, resource: &Resource, name: Option<&'a str>) -> Self {
        Self {
            verb: verb(request, name.is_some()).to_owned(),
            object: Object::Resource {
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

    /// 403 for `user`; `because` stands behind the sentence.
    pub(crate) fn refusal(&self, user: &str, because: &str) -> Status {
        let verb = &self.verb;
        match &self.object {
            Object::Path(path) => {
                let what = format!("User {user:?} cannot {verb} path {path:?}{because}");
                Status::forbidden(None, &what)
            }
            Object::Resource {
                subject,
                subresource,
                namespace,
            } => {
                let named = match subresource {
                    Some(subresource) => format!("{}/{subresource}", subject.plural),
                    None => subject.plural.to_owned(),
                };
                let place = match namespace {
                    Some(namespace) => format!("in the namespace {namespace:?}"),
                    None => "at the cluster scope".to_owned(),
                };
                let what = format!(
                    "User {user:?} cannot {verb} resource {named:?} in API group {:?} {place}{because}",
                    subject.group,
                );
                Status::forbidden(Some(*subject), &what)
            }
        }
    }
}

fn object(target: &Target) -> Object<'_> {
    Object::Resource {
        subject: Subject {
            group: target.resource.group,
            plural: target.resource.plural,
            name: target.name.as_deref().unwrap_or_default(),
        },
        subresource: target.subresource.as_deref(),
        namespace: target.namespace.as_deref(),
    }
}

fn verb<B>(request: &Request<B>, named: bool) -> &'static str {
    match *request.method() {
        Method::POST => "create",
        Method::PUT => "update",
        Method::PATCH => "patch",
        Method::DELETE if named => "delete",
        Method::DELETE => "deletecollection",
        _ if named => "get",
        _ if Query::parse(request.uri().query()).flag("watch") => "watch",
        _ => "list",
    }
}
