//! The columns that `kubectl get` shows of each kind.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::age;
use crate::demo::kubernetes::objects::resources::Resource;

/// One column and how its cell is read from an object.
pub(crate) struct Column {
    pub(crate) name: &'static str,
    /// `string` or `integer`.
    pub(crate) kind: &'static str,
    pub(crate) description: &'static str,
    /// Shown with `-o wide` only.
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

/// The columns of a kind.
pub(crate) fn of(resource: &Resource) -> &'static [Column] {
    match resource.plural {
        "configmaps" => CONFIG_MAPS,
        "events" => EVENTS,
        "namespaces" => NAMESPACES,
        "nodes" => NODES,
        "pods" => PODS,
        "secrets" => SECRETS,
        "serviceaccounts" => SERVICE_ACCOUNTS,
        "services" => SERVICES,
        "deployments" => DEPLOYMENTS,
        "replicasets" => REPLICA_SETS,
        "clusterroles" | "roles" => ROLES,
        "clusterrolebindings" | "rolebindings" => ROLE_BINDINGS,
        _ => &[NAME, AGE],
    }
}

const NAME: Column = column("Name", "Name must be unique within a namespace.", |o, _| {
    text(&o["metadata"]["name"])
});
const AGE: Column = column("Age", "Time since the object was created.", |o, now| {
    ago(&o["metadata"]["creationTimestamp"], now)
});
const CONTAINERS: Column = wide("Containers", "Names of each container.", |o, _| {
    joined(&o["spec"]["template"]["spec"]["containers"], "name")
});
const IMAGES: Column = wide("Images", "Images of each container.", |o, _| {
    joined(&o["spec"]["template"]["spec"]["containers"], "image")
});
const SELECTOR: Column = wide("Selector", "The label selector of the pods.", |o, _| {
    labels(&o["spec"]["selector"]["matchLabels"])
});

const CONFIG_MAPS: &[Column] = &[
    NAME,
    number("Data", "Number of entries.", |o, _| {
        json!(size(&o["data"]) + size(&o["binaryData"]))
    }),
    AGE,
];

const SECRETS: &[Column] = &[
    NAME,
    column("Type", "The type of the secret.", |o, _| text(&o["type"])),
    number("Data", "Number of entries.", |o, _| json!(size(&o["data"]))),
    AGE,
];

const SERVICE_ACCOUNTS: &[Column] = &[
    NAME,
    number("Secrets", "Number of secrets.", |o, _| {
        json!(items(&o["secrets"]).len())
    }),
    AGE,
];

const ROLES: &[Column] = &[
    NAME,
    column("Created At", "When the object was created.", |o, _| {
        text(&o["metadata"]["creationTimestamp"])
    }),
];

