//! The resources that `OpenShift` adds to those of Kubernetes.

use crate::demo::kubernetes::objects::resources::Resource;

/// The tokens of the user who sends the request.
pub(super) static USER_TOKENS: Resource = Resource {
    plural: "useroauthaccesstokens",
    singular: "useroauthaccesstoken",
    kind: "UserOAuthAccessToken",
    verbs: &["delete", "get", "list", "watch"],
    ..OAUTH
};

/// The tokens of all users. A user who knows the name of a token may delete it.
pub(super) static OAUTH_TOKENS: Resource = Resource {
    plural: "oauthaccesstokens",
    singular: "oauthaccesstoken",
    kind: "OAuthAccessToken",
    verbs: &["delete"],
    ..OAUTH
};

pub(super) static USERS: Resource = Resource {
    group: "user.openshift.io",
    plural: "users",
    singular: "user",
    kind: "User",
    verbs: &["get"],
    ..OAUTH
};

/// Namespaces in the form that users see.
pub(super) static PROJECTS: Resource = Resource {
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
    has_generation: false,
};

pub(super) static VENDOR_RESOURCES: [&Resource; 4] =
    [&OAUTH_TOKENS, &USER_TOKENS, &PROJECTS, &USERS];
