//! The columns of config maps, secrets, service accounts, services and events.

use serde_json::json;

use super::{
    AGE, Column, NAME,
    cells::{age, items, labels, list_or_none, none, or_none, size, text},
    column, number, wide,
};

pub(super) const CONFIG_MAPS: &[Column] = &[
    NAME,
    number("Data", "Number of entries.", |o, _| {
        json!(size(&o["data"]) + size(&o["binaryData"]))
    }),
    AGE,
];

pub(super) const SECRETS: &[Column] = &[
    NAME,
    column("Type", "The type of the secret.", |o, _| text(&o["type"])),
    number("Data", "Number of entries.", |o, _| json!(size(&o["data"]))),
    AGE,
];

pub(super) const SERVICE_ACCOUNTS: &[Column] = &[
    NAME,
    number("Secrets", "Number of secrets.", |o, _| {
        json!(items(&o["secrets"]).len())
    }),
    AGE,
];

pub(super) const SERVICES: &[Column] = &[
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

pub(super) const EVENTS: &[Column] = &[
    column(
        "Last ReceivedRequest",
        "Time of the last occurrence.",
        |o, now| {
            let times = ["lastTimestamp", "eventTime", "firstTimestamp"];
            let last = times
                .iter()
                .map(|time| &o[*time])
                .find(|time| time.is_string());
            age(last.unwrap_or(&o["metadata"]["creationTimestamp"]), now)
        },
    ),
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
    wide(
        "First ReceivedRequest",
        "Time of the first occurrence.",
        |o, now| age(&o["firstTimestamp"], now),
    ),
    wide("Count", "How often it happened.", |o, _| {
        json!(o["count"].as_u64().unwrap_or(1).to_string())
    }),
    wide("Name", "The name of the event.", |o, _| {
        text(&o["metadata"]["name"])
    }),
];
