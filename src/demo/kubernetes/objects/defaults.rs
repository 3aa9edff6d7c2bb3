//! The defaults and the status that API server, controllers and kubelet would set. The status
//! always says that everything is ready.

use aws_lc_rs::rand;
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Map, Value, json};

use super::{
    resources::{self, Resource},
    store::{Key, Outcome, Store},
};
use crate::demo::{
    kubernetes::{
        encoding::status::Status,
        objects::metadata::{as_map, child_mut, meta, metadata_mut, timestamp},
    },
    random::new_uuid,
};

/// The name of the only node.
pub(crate) const NODE: &str = "demo-node";

/// Sets what the server determines in a new object: kind, UID, time of creation and defaults.
pub(crate) fn prepare_new(resource: &Resource, namespace: &str, object: &mut Value) {
    let map = as_map(object);
    map.insert("kind".to_owned(), json!(resource.kind));
    map.insert("apiVersion".to_owned(), json!(resource.api_version()));
    let metadata = metadata_mut(object);
    if resource.namespaced {
        metadata.insert("namespace".to_owned(), json!(namespace));
    } else {
        metadata.remove("namespace");
    }
    metadata.insert("uid".to_owned(), json!(new_uuid()));
    metadata.insert("creationTimestamp".to_owned(), json!(timestamp()));
    if resource.has_generation {
        metadata.insert("generation".to_owned(), json!(1));
    }
    if resource.has_status() {
        // Clients cannot set the status of a new object.
        as_map(object).remove("status");
    }
    set_defaults(resource, object);
}

/// Sets the defaults and the status of a new object.
fn set_defaults(resource: &Resource, object: &mut Value) {
    match resource.plural {
        "namespaces" => namespace(object),
        "pods" => pod(object),
        "services" => service(object),
        "secrets" => set_default(as_map(object), "type", json!("Opaque")),
        "deployments" => deployment(object),
        "clusterrolebindings" | "rolebindings" => role_binding(object),
        "replicasets" => {
            let spec = child_mut(as_map(object), "spec");
            set_default(spec, "replicas", json!(1));
            pod_spec(child_mut(child_mut(spec, "template"), "spec"));
        }
        _ => {}
    }
    reconcile(resource, object);
}

/// Updates an object after a write of its spec, as its controller would.
pub(crate) fn reconcile(resource: &Resource, object: &mut Value) {
    match resource.plural {
        "secrets" => encode_strings(object),
        "deployments" | "replicasets" => roll_out(resource, object),
        _ => {}
    }
}

/// Creates the service account and the CA bundle that every namespace has.
pub(crate) fn create_namespace_objects(store: &Store, namespace: &str) -> Result<(), Status> {
    for (plural, name, extra) in [
        ("serviceaccounts", "default", json!({})),
        (
            "configmaps",
            "kube-root-ca.crt",
            json!({"data": {"ca.crt": ""}}),
        ),
    ] {
        let Some(resource) = resources::find("", "v1", plural) else {
            continue;
        };
        let mut object = extra;
        metadata_mut(&mut object).insert("name".to_owned(), json!(name));
        prepare_new(resource, namespace, &mut object);
        let key = Key::new(resource, namespace, name);
        store.change(&key, false, |current| {
            Ok(if current.is_some() {
                Outcome::Unchanged
            } else {
                Outcome::Put(object)
            })
        })?;
    }
    Ok(())
}

fn set_default(map: &mut Map<String, Value>, field: &str, value: Value) {
    map.entry(field).or_insert(value);
}

fn namespace(object: &mut Value) {
    let name = meta(object, "name").to_owned();
    child_mut(metadata_mut(object), "labels")
        .insert("kubernetes.io/metadata.name".to_owned(), json!(name));
    let map = as_map(object);
    set_default(map, "spec", json!({"finalizers": ["kubernetes"]}));
    map.insert("status".to_owned(), json!({"phase": "Active"}));
}

