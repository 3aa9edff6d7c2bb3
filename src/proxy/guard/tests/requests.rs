//! What is wanted: commands, patterns, read-only.

use super::{EXEC, WEBSOCKET, guard, judge, judge_with, patterns, status};

#[test]
fn what_runs_commands_is_refused_by_default() {
    let guard = guard(|_| ());
    for wanted in [
        "GET /api/v1/namespaces/default/pods/web-0/exec",
        "POST /api/v1/namespaces/default/pods/web-0/exec",
        "get /api/v1/namespaces/default/pods/web-0/exec",
        "POST /api/v1/namespaces/default/pods/web-0/attach?stdin=1",
        "PATCH /api/v1/namespaces/default/pods/web-0/ephemeralcontainers",
        "PUT /api/v1/namespaces/default/pods/web-0/ephemeralcontainers",
        "POST /api/v2/namespaces/default/pods/web-0/exec",
        "POST /apis/example.com/v1/namespaces/default/pods/web-0/exec",
        "POST /api/v1/pods/web-0/exec",
        "POST /api/v1/namespaces/default/pods/web-0/exec/",
        "POST /api/v1/namespaces/default/pods/web-0/exec/more",
        "POST /api/v1/watch/namespaces/default/pods/web-0/exec",
        "POST /k8s/clusters/c-1/api/v1/namespaces/default/pods/web-0/exec",
        "POST /api/v1/namespaces/d/services/https:api:443/proxy/api/v1/namespaces/d/pods/p/exec",
        "POST /api/v1/nodes/n/proxy/run/default/web-0/c",
        "GET /api/v1/nodes/n/proxy",
        "GET /api/v1/nodes/n/proxy/",
        "GET /api/v1/nodes/n/proxy/pods",
        "GET /api/v1/nodes/https:n:10250/proxy/exec/default/web-0/c?command=id",
        "GET /api/v1/nodes/n/proxy/logs/",
        "POST /api/v1/nodes/n/proxy/metrics",
        "GET /api/v1/nodes/n/proxy/metrics/run",
        "GET /api/v1/nodes/n/proxy/metrics%3Frun",
        "GET /api/v1/nodes/n/proxy//metrics",
        "GET /api/v1/nodes/n/proxy/./metrics",
        "GET /api/v1/nodes//proxy/run/default/web-0/c",
        "GET /api/v1/proxy/nodes/n/run/default/web-0/c",
        "GET /api/v1/proxy/namespaces/default/pods/web-0/exec",
        "GET //api/v1/namespaces/default/pods/web-0/exec",
    ] {
        let (method, target) = wanted.split_once(' ').unwrap();
        let judged = judge(&guard, method, target);
        assert_eq!(status(&judged), 403, "{wanted}");
        assert!(
            judged.unwrap_err().message.contains("--allow-exec"),
            "{wanted}"
        );
    }
    let upgraded = judge_with(&guard, "GET", "/api/v1/nodes/n/proxy/metrics", &WEBSOCKET);
    assert_eq!(status(&upgraded), 403);
    for target in [
        "/api/v1/nodes/n/proxy/metrics/../run",
        "/api/v1/nodes/n/proxy/metrics%2F..%2Frun",
        "/api/v1/nodes/n/proxy/metrics/%2e%2e/run",
        "/api/v1/namespaces/default/pods/web-0/log/..%2Fexec",
    ] {
        assert_eq!(status(&judge(&guard, "GET", target)), 400, "{target}");
    }
}

#[test]
fn what_runs_no_commands_passes_by_default() {
    let guard = guard(|_| ());
    for wanted in [
        "GET /",
        "GET /healthz/ping",
        "GET /api/v1/namespaces/default/pods/exec-demo",
        "GET /api/v1/namespaces/default/pods/exec",
        "GET /api/v1/namespaces/exec/pods/attach/log",
        "GET /api/v1/namespaces/default/pods?x=/exec",
        "GET /api/v1/namespaces/default/pods?fieldSelector=metadata.name%3Dfoo",
        "GET /api/v1/namespaces/default/configmaps/a..b",
        "GET /api/v1/namespaces/default/configmaps/exec",
        "POST /api/v1/namespaces/default/pods",
        "DELETE /api/v1/namespaces/default/pods/p",
        "PATCH /apis/apps/v1/namespaces/default/deployments/d/scale",
        "POST /api/v1/namespaces/default/pods/p/portforward",
        "POST /api/v1/namespaces/default/pods/p/eviction",
        "GET /api/v1/namespaces/x/services/https:svc:443/proxy/a%20b/c%2Fd?q",
        "POST /api/v1/namespaces/x/services/svc/proxy//double//slashes/",
        "GET /api/v1/namespaces/x/services/svc/proxy/exec",
        "GET /api/v1/namespaces/x/services/grafana/proxy/api/datasources/proxy/1/api/v1/query",
        "GET /api/v1/namespaces/x/services/api/proxy/proxy/8080/",
        "GET /api/v1/namespaces/x/pods/p:8080/proxy/caf%C3%A9/%E9",
        "GET /api/v1/namespaces/api/pods/proxy/log",
        "GET /api/v1/nodes/n",
        "GET /api/v1/nodes/n/proxy/metrics",
        "HEAD /api/v1/nodes/n/proxy/metrics/cadvisor",
        "GET /api/v1/nodes/https:n:10250/proxy/stats/summary?only_cpu_and_memory=true",
        "GET /api/v1/nodes/n/proxy/configz",
        "GET /api/v1/nodes/n/proxy/healthz",
        "GET /api/v1/proxy/nodes/n/metrics",
        "GET /apis/metrics.k8s.io/v1beta1/namespaces/default/pods",
    ] {
        let (method, target) = wanted.split_once(' ').unwrap();
        assert_eq!(judge(&guard, method, target), Ok(()), "{wanted}");
    }
    let forward = judge_with(
        &guard,
        "GET",
        "/api/v1/namespaces/d/pods/p/portforward",
        &WEBSOCKET,
    );
    assert_eq!(forward, Ok(()));
}

