//! The columns of pods, deployments and replica sets.

use serde_json::json;

use super::{
    AGE, Column, NAME,
    cells::{count, items, joined, labels, none, or_none, text},
    column, number, wide,
};

pub(super) const PODS: &[Column] = &[
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

pub(super) const DEPLOYMENTS: &[Column] = &[
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

pub(super) const REPLICA_SETS: &[Column] = &[
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

const CONTAINERS: Column = wide("Containers", "Names of each container.", |o, _| {
    joined(&o["spec"]["template"]["spec"]["containers"], "name")
});
const IMAGES: Column = wide("Images", "Images of each container.", |o, _| {
    joined(&o["spec"]["template"]["spec"]["containers"], "image")
});
const SELECTOR: Column = wide("Selector", "The label selector of the pods.", |o, _| {
    labels(&o["spec"]["selector"]["matchLabels"])
});