fn role_binding(object: &mut Value) {
    let group = json!(resources::RBAC_GROUP);
    set_default(
        child_mut(as_map(object), "roleRef"),
        "apiGroup",
        group.clone(),
    );
    let subjects = object["subjects"].as_array_mut();
    for subject in subjects.into_iter().flatten() {
        if matches!(subject["kind"].as_str(), Some("User" | "Group")) {
            set_default(as_map(subject), "apiGroup", group.clone());
        }
    }
}

fn service(object: &mut Value) {
    let spec = child_mut(as_map(object), "spec");
    set_default(spec, "type", json!("ClusterIP"));
    set_default(spec, "sessionAffinity", json!("None"));
    if spec["type"] != "ExternalName" {
        set_default(spec, "clusterIP", json!(address("10.96")));
    }
    if let Some(Value::Array(ports)) = spec.get_mut("ports") {
        for port in ports {
            let port = as_map(port);
            set_default(port, "protocol", json!("TCP"));
            let number = port.get("port").cloned().unwrap_or_default();
            set_default(port, "targetPort", number);
        }
    }
    as_map(object).insert("status".to_owned(), json!({"loadBalancer": {}}));
}

fn pod(object: &mut Value) {
    let spec = child_mut(as_map(object), "spec");
    pod_spec(spec);
    for (field, value) in [
        ("nodeName", json!(NODE)),
        ("serviceAccountName", json!("default")),
        ("serviceAccount", json!("default")),
        ("enableServiceLinks", json!(true)),
    ] {
        set_default(spec, field, value);
    }
    let now = timestamp();
    let statuses: Vec<Value> = spec["containers"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|container| running_status(container, &now))
        .collect();
    let conditions: Vec<Value> = ["PodScheduled", "Initialized", "ContainersReady", "Ready"]
        .iter()
        .map(|name| json!({"type": name, "status": "True", "lastTransitionTime": now}))
        .collect();
    let ip = address("10.244");
    let status = json!({
        "phase": "Running",
        "qosClass": "BestEffort",
        "hostIP": "127.0.0.1",
        "podIP": ip,
        "podIPs": [{"ip": ip}],
        "startTime": now,
        "conditions": conditions,
        "containerStatuses": statuses,
    });
    as_map(object).insert("status".to_owned(), status);
}

fn running_status(container: &Value, since: &str) -> Value {
    let image = &container["image"];
    json!({
        "name": container["name"],
        "image": image,
        "imageID": image,
        "containerID": format!("demo://{}", new_uuid()),
        "ready": true,
        "started": true,
        "restartCount": 0,
        "state": {"running": {"startedAt": since}},
        "lastState": {},
    })
}

/// Sets the defaults of a pod or of a pod template.
fn pod_spec(spec: &mut Map<String, Value>) {
    for (field, value) in [
        ("restartPolicy", json!("Always")),
        ("dnsPolicy", json!("ClusterFirst")),
        ("schedulerName", json!("default-scheduler")),
        ("terminationGracePeriodSeconds", json!(30)),
        ("securityContext", json!({})),
    ] {
        set_default(spec, field, value);
    }
    if let Some(Value::Array(containers)) = spec.get_mut("containers") {
        for container in containers.iter_mut().map(as_map) {
            for (field, value) in [
                ("imagePullPolicy", "IfNotPresent"),
                ("terminationMessagePath", "/dev/termination-log"),
                ("terminationMessagePolicy", "File"),
            ] {
                set_default(container, field, json!(value));
            }
            set_default(container, "resources", json!({}));
            if let Some(Value::Array(ports)) = container.get_mut("ports") {
                for port in ports {
                    set_default(as_map(port), "protocol", json!("TCP"));
                }
            }
        }
    }
}

