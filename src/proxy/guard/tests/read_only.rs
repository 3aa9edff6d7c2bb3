//! `--read-only` and `--allow-proxy`.

use super::{EXEC, WEBSOCKET, check, check_with, guard, status};

#[test]
fn read_only_lets_reads_and_reviews_pass() {
    let guard = guard(|rules| rules.read_only = true);
    for request_line in [
        "GET /version",
        "HEAD /healthz",
        "GET /api/v1/pods",
        "GET /api/v1/pods?watch=1",
        "GET /api/v1/namespaces/d/secrets/s",
        "GET /api/v1/namespaces/d/pods/p/log?follow=true",
        "GET /api/v1/nodes/n/proxy/metrics",
        "POST /apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
        "POST /apis/authorization.k8s.io/v1/selfsubjectrulesreviews",
        "POST /apis/authorization.k8s.io/v1/subjectaccessreviews",
        "POST /apis/authorization.k8s.io/v1/namespaces/d/localsubjectaccessreviews",
        "POST /apis/authentication.k8s.io/v1/selfsubjectreviews",
        "POST /apis/authentication.k8s.io/v1/tokenreviews",
    ] {
        let (method, target) = request_line.split_once(' ').unwrap();
        assert_eq!(check(&guard, method, target), Ok(()), "{request_line}");
        let h2c = check_with(&guard, method, target, &[("upgrade", "h2c")]);
        assert_eq!(h2c, Ok(()), "{request_line}");
    }
    for target in ["/api/v1/pods?watch=1", "/api/v1/watch/namespaces/d/pods"] {
        assert_eq!(
            check_with(&guard, "GET", target, &WEBSOCKET),
            Ok(()),
            "{target}"
        );
    }
}

#[test]
fn read_only_passes_a_get_of_an_app_with_allow_proxy() {
    let default = guard(|rules| rules.read_only = true);
    let open = guard(|rules| (rules.read_only, rules.allow_proxy) = (true, true));
    let without_rules = guard(|_| ());
    for target in [
        "/api/v1/namespaces/d/services/s/proxy/",
        "/api/v1/namespaces/d/services/s/proxy",
        "/api/v1/namespaces/d/services/https:s:443/proxy/reset?all",
        "/api/v1/namespaces/d/pods/p:8080/proxy/x",
        "/api/v1/namespaces/d/pods/p/pr%6fxy/x",
        "/api/v1/namespaces/d/pods/p%2Fproxy%2Fx",
        "/api/v1/namespaces/d/pods//p/proxy/x",
        "/api/v1/watch/namespaces/d/pods/p/proxy/x",
        "/api/v1/proxy/namespaces/d/services/s/x",
        "/api/v1/nodes/n:9100/proxy/metrics",
        "/api/v1/nodes/https:n:10250/proxy/metrics",
        "/apis/cluster.karmada.io/v1alpha1/clusters/c/proxy/api/v1/pods",
        "/k8s/clusters/c-1/api/v1/namespaces/d/services/s/proxy/x",
    ] {
        let refusal = check(&default, "GET", target).unwrap_err();
        assert!(
            refusal.message.contains("--allow-proxy"),
            "{target}: {refusal}"
        );
        for method in ["GET", "HEAD"] {
            assert_eq!(check(&open, method, target), Ok(()), "{method} {target}");
        }
        assert_eq!(check(&without_rules, "GET", target), Ok(()), "{target}");
        for (method, headers) in [("POST", &[][..]), ("DELETE", &[]), ("GET", &WEBSOCKET)] {
            let checked = check_with(&open, method, target, headers);
            assert_eq!(status(&checked), 403, "{method} {target}");
        }
    }
    for target in [
        "/api/v1/nodes/n/proxy/run/d/p/c",
        "/api/v1/nodes/n:10250/proxy/run/d/p/c",
        "/api/v1/namespaces/d/services/s/proxy/api/v1/namespaces/d/pods/p/exec",
    ] {
        assert_eq!(status(&check(&open, "GET", target)), 403, "{target}");
    }
}

#[test]
fn read_only_refuses_all_else_whatever_other_flags_allow() {
    for guard in [
        guard(|rules| rules.read_only = true),
        guard(|rules| (rules.read_only, rules.allow_exec) = (true, true)),
        guard(|rules| (rules.read_only, rules.disable_filter) = (true, true)),
        guard(|rules| (rules.read_only, rules.reject_paths) = (true, Some(Vec::new()))),
    ] {
        for request_line in [
            "POST /api/v1/namespaces/d/pods",
            "PUT /api/v1/namespaces/d/pods/p",
            "PATCH /api/v1/namespaces/d/pods/p",
            "DELETE /api/v1/namespaces/d/pods/p",
            "DELETE /api/v1/namespaces/d/pods",
            "OPTIONS /api/v1/namespaces/d/pods/p",
            "get /api/v1/namespaces/d/pods/p",
            "POST /logs",
            "POST /api/v1/namespaces/default/pods/web-0/exec",
            "GET /api/v1/namespaces/default/pods/web-0/exec",
            "POST /api/v1/namespaces/d/pods/p/portforward",
            "POST /api/v1/namespaces/d/serviceaccounts/s/token",
            "POST /api/v1/namespaces/d/services/s/proxy/",
            "POST /api/v1/watch/pods",
            "GET /api/v1/nodes/n/proxy/pods",
            "POST /apis/bookinfo.example/v1/namespaces/d/tokenreviews",
            "POST /apis/authentication.k8s.io/v1/tokenreviews/x",
            "DELETE /apis/authentication.k8s.io/v1/tokenreviews",
            "GET /api/v1/namespaces/d/pods/p/portforward",
            "GET /apis/subresources.kubevirt.io/v1/namespaces/d/virtualmachines/m/portforward/22/tcp",
            "GET /apis/subresources.kubevirt.io/v1/namespaces/d/virtualmachineinstances/m/vsock",
            "GET /apis/subresources.kubevirt.io/v1/namespaces/d/virtualmachineinstances/m/vnc",
        ] {
            let (method, target) = request_line.split_once(' ').unwrap();
            let checked = check(&guard, method, target);
            assert_eq!(status(&checked), 403, "{request_line}");
            assert!(
                checked.unwrap_err().message.contains("--read-only"),
                "{request_line}"
            );
        }
        for target in [
            EXEC,
            "/api/v1/namespaces/d/pods/p/portforward",
            "/api/v1/namespaces/d/pods/p/proxy/ws",
            "/api/v1/watch/namespaces/d/pods/p/portforward",
            "/api/v1/pods",
            "/api/v1/pods/p?watch=1",
            "/ws?watch=1",
        ] {
            let checked = check_with(&guard, "GET", target, &WEBSOCKET);
            assert_eq!(status(&checked), 403, "{target}");
        }
        let review = "/apis/authentication.k8s.io/v1/tokenreviews";
        assert_eq!(status(&check_with(&guard, "POST", review, &WEBSOCKET)), 403);
    }
}