const ROLE_BINDINGS: &[Column] = &[
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

/// The names of a binding's subjects of one kind.
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

const NAMESPACES: &[Column] = &[
    NAME,
    column("Status", "The status of the namespace.", |o, _| {
        text(&o["status"]["phase"])
    }),
    AGE,
];

const NODES: &[Column] = &[
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

const PODS: &[Column] = &[
    NAME,
    column("Ready", "Ready containers of all.", |o, _| {
        let ready = items(&o["status"]["containerStatuses"])
            .iter()
            .filter(|status| status["ready"] == true)
            .count();
        json!(format!("{ready}/{}", items(&o["spec"]["containers"]).len()))
    }),
    column("Status", "The state of the pod.", |o, _| {
        if o["metadata"]["deletionTimestamp"].is_string() {
            json!("Terminating")
        } else {
            text(&o["status"]["phase"])
        }
    }),
    column("Restarts", "Restarts of its containers.", |o, _| {
        let restarts: u64 = items(&o["status"]["containerStatuses"])
            .iter()
            .filter_map(|status| status["restartCount"].as_u64())
            .sum();
        json!(restarts.to_string())
    }),
    AGE,
    wide("IP", "The address of the pod.", |o, _| {
        or_none(&o["status"]["podIP"])
    }),
    wide("Node", "The node it runs on.", |o, _| {
        or_none(&o["spec"]["nodeName"])
    }),
    wide("Nominated Node", "The node it may preempt on.", |o, _| {
        or_none(&o["status"]["nominatedNodeName"])
    }),
    wide("Readiness Gates", "Conditions of its own.", |_, _| none()),
];

const SERVICES: &[Column] = &[
    NAME,
    column("Type", "How the service is exposed.", |o, _| {
        text(&o["spec"]["type"])
    }),
    column("Cluster-IP", "Its address.", |o, _| {
        or_none(&o["spec"]["clusterIP"])
    }),
    column("External-IP", "Its outer address.", |o, _| {
        or_none(&o["spec"]["externalName"])
    }),
    column("Port(s)", "The ports it serves.", |o, _| {
        let ports: Vec<String> = items(&o["spec"]["ports"])
            .iter()
            .map(|port| {
                let protocol = port["protocol"].as_str().unwrap_or("TCP");
                format!("{}/{protocol}", port["port"])
            })
            .collect();
        list_or_none(&ports)
    }),
    AGE,
    wide("Selector", "The labels of its pods.", |o, _| {
        labels(&o["spec"]["selector"])
    }),
];

const EVENTS: &[Column] = &[
    column("Last Seen", "Time of the last occurrence.", |o, now| {
        let times = ["lastTimestamp", "eventTime", "firstTimestamp"];
        let last = times
            .iter()
            .map(|time| &o[*time])
            .find(|time| time.is_string());
        ago(last.unwrap_or(&o["metadata"]["creationTimestamp"]), now)
    }),
    column("Type", "Normal or Warning.", |o, _| text(&o["type"])),
    column("Reason", "Why it happened.", |o, _| text(&o["reason"])),
    column("Object", "The object it is about.", |o, _| {
        let object = &o["involvedObject"];
        let kind = object["kind"].as_str().unwrap_or_default().to_lowercase();
        json!(format!(
            "{kind}/{}",
            object["name"].as_str().unwrap_or_default()
        ))
    }),
    wide("Subobject", "The part it is about.", |o, _| {
        text(&o["involvedObject"]["fieldPath"])
    }),
    wide("Source", "Who reported it.", |o, _| {
        let reported = or_none(&o["reportingComponent"]);
        if reported == none() {
            text(&o["source"]["component"])
        } else {
            reported
        }
    }),
    column("Message", "What happened.", |o, _| text(&o["message"])),
    wide("First Seen", "Time of the first occurrence.", |o, now| {
        ago(&o["firstTimestamp"], now)
    }),
    wide("Count", "How often it happened.", |o, _| {
        json!(o["count"].as_u64().unwrap_or(1).to_string())
    }),
    wide("Name", "The name of the event.", |o, _| {
        text(&o["metadata"]["name"])
    }),
];

const DEPLOYMENTS: &[Column] = &[
    NAME,
    column("Ready", "Ready pods of those wanted.", |o, _| {
        let ready = count(&o["status"]["readyReplicas"]);
        json!(format!("{ready}/{}", count(&o["spec"]["replicas"])))
    }),
    number("Up-to-date", "Pods of the newest template.", |o, _| {
        json!(count(&o["status"]["updatedReplicas"]))
    }),
    number("Available", "Pods ready for long enough.", |o, _| {
        json!(count(&o["status"]["availableReplicas"]))
    }),
    AGE,
    CONTAINERS,
    IMAGES,
    SELECTOR,
];

const REPLICA_SETS: &[Column] = &[
    NAME,
    number("Desired", "Pods wanted.", |o, _| {
        json!(count(&o["spec"]["replicas"]))
    }),
    number("Current", "Pods there are.", |o, _| {
        json!(count(&o["status"]["replicas"]))
    }),
    number("Ready", "Pods that are ready.", |o, _| {
        json!(count(&o["status"]["readyReplicas"]))
    }),
    AGE,
    CONTAINERS,
    IMAGES,
    SELECTOR,
];

fn text(value: &Value) -> Value {
    json!(value.as_str().unwrap_or_default())
}

fn none() -> Value {
    json!("<none>")
}

fn or_none(value: &Value) -> Value {
    match value.as_str() {
        Some(text) if !text.is_empty() => json!(text),
        _ => none(),
    }
}

fn list_or_none<S: AsRef<str>>(parts: &[S]) -> Value {
    let parts: Vec<&str> = parts.iter().map(AsRef::as_ref).collect();
    or_none(&json!(parts.join(",")))
}

fn ago(value: &Value, now: Timestamp) -> Value {
    json!(age::since(value.as_str(), now))
}

fn count(value: &Value) -> u64 {
    value.as_u64().unwrap_or_default()
}

fn size(value: &Value) -> usize {
    value.as_object().map_or(0, serde_json::Map::len)
}

fn items(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn joined(list: &Value, field: &str) -> Value {
    let parts: Vec<&str> = items(list)
        .iter()
        .filter_map(|item| item[field].as_str())
        .collect();
    json!(parts.join(","))
}

fn labels(map: &Value) -> Value {
    let parts: Vec<String> = map
        .as_object()
        .into_iter()
        .flatten()
        .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
        .collect();
    list_or_none(&parts)
}

fn condition(object: &Value, kind: &str) -> bool {
    items(&object["status"]["conditions"])
        .iter()
        .any(|condition| condition["type"] == kind && condition["status"] == "True")
}
