//! Responses that the API server itself may not have written.

use super::{check_request, guard, request};

#[test]
fn untrusted_content_is_known_in_every_spelling() {
    let guard = guard(|rules| rules.allow_exec = true);
    let capabilities = |method, target| {
        let request = request(method, target, &[]);
        let found = check_request(&guard, &request).unwrap();
        (found.untrusted, found.proxied)
    };
    for target in [
        "/api/v1/namespaces/x/services/s/proxy",
        "/api/v1/namespaces/x/services/s/proxy/",
        "/api/v1/namespaces/x/services/https:s:443/proxy/a/b?c",
        "/api/v1/namespaces/x/pods/p:80/proxy/a",
        "/api/v1/nodes/n/proxy/logs/x",
        "/api/v1/nodes/n/proxy/metrics",
        "/api/v1/nodes/n:9100/proxy/a",
        "/api/v1/proxy/namespaces/x/services/s/a",
        "/api/v1/proxy/nodes/n/a",
        "/api/v1/watch/namespaces/x/services/s/proxy/a",
        "/api/v1/namespaces//services/s/proxy/a",
        "/api/v1/services/s/proxy/a",
        "/api/v1/namespaces/x/services/s/pr%6Fxy/a",
        "/api/v1/namespaces/x/services/s%2Fproxy%2Fa",
        "//api/v1//namespaces/x/./services/s/proxy/a",
        "/apis/cluster.karmada.io/v1alpha1/clusters/c/proxy/x",
        "/k8s/clusters/c-1/api/v1/namespaces/x/services/s/proxy/a",
    ] {
        for method in ["GET", "POST", "HEAD"] {
            assert_eq!(
                capabilities(method, target),
                (true, true),
                "{method} {target}"
            );
        }
    }
    for target in [
        "/api/v1/namespaces/x/pods/p/log",
        "/api/v1/namespaces/x/pods/p/log/",
        "/api/v1/namespaces/x/pods/p/l%6fg?follow=1",
        "/apis/build.openshift.io/v1/namespaces/x/builds/b/log",
        "/apis/packages.operators.coreos.com/v1/namespaces/x/packagemanifests/p/icon",
        "/logs",
        "/logs/pods/x.log",
        "/%6Cogs/pods",
        "//logs/pods",
        "/v2/x/app/blobs/sha256:0",
    ] {
        assert_eq!(capabilities("GET", target), (true, false), "{target}");
    }
    for target in [
        "/",
        "/api/v1/pods",
        "/api/v1/namespaces/proxy/pods/log",
        "/api/v1/namespaces/x/services/proxy",
        "/api/v1/namespaces/x/configmaps/log",
        "/api/v1/namespaces/x/pods/p/exec",
        "/apis/apps/v1/namespaces/x/deployments/d/status",
        "/logsx",
        "/version?x=/logs",
        "/openapi/v2",
    ] {
        assert_eq!(capabilities("GET", target), (false, false), "{target}");
    }
}