#[test]
fn three_flags_open_what_runs_commands() {
    let kubelet = "/api/v1/nodes/n/proxy/run/default/web-0/c";
    for guard in [
        guard(|rules| rules.allow_exec = true),
        guard(|rules| rules.disable_filter = true),
        guard(|rules| rules.reject_paths = Some(Vec::new())),
        guard(|rules| rules.reject_paths = Some(patterns("^/api/.*/secrets"))),
    ] {
        assert_eq!(judge(&guard, "POST", EXEC), Ok(()));
        assert_eq!(judge(&guard, "POST", kubelet), Ok(()));
        assert_eq!(judge_with(&guard, "GET", EXEC, &WEBSOCKET), Ok(()));
    }
}

#[test]
fn path_patterns_see_the_decoded_path_in_each_reading() {
    let guard = guard(|rules| {
        rules.accept_paths = patterns("^/api/v1/,^/version$");
        rules.reject_paths = Some(patterns("/secrets(/|$)"));
    });
    for (target, expected) in [
        ("/api/v1/pods", 200),
        ("/%61pi/v1/pods", 200),
        ("/version", 200),
        ("/version?x=/secrets", 200),
        ("/api/v1/secretsauce", 200),
        ("/apis/apps/v1", 403),
        ("/version/", 403),
        ("//api/v1/pods", 403),
        ("/api/v1/secrets", 403),
        ("/api/v1/%73ecrets/x", 403),
        ("/api/v1/namespaces/d%2Fsecrets", 403),
        ("/api/v1/secrets/.", 403),
        ("/api/v1/secrets\\", 400),
    ] {
        assert_eq!(status(&judge(&guard, "GET", target)), expected, "{target}");
    }
    let secrets = judge(&guard, "GET", "/api/v1/secrets").unwrap_err().message;
    assert!(
        secrets.contains(r#"--reject-paths (pattern "/secrets(/|$)")"#),
        "{secrets}"
    );
    let outside = judge(&guard, "GET", "/metrics").unwrap_err().message;
    assert!(outside.contains("--accept-paths"), "{outside}");
}

#[test]
fn read_only_lets_reads_and_reviews_pass() {
    let guard = guard(|rules| rules.read_only = true);
    for wanted in [
        "GET /version",
        "HEAD /healthz",
        "GET /api/v1/pods",
        "GET /api/v1/pods?watch=1",
        "GET /api/v1/namespaces/d/secrets/s",
        "GET /api/v1/namespaces/d/pods/p/log?follow=true",
        "GET /api/v1/namespaces/d/services/s/proxy/",
        "GET /api/v1/nodes/n/proxy/metrics",
        "POST /apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
        "POST /apis/authorization.k8s.io/v1/selfsubjectrulesreviews",
        "POST /apis/authorization.k8s.io/v1/subjectaccessreviews",
        "POST /apis/authorization.k8s.io/v1/namespaces/d/localsubjectaccessreviews",
        "POST /apis/authentication.k8s.io/v1/selfsubjectreviews",
        "POST /apis/authentication.k8s.io/v1/tokenreviews",
    ] {
        let (method, target) = wanted.split_once(' ').unwrap();
        assert_eq!(judge(&guard, method, target), Ok(()), "{wanted}");
    }
    for target in ["/api/v1/pods?watch=1", "/api/v1/watch/namespaces/d/pods"] {
        assert_eq!(
            judge_with(&guard, "GET", target, &WEBSOCKET),
            Ok(()),
            "{target}"
        );
    }
}

#[test]
fn read_only_refuses_everything_else_whatever_else_is_open() {
    for guard in [
        guard(|rules| rules.read_only = true),
        guard(|rules| (rules.read_only, rules.allow_exec) = (true, true)),
        guard(|rules| (rules.read_only, rules.disable_filter) = (true, true)),
        guard(|rules| (rules.read_only, rules.reject_paths) = (true, Some(Vec::new()))),
    ] {
        for wanted in [
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
        ] {
            let (method, target) = wanted.split_once(' ').unwrap();
            let judged = judge(&guard, method, target);
            assert_eq!(status(&judged), 403, "{wanted}");
            assert!(
                judged.unwrap_err().message.contains("--read-only"),
                "{wanted}"
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
            let judged = judge_with(&guard, "GET", target, &WEBSOCKET);
            assert_eq!(status(&judged), 403, "{target}");
        }
        let review = "/apis/authentication.k8s.io/v1/tokenreviews";
        assert_eq!(status(&judge_with(&guard, "POST", review, &WEBSOCKET)), 403);
    }
}
