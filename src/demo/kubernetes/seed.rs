//! The objects that the cluster has at start.
//!
//! They are the namespaces `default`, `demo`, `kube-public` and `kube-system`; one node; in `default` the pods
//! `hello` (container `shell`) and `web-7c9d8b6f5-x4k2m` (containers `nginx` and `sidecar`), the
//! deployment and service `web`, a config map, a secret, and some events.

use serde_json::{Value, json};

use crate::demo::kubernetes::objects::{
    defaults::{self, NODE, prepare_new},
    metadata::{meta, timestamp},
    resources,
    store::{Key, Outcome, Store},
};

const REPLICA_SET: &str = "web-7c9d8b6f5";
const POD: &str = "web-7c9d8b6f5-x4k2m";

/// Puts the objects into an empty store. Their creation is not in the log, as in a cluster that has
/// been running for a while: a watch that starts before it is `Expired`.
pub(crate) fn fill(store: &Store) {
    for name in ["default", "demo", "kube-public", "kube-system"] {
        add(store, "namespaces", "", json!({"metadata": {"name": name}}));
        // This cannot fail in an empty store.
        let _ = defaults::create_namespace_objects(store, name);
    }
    add(store, "nodes", "", node());
    let hello = add(store, "pods", "default", hello());
    add_web(store);
    for (plural, object) in other_objects() {
        add(store, plural, "default", object);
    }
    for (reason, message) in [
        (
            "Scheduled",
            format!("Successfully assigned default/hello to {NODE}"),
        ),
        (
            "Pulled",
            "Container image \"busybox:1.37\" already present on machine".to_owned(),
        ),
        ("Started", "Started container shell".to_owned()),
    ] {
        add(store, "events", "default", event(&hello, reason, &message));
    }
    store.compact();
}

/// Stores an object as if a client had created it. Returns it with its defaults.
fn add(store: &Store, plural: &str, namespace: &str, mut object: Value) -> Value {
    let group = match plural {
        "deployments" | "replicasets" => "apps",
        _ => "",
    };
    let Some(resource) = resources::find(group, "v1", plural) else {
        return object;
    };
    prepare_new(resource, namespace, &mut object);
    if resource.plural == "nodes" {
        object["status"] = node_status();
    }
    let key = Key::new(resource, namespace, meta(&object, "name"));
    // This cannot fail in an empty store.
    let _ = store.change(&key, false, |_| Ok(Outcome::Put(object.clone())));
    object
}

fn node() -> Value {
    json!({
        "metadata": {
            "name": NODE,
            "labels": {
                "kubernetes.io/hostname": NODE,
                "kubernetes.io/os": "linux",
                "node-role.kubernetes.io/control-plane": "",
            },
        },
        "spec": {"podCIDR": "10.244.0.0/16"},
    })
}

fn node_status() -> Value {
    let now = timestamp();
    json!({
        "addresses": [
            {"type": "InternalIP", "address": "127.0.0.1"},
            {"type": "Hostname", "address": NODE},
        ],
        "capacity": {"cpu": "2", "memory": "4Gi", "pods": "110"},
        "allocatable": {"cpu": "2", "memory": "4Gi", "pods": "110"},
        "conditions": [{
            "type": "Ready", "status": "True", "reason": "KubeletReady",
            "message": "there is no kubelet", "lastHeartbeatTime": now, "lastTransitionTime": now,
        }],
        "nodeInfo": {
            "kubeletVersion": "v1.35.0",
            "osImage": "none",
            "kernelVersion": "none",
            "containerRuntimeVersion": "demo://1",
            "operatingSystem": std::env::consts::OS,
            "architecture": std::env::consts::ARCH,
        },
    })
}

fn hello() -> Value {
    json!({
        "metadata": {"name": "hello", "labels": {"app": "hello"}},
        "spec": {"containers": [{
            "name": "shell",
            "image": "busybox:1.37",
            "command": ["sh"],
            "stdin": true,
            "tty": true,
            "env": [{"name": "GREETING", "value": "hello"}],
        }]},
    })
}

/// Adds a deployment, and the objects that controllers would have created for it.
fn add_web(store: &Store) {
    let labels = json!({"app": "web"});
    let hashed = json!({"app": "web", "pod-template-hash": "7c9d8b6f5"});
    let pod = json!({"containers": [
        {"name": "nginx", "image": "nginx:1.29", "ports": [{"containerPort": 80}]},
        {
            "name": "sidecar",
            "image": "busybox:1.37",
            "args": ["tail", "-f", "/var/log/nginx/access.log"],
        },
    ]});
    let deployment = json!({
        "metadata": {"name": "web", "labels": labels},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    });
    let deployment = add(store, "deployments", "default", deployment);
    let replica_set = json!({
        "metadata": {
            "name": REPLICA_SET,
            "labels": hashed,
            "annotations": {"deployment.kubernetes.io/revision": "1"},
            "ownerReferences": [owner(&deployment)],
        },
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": hashed},
            "template": {"metadata": {"labels": hashed}, "spec": pod},
        },
    });
    let replica_set = add(store, "replicasets", "default", replica_set);
    let pod = json!({
        "metadata": {"name": POD, "labels": hashed, "ownerReferences": [owner(&replica_set)]},
        "spec": pod,
    });
    add(store, "pods", "default", pod);
    let service = json!({
        "metadata": {"name": "web", "labels": labels},
        "spec": {"selector": labels, "ports": [{"port": 80}]},
    });
    add(store, "services", "default", service);
}

fn owner(object: &Value) -> Value {
    json!({
        "apiVersion": object["apiVersion"],
        "kind": object["kind"],
        "name": object["metadata"]["name"],
        "uid": object["metadata"]["uid"],
        "controller": true,
        "blockOwnerDeletion": true,
    })
}

fn other_objects() -> Vec<(&'static str, Value)> {
    vec![
        (
            "configmaps",
            json!({
                "metadata": {"name": "settings", "labels": {"app": "hello"}},
                "data": {"color": "blue", "greeting": "hello"},
            }),
        ),
        (
            "secrets",
            json!({
                "metadata": {"name": "database"},
                "stringData": {"username": "demo", "password": "not-a-real-password"},
            }),
        ),
        (
            "services",
            json!({
                "metadata": {
                    "name": "kubernetes",
                    "labels": {"component": "apiserver", "provider": "kubernetes"},
                },
                "spec": {
                    "clusterIP": "10.96.0.1",
                    "ports": [{"name": "https", "port": 443, "targetPort": 6443}],
                },
            }),
        ),
    ]
}

fn event(pod: &Value, reason: &str, message: &str) -> Value {
    let now = timestamp();
    json!({
        "metadata": {"name": format!("hello.{}", reason.to_lowercase())},
        "involvedObject": {
            "kind": "Pod", "apiVersion": "v1",
            "namespace": "default", "name": "hello", "uid": pod["metadata"]["uid"],
        },
        "reason": reason,
        "message": message,
        "type": "Normal",
        "count": 1,
        "firstTimestamp": now,
        "lastTimestamp": now,
        "source": {"component": "kubegate-demo", "host": NODE},
        "reportingComponent": "kubegate-demo",
        "reportingInstance": NODE,
    })
}