fn deployment(object: &mut Value) {
    let spec = child_mut(as_map(object), "spec");
    set_default(spec, "replicas", json!(1));
    set_default(spec, "revisionHistoryLimit", json!(10));
    set_default(spec, "progressDeadlineSeconds", json!(600));
    let strategy = child_mut(spec, "strategy");
    set_default(strategy, "type", json!("RollingUpdate"));
    if strategy["type"] == "RollingUpdate" {
        let rolling_update = json!({"maxSurge": "25%", "maxUnavailable": "25%"});
        set_default(strategy, "rollingUpdate", rolling_update);
    }
    pod_spec(child_mut(child_mut(spec, "template"), "spec"));
    let revision = json!("1");
    let annotations = child_mut(metadata_mut(object), "annotations");
    set_default(annotations, "deployment.kubernetes.io/revision", revision);
}

/// Sets a status in which all replicas are up to date and ready.
fn roll_out(resource: &Resource, object: &mut Value) {
    let replicas = object["spec"]["replicas"].clone();
    let generation = object["metadata"]["generation"].clone();
    let since = object["metadata"]["creationTimestamp"].clone();
    let mut status = json!({"observedGeneration": generation, "replicas": replicas});
    if replicas != 0 {
        status["readyReplicas"] = replicas.clone();
        status["availableReplicas"] = replicas.clone();
    }
    if resource.plural == "deployments" {
        if replicas != 0 {
            status["updatedReplicas"] = replicas;
        }
        let condition = |name: &str, reason: &str, message: &str| {
            json!({
                "type": name, "status": "True", "reason": reason, "message": message,
                "lastUpdateTime": since, "lastTransitionTime": since,
            })
        };
        status["conditions"] = json!([
            condition(
                "Available",
                "MinimumReplicasAvailable",
                "Deployment has minimum availability."
            ),
            condition(
                "Progressing",
                "NewReplicaSetAvailable",
                "ReplicaSet has successfully progressed."
            ),
        ]);
    } else {
        status["fullyLabeledReplicas"] = status["replicas"].clone();
    }
    as_map(object).insert("status".to_owned(), status);
}

/// Moves `stringData`, which is write-only, to `data` in base64.
fn encode_strings(object: &mut Value) {
    let map = as_map(object);
    let Some(Value::Object(strings)) = map.remove("stringData") else {
        return;
    };
    let data = child_mut(map, "data");
    for (name, value) in strings {
        let encoded = STANDARD.encode(value.as_str().unwrap_or_default());
        data.insert(name, json!(encoded));
    }
}

/// A random address of a network. Nothing listens there.
fn address(network: &str) -> String {
    let mut bytes = [0; 2];
    // The address is only displayed, so zeros after a failure do no harm.
    let _ = rand::fill(&mut bytes);
    format!("{network}.{}.{}", bytes[0], bytes[1].clamp(2, 254))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_new_pod_is_running_with_every_container_ready() {
        let pods = resources::find("", "v1", "pods").unwrap();
        let mut pod = json!({"metadata": {"name": "a"}, "spec": {"containers": [
            {"name": "x", "image": "x:1"}, {"name": "y"},
        ]}});
        set_defaults(pods, &mut pod);
        assert_eq!(pod["status"]["phase"], "Running");
        assert_eq!(pod["status"]["containerStatuses"][1]["name"], "y");
        assert_eq!(pod["spec"]["nodeName"], NODE);
    }

    #[test]
    fn a_deployment_is_always_rolled_out() {
        let deployments = resources::find("apps", "v1", "deployments").unwrap();
        let mut web =
            json!({"metadata": {"name": "web", "generation": 4}, "spec": {"replicas": 3}});
        set_defaults(deployments, &mut web);
        assert_eq!(web["status"]["availableReplicas"], 3);
        assert_eq!(web["status"]["observedGeneration"], 4);
        web["spec"]["replicas"] = json!(0);
        reconcile(deployments, &mut web);
        assert_eq!(web["status"]["replicas"], 0);
        assert!(web["status"]["availableReplicas"].is_null());
    }

    #[test]
    fn string_data_becomes_data() {
        let secrets = resources::find("", "v1", "secrets").unwrap();
        let mut secret = json!({"stringData": {"a": "hi"}, "data": {"b": "eA=="}});
        reconcile(secrets, &mut secret);
        assert_eq!(secret, json!({"data": {"a": "aGk=", "b": "eA=="}}));
    }
}
