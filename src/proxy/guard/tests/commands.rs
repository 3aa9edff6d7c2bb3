//! What runs commands: exec, consoles, the nodes' own API.

use super::{EXEC, WEBSOCKET, check, check_with, guard, patterns, status};

#[test]
fn what_runs_commands_is_refused_by_default() {
    let guard = guard(|_| ());
    for request_line in [
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
        let (method, target) = request_line.split_once(' ').unwrap();
        let checked = check(&guard, method, target);
        assert_eq!(status(&checked), 403, "{request_line}");
        assert!(
            checked.unwrap_err().message.contains("--allow-exec"),
            "{request_line}"
        );
    }
    for protocol in ["websocket", "WebSocket", "SPDY/3.1", "h2c, websocket"] {
        let upgrade = [("connection", "Upgrade"), ("upgrade", protocol)];
        let upgraded = check_with(&guard, "GET", "/api/v1/nodes/n/proxy/metrics", &upgrade);
        assert_eq!(status(&upgraded), 403, "{protocol}");
    }
    // An upgrade that is not passed on is an ordinary GET, as curl --http2 sends it.
    let h2c = [
        ("connection", "Upgrade, HTTP2-Settings"),
        ("upgrade", "h2c"),
    ];
    let plain = check_with(&guard, "GET", "/api/v1/nodes/n/proxy/metrics", &h2c);
    assert!(plain.is_ok());
    for target in [
        "/api/v1/nodes/n/proxy/metrics/../run",
        "/api/v1/nodes/n/proxy/metrics%2F..%2Frun",
        "/api/v1/nodes/n/proxy/metrics/%2e%2e/run",
        "/api/v1/namespaces/default/pods/web-0/log/..%2Fexec",
    ] {
        assert_eq!(status(&check(&guard, "GET", target)), 400, "{target}");
    }
}

#[test]
fn what_runs_no_commands_passes_by_default() {
    let guard = guard(|_| ());
    for request_line in [
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
        let (method, target) = request_line.split_once(' ').unwrap();
        assert_eq!(check(&guard, method, target), Ok(()), "{request_line}");
    }
    let forward = check_with(
        &guard,
        "GET",
        "/api/v1/namespaces/d/pods/p/portforward",
        &WEBSOCKET,
    );
    assert_eq!(forward, Ok(()));
}

#[test]
fn three_flags_allow_what_runs_commands() {
    let kubelet = "/api/v1/nodes/n/proxy/run/default/web-0/c";
    for guard in [
        guard(|rules| rules.allow_exec = true),
        guard(|rules| rules.disable_filter = true),
        guard(|rules| rules.reject_paths = Some(Vec::new())),
        guard(|rules| rules.reject_paths = Some(patterns("^/api/.*/secrets"))),
    ] {
        assert_eq!(check(&guard, "POST", EXEC), Ok(()));
        assert_eq!(check(&guard, "POST", kubelet), Ok(()));
        assert_eq!(check_with(&guard, "GET", EXEC, &WEBSOCKET), Ok(()));
    }
}

#[test]
fn consoles_of_other_groups_follow_the_rules_for_exec() {
    let (default, open) = (guard(|_| ()), guard(|rules| rules.allow_exec = true));
    let read_only = guard(|rules| (rules.read_only, rules.allow_exec) = (true, true));
    for version in ["v1", "v1alpha3", "v2"] {
        for resource in ["virtualmachineinstances", "virtualmachines"] {
            let of = |part| {
                format!("/apis/subresources.kubevirt.io/{version}/namespaces/d/{resource}/m/{part}")
            };
            for part in [
                "console",
                "vnc",
                "vnc/screenshot",
                "usbredir",
                "c%6Fnsole",
                "vnc/",
            ] {
                for headers in [&[][..], &WEBSOCKET] {
                    let refusal = check_with(&default, "GET", &of(part), headers).unwrap_err();
                    assert!(
                        refusal.message.contains("--allow-exec"),
                        "{part}: {refusal}"
                    );
                    assert_eq!(
                        check_with(&open, "GET", &of(part), headers),
                        Ok(()),
                        "{part}"
                    );
                    let checked = check_with(&read_only, "GET", &of(part), headers);
                    assert_eq!(status(&checked), 403, "{part}");
                }
            }
            for part in ["portforward/22", "portforward/22/tcp", "vsock?port=22"] {
                for headers in [&[][..], &WEBSOCKET] {
                    assert_eq!(
                        check_with(&default, "GET", &of(part), headers),
                        Ok(()),
                        "{part}"
                    );
                    let checked = check_with(&read_only, "GET", &of(part), headers);
                    assert_eq!(status(&checked), 403, "{part}");
                }
            }
            for part in ["guestosinfo", "sev/fetchcertchain", "status", ""] {
                assert_eq!(check(&read_only, "GET", &of(part)), Ok(()), "{part}");
                assert_eq!(check(&default, "GET", &of(part)), Ok(()), "{part}");
            }
        }
    }
    for target in [
        "/apis/subresources.virtualization.deckhouse.io/v1alpha2/namespaces/d/virtualmachines/m/console",
        "/api/v1/namespaces/d/services/https:api:443/proxy/apis/subresources.kubevirt.io/v1/namespaces/d/virtualmachines/m/vnc",
    ] {
        assert_eq!(status(&check(&default, "GET", target)), 403, "{target}");
    }
    // The core group has no such subresources, and a name is not a subresource.
    for target in [
        "/api/v1/namespaces/d/configmaps/c/console",
        "/api/v1/namespaces/d/services/console/proxy/vnc",
        "/apis/kubevirt.io/v1/namespaces/d/virtualmachines/console",
        "/apis/kubevirt.io/v1/namespaces/vnc/virtualmachines/console/status",
    ] {
        assert_eq!(check(&default, "GET", target), Ok(()), "{target}");
    }
}
