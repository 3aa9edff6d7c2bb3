//! The columns of namespaces, nodes, roles and role bindings.

use serde_json::{Value, json};

use super::{
    AGE, Column, NAME,
    cells::{condition, items, list_or_none, none, text},
    column, wide,
};

pub(super) const NAMESPACES: &[Column] = &[
    NAME,
    column("Status", "The status of the namespace.", |o, _| {
        text(&o["status"]["phase"])
    }),
    AGE,
];

pub(super) const NODES: &[Column] = &[
    NAME,
    column("Status", "The status of the node.", |o, _| {
        let ready = condition(o, "Ready");
        json!(if ready { "Ready" } else { "NotReady" })
    }),
    column("Roles", "The roles of the node.", |o, _| {
        let roles: Vec<&str> = o["metadata"]["labels"]
            .as_object()
            .into_iter()
            .flatten()
            .filter_map(|(key, _)| key.strip_prefix("node-role.kubernetes.io/"))
            .collect();
        list_or_none(&roles)
    }),
    AGE,
    column("Version", "Kubelet version.", |o, _| {
        text(&o["status"]["nodeInfo"]["kubeletVersion"])
    }),
    wide("Internal-IP", "Internal address.", |o, _| {
        items(&o["status"]["addresses"])
            .iter()
            .find(|address| address["type"] == "InternalIP")
            .map_or_else(none, |address| text(&address["address"]))
    }),
    wide("External-IP", "External address.", |_, _| none()),
    wide("OS-Image", "Operating system.", |o, _| {
        text(&o["status"]["nodeInfo"]["osImage"])
    }),
    wide("Kernel-Version", "Kernel version.", |o, _| {
        text(&o["status"]["nodeInfo"]["kernelVersion"])
    }),
    wide("Container-Runtime", "Container runtime.", |o, _| {
        text(&o["status"]["nodeInfo"]["containerRuntimeVersion"])
    }),
];

pub(super) const ROLES: &[Column] = &[
    NAME,
    column("Created At", "When the object was created.", |o, _| {
        text(&o["metadata"]["creationTimestamp"])
    }),
];

pub(super) const ROLE_BINDINGS: &[Column] = &[
    NAME,
    column("Role", "The role that is given.", |o, _| {
        let (kind, name) = (&o["roleRef"]["kind"], &o["roleRef"]["name"]);
        let part = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        json!(format!("{}/{}", part(kind), part(name)))
    }),
    AGE,
    wide("Users", "The users that it is given to.", |o, _| {
        subjects(o, "User")
    }),
    wide("Groups", "The groups that it is given to.", |o, _| {
        subjects(o, "Group")
    }),
    wide(
        "ServiceAccounts",
        "The service accounts that it is given to.",
        |o, _| subjects(o, "ServiceAccount"),
    ),
];

/// The names of the subjects of a role binding that are of one kind.
fn subjects(binding: &Value, kind: &str) -> Value {
    let of_kind = items(&binding["subjects"])
        .iter()
        .filter(|subject| subject["kind"] == kind);
    let names = of_kind.filter_map(|subject| {
        let name = subject["name"].as_str()?;
        Some(match subject["namespace"].as_str() {
            Some(namespace) => format!("{namespace}/{name}"),
            None => name.to_owned(),
        })
    });
    json!(names.collect::<Vec<_>>().join(", "))
}
