//! The columns of each resource in the output of `kubectl get`.

mod cells;
mod cluster;
mod namespaced;
mod workloads;

use jiff::Timestamp;
use serde_json::Value;

use self::cells::{age, text};
use crate::demo::kubernetes::objects::resources::Resource;

/// A column, and the function that reads its cell from an object.
pub(crate) struct Column {
    pub(crate) name: &'static str,
    /// `string` or `integer`.
    pub(crate) kind: &'static str,
    pub(crate) description: &'static str,
    /// Whether it is shown only with `-o wide`.
    pub(crate) wide: bool,
    pub(crate) cell: fn(&Value, Timestamp) -> Value,
}

const fn column(
    name: &'static str,
    description: &'static str,
    cell: fn(&Value, Timestamp) -> Value,
) -> Column {
    Column {
        name,
        kind: "string",
        description,
        wide: false,
        cell,
    }
}

const fn wide(
    name: &'static str,
    description: &'static str,
    cell: fn(&Value, Timestamp) -> Value,
) -> Column {
    Column {
        wide: true,
        ..column(name, description, cell)
    }
}

const fn number(
    name: &'static str,
    description: &'static str,
    cell: fn(&Value, Timestamp) -> Value,
) -> Column {
    Column {
        kind: "integer",
        ..column(name, description, cell)
    }
}

/// The columns of a resource.
pub(crate) fn of(resource: &Resource) -> &'static [Column] {
    match resource.plural {
        "configmaps" => namespaced::CONFIG_MAPS,
        "events" => namespaced::EVENTS,
        "namespaces" => cluster::NAMESPACES,
        "nodes" => cluster::NODES,
        "pods" => workloads::PODS,
        "secrets" => namespaced::SECRETS,
        "serviceaccounts" => namespaced::SERVICE_ACCOUNTS,
        "services" => namespaced::SERVICES,
        "deployments" => workloads::DEPLOYMENTS,
        "replicasets" => workloads::REPLICA_SETS,
        "clusterroles" | "roles" => cluster::ROLES,
        "clusterrolebindings" | "rolebindings" => cluster::ROLE_BINDINGS,
        _ => &[NAME, AGE],
    }
}

const NAME: Column = column("Name", "Name must be unique within a namespace.", |o, _| {
    text(&o["metadata"]["name"])
});
const AGE: Column = column("Age", "Time since the object was created.", |o, now| {
    age(&o["metadata"]["creationTimestamp"], now)
});
