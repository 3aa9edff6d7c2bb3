#![allow(clippy::unwrap_used)]
use serde_json::{Value, json};

use super::*;

fn cluster(fields: Value) -> IbmCluster {
    serde_json::from_value(fields).unwrap()
}

const PUBLIC: &str = "https://c2.us-south.containers.cloud.ibm.com:30422";
const PRIVATE: &str = "https://c2.private.us-south.containers.cloud.ibm.com:30422";

#[test]
fn endpoints_are_read_in_both_layouts() {
    let ends = json!({
        "publicServiceEndpointEnabled": true, "publicServiceEndpointURL": PUBLIC,
        "privateServiceEndpointEnabled": true, "privateServiceEndpointURL": PRIVATE,
    });
    let mut flat = ends.clone();
    for (field, value) in [("id", "c1"), ("name", "mine"), ("masterURL", PUBLIC)] {
        flat[field] = json!(value);
    }
    let nested = json!({"id": "c1", "name": "mine", "masterURL": PUBLIC, "serviceEndpoints": ends});
    for layout in [flat, nested] {
        let cluster = cluster(layout);
        let at = |end| cluster.endpoint(end).unwrap().to_string();
        assert_eq!(at(None), format!("{PUBLIC}/"));
        assert_eq!(at(Some(IbmEndpoint::Public)), format!("{PUBLIC}/"));
        assert_eq!(at(Some(IbmEndpoint::Private)), format!("{PRIVATE}/"));
    }
}

#[test]
fn the_error_for_a_disabled_endpoint_names_the_other_one() {
    let only_private = cluster(json!({
        "id": "c1", "name": "mine", "masterURL": PRIVATE, "type": "kubernetes",
        "serviceEndpoints": {
            "publicServiceEndpointEnabled": false, "publicServiceEndpointURL": PUBLIC,
            "privateServiceEndpointEnabled": true, "privateServiceEndpointURL": PRIVATE,
        },
    }));
    let error = only_private.endpoint(Some(IbmEndpoint::Public));
    let error = error.unwrap_err().to_string();
    assert!(
        error.contains("\"mine\"") && error.contains("--ibm-endpoint private"),
        "{error}"
    );
    let default = only_private.endpoint(None).unwrap().to_string();
    assert_eq!(default, format!("{PRIVATE}/"));
    let only_public = cluster(json!({"id": "c1", "name": "mine", "serverURL": PUBLIC}));
    let error = only_public.endpoint(Some(IbmEndpoint::Private));
    assert!(
        error
            .unwrap_err()
            .to_string()
            .contains("--ibm-endpoint public")
    );
    assert!(only_public.endpoint(Some(IbmEndpoint::Public)).is_ok());
}

#[test]
fn private_openshift_is_reached_by_its_trusted_name() {
    let private = "https://c100.private.eu-de.containers.cloud.ibm.com:31000";
    let of = |kind: &str, url: &str| {
        let cluster = cluster(json!({
            "id": "c1", "name": "mine", "type": kind,
            "privateServiceEndpointEnabled": true, "privateServiceEndpointURL": url,
        }));
        let end = cluster.endpoint(Some(IbmEndpoint::Private));
        end.unwrap().to_string()
    };
    let trusted = "https://c100-e.private.eu-de.containers.cloud.ibm.com:31000/";
    assert_eq!(of("openshift", private), trusted);
    assert_eq!(of("openshift", trusted), trusted);
    assert_eq!(of("kubernetes", private), format!("{private}/"));
}

#[test]
fn a_state_in_which_it_cannot_serve_is_an_error() {
    for (state, says, transient) in [
        ("requested", Some("wait"), true),
        ("deploying", Some("wait"), true),
        ("deploy_failed", Some("make a new one"), false),
        ("aborted", Some("make a new one"), false),
        ("deleting", Some("choose another"), false),
        ("deleted", Some("choose another"), false),
        ("normal", None, false),
        ("warning", None, false),
        ("critical", None, false),
        ("pending", None, false),
        ("updating", None, false),
    ] {
        let cluster =
            cluster(json!({"id": "c1", "name": "mine", "state": state, "masterURL": PUBLIC}));
        match (cluster.endpoint(None), says) {
            (Ok(_), None) => {}
            (Err(error), Some(says)) => {
                let text = error.to_string();
                assert!(text.contains(says) && text.contains(state), "{text}");
                assert_eq!(error.is_transient(), transient, "{state}");
            }
            (other, _) => panic!("{state}: {other:?}"),
        }
    }
}

#[test]
fn a_cluster_over_plain_http_is_refused() {
    let cluster = cluster(json!({"id": "c1", "name": "mine", "masterURL": "http://c2.example"}));
    let error = cluster.endpoint(None).unwrap_err().to_string();
    assert!(
        error.contains("https://") && error.contains("mine"),
        "{error}"
    );
}

#[test]
fn the_endpoint_in_a_vpc_is_used_as_it_is() {
    let vpe = "https://c1.vpe.private.us-south.containers.cloud.ibm.com:30422";
    for kind in ["kubernetes", "openshift"] {
        let cluster = cluster(json!({
            "id": "c1", "name": "mine", "masterURL": PUBLIC, "type": kind,
            "virtualPrivateEndpointURL": vpe,
        }));
        let found = cluster.endpoint(Some(IbmEndpoint::Vpe)).unwrap();
        assert_eq!(found.to_string(), format!("{vpe}/"), "{kind}");
    }
    let none = cluster(json!({"id": "c1", "name": "mine", "masterURL": PUBLIC}));
    for (end, says) in [
        (IbmEndpoint::Vpe, "virtual private"),
        (IbmEndpoint::Link, "Satellite"),
    ] {
        let error = none.endpoint(Some(end)).unwrap_err().to_string();
        assert!(
            error.contains(says) && error.contains("--ibm-endpoint"),
            "{error}"
        );
    }
}

#[test]
fn a_kubeconfig_for_another_endpoint_is_not_taken_for_the_requested_one() {
    let link = "https://c-02.us-east.link.satellite.cloud.ibm.com:33001";
    let cluster = cluster(json!({"id": "c1", "name": "mine", "masterURL": PUBLIC}));
    let named = |server| cluster.endpoint_of_kubeconfig(IbmEndpoint::Link, server);
    assert_eq!(named(Some(link)).unwrap().to_string(), format!("{link}/"));
    for other in [Some(PUBLIC), Some(""), None] {
        let error = named(other).unwrap_err().to_string();
        assert!(error.contains("no Satellite Link"), "{error}");
    }
}
